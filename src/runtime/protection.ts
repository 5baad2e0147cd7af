/**
 * One call under all policies: its attempts one after the other, each through the gates and within its time.
 *
 * The way of a call that succeeds at once is kept short, since nearly all do: no schedule is stepped, no wait is thought
 * of, and what most calls do not need (a pause in force, a bulkhead, a circuit) costs a comparison. What is remembered
 * between calls is made here, once, and shared by all of them.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as CircuitBreaker from "../CircuitBreaker.js"
import * as Deadline from "../Deadline.js"
import * as IdempotencyKey from "../IdempotencyKey.js"
import type { Activity } from "../internal/activity.js"
import { floored } from "../internal/backoff.js"
import { LatencyWindow } from "../internal/latency.js"
import { Pauses } from "../internal/pauses.js"
import type { RateLimited, Target, Timeout } from "../ProviderError.js"
import { isCallError, timedOut, wasSent } from "../ProviderError.js"
import * as RetryBudget from "../RetryBudget.js"
import * as RetryPolicy from "../RetryPolicy.js"
import { Alternatives } from "./alternatives.js"
import { after, andThen, ending } from "./bracket.js"
import { Bulkhead } from "./bulkhead.js"
import type { Caller, ForCaller } from "./caller.js"
import type { Gates } from "./gates.js"
import { keyOf, Passage, Rejection, turnsAwayAfter } from "./gates.js"
import type { Lease } from "./lease.js"
import type { Raised } from "./raised.js"
import type { OpenAttempt } from "./recorder.js"
import {
  attemptAround,
  denied,
  endAttempt,
  openAttempt,
  openRecording,
  startAttempt,
  waiting,
  withAttempt
} from "./recorder.js"
import { timeLimit } from "./timeLimit.js"

/** Options that were checked; times are milliseconds. */
export interface Settings {
  readonly attemptTimeout: number
  /** Of a stream, if that was said. */
  readonly firstToken: number | undefined
  readonly idle: number
  readonly reasoning: boolean
  readonly policy: RetryPolicy.Prepared
  readonly circuitBreaker: CircuitBreaker.Options | CircuitBreaker.CircuitBreaker | false
  readonly maxConcurrent: number | undefined
}

/** In what an attempt is made, and for how long. */
export interface Bounds<R> {
  readonly context: Context.Context<R>
  /** In milliseconds. */
  readonly limit: number
  readonly more?: (() => number) | undefined
  /** What to fail with when time is up. */
  readonly late: () => Pick<Timeout, "scope"> & { readonly after: number }
  /** Where what the attempt brings is counted. */
  readonly activity?: Activity | undefined
}

/** What distinguishes a call from a plain one. */
export interface Manner<A> {
  readonly bounds?: (<R>(context: Context.Context<R>, now: bigint, clock: Clock.Clock) => Bounds<R>) | undefined
  /** Would it do no harm to make the call again after this error? Default: whatever the error. */
  readonly isSafe?: ((error: unknown) => boolean) | undefined
  /** Until when what the call holds is held if it succeeds, and what to close first then. By default nothing lasts. */
  readonly lasting?: { readonly lease: Lease; readonly close: (value: A) => Effect.Effect<void> } | undefined
}

/** What is shared beyond one set of policies, if the program provides it. */
export interface Shared {
  readonly registry?: CircuitBreaker.RegistryService | undefined
  readonly credential?: string | undefined
}

/** A slot is not waited for any longer, however long an attempt may take. */
const MAX_QUEUE_MILLIS = 60_000

const nanosToMillis = (nanos: bigint): number => Number(nanos) / 1e6

/** While another provider is left under a deadline, an attempt gets half of what remains, in whole milliseconds. */
export const shareOf = (context: Context.Context<never>, now: bigint): number => {
  const deadline = Deadline.deadlineIn(context)
  return Option.isSome(deadline) && Context.get(context, Alternatives).left > 0
    ? Math.max(0, Math.floor(nanosToMillis(deadline.value.at - now) / 2))
    : Infinity
}

/** The bounds of an attempt that has the attempt timeout, or its share. */
export const attemptBounds = (settings: Settings) => <R>(context: Context.Context<R>, now: bigint): Bounds<R> => {
  const limit = Math.min(settings.attemptTimeout, shareOf(context, now))
  return { context, limit, late: () => ({ scope: "Attempt", after: limit }) }
}

/** What decided a wait: the server, unless the backoff was longer than what it asked for and its spread. */
const reasonOf = (error: unknown, delay: Duration.Duration) => {
  const asked = isCallError(error) && error.retryAfter !== undefined ? Duration.toMillis(error.retryAfter) : undefined
  return asked === undefined || Duration.toMillis(delay) > floored(0, asked, true, 1) ? "backoff" : "Retry-After"
}

/**
 * Where the circuit is found that an attempt at a target has to pass. What has no name is nobody else's: two such
 * policies must not share a circuit because they share a registry.
 */
const circuits = (
  options: Settings["circuitBreaker"],
  { credential = "", registry }: Shared
): Gates["circuitOf"] => {
  if (options === false) {
    return undefined
  }
  if (CircuitBreaker.isCircuitBreaker(options)) {
    return () => options
  }
  const make = CircuitBreaker.prepare(options)
  const own = CircuitBreaker.unsafeMakeRegistry()
  return (target, clock) => {
    const key = keyOf(target)
    const name = key.trim()
    return (name === "" || registry === undefined ? own : registry).getNow(
      clock,
      `${key} ${credential}`,
      () => make(name === "" ? "default" : name)
    )
  }
}

/** Is it the word of the provider that was asked in this attempt, and not of one that policies inside chose? */
const isOwn = (error: unknown, attempt: OpenAttempt): error is RateLimited =>
  isCallError(error) && error._tag === "RateLimited" && wasSent(error) && !attempt.superseded && attempt.requests < 2

/** A protected call, in either manner. */
export type Protect = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  target?: Target,
  manner?: Manner<A>
) => ForCaller<A, E | Raised, R>

/** The policies of these settings, with a memory of their own. */
export const build = (settings: Settings, shared: Shared): Protect => {
  const latency = new LatencyWindow()
  const pauses = new Pauses()
  const ownBudget = RetryBudget.unsafeMake()
  const policy = settings.policy.make(Effect.map(
    Clock.currentTimeNanos,
    (now) => Duration.millis(latency.median(nanosToMillis(now)) ?? Duration.toMillis(Deadline.defaultReserve))
  ))

  const circuitOf = circuits(settings.circuitBreaker, shared)
  const gates: Gates = {
    pauses,
    circuitOf,
    bulkhead: settings.maxConcurrent === undefined ? undefined : new Bulkhead(settings.maxConcurrent),
    maxRetryAfter: settings.policy.maxRetryAfter,
    spread: settings.policy.spread,
    maxQueue: Math.min(MAX_QUEUE_MILLIS, settings.attemptTimeout)
  }

  const plain: Manner<unknown> = {}

  const plainBounds = attemptBounds(settings)

  const attempt = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    target: Target,
    caller: Caller<R>,
    held: ReadonlyArray<unknown>,
    { bounds = plainBounds, lasting }: Manner<A>
  ): Effect.Effect<A, E | Timeout> => {
    const { clock, fiber } = caller
    const startedAt = clock.unsafeCurrentTimeNanos()
    const { activity, context, late, limit, more } = bounds(caller.context, startedAt, clock)
    const open = openAttempt(context, policy, target, startedAt)
    open.held = held
    open.activity = activity
    const end = <B, E2>(exit: Exit.Exit<B, E2>) => {
      const error = Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.failureOption(exit.cause))
      if (isOwn(error, open) && error.retryAfter !== undefined) {
        pauses.pause(keyOf(target), Duration.toMillis(error.retryAfter), clock.unsafeCurrentTimeNanos())
      }
      return endAttempt(open, exit, fiber)
    }
    const limited = timeLimit(self, {
      caller,
      context: withAttempt(context, open),
      limit,
      more,
      onTimeout: () => {
        const { after, scope } = late()
        return timedOut(scope, Duration.millis(after), { ...open.target, requestId: open.requestId })
      },
      onEnd: () => {
        open.over = true
      },
      then: (exit: Exit.Exit<A, E | Timeout>) => {
        if (Exit.isSuccess(exit)) {
          const now = clock.unsafeCurrentTimeNanos()
          latency.add(nanosToMillis(now), nanosToMillis(now - startedAt))
          if (lasting !== undefined) {
            lasting.lease.atEnd(() => lasting.close(exit.value))
            lasting.lease.atEnd(end)
            return exit
          }
        }
        return after(end(exit), exit)
      }
    })
    return andThen(startAttempt(open), () => limited)
  }

  /** Makes an attempt once it is let in. It `ended` with a success, a defect or an interruption, or it `failed`. */
  const attemptThen = <A, E, R, B, E2>(
    self: Effect.Effect<A, E, R>,
    target: Target,
    caller: Caller<R>,
    manner: Manner<A>,
    { ended, failed }: {
      readonly ended: (exit: Exit.Exit<A>) => Effect.Effect<B, E2>
      readonly failed: (error: E | Timeout | Rejection) => Effect.Effect<B, E2>
    }
  ): Effect.Effect<B, E2> => {
    const passage = new Passage(gates, target, caller)
    return Effect.matchCauseEffect(
      Effect.suspend(() => passage.enter(() => attempt(self, target, caller, passage.held, manner))),
      {
        onSuccess: (value) => {
          const exit = Exit.succeed(value)
          if (manner.lasting === undefined) {
            return andThen(passage.leave(exit), () => ended(exit))
          }
          manner.lasting.lease.atEnd((exit) => passage.leave(exit))
          return andThen(passage.proved(), () => ended(exit))
        },
        onFailure: (cause) =>
          andThen(passage.leave(Exit.failCause(cause)), () =>
            Either.match(Cause.failureOrCause(cause), {
              onLeft: failed,
              onRight: (cause) => ended(Exit.failCause(cause))
            }))
      }
    )
  }

  /** Would the circuit admit another attempt after so long, or is that not worth waiting for? */
  const admits = (target: Target, delay: Duration.Duration): Effect.Effect<boolean> =>
    circuitOf === undefined
      ? Effect.succeed(true)
      : Effect.map(
        Effect.clockWith((clock) => circuitOf(target, clock).state),
        (state) => !turnsAwayAfter(Duration.toMillis(delay), state)
      )

  /** `error` decides what is next; `told` is what the caller sees then: the last error of an attempt that was sent. */
  const retry = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    target: Target,
    caller: Caller<R>,
    error: E | Timeout,
    told: E | Timeout,
    state: unknown,
    manner: Manner<A>
  ): Effect.Effect<A, E | Timeout> =>
    Effect.gen(function*() {
      if (manner.isSafe?.(error) === false) {
        yield* denied("not retryable", target)
        return yield* Effect.fail(told)
      }
      const [next, delay, decision] = yield* policy.step(yield* Clock.currentTimeMillis, error, state)
      if (ScheduleDecision.isDone(decision)) {
        return yield* Effect.fail(told)
      }
      if (!(yield* admits(target, delay))) {
        yield* denied("circuit", target)
        return yield* Effect.fail(told)
      }
      if (!RetryPolicy.budgetAllows(error, Duration.toMillis(delay), caller.context, caller.clock)) {
        yield* denied("budget")
        return yield* Effect.fail(told)
      }
      yield* waiting(delay, reasonOf(error, delay))
      if (Duration.greaterThan(delay, Duration.zero)) {
        yield* Effect.sleep(delay)
      }
      return yield* Effect.uninterruptibleMask((restore) =>
        attemptThen(self, target, { ...caller, restore }, manner, {
          ended: (exit) => exit,
          failed: (again) =>
            again instanceof Rejection
              ? Effect.zipRight(denied(again.by, target), Effect.fail(told))
              : restore(
                retry(self, target, caller, again, isCallError(again) && !wasSent(again) ? told : again, next, manner)
              )
        })
      )
    })

  const call = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    target: Target,
    outside: Caller<R>,
    manner: Manner<A>
  ): Effect.Effect<A, E | Raised> => {
    const recording = openRecording(outside)
    const retries = attemptAround(outside.context) === undefined
    const context = retries
      ? RetryBudget.unsafeDeposit(
        IdempotencyKey.ensure(recording.inside),
        outside.clock.unsafeCurrentTimeNanos(),
        ownBudget
      )
      : recording.inside
    const caller = { ...outside, context }
    const end = <E2>(exit: Exit.Exit<A, E2>): Effect.Effect<A, E2> => {
      if (manner.lasting !== undefined && Exit.isSuccess(exit)) {
        manner.lasting.lease.atEnd(recording.end)
        return exit
      }
      return after(recording.end(exit), exit)
    }
    return attemptThen<A, E, R, A, E | Raised>(self, target, caller, manner, {
      ended: end,
      failed: (error) =>
        error instanceof Rejection
          ? ending(Effect.zipRight(denied(error.by, target, context), Effect.fail(error.error)), end)
          : retries
          ? ending(
            // The budget is asked last, by `retry`: a policy of the user's must not take from it as well.
            Effect.provide(
              outside.restore(retry(self, target, caller, error, error, policy.initial, manner)),
              Context.add(context, RetryBudget.CurrentBudget, undefined)
            ),
            end
          )
          : end(Exit.fail(error))
    })
  }

  return (self, target = {}, manner = plain) => (caller) => call(self, target, caller, manner)
}
