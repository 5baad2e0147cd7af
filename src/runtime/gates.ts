/**
 * What an attempt must pass before anything is sent: the pause a server asked for, the bulkhead, the circuit breaker.
 *
 * All three can turn it away, and then nothing was sent: that is not a failure of the provider, must not be retried as
 * one, and must not hide the error of an attempt that was. So it travels as a `Rejection` of its own until the call
 * decides which error to show. They come in this order because the first two may wait, and an admission by the breaker
 * must not grow old: a probe that stands in line would keep a half-open circuit from learning anything.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type { DeniedBy } from "../CallReport.js"
import type { CircuitBreaker, Outcome } from "../CircuitBreaker.js"
import { admit, outcomeOf } from "../CircuitBreaker.js"
import * as Deadline from "../Deadline.js"
import { floored } from "../internal/backoff.js"
import type { Pauses } from "../internal/pauses.js"
import type { CircuitOpen, RateLimited, Target } from "../ProviderError.js"
import { atCapacity, paused, timedOut } from "../ProviderError.js"
import { Alternatives } from "./alternatives.js"
import type { Bulkhead } from "./bulkhead.js"
import { waiting } from "./recorder.js"
import { clockOf } from "./timeLimit.js"

/** Turned away before anything was sent. */
export class Rejection {
  constructor(readonly by: DeniedBy, readonly error: RateLimited | CircuitOpen) {}
}

/** How long may be waited for a server that asked for it, and whether to spread the returning callers. */
export interface Patience {
  readonly maxRetryAfter: number
  readonly spread: boolean
}

const reject = (by: DeniedBy, error: RateLimited | CircuitOpen): Effect.Effect<never, Rejection> =>
  Effect.fail(new Rejection(by, error))

/** What stands against waiting `delay` milliseconds for a pause to end. */
const objection = (
  delay: number,
  waited: number,
  patience: Patience,
  now: bigint
): Effect.Effect<DeniedBy | undefined> =>
  Effect.flatMap(Alternatives, ({ left, resumeAt }) =>
    left > 0
      ? Effect.succeed("pause")
      : waited + delay > patience.maxRetryAfter
      ? Effect.succeed("Retry-After too long")
      : resumeAt !== undefined && Number(resumeAt - now) / 1e6 < delay
      ? Effect.succeed("patience")
      : Effect.map(Deadline.hasTimeFor(Duration.millis(delay)), (fits) => fits ? undefined : "deadline"))

/** Waits until nobody asks for a pause any more; turned away where another provider is left, or the wait is too long. */
export const untilResumed = (
  pauses: Pauses,
  key: string,
  target: Target,
  patience: Patience,
  waited = 0
): Effect.Effect<void, Rejection> =>
  Effect.flatMap(Clock.currentTimeNanos, (now) => {
    const left = pauses.left(key, now)
    return left === 0
      ? Effect.void
      : Effect.gen(function*() {
        const delay = floored(0, left, patience.spread, patience.spread ? yield* Random.next : 0)
        const objected = yield* objection(delay, waited, patience, now)
        if (objected !== undefined) {
          return yield* reject(objected, paused(Duration.millis(Math.ceil(left)), target))
        }
        yield* waiting(Duration.millis(delay), "pause", target)
        yield* Effect.sleep(Duration.millis(delay))
        return yield* untilResumed(pauses, key, target, patience, waited + delay)
      })
  })

/** Runs the effect in a slot; turned away where another provider is left, or nothing is free within `maxWait`. */
export const throughBulkhead = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  bulkhead: Bulkhead,
  target: Target,
  maxWait: number
): Effect.Effect<A, E | Rejection, R> =>
  bulkhead.withSlot(self, (inLine) => {
    const full = Effect.suspend(() => reject("bulkhead", atCapacity(target)))
    return Effect.gen(function*() {
      if ((yield* Alternatives).left > 0) {
        return yield* full
      }
      const duration = Duration.min(
        Duration.millis(maxWait),
        Option.getOrElse(yield* Deadline.remaining, () => Duration.infinity)
      )
      yield* waiting(duration, "bulkhead", target)
      yield* Effect.flatten(Effect.timeoutTo(inLine, { duration, onSuccess: () => Effect.void, onTimeout: () => full }))
    })
  })

/**
 * What an attempt that began at `startedAt` tells the breaker. One that the deadline cut short is the provider's failure
 * only if it had at least half of the time that the whole call was given.
 */
const outcomeSince = (
  exit: Exit.Exit<unknown, unknown>,
  startedAt: bigint,
  context: Context.Context<never>
): Outcome => {
  const deadline = Option.getOrUndefined(Context.get(context, Deadline.CurrentDeadline))
  return deadline !== undefined && Exit.isInterrupted(exit) && deadline.expired() &&
      Number(deadline.at - startedAt) / 1e6 >= Duration.toMillis(deadline.total) / 2
    ? { _tag: "Failure", error: timedOut("Deadline", deadline.total) }
    : outcomeOf(exit)
}

/** Runs the effect if the circuit admits it, and tells the circuit how it went. */
export const throughCircuit = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  breaker: CircuitBreaker,
  target: Target,
  context: Context.Context<never>
): Effect.Effect<A, E | Rejection, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime((fiber) =>
      Effect.flatMap(
        Effect.mapError(admit(breaker, target), (error) => new Rejection("circuit", error)),
        (permit) => {
          const startedAt = clockOf(fiber).unsafeCurrentTimeNanos()
          return Effect.onExit(restore(self), (exit) => permit.done(outcomeSince(exit, startedAt, context)))
        }
      )
    )
  )
