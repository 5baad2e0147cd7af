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
import type { Caller } from "./caller.js"
import { asCaller } from "./caller.js"
import type { Gates } from "./gates.js"
import { keyOf, Passage, Rejection, turnsAwayAfter } from "./gates.js"
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
  readonly policy: RetryPolicy.Prepared
  readonly circuitBreaker: CircuitBreaker.Options | CircuitBreaker.CircuitBreaker | false
  readonly maxConcurrent: number | undefined
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
const shareOf = (context: Context.Context<never>, now: bigint): number => {
  const deadline = Context.get(context, Deadline.CurrentDeadline)
  return Option.isSome(deadline) && Context.get(context, Alternatives).left > 0
    ? Math.max(0, Math.floor(nanosToMillis(deadline.value.at - now) / 2))
    : Infinity
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

/** The policies of these settings, with a memory of their own. */
export const build = (
  settings: Settings,
  shared: Shared
): <A, E, R>(self: Effect.Effect<A, E, R>, target?: Target) => Effect.Effect<A, E | Raised, R> => {
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

  const attempt = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    target: Target,
    caller: Caller<R>,
    held: ReadonlyArray<unknown>
  ): Effect.Effect<A, E | Timeout> => {
    const { clock, context, fiber } = caller
    const startedAt = clock.unsafeCurrentTimeNanos()
    const limit = Math.min(settings.attemptTimeout, shareOf(context, startedAt))
    const open = openAttempt(context, policy, target, startedAt)
    open.held = held
    const note = (exit: Exit.Exit<A, E | Timeout>) => {
      const now = clock.unsafeCurrentTimeNanos()
      if (Exit.isSuccess(exit)) {
        latency.add(nanosToMillis(now), nanosToMillis(now - startedAt))
        return
      }
      const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
      if (isOwn(error, open) && error.retryAfter !== undefined) {
        pauses.pause(keyOf(target), Duration.toMillis(error.retryAfter), now)
      }
    }
    const limited = timeLimit(self, {
      caller,
      context: withAttempt(context, open),
      limit,
      onTimeout: () => timedOut("Attempt", Duration.millis(limit), { ...open.target, requestId: open.requestId }),
      onEnd: () => {
        open.over = true
      },
      then: (exit: Exit.Exit<A, E | Timeout>) => {
        note(exit)
        return after(endAttempt(open, exit, fiber), exit)
      }
    })
    const started = startAttempt(open)
    return started === Effect.void ? limited : Effect.zipRight(started, limited)
  }

  /** Makes an attempt once it is let in. It `ended` with a success, a defect or an interruption, or it `failed`. */
  const attemptThen = <A, E, R, B, E2>(
    self: Effect.Effect<A, E, R>,
    target: Target,
    caller: Caller<R>,
    { ended, failed }: {
      readonly ended: (exit: Exit.Exit<A>) => Effect.Effect<B, E2>
      readonly failed: (error: E | Timeout | Rejection) => Effect.Effect<B, E2>
    }
  ): Effect.Effect<B, E2> => {
    const passage = new Passage(gates, target, caller)
    return Effect.matchCauseEffect(
      Effect.suspend(() => passage.enter(() => attempt(self, target, caller, passage.held))),
      {
        onSuccess: (value) => {
          const exit = Exit.succeed(value)
          return andThen(passage.leave(exit), () => ended(exit))
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
    state: unknown
  ): Effect.Effect<A, E | Timeout> =>
    Effect.gen(function*() {
      // The budget is asked last, below: a policy of the user's must not take from it as well.
      const [next, delay, decision] = yield* Effect.provideService(
        policy.step(yield* Clock.currentTimeMillis, error, state),
        RetryBudget.CurrentBudget,
        undefined
      )
      if (ScheduleDecision.isDone(decision)) {
        return yield* Effect.fail(told)
      }
      if (!(yield* admits(target, delay))) {
        yield* denied("circuit", target)
        return yield* Effect.fail(told)
      }
      if (!(yield* RetryPolicy.budgetAllows(error, Duration.toMillis(delay)))) {
        yield* denied("budget")
        return yield* Effect.fail(told)
      }
      yield* waiting(delay, reasonOf(error, delay))
      yield* Effect.sleep(delay)
      return yield* Effect.uninterruptibleMask((restore) =>
        attemptThen(self, target, { ...caller, restore }, {
          ended: (exit) => exit,
          failed: (again) =>
            again instanceof Rejection
              ? Effect.zipRight(denied(again.by, target), Effect.fail(told))
              : restore(retry(self, target, caller, again, isCallError(again) && !wasSent(again) ? told : again, next))
        })
      )
    })

  const call = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    target: Target,
    outside: Caller<R>
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
    const end = <E2>(exit: Exit.Exit<A, E2>) => after(recording.end(exit), exit)
    return attemptThen<A, E, R, A, E | Raised>(self, target, caller, {
      ended: end,
      failed: (error) =>
        error instanceof Rejection
          ? ending(Effect.zipRight(denied(error.by, target, context), Effect.fail(error.error)), end)
          : retries
          ? ending(
            Effect.provide(outside.restore(retry(self, target, caller, error, error, policy.initial)), context),
            end
          )
          : end(Exit.fail(error))
    })
  }

  return (self, target = {}) => asCaller((caller) => call(self, target, caller))
}
