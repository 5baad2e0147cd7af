/**
 * Schedules of decisions: whether to try again, and after how long.
 *
 * A retry policy is an ordinary `Schedule<Duration, unknown>` whose input is the error and whose output is the wait, so
 * it goes wherever Effect takes a schedule: `Effect.retry(call, RetryPolicy.make())`. Each rule is a transformer of
 * schedules that can be put on a schedule of your own, and `make` is nothing but their composition in the order in which
 * they are safe: delays inside, what shortens the list of attempts around them, what a server asked for above that
 * (so that no jitter or cap can undercut it), and the limits of the call outermost. A rule that stops the retries says
 * so to the report of the call, because from outside one cannot see why a schedule ended.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"
import * as Backoff from "./Backoff.js"
import type { DeniedBy } from "./CallReport.js"
import * as Deadline from "./Deadline.js"
import { floored } from "./internal/backoff.js"
import type { CallError } from "./ProviderError.js"
import { isCallError, isRetryable } from "./ProviderError.js"
import * as RetryBudget from "./RetryBudget.js"
import type { AlternativesLeft } from "./runtime/alternatives.js"
import { Alternatives } from "./runtime/alternatives.js"
import { clockOf } from "./runtime/caller.js"
import * as OptionsOf from "./runtime/options.js"
import { denied, insideAttempt } from "./runtime/recorder.js"
import { MAX_TIMER_MILLIS } from "./runtime/timeLimit.js"

/**
 * Whether to try again, and after how long: a schedule from errors to waits.
 *
 * @since 0.1.0
 * @category models
 */
export type RetryPolicy = Schedule.Schedule<Duration.Duration, unknown>

/** How long a decision waits. */
const delayOf = (decision: ScheduleDecision.ScheduleDecision, now: number): number =>
  ScheduleDecision.isDone(decision) ? 0 : Math.max(0, ScheduleIntervals.start(decision.intervals) - now)

/** Looks at each decision to go on, with the error and the delay in milliseconds, and may stop it or change the delay. */
const review = <Out, In, R>(
  self: Schedule.Schedule<Out, In, R>,
  verdict: (error: In, delay: number) => Effect.Effect<DeniedBy | number>
): Schedule.Schedule<Out, In, R> =>
  Schedule.makeWithState(
    self.initial,
    (now, error, state) =>
      Effect.flatMap(self.step(now, error, state), ([next, out, decision]) => {
        if (ScheduleDecision.isDone(decision)) {
          return Effect.succeed([next, out, decision] as const)
        }
        const delay = delayOf(decision, now)
        return Effect.flatMap(verdict(error, delay), (result) =>
          typeof result === "string"
            ? Effect.as(denied(result), [next, out, ScheduleDecision.done] as const)
            : Effect.succeed(
              [
                next,
                out,
                result === delay
                  ? decision
                  : Backoff.continueAfter(now, result)
              ] as const
            ))
      })
  )

/** Stops after as many calls as `limit` says at each failure. */
const attemptsUpTo = <Out, In, R>(
  self: Schedule.Schedule<Out, In, R>,
  limit: (alternatives: AlternativesLeft) => number
): Schedule.Schedule<Out, In, R> =>
  Schedule.makeWithState(
    { calls: 1, inner: self.initial },
    (now, error, state) =>
      Effect.flatMap(Alternatives, (alternatives) =>
        Effect.flatMap(
          self.step(now, error, state.inner),
          ([inner, out, decision]) => {
            const next = { calls: state.calls + 1, inner }
            return ScheduleDecision.isDone(decision) || state.calls < limit(alternatives)
              ? Effect.succeed([next, out, decision] as const)
              : Effect.as(
                denied("attempts"),
                [next, out, ScheduleDecision.done] as const
              )
          }
        ))
  )

/**
 * A schedule for each tag of error, with a count of its own.
 *
 * @since 0.1.0
 * @category models
 */
export type Cases<Out = unknown, R = never> = {
  readonly [Tag in CallError["_tag"]]?: Schedule.Schedule<Out, unknown, R> | undefined
}

type CaseOut<C> = {
  [K in keyof C]: C[K] extends Schedule.Schedule<infer Out, infer _In, infer _R> ? Out : never
}[keyof C]

type CaseR<C> = { [K in keyof C]: C[K] extends Schedule.Schedule<infer _Out, infer _In, infer R> ? R : never }[keyof C]

/** The state of the schedule that unnamed tags fall through to, and of each named one that was used. */
interface PerErrorState {
  readonly rest: unknown
  readonly states: Readonly<Record<string, unknown>>
}

/**
 * Chooses the schedule by the tag of the error; tags not named fall through to `self`. Each case counts its own
 * failures, so three rate limits do not lengthen the backoff of the first server error. Every case needs a delay:
 * `Schedule.recurs(1)` alone would retry at once. Put counts that are meant for all tags outside.
 *
 * @example
 * ```ts
 * import { Backoff, RetryPolicy } from "effect-resilience"
 *
 * const policy = Backoff.exponential().pipe(
 *   RetryPolicy.perError({ RateLimited: Backoff.exponential({ base: "5 seconds" }) }),
 *   RetryPolicy.whileRetryable,
 *   RetryPolicy.maxAttempts(5)
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const perError: {
  <C extends Cases<unknown, unknown>>(
    cases: C
  ): <Out, In, R>(self: Schedule.Schedule<Out, In, R>) => Schedule.Schedule<Out | CaseOut<C>, In, R | CaseR<C>>
  <Out, In, R, C extends Cases<unknown, unknown>>(
    self: Schedule.Schedule<Out, In, R>,
    cases: C
  ): Schedule.Schedule<Out | CaseOut<C>, In, R | CaseR<C>>
} = dual(2, <Out, In, R, Out2, R2>(
  self: Schedule.Schedule<Out, In, R>,
  cases: Cases<Out2, R2>
): Schedule.Schedule<Out | Out2, In, R | R2> => {
  const initial: PerErrorState = { rest: self.initial, states: {} }
  const step = (
    now: number,
    error: In,
    { rest, states }: PerErrorState
  ): Effect.Effect<readonly [PerErrorState, Out | Out2, ScheduleDecision.ScheduleDecision], never, R | R2> => {
    const tag = isCallError(error) ? error._tag : undefined
    const schedule = tag === undefined ? undefined : cases[tag]
    return tag === undefined || schedule === undefined
      ? Effect.map(self.step(now, error, rest), ([rest, out, decision]) => [{ rest, states }, out, decision])
      : Effect.map(
        schedule.step(now, error, tag in states ? states[tag] : schedule.initial),
        ([state, out, decision]) => [{ rest, states: { ...states, [tag]: state } }, out, decision]
      )
  }
  return Schedule.makeWithState(initial, step)
})

/**
 * Goes on only while `ProviderError.isRetryable` says that asking the same provider again can help.
 *
 * @since 0.1.0
 * @category combinators
 */
export const whileRetryable = <Out, In, R>(self: Schedule.Schedule<Out, In, R>): Schedule.Schedule<Out, In, R> =>
  review(self, (error, delay) => Effect.succeed(isRetryable(error) ? delay : "not retryable"))

/**
 * At most `n` calls in total, the first included; throws a `RangeError` unless `n` is a whole number of at least 1.
 *
 * @since 0.1.0
 * @category combinators
 */
export const maxAttempts: {
  (n: number): <Out, In, R>(self: Schedule.Schedule<Out, In, R>) => Schedule.Schedule<Out, In, R>
  <Out, In, R>(self: Schedule.Schedule<Out, In, R>, n: number): Schedule.Schedule<Out, In, R>
} = dual(2, <Out, In, R>(self: Schedule.Schedule<Out, In, R>, n: number): Schedule.Schedule<Out, In, R> => {
  const limit = OptionsOf.positiveCount("maxAttempts", n)
  return attemptsUpTo(self, () => limit)
})

/**
 * Options of `respectRetryAfter`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryAfterOptions {
  /** A server that asks for more is not waited for: its error, which carries the wait, surfaces. Default 60 seconds. */
  readonly max?: Duration.DurationInput | undefined
  /** Whether to wait up to a tenth (at most 1 second) longer than asked. Default true. */
  readonly spread?: boolean | undefined
}

/**
 * Takes the server's Retry-After as a floor: the wait is never shorter, and up to a tenth (at most 1 second) longer, so
 * that clients that were told the same time do not return together. Put it outside of whatever caps or shortens delays.
 *
 * Source: RFC 9110, 10.2.3.
 *
 * @since 0.1.0
 * @category combinators
 */
export const respectRetryAfter: {
  (options?: RetryAfterOptions): <Out, In, R>(self: Schedule.Schedule<Out, In, R>) => Schedule.Schedule<Out, In, R>
  <Out, In, R>(self: Schedule.Schedule<Out, In, R>, options?: RetryAfterOptions): Schedule.Schedule<Out, In, R>
} = dual((args) => Schedule.isSchedule(args[0]), <Out, In, R>(
  self: Schedule.Schedule<Out, In, R>,
  options: RetryAfterOptions = {}
): Schedule.Schedule<Out, In, R> => {
  const max = Math.min(
    MAX_TIMER_MILLIS,
    Duration.toMillis(OptionsOf.positiveDuration("max", options.max ?? DEFAULT_MAX_RETRY_AFTER))
  )
  const spread = options.spread ?? true
  return review(self, (error, delay) => {
    const retryAfter = isCallError(error) ? error.retryAfter : undefined
    if (retryAfter === undefined) {
      return Effect.succeed(delay)
    }
    const asked = Duration.toMillis(retryAfter)
    return asked > max
      ? Effect.succeed("Retry-After too long")
      : Effect.map(
        spread ? Random.next : Effect.succeed(0),
        (u) => Math.min(MAX_TIMER_MILLIS, floored(delay, asked, spread, u))
      )
  })
})

/**
 * While another provider of the chain is left, begins no wait longer than the chain's patience: asking the next one now
 * serves the caller better. When every other provider asked for a wait, the last one does not wait for its own
 * Retry-After longer than for theirs. Does nothing outside a chain.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withinPatience = <Out, In, R>(self: Schedule.Schedule<Out, In, R>): Schedule.Schedule<Out, In, R> =>
  review(self, (error, delay) =>
    Effect.flatMap(Alternatives, ({ left, patience, resumeAt }) => {
      if (left > 0 && delay > Duration.toMillis(patience)) {
        return Effect.succeed("patience")
      }
      return resumeAt === undefined || !isCallError(error) || error.retryAfter === undefined
        ? Effect.succeed(delay)
        : Effect.map(
          Clock.currentTimeNanos,
          (now) => Number(resumeAt - now) / 1e6 < delay ? "patience" : delay
        )
    }))

/**
 * Begins no wait that would end at or past the deadline, nor one after which less than the reserve would be left: the
 * real error surfaces at once, and not at the deadline. `reserve` is asked for when `Deadline.within` was given none;
 * default 500 milliseconds. Does nothing without a deadline.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withinDeadline: {
  (
    options?: { readonly reserve?: Effect.Effect<Duration.Duration> | undefined }
  ): <Out, In, R>(self: Schedule.Schedule<Out, In, R>) => Schedule.Schedule<Out, In, R>
  <Out, In, R>(
    self: Schedule.Schedule<Out, In, R>,
    options?: { readonly reserve?: Effect.Effect<Duration.Duration> | undefined }
  ): Schedule.Schedule<Out, In, R>
} = dual((args) => Schedule.isSchedule(args[0]), <Out, In, R>(
  self: Schedule.Schedule<Out, In, R>,
  options: { readonly reserve?: Effect.Effect<Duration.Duration> | undefined } = {}
): Schedule.Schedule<Out, In, R> => {
  const reserve = options.reserve ?? Effect.succeed(Deadline.defaultReserve)
  return review(self, (_error, delay) =>
    Effect.map(
      Effect.flatMap(reserve, (reserve) => Deadline.hasTimeFor(Duration.millis(delay), reserve)),
      (fits) => fits ? delay : "deadline"
    ))
})

/** Did the wait last at least as long as the server asked for? Then it is the server that paces this retry. */
const waitsOutRetryAfter = (error: unknown, delay: number): boolean => {
  const asked = isCallError(error) && error.retryAfter !== undefined ? Duration.toMillis(error.retryAfter) : 0
  return asked > 0 && delay >= asked
}

/**
 * Takes each retry from the budget in force, and stops when it has none left: the real error surfaces at once. A retry
 * that waits at least as long as the server's Retry-After counts for the budget's hard cap only. Put it outermost, so
 * that nothing is taken for a retry that another rule refuses. Does nothing where no budget is in force.
 *
 * @example
 * ```ts
 * import { Effect, Schedule } from "effect"
 * import { RetryBudget, RetryPolicy } from "effect-resilience"
 *
 * const policy = Schedule.spaced("1 second").pipe(RetryPolicy.maxAttempts(3), RetryPolicy.withinBudget)
 *
 * const call = Effect.fail("boom").pipe(Effect.retry(policy), RetryBudget.track)
 *
 * const program = call.pipe(Effect.provide(RetryBudget.layer()))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const withinBudget = <Out, In, R>(self: Schedule.Schedule<Out, In, R>): Schedule.Schedule<Out, In, R> =>
  review(
    self,
    (error, delay) =>
      Effect.withFiberRuntime((fiber) =>
        Effect.succeed(budgetAllows(error, delay, fiber.currentContext, clockOf(fiber)) ? delay : "budget")
      )
  )

/**
 * Takes the retry after so many milliseconds from the budget in force in the context.
 *
 * @internal
 */
export const budgetAllows = (
  error: unknown,
  delay: number,
  context: Context.Context<never>,
  clock: Clock.Clock
): boolean =>
  RetryBudget.unsafeWithdraw(
    context,
    waitsOutRetryAfter(error, delay) ? "hard cap only" : "retry",
    clock.unsafeCurrentTimeNanos()
  )

/**
 * Options of `make`: those of `Backoff.exponential`, and these.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Backoff.ExponentialOptions {
  /** Calls in total, the first included. Default 5, and 3 while another provider of a chain is left. */
  readonly maxAttempts?: number | undefined
  /** The longest Retry-After that is waited for. Default 60 seconds. */
  readonly maxRetryAfter?: Duration.DurationInput | undefined
  /** Schedules for single tags, in place of the default ones. */
  readonly perError?: Pick<Cases, "RateLimited" | "ServerError" | "Timeout"> | undefined
}

const DEFAULT_ATTEMPTS = 5
const ATTEMPTS_WITH_ALTERNATIVES = 3
const DEFAULT_MAX_RETRY_AFTER = "60 seconds"

/** The output of a policy is the wait that was decided on, in whole milliseconds, since timers know no others. */
const outputWait = <Out, In, R>(self: Schedule.Schedule<Out, In, R>): Schedule.Schedule<Duration.Duration, In, R> =>
  Schedule.makeWithState(
    self.initial,
    (now, error, state) =>
      Effect.map(self.step(now, error, state), ([next, _out, decision]) => {
        const wait = Math.ceil(delayOf(decision, now))
        return [
          next,
          Duration.millis(wait),
          ScheduleDecision.isDone(decision)
            ? decision
            : Backoff.continueAfter(now, wait)
        ] as const
      })
  )

/**
 * The composition of all the rules: exponential backoff with full jitter counted per tag, one retry for a timeout (none
 * while another provider of a chain is left), no retry for what retrying cannot cure, 5 calls in total (3 while another
 * provider is left), Retry-After as a floor and up to 60 seconds, the chain's patience, the deadline, the budget. Throws
 * a `RangeError` that names a bad option.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ProviderError, RetryPolicy } from "effect-resilience"
 *
 * const call = Effect.fail(new ProviderError.ServerError({ message: "503", reason: "Overloaded" }))
 *
 * const program = Effect.retry(call, RetryPolicy.make({ maxAttempts: 3, base: "200 millis" }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): RetryPolicy => {
  const policy = withinBudget(prepare(options).make(undefined))
  optionsOf.set(policy, options)
  return policy
}

/** What each policy was made of, so that it can be made again for a provider that knows its latency. */
const optionsOf = new WeakMap<Schedule.Schedule<unknown, unknown>, Options>()

/**
 * A policy whose options were checked.
 *
 * @internal
 */
export interface Prepared {
  /** All the rules but the budget, for a provider that knows its own latency. */
  readonly make: (reserve: Effect.Effect<Duration.Duration> | undefined) => RetryPolicy
  /** The longest Retry-After that is waited for, in milliseconds. */
  readonly maxRetryAfter: number
  /** Whether the wait for one is spread. */
  readonly spread: boolean
}

/**
 * Checks the options. A schedule of the user's gives the delays and counts; the rules hold for it too.
 *
 * @internal
 */
export const prepare = (retry: Options | Schedule.Schedule<unknown, unknown>): Prepared => {
  if (Schedule.isSchedule(retry)) {
    const options = optionsOf.get(retry)
    return options === undefined ? withRules(ofSchedule(retry), {}) : prepare(options)
  }
  return withRules(ofOptions(retry), retry)
}

const withRules = (decisions: Schedule.Schedule<unknown, unknown>, options: Options): Prepared => {
  const max = OptionsOf.positiveDuration("maxRetryAfter", options.maxRetryAfter ?? DEFAULT_MAX_RETRY_AFTER)
  const spread = options.jitter !== "none"
  return {
    maxRetryAfter: Duration.toMillis(max),
    spread,
    make: (reserve) =>
      decisions.pipe(
        respectRetryAfter({ max, spread }),
        withinPatience,
        withinDeadline({ reserve }),
        unlessInsideAttempt,
        outputWait
      )
  }
}

const ofOptions = (options: Options): Schedule.Schedule<unknown, unknown> => {
  const backoff = Backoff.exponential(options)
  return backoff.pipe(
    perError({
      RateLimited: options.perError?.RateLimited ?? backoff,
      ServerError: options.perError?.ServerError ?? backoff,
      Timeout: options.perError?.Timeout ?? attemptsUpTo(backoff, ({ left }) => left > 0 ? 1 : 2)
    }),
    whileRetryable,
    options.maxAttempts === undefined
      ? (self) => attemptsUpTo(self, ({ left }) => left > 0 ? ATTEMPTS_WITH_ALTERNATIVES : DEFAULT_ATTEMPTS)
      : maxAttempts(options.maxAttempts)
  )
}

const ofSchedule = (schedule: Schedule.Schedule<unknown, unknown>): Schedule.Schedule<unknown, unknown> =>
  schedule.pipe(
    whileRetryable,
    (self) =>
      review(
        self,
        (error, delay) =>
          Effect.map(Alternatives, ({ left }) =>
            left > 0 && isCallError(error) && error._tag === "Timeout" ? "attempts" : delay)
      ),
    (self) => attemptsUpTo(self, ({ left }) => left > 0 ? ATTEMPTS_WITH_ALTERNATIVES : Infinity)
  )

/** Somebody above owns the retries. */
const unlessInsideAttempt = <Out, In, R>(self: Schedule.Schedule<Out, In, R>): Schedule.Schedule<Out, In, R> =>
  review(self, (_error, delay) => Effect.map(insideAttempt, (inside) => inside ? "attempts" : delay))
