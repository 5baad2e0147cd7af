/**
 * From a behaviour to bytes: does to a response what a fault says, and says how it ended when it is the server that cuts.
 *
 * A stream that is whole, or breaks between two events, is the business of `streaming.ts`. Cut in half, it is a body like
 * any other.
 */
import * as Effect from "effect/Effect"
import type * as Http from "node:http"
import * as Fault from "../Fault.js"
import { sleep } from "./realTime.js"
import type { Reply } from "./router.js"
import * as Streaming from "./streaming.js"
import type { Said } from "./wire.js"

export interface Exchange {
  readonly response: Http.ServerResponse
  /** What goes with the response to this request, read when the headers are written. */
  readonly headers: (reply: Reply, said: Said) => Readonly<Record<string, string>>
  /** Called just before the server breaks the connection on purpose. */
  readonly breaking: (how: "reset" | "cut") => void
}

/** A body as it goes over the wire. */
interface Content {
  readonly type: string
  readonly bytes: Buffer
}

const json = (value: unknown): Content => ({ type: "application/json", bytes: Buffer.from(JSON.stringify(value)) })

const text = (value: string): Content => ({ type: "text/plain; charset=utf-8", bytes: Buffer.from(value) })

/** What a fault says, in nobody's words. */
const saidBy = (fault: Fault.Behaviour): Said => {
  switch (fault._tag) {
    case "Status": {
      const wait = fault.headers["retry-after-ms"] ?? ""
      return {
        status: typeof fault.error === "number" ? fault.error : fault.status,
        kind: typeof fault.error === "string" ? fault.error : undefined,
        // The header may be any text; only a time is repeated in words.
        retryAfter: /^\d{1,12}(?:\.\d+)?$/.test(wait) ? Number(wait) : undefined
      }
    }
    case "Stalled":
      return { status: fault.status }
    default:
      return { status: 200 }
  }
}

const contentOf = (fault: Fault.Status, reply: Reply): Content =>
  typeof fault.body === "string"
    ? text(fault.body)
    : fault.body !== undefined
    ? json(fault.body)
    : fault.status >= 400
    ? json(reply.wire.error(saidBy(fault)))
    : fault.error !== undefined
    ? json(reply.wire.failure(saidBy(fault)))
    : text("")

const half = (bytes: Buffer): Buffer => bytes.subarray(0, Math.floor(bytes.length / 2))

/** Performs the behaviour; for those that leave the response open, it ends before the response does. */
export const perform = (reply: Reply, exchange: Exchange): Effect.Effect<void> => {
  const { breaking, headers, response } = exchange
  const fault = reply.behaviour

  const begin = (status: number, type: string, more: Readonly<Record<string, string>> = {}) => {
    const all = new Map(Object.entries({ "content-type": type, ...headers(reply, saidBy(fault)) }))
    Object.entries(more).forEach(([name, value]) => all.set(name.toLowerCase(), value))
    response.writeHead(status, Object.fromEntries(all))
  }

  const whole = (status: number, content: Content, more: Readonly<Record<string, string>> = {}) => {
    const length = status === 204 || status === 304 ? {} : { "content-length": `${content.bytes.length}` }
    begin(status, content.type, { ...length, ...more })
    response.end(content.bytes)
  }

  /**
   * Half of the body under headers that promise all of it. Without `Connection: close`: where that announces the end,
   * Node's `fetch` takes a chunked body that lacks its last chunk for a whole one.
   */
  const partly = (status: number, content: Content, framing: "length" | "chunked", then?: () => void) => {
    response.removeHeader("connection")
    begin(status, content.type, framing === "length" ? { "content-length": `${content.bytes.length}` } : {})
    response.write(half(content.bytes), then)
  }

  /** The answer that the fault gives, as a stream where one was asked for. */
  const answer = (fault: Fault.Ok | Fault.Stream): Effect.Effect<void> =>
    reply.stream === undefined
      ? Effect.sync(() => whole(200, json(reply.wire.answer(fault))))
      : Streaming.perform(
        fault._tag === "Stream"
          ? fault
          : Fault.stream({ content: fault.content, toolCall: fault.toolCall, usage: fault.usage }),
        reply.stream,
        {
          response,
          begin: () => begin(200, Streaming.contentType),
          breaking
        }
      )

  /** A whole answer of the kind that was asked for. */
  const anyAnswer = (): Content =>
    reply.stream === undefined
      ? json(reply.wire.answer({}))
      : { type: Streaming.contentType, bytes: Streaming.whole(reply.stream) }

  switch (fault._tag) {
    case "Ok":
      return Effect.andThen(sleep(fault.delay), answer(fault))
    case "Stream":
      return answer(fault)
    case "Status":
      return Effect.andThen(
        sleep(fault.delay),
        Effect.sync(() => whole(fault.status, contentOf(fault, reply), fault.headers))
      )
    case "Reset":
      return Effect.sync(() => {
        breaking("reset")
        response.socket?.resetAndDestroy()
      })
    case "Silence":
      return Effect.void
    case "Truncated":
      return Effect.sync(() => {
        const content = anyAnswer()
        if (fault.how === "json") {
          whole(200, { type: content.type, bytes: half(content.bytes) })
        } else {
          breaking("cut")
          partly(200, content, fault.how, () => response.socket?.destroy())
        }
      })
    case "Stalled":
      return Effect.sync(() => {
        const content = fault.status >= 400 ? json(reply.wire.error(saidBy(fault))) : anyAnswer()
        partly(fault.status, content, reply.stream === undefined ? "length" : "chunked")
      })
  }
}
