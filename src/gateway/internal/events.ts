/** Answers as streams of server-sent events, the way OpenAI's clients read them. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Chunk from "effect/Chunk"
import type * as Stream from "effect/Stream"
import type { ChatChunk } from "../../ChatProvider.js"
import { bodyOf, type Refusal } from "./refusals.js"

const encoder = new TextEncoder()

const frame = (data: string): string => `data: ${data}\n\n`

/** What the client reads besides what the provider said. */
export interface Manner {
  /** When the answer came, in seconds. */
  readonly created: number
  readonly withUsage: boolean
}

/** Not every provider says when it answered, and strict clients cannot read an answer that does not. */
export const dated = (answer: object, created: number): object => "created" in answer ? answer : { created, ...answer }

/** One piece for all chunks that came together. The last chunk of a provider may have the usage and nothing else. */
export const ofChunks = (
  chunks: Chunk.Chunk<ChatChunk>,
  { created, withUsage }: Manner
): Chunk.Chunk<Uint8Array> => {
  let text = ""
  for (const chunk of chunks) {
    if (chunk.choices.length > 0 || withUsage) {
      text += frame(JSON.stringify(dated(chunk, created)))
    }
  }
  return text === "" ? Chunk.empty() : Chunk.of(encoder.encode(text))
}

/** The end of a whole answer. */
export const done = encoder.encode(frame("[DONE]"))

/** An error in the middle of a chat, which OpenAI's clients raise. */
export const brokenChat = (refusal: Refusal): Uint8Array => encoder.encode(frame(JSON.stringify(bodyOf(refusal))))

/** The same where events have names, as in the Responses API. */
export const brokenResponse = (refusal: Refusal): Uint8Array => {
  const { error } = bodyOf(refusal)
  const { code, message, param } = error
  return encoder.encode(`event: error\n${frame(JSON.stringify({ type: "error", code, message, param, error }))}`)
}

export const respond = (events: Stream.Stream<Uint8Array>): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.stream(events, {
    contentType: "text/event-stream; charset=utf-8",
    // Proxies on the way hold back what they believe to be a file.
    headers: { "cache-control": "no-cache", "x-accel-buffering": "no" }
  })
