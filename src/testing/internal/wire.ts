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

export interface Wire {
  readonly answer: (ok: Fault.Ok) => unknown
  readonly error: (said: Said) => unknown
  readonly headers: (sending: Sending) => Readonly<Record<string, string>>
}

/** A request for a model, as far as answers depend on it. */
export interface Asked {
  /** Its place among the requests of this server, from 1. */
  readonly number: number
  /** Wall time in milliseconds. */
  readonly time: number
  readonly model: string
}

/** The id of the nth request. */
export const requestId = (number: number): string => `req_${number}`

/** What is answered where nobody said what. */
export const contentOf = (ok: Fault.Ok, model: string): string =>
  ok.content ?? `This is ${model}, answering in the resilience demo.`

/** Counts that depend on the content alone, unless they were given. */
export const usageOf = (ok: Fault.Ok, content: string): NonNullable<Fault.Ok["usage"]> =>
  ok.usage ?? { promptTokens: 8, completionTokens: content.split(/\s+/).length }
