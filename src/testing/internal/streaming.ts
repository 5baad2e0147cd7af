/**
 * Sends a streamed answer event by event, up to the point where its fault says what becomes of it.
 *
 * An event is sent when the one before it has left this process. So nothing piles up for a client that does not read,
 * and what was sent before a connection is broken does reach the client. Whatever waits or goes on for ever here is part
 * of a fiber that is interrupted when the client leaves.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Http from "node:http"
import type * as Fault from "../Fault.js"
import { sleep } from "./realTime.js"
import type { Events, Said, StreamEvent, StreamWire } from "./wire.js"

export const contentType = "text/event-stream; charset=utf-8"

export interface Channel {
  readonly response: Http.ServerResponse
  /** Writes status and headers. */
  readonly begin: () => void
  /** Called just before the server breaks the connection on purpose. */
  readonly breaking: (how: "reset" | "cut") => void
}

const saidBy = (error: Fault.StreamError): Said => {
  switch (error) {
    case "overloaded":
      return { status: 503 }
    case "rate-limited":
      return { status: 429 }
    case "server-error":
      return { status: 500 }
    case "invalid-request":
      return { status: 400 }
    case "content-filtered":
      return { status: 400, kind: "content-filtered" }
  }
}

/** The events of a stream in which all is well, as one body. */
export const whole = (wire: StreamWire): Buffer => {
  const { done, finish, opening, output, reasoning } = wire.events({})
  const events = [...opening, ...reasoning, ...output, ...finish, ...done]
  return Buffer.from(events.map((event, place) => event(place)).join(""))
}

/** What follows the output that precedes the fault: some more events, and what becomes of the connection. */
type Ending = readonly [
  events: ReadonlyArray<StreamEvent>,
  connection: "end" | "open" | "cut" | "reset" | "pings" | "endless line"
]

const endingOf = (fault: Fault.Stream, wire: StreamWire, { done, finish, output }: Events): Ending => {
  const rest = [...output.slice(fault.after), ...finish]
  switch (fault.then) {
    case "end":
      return [[...rest, ...done], "end"]
    case "no done":
      return [rest, "end"]
    case "no done, open":
      return [rest, "open"]
    case "eof":
      return [[], "end"]
    case "stall":
      return [[], "open"]
    case "malformed":
      return [[wire.malformed, ...rest, ...done], "end"]
    case "malformed twice":
      return [[wire.malformed, wire.malformed, ...rest, ...done], "end"]
    case "error":
      return [[wire.error(saidBy(fault.error))], "end"]
    case "nested error":
      return [[wire.nestedError(saidBy(fault.error))], "end"]
    case "finish error":
      return [[wire.finishError(saidBy(fault.error))], "end"]
    case "cut":
    case "reset":
    case "pings":
    case "endless line":
      return [[], fault.then]
  }
}

/**
 * Before a reset. Node takes data and a reset that it finds together for data and an ordinary end; a client in this very
 * process, however busy, reads between the timer and the immediate.
 */
const timeToRead = Duration.millis(20)

const endlessPiece = "x".repeat(64 * 1024)

/** Performs the fault; where it leaves the response open, it ends before the response does. */
export const perform = (fault: Fault.Stream, wire: StreamWire, channel: Channel): Effect.Effect<void> => {
  const { begin, breaking, response } = channel
  const events = wire.events(fault)
  const [more, connection] = endingOf(fault, wire, events)
  const paced = [...events.reasoning, ...events.output.slice(0, fault.after), ...more]

  let sent = 0

  // When the client has left there is no next step: the fiber is interrupted.
  const write = (text: string) =>
    Effect.async<void>((resume) => {
      response.write(text, (error) => {
        if (error === null || error === undefined) {
          resume(Effect.void)
        }
      })
    })

  const send = (event: StreamEvent) =>
    Effect.suspend(() => {
      const text = event(sent)
      sent += 1
      return write(text)
    })

  const pings = Effect.forever(Effect.zipRight(sleep(fault.pingEvery), send(wire.keepAlive)))

  const open = Effect.sync(() => {
    // Where `Connection: close` announces the end, Node's `fetch` takes a chunked body that lacks its last chunk for whole.
    if (connection !== "end") {
      response.removeHeader("connection")
    }
    begin()
  })

  const close = Effect.suspend(() => {
    switch (connection) {
      case "end":
        response.end()
        return Effect.void
      case "open":
        return Effect.void
      case "cut":
        breaking("cut")
        response.socket?.destroy()
        return Effect.void
      case "reset":
        return Effect.map(sleep(timeToRead), () => {
          setImmediate(() => {
            breaking("reset")
            response.socket?.resetAndDestroy()
          })
        })
      case "pings":
        return pings
      case "endless line":
        return Effect.zipRight(write("data: "), Effect.forever(write(endlessPiece)))
    }
  })

  return open.pipe(
    Effect.zipRight(Effect.forEach(events.opening, send, { discard: true })),
    Effect.zipRight(fault.pings ? Effect.raceFirst(sleep(fault.firstAfter), pings) : sleep(fault.firstAfter)),
    Effect.zipRight(
      Effect.forEach(
        paced,
        (event, nth) => nth === 0 ? send(event) : Effect.zipRight(sleep(fault.every), send(event)),
        { discard: true }
      )
    ),
    Effect.zipRight(close)
  )
}
