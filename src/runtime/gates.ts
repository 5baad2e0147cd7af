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
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type { DeniedBy } from "../CallReport.js"
import type { CircuitBreaker, Outcome, State } from "../CircuitBreaker.js"
import { failure, neutral, outcomeOf, success } from "../CircuitBreaker.js"
import * as Deadline from "../Deadline.js"
import { floored } from "../internal/backoff.js"
import type { Pauses } from "../internal/pauses.js"
import type { CircuitOpen, RateLimited, Target } from "../ProviderError.js"
import { atCapacity, paused, timedOut } from "../ProviderError.js"
import { Alternatives } from "./alternatives.js"
import { andThen } from "./bracket.js"
import type { Bulkhead } from "./bulkhead.js"
import type { Caller } from "./caller.js"
import { both } from "./callRecord.js"
import type { Issued } from "./circuit.js"
import { attemptAround, waiting } from "./recorder.js"

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
  Effect.all([Effect.map(Effect.context<never>(), Deadline.deadlineIn), Deadline.remaining]),
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
  const deadline = Option.getOrUndefined(Deadline.deadlineIn(context))
  return deadline !== undefined && Exit.isInterrupted(exit) && deadline.expired() &&
      Number(deadline.at - startedAt) / 1e6 >= Duration.toMillis(deadline.total) / 2
    ? failure(timedOut("Deadline", deadline.total))
    : outcomeOf(exit)
}

/** The way of one attempt through the gates, and back. */
export class Passage<R> {
  private readonly circuit: CircuitBreaker | undefined
  private readonly bulkhead: Bulkhead | undefined
  private readonly around: ReadonlyArray<unknown>
  private slot: Bulkhead | undefined
  private permit: Issued | undefined
  private startedAt = 0n

  constructor(
    private readonly gates: Gates,
    private readonly target: Target,
    private readonly caller: Caller<R>
  ) {
    this.around = attemptAround(caller.context)?.held ?? none
    const circuit = gates.circuitOf?.(target, caller.clock)
    this.circuit = this.around.includes(circuit) ? undefined : circuit
    this.bulkhead = this.around.includes(gates.bulkhead) ? undefined : gates.bulkhead
  }

  /** What an attempt that got through holds. */
  get held(): ReadonlyArray<unknown> {
    return this.circuit === undefined && this.bulkhead === undefined
      ? this.around
      : [...this.around, this.circuit, this.bulkhead]
  }

  /** Makes the attempt once it has passed all gates. The caller is uninterruptible, and will `leave`, come what may. */
  enter<A, E>(attempt: () => Effect.Effect<A, E>, waited = 0): Effect.Effect<A, E | Rejection> {
    const { caller, circuit, gates, target } = this
    return gates.pauses.none
      ? this.pass(attempt, waited)
      : Effect.flatMap(
        caller.restore(Effect.provide(untilResumed(gates, circuit, target, waited), caller.context)),
        (waited) => this.pass(attempt, waited)
      )
  }

  private pass<A, E>(attempt: () => Effect.Effect<A, E>, waited: number): Effect.Effect<A, E | Rejection> {
    const { bulkhead, caller, circuit, gates, target } = this
    if (bulkhead === undefined) {
      return this.admitted(attempt)
    }
    if (bulkhead.tryEnter()) {
      this.slot = bulkhead
      return this.admitted(attempt)
    }
    return Effect.flatMap(
      bulkhead.enterInLine((inLine) =>
        caller.restore(Effect.provide(standInLine(inLine, gates, circuit, target), caller.context))
      ),
      () => {
        this.slot = bulkhead
        if (gates.pauses.left(keyOf(target), caller.clock.unsafeCurrentTimeNanos()) === 0) {
          return this.admitted(attempt)
        }
        this.leaveSlot()
        return this.enter(attempt, waited)
      }
    )
  }

  private admitted<A, E>(attempt: () => Effect.Effect<A, E>): Effect.Effect<A, E | Rejection> {
    if (this.circuit === undefined) {
      return attempt()
    }
    const { clock } = this.caller
    const permit = this.circuit.admitNow(clock, this.target)
    if (permit._tag === "CircuitOpen") {
      return reject("circuit", permit)
    }
    this.permit = permit
    this.startedAt = clock.unsafeCurrentTimeNanos()
    return andThen(permit.counted, attempt)
  }

  /**
   * What lasts has proved the provider able to answer. A probe has nothing more to tell, and others wait for its word; what
   * becomes of it later counts as it does for any other attempt.
   */
  proved(): Effect.Effect<void> {
    const { circuit, permit } = this
    if (circuit === undefined || permit?.isProbe !== true) {
      return Effect.void
    }
    const { clock } = this.caller
    const proved = permit.doneNow(success, clock)
    const next = circuit.admitNow(clock, this.target)
    const ordinary = next._tag === "Permit" && !next.isProbe
    this.permit = ordinary ? next : undefined
    return next._tag === "CircuitOpen" || ordinary ? proved : both(proved, next.doneNow(neutral, clock))
  }

  private leaveSlot(): void {
    this.slot?.leave()
    this.slot = undefined
  }

  /** Gives back whatever is held, and tells the circuit how the attempt went. */
  leave(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    const { caller, permit, startedAt } = this
    this.leaveSlot()
    return permit === undefined
      ? Effect.void
      : permit.doneNow(outcomeSince(exit, startedAt, caller.context), caller.clock)
  }
}
