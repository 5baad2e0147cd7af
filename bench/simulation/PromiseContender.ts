/**
 * Promise-based code as contenders: the model provider as functions that send a request and as a `fetch`, and each call a
 * promise under fake timers.
 */
import * as Arr from "effect/Array"
import { AsyncLocalStorage } from "node:async_hooks"
import * as FakeTimers from "./FakeTimers.js"
import type { Provider } from "./Provider.js"
import type { Begun, Contender, Scenario } from "./Trial.js"
import { Trial } from "./Trial.js"
import { bodyOf, headersOf, lastFrames, pieceFrame } from "./wire.js"

/** Sends a request; when the signal says so, the answer is no longer waited for. */
export type Send = (signal: AbortSignal) => Promise<void>

/** A provider as a program has it. */
export interface Link {
  /** A streamed answer is read to its end before anything of it is shown, as it must be by who may ask again. */
  readonly send: Send
  readonly fetch: typeof fetch
}

/** What a client of a server sees that did not answer well. */
export class HttpError extends Error {
  constructor(readonly status: number, readonly retryAfter: number | undefined) {
    super(String(status))
  }
}

/** On whose behalf a call is made: it follows the call through code that knows nothing of it. */
const caller = new AsyncLocalStorage<string>()

const sendTo = (provider: Provider): Send => (signal) =>
  new Promise((resolve, reject) => {
    const stopWaiting = provider.request(
      ({ cut, retryAfter, status }) =>
        status === 200 && cut !== true ? resolve() : reject(new HttpError(status, retryAfter)),
      { tenant: caller.getStore() }
    )
    signal.addEventListener("abort", stopWaiting, { once: true })
  })

const isForStream = (body: unknown): boolean => typeof body === "string" && body.includes("\"stream\":true")

const encoder = new TextEncoder()

/** The pieces of an answer as the body of a response. */
class Body {
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined
  readonly stream = new ReadableStream<Uint8Array>({
    start: (controller) => {
      this.controller = controller
    }
  })
  readonly push = (frames: string): void => this.controller?.enqueue(encoder.encode(frames))
  readonly close = (): void => this.controller?.close()
  readonly fail = (error: unknown): void => this.controller?.error(error)
}

const fetchTo = (provider: Provider): typeof fetch => (_, { body: asked, signal } = {}) =>
  new Promise((resolve, reject) => {
    let body: Body | undefined
    const stopWaiting = provider.request((answer) => {
      if (answer.cut === true) {
        const error = new TypeError("terminated")
        return body === undefined ? reject(error) : body.fail(error)
      }
      if (body === undefined) {
        return resolve(new Response(bodyOf(answer), { status: answer.status, headers: headersOf(answer) }))
      }
      body.push(lastFrames)
      body.close()
    }, {
      tenant: caller.getStore(),
      onPiece: (place) => {
        if (!isForStream(asked)) {
          return
        }
        if (body === undefined) {
          body = new Body()
          resolve(new Response(body.stream, { headers: { "content-type": "text/event-stream" } }))
        }
        body.push(pieceFrame(place))
      }
    })
    signal?.addEventListener("abort", () => {
      stopWaiting()
      body?.fail(signal.reason)
      reject(signal.reason)
    }, { once: true })
  })

/** First the one, and when it gives up the other, unless nobody waits any more. */
export const inTurn = (sends: Arr.NonEmptyReadonlyArray<Send>): Send =>
  sends.reduce((first, second) => (signal) =>
    first(signal).catch((error) => signal.aborted ? Promise.reject(error) : second(signal))
  )

/** Waits so long, and says so to who works on it. */
export const within = (deadline: number | undefined, send: Send): Promise<void> => {
  if (deadline === undefined) {
    return send(new AbortController().signal)
  }
  const signal = AbortSignal.timeout(deadline)
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true })
    send(signal).then(resolve, reject)
  })
}

type Call = (begun: Pick<Begun, "onOutput">) => Promise<void>

/** Of the providers of a scenario, a function that makes one call. */
export type Protect = (links: Arr.NonEmptyReadonlyArray<Link>, scenario: Scenario) => Call

/** A function that makes one call, made once for a trial. */
export const promiseContender = (name: string, protect: Protect): Contender => ({
  name,
  measure: (scenario, seed) =>
    FakeTimers.simulate(seed, (simulator) => {
      const trial = new Trial(scenario, seed, simulator)
      const call = protect(
        Arr.map(trial.providers, (provider) => ({ send: sendTo(provider), fetch: fetchTo(provider) })),
        scenario
      )
      trial.start((begun) => {
        const { onEnd, tenant } = begun
        const ended = tenant === undefined ? call(begun) : caller.run(tenant, () => call(begun))
        ended.then(() => onEnd(true), () => onEnd(false))
      })
      return trial
    }).then((trial) => trial.measured())
})
