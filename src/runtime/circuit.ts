/**
 * One circuit breaker at work: the machine of `internal/breaker` in a cell, with the clock, the chance, the log and the
 * listeners that it does not know of.
 *
 * A change of state and its announcement are one synchronous step, so every listener sees all transitions in the order
 * in which they happened, and none is called from within: a listener may read the state or make a call itself. No fiber
 * and no timer is kept.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as MutableRef from "effect/MutableRef"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Record from "effect/Record"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Circuits from "../CircuitBreaker.js"
import * as machine from "../internal/breaker.js"
import { Elapsed } from "../internal/elapsed.js"
import type { Worth } from "../internal/keyed.js"
import { CircuitOpen, isCallError, type Target } from "../ProviderError.js"
import { circuitTransitioned } from "./metrics.js"

/** A reading of the monotonic clock, in milliseconds. */
export const millisOf = (clock: Clock.Clock): number => Number(clock.unsafeCurrentTimeNanos()) / 1e6

const openedBy = (error: unknown): machine.OpenedBy =>
  isCallError(error)
    ? {
      tag: error._tag,
      reason: "reason" in error ? error.reason : undefined,
      status: "status" in error ? error.status : undefined
    }
    : {
      tag: Predicate.hasProperty(error, "_tag") && Predicate.isString(error._tag)
        ? error._tag
        : error instanceof Error
        ? error.name
        : "unknown"
    }

/** An account that is locked out or has nothing left to spend: no call can succeed until somebody acts. */
const opensAtOnce = (error: unknown): boolean =>
  isCallError(error) && error._tag === "ClientError" &&
  (error.reason === "Authentication" || error.reason === "QuotaExhausted")

const toMachine = (outcome: Circuits.Outcome): machine.Outcome => {
  if (outcome._tag !== "Failure") {
    return outcome
  }
  const { error } = outcome
  const retryAfter = isCallError(error) ? error.retryAfter : undefined
  return {
    _tag: "Failure",
    by: openedBy(error),
    retryAfter: retryAfter === undefined ? undefined : Math.ceil(Duration.toMillis(retryAfter)),
    atOnce: opensAtOnce(error)
  }
}

const words = (by: machine.OpenedBy): string =>
  [by.tag, by.reason, by.status].filter(Predicate.isNotUndefined).join(" ")

const messageOf = (circuit: string, rejected: machine.Rejected): string => {
  const by = rejected.openedBy === undefined ? "" : ` (opened by ${words(rejected.openedBy)})`
  switch (rejected.phase) {
    case "Open":
      return `circuit "${circuit}" is open${by}, retry after ${
        Duration.format(Duration.millis(rejected.retryAfter ?? 0))
      }`
    case "HalfOpen":
      return `circuit "${circuit}" is half-open${by}, and a probe is still out`
    case "Isolated":
      return `circuit "${circuit}" is isolated`
  }
}

const rejection = (circuit: string, target: Target, rejected: machine.Rejected): CircuitOpen => {
  const { retryAfter } = rejected
  const props = {
    message: messageOf(circuit, rejected),
    circuit,
    provider: target.provider,
    model: target.model,
    retryAfter: retryAfter === undefined ? undefined : Duration.millis(retryAfter),
    openedBy: rejected.openedBy
  }
  // The trace would show this module alone, and is most of what an error costs.
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const error = new CircuitOpen(props, { disableValidation: true })
  Error.stackTraceLimit = limit
  return error
}

const isFor = (error: CircuitOpen, target: Target): boolean =>
  error.provider === target.provider && error.model === target.model

/** Somebody has to act, so it is said aloud, once per opening. */
const alarm = (circuit: string, by: machine.OpenedBy): Effect.Effect<void> => {
  const facts: Record.ReadonlyRecord<string, unknown> = { circuit, ...by }
  return Effect.logError(`circuit "${circuit}" opened at once by ${words(by)}`).pipe(
    Effect.annotateLogs(Record.filter(facts, Predicate.isNotUndefined))
  )
}

/** A permit whose outcome counts once. */
export class Issued implements Circuits.Permit {
  readonly _tag = "Permit"
  settled = false
  constructor(
    private readonly circuit: Circuit,
    readonly permit: machine.Permit,
    readonly counted: Effect.Effect<void>
  ) {}
  /** Was it issued half-open, to one of few? */
  get isProbe(): boolean {
    return this.permit.probe
  }
  done(outcome: Circuits.Outcome): Effect.Effect<void> {
    return Effect.clockWith((clock) => this.doneNow(outcome, clock))
  }
  /** `done` for whoever has the clock at hand; mostly nothing is left to do then. */
  doneNow(outcome: Circuits.Outcome, clock: Clock.Clock): Effect.Effect<void> {
    return this.circuit.settle(this, toMachine(outcome), clock)
  }
}

/** Marks breakers. */
export const TypeId: unique symbol = Symbol.for("effect-resilience/CircuitBreaker")

const nobody: Target = {}

/** The breaker of `CircuitBreaker.make`, whose options were checked. */
export class Circuit implements Circuits.CircuitBreaker {
  readonly [TypeId]: typeof TypeId = TypeId
  private readonly ref: MutableRef.MutableRef<machine.State>
  private readonly elapsed = new Elapsed()
  private readonly listeners = new Set<Queue.Queue<Circuits.Transition>>()
  private lastRejection: { readonly generation: number; readonly error: CircuitOpen } | undefined

  constructor(readonly name: string, private readonly settings: machine.Settings) {
    this.ref = MutableRef.make(machine.initial(settings))
  }

  private now(clock: Clock.Clock): number {
    return this.elapsed.at(millisOf(clock))
  }

  /**
   * The one place where the state changes. Every transition passes here in the step that makes it, so in order; whoever
   * listens runs later, in a fiber of its own. What is left to do is to count it.
   */
  private commit({ state, transition }: machine.Step): Effect.Effect<void> {
    MutableRef.set(this.ref, state)
    if (transition === undefined) {
      return Effect.void
    }
    const announced: Circuits.Transition = { circuit: this.name, ...transition }
    for (const listener of this.listeners) {
      listener.unsafeOffer(announced)
    }
    return circuitTransitioned(this.name, transition.from, transition.to)
  }

  // What is seldom asked for is made when it is: a registry may make a circuit for each of very many keys.
  get state(): Effect.Effect<Circuits.State> {
    return Effect.clockWith((clock) => {
      const view = machine.view(MutableRef.get(this.ref), this.now(clock))
      return Effect.succeed(view._tag === "Open" ? { ...view, retryAfter: Duration.millis(view.retryAfter) } : view)
    })
  }

  get transitions(): Stream.Stream<Circuits.Transition> {
    return Effect.acquireRelease(
      Effect.tap(Queue.unbounded<Circuits.Transition>(), (listener) => Effect.sync(() => this.listeners.add(listener))),
      (listener) => Effect.zipRight(Effect.sync(() => this.listeners.delete(listener)), Queue.shutdown(listener))
    ).pipe(Effect.map((listener) => Stream.fromQueue(listener)), Stream.unwrapScoped)
  }

  admit(target: Target = nobody): Effect.Effect<Circuits.Permit, CircuitOpen> {
    return Effect.clockWith((clock) => {
      const answer = this.admitNow(clock, target)
      return answer._tag === "Permit" ? Effect.as(answer.counted, answer) : Effect.fail(answer)
    })
  }

  /** `admit` for whoever has the clock at hand; `counted` is left to do. */
  admitNow(clock: Clock.Clock, target: Target = nobody): Issued | CircuitOpen {
    const answer = machine.admit(this.settings, MutableRef.get(this.ref), this.now(clock))
    return answer.permit === undefined
      ? this.reject(answer, target)
      : new Issued(this, answer.permit, this.commit(answer))
  }

  /** An open circuit in a busy program turns away many calls within a millisecond: they all get the same error. */
  private reject(rejected: machine.Rejected, target: Target): CircuitOpen {
    const { generation } = MutableRef.get(this.ref)
    const last = this.lastRejection
    if (
      last !== undefined && last.generation === generation && isFor(last.error, target) &&
      rejected.retryAfter === (last.error.retryAfter && Duration.toMillis(last.error.retryAfter))
    ) {
      return last.error
    }
    const error = rejection(this.name, target, rejected)
    this.lastRejection = { generation, error }
    return error
  }

  get acquire(): Effect.Effect<Circuits.Permit, CircuitOpen, Scope.Scope> {
    return Effect.acquireRelease(this.admit(), (permit) => permit.done({ _tag: "Neutral" }))
  }

  /** `u` is drawn, and the outcome then judged anew, only when it turns out that the circuit opens. */
  settle(issued: Issued, outcome: machine.Outcome, clock: Clock.Clock, u?: number): Effect.Effect<void> {
    if (issued.settled) {
      return Effect.void
    }
    const now = this.now(clock)
    const step = machine.settle(this.settings, MutableRef.get(this.ref), now, issued.permit, outcome, u ?? 0)
    const opens = step.transition?.to === "Open"
    if (opens && u === undefined) {
      return Effect.uninterruptible(Effect.flatMap(Random.next, (u) => this.settle(issued, outcome, clock, u)))
    }
    issued.settled = true
    const counted = this.commit(step)
    return opens && outcome._tag === "Failure" && outcome.atOnce
      ? Effect.zipRight(counted, alarm(this.name, outcome.by))
      : counted
  }

  get isolate(): Effect.Effect<void, never, Scope.Scope> {
    return Effect.asVoid(Effect.acquireRelease(
      Effect.suspend(() => {
        const counted = this.commit(machine.isolate(MutableRef.get(this.ref)))
        return Effect.as(counted, MutableRef.get(this.ref).generation)
      }),
      (generation) =>
        Effect.suspend(() => this.commit(machine.release(this.settings, MutableRef.get(this.ref), generation)))
    ))
  }

  get reset(): Effect.Effect<void> {
    return Effect.suspend(() => this.commit(machine.reset(this.settings, MutableRef.get(this.ref))))
  }

  /** What would be lost if nobody found it any more. */
  worth(reading: number): Worth {
    const state = MutableRef.get(this.ref)
    const now = this.elapsed.at(reading)
    if (this.listeners.size > 0 || state.inFlight > 0) {
      return "much"
    }
    if (machine.isFresh(state, now)) {
      return "nothing"
    }
    const { _tag } = machine.view(state, now)
    return _tag === "Open" || _tag === "Isolated" ? "much" : "something"
  }
}
