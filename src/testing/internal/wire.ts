/**
 * What a wire format is to the server: the words in which a provider says what a fault means.
 *
 * A fault names what goes wrong, never how one provider puts it, so that the same script serves every format.
 */
import type * as Fault from "../Fault.js"

/** The error a response states: by a status, or more exactly by a kind that no status tells. */
export interface Said {
  readonly status: number
  readonly kind?: Fault.ErrorKind | undefined
  /** Milliseconds that the client is asked to wait. */
  readonly retryAfter?: number | undefined
}

/** A refusal of the server's own, for a request that meets no fault. */
export interface Refusal {
  readonly status: number
  readonly message: string
  readonly code?: string | undefined
  readonly param?: string | undefined
}

/** A response about to be sent. Times are in milliseconds. */
export interface Sending {
  /** Since the request arrived. */
  readonly elapsed: number
  /** Wall time. */
  readonly time: number
  readonly said: Said
}

/** What a whole answer says; where it says nothing, the server chooses. */
export type Answer = Pick<Fault.Stream, "content" | "toolCall" | "reasoning" | "usage" | "chunks">

/** An event as it is sent, given its place among the events of its stream, from 0, which some formats have it tell. */
export type StreamEvent = (place: number) => string

/** A streamed answer, part by part, as the events that are sent. */
export interface Events {
  /** Before the model has said anything. */
  readonly opening: ReadonlyArray<StreamEvent>
  /** The reasoning, and what leads from it to the output. */
  readonly reasoning: ReadonlyArray<StreamEvent>
  /** The content, or the tool call in its place, an event for each piece. */
  readonly output: ReadonlyArray<StreamEvent>
  /** That the answer is whole, and what it cost. */
  readonly finish: ReadonlyArray<StreamEvent>
  /** That nothing follows. */
  readonly done: ReadonlyArray<StreamEvent>
}

/** How a provider streams. */
export interface StreamWire {
  readonly events: (answer: Answer) => Events
  readonly keepAlive: StreamEvent
  /** An event that is not JSON. */
  readonly malformed: StreamEvent
  readonly error: (said: Said) => StreamEvent
  /** The same, always under a field of its own. */
  readonly nestedError: (said: Said) => StreamEvent
  /** An error as the reason why the answer is finished, where the format can say so. */
  readonly finishError: (said: Said) => StreamEvent
}

export interface Wire {
  readonly answer: (ok: Answer) => unknown
  /** Undefined where nothing can be streamed. */
  readonly stream: StreamWire | undefined
  readonly error: (said: Said) => unknown
  /** The error in the place of an answer, under a status that promises one. */
  readonly failure: (said: Said) => unknown
  readonly headers: (sending: Sending) => Readonly<Record<string, string>>
}

/** A request for a model, as far as answers depend on it. */
export interface Asked {
  /** Its place among the requests of this server, from 1. */
  readonly number: number
  /** Wall time in milliseconds. */
  readonly time: number
  readonly model: string
  /** Its body. */
  readonly fields: Readonly<Record<string, unknown>>
}

/** The id of the nth request. */
export const requestId = (number: number): string => `req_${number}`

/** What is answered where nobody said what. */
export const contentOf = (ok: Answer, model: string): string =>
  ok.content ?? `This is ${model}, answering in the resilience demo.`

/** Counts that depend on what is said alone, unless they were given. */
export const usageOf = (ok: Answer, model: string): NonNullable<Answer["usage"]> =>
  ok.usage ?? {
    promptTokens: 8,
    completionTokens: (ok.toolCall?.arguments ?? contentOf(ok, model)).split(/\s+/).length
  }

/** A text cut at the ends of words. */
export const words = (text: string): ReadonlyArray<string> => text.match(/\s*\S+|\s+$/g) ?? []

/** A text cut into so many pieces of about the same length, or one for each character if those are fewer. */
const evenly = (text: string, count: number): ReadonlyArray<string> => {
  const characters = Array.from(text)
  const pieces = Math.min(count, characters.length)
  const start = (nth: number) => Math.floor((nth * characters.length) / pieces)
  return Array.from({ length: pieces }, (_, nth) => characters.slice(start(nth), start(nth + 1)).join(""))
}

export const contentPieces = (answer: Answer, content: string): ReadonlyArray<string> =>
  answer.chunks === undefined ? words(content) : evenly(content, answer.chunks)

/** Of a tool call's arguments, which may have no word's end. */
export const argumentPieces = (answer: Answer, json: string): ReadonlyArray<string> =>
  evenly(json, answer.chunks ?? Math.ceil(json.length / 8))

/** An event's text; `name` where the format has one before the data. */
export const frame = (data: string, name?: string): string =>
  `${name === undefined ? "" : `event: ${name}\n`}data: ${data}\n\n`

/** An event that says the same in any place. */
export const event = (data: string, name?: string): StreamEvent => () => frame(data, name)

/** The beginning of a JSON object, and no more of it. */
export const brokenJson = `{"id": "broken`
