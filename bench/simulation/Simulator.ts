/**
 * Virtual time, whoever keeps it.
 *
 * Effect programs take their time from the `Clock` service, promise-based libraries from the globals. The model of the
 * world (arrivals, providers) must not care: it asks for the time and for a call back later, and gets both from here.
 */
export interface Simulator {
  /** Milliseconds since the beginning. */
  readonly now: () => number
  /** Calls `wake` after so many milliseconds, unless what it returns is called before. */
  readonly sleep: (millis: number, wake: () => void) => () => void
}

/** The wall clock at the beginning: breakers that keep a `startedAt: 0` expect to live after 1970. */
export const EPOCH = Date.UTC(2025, 0, 1)

const setImmediateForReal = setImmediate

/** A turn of the real event loop, at the end of which no promise is left that could go on by itself. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediateForReal(resolve))
