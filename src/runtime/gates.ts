/**
 * What an attempt must pass before anything is sent: the pause a server asked for, the bulkhead, the circuit breaker.
 *
 * All three can turn it away, and then nothing was sent: that is not a failure of the provider, must not be retried as
 * one, and must not hide the error of an attempt that was. So it travels as a `Rejection` of its own until the call
 * decides which error to show. They come in this order because the first two may wait, and an admission by the breaker
 * must not grow old: a probe that stands in line would keep a half-open circuit from learning anything. Before a wait
 * begins the circuit is looked at all the same, since nobody should stand in line to be turned away; and whoever comes
 * out of the line looks for a pause that began meanwhile. A gate that an attempt around this one holds is not passed
 * twice: two policies that share a circuit would wait for each other.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type { DeniedBy } from "../CallReport.js"
import type { CircuitBreaker, Outcome, State } from "../CircuitBreaker.js"
import { failure, neutral, outcomeOf } from "../CircuitBreaker.js"
import * as Deadline from "../Deadline.js"
import { floored } from "../internal/backoff.js"
import type { Pauses } from "../internal/pauses.js"
import type { CircuitOpen, RateLimited, Target } from "../ProviderError.js"
import { atCapacity, paused, timedOut } from "../ProviderError.js"
import { Alternatives } from "./alternatives.js"
import { atEndOf } from "./bracket.js"
import type { Bulkhead } from "./bulkhead.js"
import { attemptAround, waiting } from "./recorder.js"
import { clockOf } from "./timeLimit.js"

/** Turned away before anything was sent. */
export class Rejection {
  constructor(readonly by: DeniedBy, readonly error: RateLimited | CircuitOpen) {}
}

/** What stands before a provider. */
export interface Gates {
  readonly pauses: Pauses
  readonly bulkhead: Bulkhead | undefined
  readonly circuitOf: ((target: Target, clock: Clock.Clock) => CircuitBreaker) | undefined
  /** How long may be waited for a server that asked for it, in milliseconds, and whether to spread who returns. */
  readonly maxRetryAfter: number
  readonly spread: boolean
  /** How long one may stand in line, in milliseconds. */
  readonly maxQueue: number
}

/** What a pause is kept by. */
export const keyOf = (target: Target): string => `${target.provider ?? ""} ${target.model ?? ""}`

const none: ReadonlyArray<unknown> = []

/** A pause began while the caller stood in line. */
class PausedMeanwhile {}

const reject = (by: DeniedBy, error: RateLimited | CircuitOpen): Effect.Effect<never, Rejection> =>
  Effect.fail(new Rejection(by, error))

/** Would a circuit that is in this state turn away whoever comes after so many milliseconds? */
export const turnsAwayAfter = (wait: number, state: State): boolean =>
  state._tag === "Isolated" || state._tag === "Open" && Duration.toMillis(state.retryAfter) > wait

/** Turned away before a wait, where the circuit would turn the caller away after it. */
const unlessOpen = (
  circuit: CircuitBreaker | undefined,
  target: Target,
  wait: number
): Effect.Effect<void, Rejection> =>
  circuit === undefined
    ? Effect.void
    : Effect.flatMap(circuit.state, (state) =>
      turnsAwayAfter(wait, state)
        // Admitted after all, since time goes on between the two, the permit goes back.
        ? Effect.uninterruptible(Effect.matchEffect(circuit.admit(target), {
          onFailure: (error) => reject("circuit", error),
          onSuccess: (permit) => permit.done(neutral)
        }))
        : Effect.void)

/** What stands against waiting `delay` milliseconds for a pause of which so many are left. */
const objection = (
  gates: Gates,
  left: number,
  delay: number,
  waited: number,
  now: bigint
): Effect.Effect<DeniedBy | undefined> =>
  Effect.flatMap(Alternatives, (alternatives) =>
    alternatives.left > 0
      ? Effect.succeed("pause")
      : waited + left > gates.maxRetryAfter
      ? Effect.succeed("Retry-After too long")
      : alternatives.resumeAt !== undefined && Number(alternatives.resumeAt - now) / 1e6 < delay
      ? Effect.succeed("patience")
      : Effect.map(Deadline.hasTimeFor(Duration.millis(delay)), (fits) => fits ? undefined : "deadline"))

/** Waits until nobody asks for a pause any more, and tells how long that took in all. */
const untilResumed = (
  gates: Gates,
  circuit: CircuitBreaker | undefined,
  target: Target,
  waited: number
): Effect.Effect<number, Rejection> =>
  Effect.flatMap(Clock.currentTimeNanos, (now) => {
    const left = gates.pauses.left(keyOf(target), now)
    return left === 0
      ? Effect.succeed(waited)
      : Effect.gen(function*() {
        const delay = floored(0, left, gates.spread, gates.spread ? yield* Random.next : 0)
        const objected = yield* objection(gates, left, delay, waited, now)
        if (objected !== undefined) {
          return yield* reject(objected, paused(Duration.millis(Math.ceil(left)), target))
        }
        yield* unlessOpen(circuit, target, delay)
        yield* waiting(Duration.millis(delay), "pause", target)
        yield* Effect.sleep(Duration.millis(delay))
        return yield* untilResumed(gates, circuit, target, waited + delay)
      })
  })

/** How long one may stand in line before the deadline, leaving what an attempt needs. */
const untilDeadline: Effect.Effect<Duration.Duration> = Effect.flatMap(
  Effect.all([Deadline.CurrentDeadline, Deadline.remaining]),
  ([deadline, remaining]) =>
    Effect.succeed(Option.match(Option.all([deadline, remaining]), {
      onNone: () => Duration.infinity,
      onSome: ([{ reserve }, left]) => Duration.subtract(left, Option.getOrElse(reserve, () => Deadline.defaultReserve))
    }))
)

/** Stands in line for a slot; turned away where another provider is left, or none is free in time. */
const standInLine = (
  inLine: Effect.Effect<void>,
  gates: Gates,
  circuit: CircuitBreaker | undefined,
  target: Target
): Effect.Effect<void, Rejection> =>
  Effect.gen(function*() {
    if ((yield* Alternatives).left > 0) {
      return yield* reject("bulkhead", atCapacity(target))
    }
    yield* unlessOpen(circuit, target, 0)
    const longest = Duration.millis(gates.maxQueue)
    const inTime = yield* untilDeadline
    const by = Duration.lessThan(inTime, longest) ? "deadline" : "bulkhead"
    const duration = Duration.min(longest, inTime)
    const turnedAway = Effect.suspend(() => reject(by, atCapacity(target)))
    if (Duration.equals(duration, Duration.zero)) {
      return yield* turnedAway
    }
    yield* waiting(duration, "bulkhead", target)
    // Interruptible whatever the caller is, so that the limit is one.
    yield* Effect.interruptible(inLine).pipe(
      Effect.timeoutTo({ duration, onSuccess: () => Effect.void, onTimeout: () => turnedAway }),
      Effect.flatten
    )
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
    ? failure(timedOut("Deadline", deadline.total))
    : outcomeOf(exit)
}

/** Runs the effect if the circuit admits it, and tells the circuit how it went. */
const throughCircuit = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  circuit: CircuitBreaker,
  target: Target,
  context: Context.Context<never>
): Effect.Effect<A, E | Rejection, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<A, E | Rejection, R>((fiber) => {
      const clock = clockOf(fiber)
      const permit = circuit.admitNow(clock, target)
      if (permit._tag === "CircuitOpen") {
        return Effect.fail(new Rejection("circuit", permit))
      }
      const startedAt = clock.unsafeCurrentTimeNanos()
      const admitted = atEndOf(
        restore(self),
        (exit) => permit.doneNow(outcomeSince(exit, startedAt, context), clock)
      )
      return permit.counted === Effect.void ? admitted : Effect.zipRight(permit.counted, admitted)
    })
  )

const notPausedMeanwhile = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  gates: Gates,
  target: Target
): Effect.Effect<A, E | PausedMeanwhile, R> =>
  gates.pauses.none ? self : Effect.flatMap(
    Clock.currentTimeNanos,
    (now): Effect.Effect<A, E | PausedMeanwhile, R> =>
      gates.pauses.left(keyOf(target), now) === 0 ? self : Effect.fail(new PausedMeanwhile())
  )

/**
 * Makes the attempt once it has passed all gates. `attempt` is given those that it holds then; `waited` is how long a
 * pause was waited for already.
 */
export const through = <A, E, R>(
  attempt: (held: ReadonlyArray<unknown>) => Effect.Effect<A, E>,
  gates: Gates,
  target: Target,
  context: Context.Context<R>,
  waited = 0
): Effect.Effect<A, E | Rejection> =>
  Effect.withFiberRuntime<A, E | Rejection>((fiber) => {
    const found = gates.circuitOf?.(target, clockOf(fiber))
    const held = attemptAround(context)?.held ?? none
    const circuit = held.includes(found) ? undefined : found
    const bulkhead = held.includes(gates.bulkhead) ? undefined : gates.bulkhead
    const once = attempt(circuit === undefined && bulkhead === undefined ? held : [...held, circuit, bulkhead])
    const admitted = circuit === undefined ? once : throughCircuit(once, circuit, target, context)
    const pass = (waited: number) =>
      bulkhead === undefined ? admitted : Effect.catchAll(
        bulkhead.withSlot(
          Effect.suspend(() => notPausedMeanwhile(admitted, gates, target)),
          (inLine) => Effect.provide(standInLine(inLine, gates, circuit, target), context)
        ),
        (error) =>
          error instanceof PausedMeanwhile ? through(attempt, gates, target, context, waited) : Effect.fail(error)
      )
    return gates.pauses.none
      ? pass(waited)
      : Effect.flatMap(Effect.provide(untilResumed(gates, circuit, target, waited), context), pass)
  })
