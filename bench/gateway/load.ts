/** Asks a contender as often as it answers, and takes the time. Any answer that is not the right one ends the run. */
import * as peers from "../peers/load.mjs"
import { median, quantile } from "../statistics.js"
import { CHUNKS, questionOf, wordsIn } from "./answer.js"
import type { Contender } from "./processes.js"

/** What so many connections saw that asked again as soon as they had their answer. Times are in milliseconds. */
export interface Plain {
  /** Answers per second. */
  readonly rate: number
  readonly p50: number
  readonly p99: number
}

/** The same of streams. */
export interface Streamed {
  /** From the question to the first word. */
  readonly first: number
  /** From the question to the end. */
  readonly total: number
}

const PATH = "/v1/chat/completions"

export const plain = async ({ headers, url }: Contender, connections: number, seconds: number): Promise<Plain> => {
  const times: Array<number> = []
  const start = performance.now()
  let end = start
  const load = peers.autocannon({
    url: `${url}${PATH}`,
    method: "POST",
    headers,
    body: questionOf(false),
    connections,
    duration: seconds
  })
  load.on("response", (_client: unknown, _status: number, _bytes: number, time: number) => {
    times.push(time)
    end = performance.now()
  })
  const { errors, non2xx } = await load
  if (errors + non2xx > 0) {
    throw new Error(`${url}: ${errors} requests had no answer, and ${non2xx} a wrong one`)
  }
  return { rate: times.length * 1000 / (end - start), p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}

const readOne = async ({ headers, url }: Contender, dispatcher: peers.Agent): Promise<Streamed> => {
  const start = performance.now()
  const { body, statusCode } = await peers.request(`${url}${PATH}`, {
    method: "POST",
    headers,
    body: questionOf(true),
    dispatcher
  })
  let first = NaN
  let text = ""
  for await (const piece of body.setEncoding("utf8")) {
    text += piece
    if (Number.isNaN(first) && wordsIn(text) > 0) {
      first = performance.now() - start
    }
  }
  if (statusCode !== 200 || wordsIn(text) !== CHUNKS || !text.endsWith("data: [DONE]\n\n")) {
    throw new Error(`${url}: a wrong stream, with status ${statusCode}: ${text}`)
  }
  return { first, total: performance.now() - start }
}

export const streamed = async (contender: Contender, connections: number, streams: number): Promise<Streamed> => {
  const dispatcher = new peers.Agent({ connections })
  const read = await Promise.all(
    Array.from({ length: connections }, async () => {
      const read: Array<Streamed> = []
      for (let i = 0; i < streams; i++) {
        read.push(await readOne(contender, dispatcher))
      }
      return read
    })
  )
  await dispatcher.close()
  return {
    first: median(read.flat().map(({ first }) => first)),
    total: median(read.flat().map(({ total }) => total))
  }
}
