/**
 * Promise-based code as contenders: the model provider as functions that send a request, and each call a promise under
 * fake timers.
 */
import * as Arr from "effect/Array"
import * as FakeTimers from "./FakeTimers.js"
import type { Provider } from "./Provider.js"
import type { Contender, Scenario } from "./Trial.js"
import { Trial } from "./Trial.js"

/** Sends a request; when the signal says so, the answer is no longer waited for. */
export type Send = (signal: AbortSignal) => Promise<void>

/** What a client of a server sees that did not answer well. */
export class HttpError extends Error {
  constructor(readonly status: number, readonly retryAfter: number | undefined) {
    super(String(status))
  }
}

const sendTo = (provider: Provider): Send => (signal) =>
  new Promise((resolve, reject) => {
    const stopWaiting = provider.request(({ retryAfter, status }) =>
      status === 200 ? resolve() : reject(new HttpError(status, retryAfter))
    )
    signal.addEventListener("abort", stopWaiting, { once: true })
  })

/** A function that makes one call, made once for a trial. */
export const promiseContender = (
  name: string,
  protect: (sends: Arr.NonEmptyReadonlyArray<Send>, scenario: Scenario) => () => Promise<void>
): Contender => ({
  name,
  measure: (scenario, seed) =>
    FakeTimers.simulate(seed, (simulator) => {
      const trial = new Trial(scenario, seed, simulator)
      const call = protect(Arr.map(trial.providers, sendTo), scenario)
      trial.start((onEnd) => {
        call().then(() => onEnd(true), () => onEnd(false))
      })
      return trial
    }).then((trial) => trial.measured())
})
