/** The load generator for plain answers, and the client for streamed ones: what the benchmark uses of each. */
import type { EventEmitter } from "node:events"
import type { Readable } from "node:stream"

interface Load extends PromiseLike<{ readonly errors: number; readonly non2xx: number }>, EventEmitter {}

export declare const autocannon: (options: {
  readonly url: string
  readonly method: "POST"
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly connections: number
  /** Seconds. */
  readonly duration: number
}) => Load

export declare class Agent {
  constructor(options: { readonly connections: number })
  close(): Promise<void>
}

export declare const request: (url: string, options: {
  readonly method: "POST"
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly dispatcher: Agent
}) => Promise<{ readonly statusCode: number; readonly body: Readable }>
