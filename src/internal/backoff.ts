/**
 * The arithmetic of delays, in whole milliseconds (timers know no others), over a random number `u` in [0, 1).
 *
 * It is kept apart from the schedules that use it so that its promises (never NaN, never negative, never above the cap,
 * never shorter than a server asked) can be checked for every input, with no clock and no fiber.
 */

/** The growth of an exponential backoff: `base · factorⁿ`, at most `cap`; both in whole milliseconds. */
export interface Growth {
  readonly base: number
  readonly factor: number
  readonly cap: number
}

/** How much of a delay is left to chance. */
export type Jitter = "full" | "equal" | "none"

/** The delay before jitter after failure `n` (0 for the first). `factorⁿ` overflows to Infinity; the cap absorbs it. */
export const exponential = (growth: Growth, n: number): number =>
  Math.min(growth.cap, growth.base * Math.pow(growth.factor, n))

/**
 * Spreads a delay. Full jitter is uniform in [0, delay], equal jitter in [delay / 2, delay].
 *
 * Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export const jittered = (delay: number, jitter: Jitter, u: number): number => {
  switch (jitter) {
    case "full":
      return Math.round(delay * u)
    case "equal":
      return Math.round(delay / 2 + (delay / 2) * u)
    case "none":
      return Math.round(delay)
  }
}

/** Decorrelated jitter: uniform in [base, 3 · previous], at most `cap`. Same source as `jittered`. */
export const decorrelated = (base: number, cap: number, previous: number, u: number): number =>
  Math.min(cap, Math.round(base + u * Math.max(0, previous * 3 - base)))

const RETRY_AFTER_SPREAD = 0.1
const RETRY_AFTER_SPREAD_CAP = 1000

/**
 * The wait when a server asked for one: never shorter than asked, and up to a tenth of it (at most a second) longer, so
 * that clients told the same time do not return together.
 */
export const floored = (backoff: number, retryAfter: number, spread: boolean, u: number): number => {
  const wait = Math.ceil(Math.max(backoff, retryAfter))
  return spread ? wait + Math.floor(u * Math.min(wait * RETRY_AFTER_SPREAD, RETRY_AFTER_SPREAD_CAP)) : wait
}
