/**
 * What the simulated provider says, in the words of OpenAI's: status, headers and bodies that clients of the real one
 * read. Each contender makes of it what its own code makes of it.
 */
import type { Answer } from "./Provider.js"

/** A piece of a streamed answer, by its place. No two are the same, so that nothing seems to be said twice. */
export const pieceOf = (place: number): string => ` ${1000 + place}`

/** A whole answer, in so many pieces. */
export const answerOf = (pieces: number): string =>
  Array.from({ length: pieces }, (_, place) => pieceOf(place)).join("")

/** How many pieces are in the beginning of an answer. */
export const piecesIn = (begun: string): number => begun.match(/\d+/g)?.length ?? 0

export const headersOf = ({ retryAfter }: Answer): Readonly<Record<string, string>> => ({
  "content-type": "application/json",
  ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) })
})

const failures: Readonly<Record<number, readonly [type: string, message: string]>> = {
  429: ["requests", "Rate limit reached for requests"],
  500: ["server_error", "The server had an error while processing your request"],
  503: ["server_error", "The server is overloaded"]
}

const whole = JSON.stringify({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1_735_689_600,
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: answerOf(1) }, finish_reason: "stop" }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
})

export const bodyOf = ({ code, status }: Answer): string => {
  if (status === 200) {
    return whole
  }
  const [type, message] = code === undefined
    ? failures[status] ?? ["server_error", ""]
    : [code, "You exceeded your current quota, please check your plan and billing details."]
  return JSON.stringify({ error: { message, type, param: null, code: code ?? null } })
}

/** One frame of a streamed answer. */
const frameOf = (delta: object, finish: "stop" | null): string =>
  `data: ${
    JSON.stringify({
      id: "chatcmpl-1",
      object: "chat.completion.chunk",
      created: 1_735_689_600,
      model: "m",
      choices: [{ index: 0, delta, finish_reason: finish }]
    })
  }\n\n`

export const pieceFrame = (place: number): string => frameOf({ content: pieceOf(place) }, null)
export const lastFrames = `${frameOf({}, "stop")}data: [DONE]\n\n`
