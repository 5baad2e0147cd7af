/**
 * Schedules of delays: how long to wait after the nth failure.
 *
 * Clients that fail together retry together, and a struggling server meets them all at once; randomising the whole
 * delay (full jitter) spreads them best. Effect's `Schedule.jittered` varies a delay by a fifth only, and its
 * `exponential` has no cap, so these are schedules of their own. Each is an ordinary `Schedule` whose output is the
 * delay: combine it with the rest of Effect, or let `RetryPolicy` decide whether to wait at all.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import * as arithmetic from "./internal/backoff.js"
import * as Options from "./runtime/options.js"
import { MAX_TIMER_MILLIS } from "./runtime/timeLimit.js"

/**
 * How much of a delay is left to chance: `"full"` is uniform in [0, delay], `"equal"` in [delay / 2, delay], `"none"`
 * the delay itself.
 *
 * @since 0.1.0
 * @category models
 */
export type Jitter = arithmetic.Jitter

/**
 * Options of `exponential`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExponentialOptions {
  /** The delay after the first failure, before jitter. Default 1 second. */
  readonly base?: Duration.DurationInput | undefined
  /** By how much each delay grows. Default 2. */
  readonly factor?: number | undefined
  /** No delay is longer. Default 60 seconds. */
  readonly cap?: Duration.DurationInput | undefined
  /** Default `"full"`. */
  readonly jitter?: Jitter | undefined
}

/**
 * Options of `decorrelated`.
 *
 * @since 0.1.0
 * @category models
 */
export interface DecorrelatedOptions {
  /** No delay is shorter, unless `cap` is. Default 1 second. */
  readonly base?: Duration.DurationInput | undefined
  /** No delay is longer. Default 60 seconds. */
  readonly cap?: Duration.DurationInput | undefined
}

/** In whole milliseconds. A timer cannot sleep longer than so much; a longer delay is brought down to it. */
const millis = (duration: Duration.Duration): number =>
  Math.min(MAX_TIMER_MILLIS, Math.ceil(Duration.toMillis(duration)))

const baseOf = (input: Duration.DurationInput = "1 second"): number =>
  millis(Options.finitePositiveDuration("base", input))

const capOf = (input: Duration.DurationInput = "60 seconds"): number => millis(Options.positiveDuration("cap", input))

/**
 * Goes on after `delay` milliseconds. Open-ended, since with finite intervals `Schedule.intersect` steps again.
 *
 * @internal
 */
export const continueAfter = (now: number, delay: number): ScheduleDecision.ScheduleDecision =>
  ScheduleDecision.continueWith(ScheduleInterval.after(now + delay))

/**
 * Exponential backoff with jitter: after failure n (from 0) a delay of up to `min(cap, base · factorⁿ)`, for ever.
 *
 * Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 *
 * @example
 * ```ts
 * import { Effect, Schedule } from "effect"
 * import { Backoff } from "effect-resilience"
 *
 * const program = Effect.fail("boom").pipe(
 *   Effect.retry(Backoff.exponential({ base: "10 millis", cap: "1 second" }).pipe(
 *     Schedule.intersect(Schedule.recurs(3))
 *   ))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const exponential = (options: ExponentialOptions = {}): Schedule.Schedule<Duration.Duration> => {
  const growth: arithmetic.Growth = {
    base: baseOf(options.base),
    factor: Options.numberAtLeast("factor", 1, options.factor ?? 2),
    cap: capOf(options.cap)
  }
  const jitter = Options.oneOf("jitter", ["full", "equal", "none"], options.jitter ?? "full")
  return Schedule.makeWithState(
    0,
    (now, _input, n) =>
      Effect.map(jitter === "none" ? Effect.succeed(0) : Random.next, (u) => {
        const delay = arithmetic.jittered(arithmetic.exponential(growth, n), jitter, u)
        return [n + 1, Duration.millis(delay), continueAfter(now, delay)] as const
      })
  )
}

/**
 * Decorrelated jitter: each delay is uniform between `base` and three times the one before, at most `cap`, for ever. It
 * grows like an exponential on average, but two clients that collided once drift apart faster.
 *
 * Source: the same article as for `exponential`.
 *
 * @example
 * ```ts
 * import { Backoff } from "effect-resilience"
 *
 * const delays = Backoff.decorrelated({ base: "100 millis", cap: "10 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const decorrelated = (options: DecorrelatedOptions = {}): Schedule.Schedule<Duration.Duration> => {
  const cap = capOf(options.cap)
  const base = Math.min(cap, baseOf(options.base))
  return Schedule.makeWithState(base, (now, _input, previous) =>
    Effect.map(Random.next, (u) => {
      const delay = arithmetic.decorrelated(base, cap, previous, u)
      return [delay, Duration.millis(delay), continueAfter(now, delay)] as const
    }))
}
