/**
 * Virtual time for promise-based libraries: the globals they take their time and chance from are replaced while the
 * simulation runs. One timer at a time fires, and promises settle before the next, as in a real Node.
 */
import * as FakeTimers from "@sinonjs/fake-timers"
import { stream } from "./random.js"
import type { Simulator } from "./Simulator.js"
import { EPOCH, turn } from "./Simulator.js"

/** Runs what `start` begins in virtual time, with seeded randomness, until it is over. */
export const simulate = async <A extends { readonly isOver: () => boolean }>(
  seed: number,
  start: (simulator: Simulator) => A
): Promise<A> => {
  const { random } = Math
  const { timeout } = AbortSignal
  const clock = FakeTimers.install({
    now: EPOCH,
    toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance"]
  })
  Math.random = stream(seed, "Math.random")
  AbortSignal.timeout = (millis) => {
    const controller = new AbortController()
    clock.setTimeout(() => controller.abort(new DOMException("no answer in time", "TimeoutError")), millis)
    return controller.signal
  }
  try {
    const started = start({
      now: () => clock.now - EPOCH,
      sleep: (millis, wake) => {
        const timer = clock.setTimeout(wake, millis)
        return () => clock.clearTimeout(timer)
      }
    })
    while (true) {
      await turn()
      if (started.isOver()) {
        return started
      }
      if (clock.countTimers() === 0) {
        throw new Error(`nothing left to wait for after ${clock.now - EPOCH} ms of virtual time`)
      }
      clock.next()
    }
  } finally {
    Math.random = random
    AbortSignal.timeout = timeout
    clock.uninstall()
  }
}
