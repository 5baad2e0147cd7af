/**
 * Stops asking a provider that does not answer, and finds out when it does again.
 *
 * While a provider is down every call to it costs its caller a timeout and the provider a request it cannot serve. A
 * breaker counts how calls end; when too many fail it opens and turns calls away at once, each with a `CircuitOpen` that
 * says when to come back; after a while it lets a few probes through, and closes when they succeed. Only what speaks of
 * the provider's health counts: a rate limit, a wrong request, an interruption or an error of your own changes nothing.
 *
 * It is a value with a state: share one among all calls to the same provider, model and account, or let a `Registry`
 * keep them by key. Time is the monotonic clock, no timer is ever set, and a call on a closed circuit costs about a
 * microsecond.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { CircuitOpen, Target } from "./ProviderError.js"
import { isCallError } from "./ProviderError.js"
import { Circuit, TypeId } from "./runtime/circuit.js"
import { isCalls, settingsOf } from "./runtime/circuitOptions.js"
import { prepareRegistry } from "./runtime/circuitRegistry.js"
import * as OptionsOf from "./runtime/options.js"

export {
  /**
   * Marks circuit breakers.
   *
   * @since 0.1.0
   * @category symbols
   */
  TypeId
} from "./runtime/circuit.js"

/**
 * What opened a circuit: the tag of the error, and its reason and status where it has them.
 *
 * @since 0.1.0
 * @category models
 */
export type OpenedBy = NonNullable<CircuitOpen["openedBy"]>

/**
 * What an admission now would find.
 *
 * - `Closed`: calls pass, and how they end is counted.
 * - `Open`: calls are turned away for `retryAfter` yet.
 * - `HalfOpen`: probes pass, as many at a time as `permits` says. An opening whose time is over reads so too, though no
 *   probe came yet.
 * - `Isolated`: calls are turned away until whoever isolated it lets go.
 *
 * @since 0.1.0
 * @category models
 */
export type State =
  | { readonly _tag: "Closed" }
  | {
    readonly _tag: "Open"
    readonly retryAfter: Duration.Duration
    readonly openedBy: OpenedBy | undefined
  }
  | { readonly _tag: "HalfOpen" }
  | { readonly _tag: "Isolated" }

/**
 * A circuit went from one state to another. `openedBy` is there when it opened.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transition {
  readonly circuit: string
  readonly from: State["_tag"]
  readonly to: State["_tag"]
  readonly openedBy?: OpenedBy | undefined
}

/**
 * How a call ended, as far as the provider's health goes. `Neutral` says nothing about it.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly _tag: "Success" }
  | { readonly _tag: "Neutral" }
  | { readonly _tag: "Failure"; readonly error: unknown }

/**
 * The provider answered.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const success: Outcome = { _tag: "Success" }

/**
 * Nothing was learned about the provider.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const neutral: Outcome = { _tag: "Neutral" }

/**
 * The provider failed with this error, whatever the error is. A `ClientError` for `Authentication` or `QuotaExhausted`
 * opens the circuit at once, any other error counts.
 *
 * @since 0.1.0
 * @category outcomes
 */
export const failure = (error: unknown): Outcome => ({ _tag: "Failure", error })

const outcomeOfError = (error: unknown): Outcome => {
  if (!isCallError(error)) {
    return neutral
  }
  switch (error._tag) {
    case "ServerError":
      return failure(error)
    case "Timeout":
      return error.scope === "Deadline" ? neutral : failure(error)
    case "ClientError":
      return error.reason === "Authentication" || error.reason === "QuotaExhausted" ? failure(error) : neutral
    case "RateLimited":
    case "CircuitOpen":
      return neutral
  }
}

/**
 * What the exit of a call says about the provider.
 *
 * | exit | outcome |
 * |---|---|
 * | success | success |
 * | `ServerError`, `Timeout` | failure |
 * | `ClientError` for `Authentication` or `QuotaExhausted` | failure that opens the circuit at once |
 * | any other `ClientError`, `RateLimited`, `CircuitOpen` | neutral |
 * | `Timeout` with scope `Deadline` | neutral: whether the provider had a fair share of the time, the caller knows |
 * | errors of others, defects, interruption | neutral |
 *
 * @example
 * ```ts
 * import { Exit } from "effect"
 * import { CircuitBreaker, ProviderError } from "effect-resilience"
 *
 * const slowDown = Exit.fail(new ProviderError.RateLimited({ message: "429" }))
 * console.log(CircuitBreaker.outcomeOf(slowDown)._tag) // "Neutral"
 * ```
 *
 * @since 0.1.0
 * @category outcomes
 */
export const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) {
    return success
  }
  const error = Cause.failureOption(exit.cause)
  return Option.isSome(error) ? outcomeOfError(error.value) : neutral
}

/**
 * When a closed circuit opens: made by `failureRate` or `consecutiveFailures`. It is judged after every outcome that
 * counts.
 *
 * @since 0.1.0
 * @category models
 */
export type Trip =
  | {
    readonly _tag: "FailureRate"
    readonly threshold: number
    readonly minimumCalls: number
    readonly window: Duration.Duration | { readonly calls: number }
  }
  | { readonly _tag: "ConsecutiveFailures"; readonly failures: number }

/**
 * Options of `failureRate`.
 *
 * @since 0.1.0
 * @category models
 */
export interface FailureRateOptions {
  /** The share of failures, above 0 and at most 1, at which it opens. Default 0.8. */
  readonly threshold?: number | undefined
  /** Below so many outcomes the rate says nothing. Default 20, or the size of a smaller window. */
  readonly minimumCalls?: number | undefined
  /**
   * The outcomes that are looked at: those of the last so much time, or the last so many. Default 10 seconds. Time is
   * counted in tenths of it, so an outcome counts for at least nine tenths of it and never longer. Best longer than most
   * answers take (see `failureRate`).
   */
  readonly window?: Duration.DurationInput | { readonly calls: number } | undefined
}

/**
 * Opens when so large a share of the recent calls failed. Neutral outcomes and rejected calls count in neither the share
 * nor the minimum. Throws a `RangeError` that names a bad option.
 *
 * Failures are often quicker than answers. Until the window has been filling for its whole length (from the start, after
 * the circuit closed, or after a gap without calls) the share is therefore one of more than the outcomes: calls that
 * began before the newest failed one, and are under way, count as calls that did not fail.
 *
 * @example
 * ```ts
 * import { CircuitBreaker } from "effect-resilience"
 *
 * const breaker = CircuitBreaker.make({
 *   trip: CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: "1 minute" })
 * })
 * ```
 *
 * @since 0.1.0
 * @category tripping
 */
export const failureRate = (options: FailureRateOptions = {}): Trip => {
  const { window = "10 seconds" } = options
  const checked = isCalls(window)
    ? { calls: OptionsOf.positiveCount("window.calls", window.calls) }
    : OptionsOf.finitePositiveDuration("window", window)
  const most = "calls" in checked ? checked.calls : Infinity
  return {
    _tag: "FailureRate",
    threshold: OptionsOf.share("threshold", options.threshold ?? 0.8),
    minimumCalls: OptionsOf.countUpTo("minimumCalls", most, options.minimumCalls ?? Math.min(20, most)),
    window: checked
  }
}

/**
 * Opens at the nth failure in a row, however long the row took. Neutral outcomes do not break it. Throws a `RangeError`
 * unless `n` is a whole number of at least 1.
 *
 * @example
 * ```ts
 * import { CircuitBreaker } from "effect-resilience"
 *
 * const breaker = CircuitBreaker.make({ trip: CircuitBreaker.consecutiveFailures(5) })
 * ```
 *
 * @since 0.1.0
 * @category tripping
 */
export const consecutiveFailures = (n: number): Trip => ({
  _tag: "ConsecutiveFailures",
  failures: OptionsOf.positiveCount("consecutiveFailures", n)
})

/**
 * How long an opening lasts when it grows from one to the next: the nth in a row (from 0) lasts for `base · factorⁿ`, at
 * most `cap`, and between half of that and all of it, at random (equal jitter). At random, because clients that lost a
 * provider together would otherwise probe it together; not below half, because an opening of next to nothing is none;
 * never longer, so that `cap` is the longest a healthy provider is left unused.
 *
 * @since 0.1.0
 * @category models
 */
export interface Growth {
  /** The first opening. Default 5 seconds. */
  readonly base?: Duration.DurationInput | undefined
  /** By how much each opening in a row is longer. Default 2. */
  readonly factor?: number | undefined
  /** No opening is longer. Default 10 seconds, or `base` if that is longer. */
  readonly cap?: Duration.DurationInput | undefined
}

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Names it in errors, transitions and logs. Default `"circuit"`. */
  readonly name?: string | undefined
  /** When it opens. Default `failureRate()`. */
  readonly trip?: Trip | undefined
  /**
   * How long it stays open: a duration, taken exactly, or one that grows while it opens again and again without having
   * closed. Default `{ base: "5 seconds", factor: 2, cap: "10 seconds" }`.
   */
  readonly openFor?: Duration.DurationInput | Growth | undefined
  /** The `retryAfter` of the error that opens it can lengthen the opening up to this. Default 5 minutes. */
  readonly maxOpenFor?: Duration.DurationInput | undefined
  readonly halfOpen?: {
    /** How many probes may be under way at a time. Default 1. */
    readonly permits?: number | undefined
    /** How many must succeed for it to close; the first failure opens it again. Default 1. */
    readonly successes?: number | undefined
    /**
     * A probe that has not ended after so long no longer stands in the way of the next one; its outcome still counts
     * until the circuit opens or closes. Default 60 seconds, as long as an attempt may take by default.
     */
    readonly probeTimeout?: Duration.DurationInput | undefined
  } | undefined
}

/**
 * The right to make one call.
 *
 * @since 0.1.0
 * @category models
 */
export interface Permit {
  /** Says how the call ended. Only the first time counts. */
  readonly done: (outcome: Outcome) => Effect.Effect<void>
}

/**
 * A circuit breaker.
 *
 * @since 0.1.0
 * @category models
 */
export interface CircuitBreaker {
  readonly [TypeId]: typeof TypeId
  readonly name: string
  /** What an admission now would find. Reading it changes nothing. */
  readonly state: Effect.Effect<State>
  /** Every transition from the moment the stream is run on, in order, for each who runs it. It never ends by itself. */
  readonly transitions: Stream.Stream<Transition>
  /**
   * A permit for work that outlives an effect, such as a stream. A scope that closes before `done` gives it back, as
   * neutral. Fails with `CircuitOpen`.
   */
  readonly acquire: Effect.Effect<Permit, CircuitOpen, Scope.Scope>
  /** Turns all calls away until the scope closes; of several scopes, until the last does. Then it is closed. */
  readonly isolate: Effect.Effect<void, never, Scope.Scope>
  /** Closes it, whatever it was, and forgets all outcomes. Isolations that were in force are over. */
  readonly reset: Effect.Effect<void>
  /** @internal */
  readonly admit: (target?: Target) => Effect.Effect<Permit, CircuitOpen>
  /** @internal */
  readonly admitNow: Circuit["admitNow"]
  /** @internal */
  readonly worth: Circuit["worth"]
}

/**
 * Is this a circuit breaker?
 *
 * @since 0.1.0
 * @category guards
 */
export const isCircuitBreaker = (value: unknown): value is CircuitBreaker => Predicate.hasProperty(value, TypeId)

/**
 * Checks the options, and gives what makes circuit breakers by them; the name is for one that has none.
 *
 * @internal
 */
export const prepare = (options: Options): (name: string) => CircuitBreaker => {
  const settings = settingsOf(options, options.trip ?? failureRate())
  return (name) => new Circuit(options.name ?? name, settings)
}

/**
 * `make` for the rare place that cannot run an effect.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeMake = (options: Options = {}): CircuitBreaker => prepare(options)("circuit")

/**
 * A closed circuit breaker. Throws a `RangeError` that names a bad option.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "effect-resilience"
 *
 * const callModel: Effect.Effect<string> = Effect.succeed("any effect at all")
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({ name: "openai gpt-4o", openFor: "10 seconds" })
 *   return yield* callModel.pipe(CircuitBreaker.protect(breaker))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<CircuitBreaker> => {
  const prepared = prepare(options)
  return Effect.sync(() => prepared("circuit"))
}

/**
 * Makes the call if the circuit admits it, and tells the circuit how it ended (`outcomeOf`). Raises `CircuitOpen` in
 * addition to the effect's own errors, before anything of the effect is run.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker, ProviderError } from "effect-resilience"
 *
 * const breaker = CircuitBreaker.unsafeMake({ name: "search", trip: CircuitBreaker.consecutiveFailures(3) })
 *
 * const search: Effect.Effect<string, ProviderError.ServerError> = Effect.succeed("found")
 *
 * const program = search.pipe(
 *   CircuitBreaker.protect(breaker),
 *   Effect.catchTag("CircuitOpen", (open) => Effect.succeed(`not now: ${open.message}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const protect: {
  (breaker: CircuitBreaker): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, breaker: CircuitBreaker): Effect.Effect<A, E | CircuitOpen, R>
} = dual(2, <A, E, R>(
  self: Effect.Effect<A, E, R>,
  breaker: CircuitBreaker
): Effect.Effect<A, E | CircuitOpen, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      breaker.admit(),
      (permit) =>
        Effect.flatMap(Effect.exit(restore(self)), (exit) => Effect.zipRight(permit.done(outcomeOf(exit)), exit))
    )
  ))

/**
 * Options of `makeRegistry` and `layerRegistry`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RegistryOptions {
  /** How many circuits are kept at most. Default 1000. */
  readonly capacity?: number | undefined
  /** A circuit that holds nothing is dropped after not having been asked for so long. Default 10 minutes. */
  readonly idleFor?: Duration.DurationInput | undefined
}

/**
 * Circuit breakers by key.
 *
 * Keys may be many (provider, model and account), so their number is bounded. To make room, a circuit that holds nothing
 * goes first (closed, an empty window, nothing under way), then the one that was not asked for longest. One that is
 * open, isolated, listened to or has calls under way is never dropped; if all are such, a new key gets a circuit that is
 * not kept.
 *
 * @since 0.1.0
 * @category models
 */
export interface RegistryService {
  /** The circuit of this key. It is made with these options, and named after the key, when it is asked for first. */
  readonly get: (key: string, options?: Options | (() => Options)) => Effect.Effect<CircuitBreaker>
  /** @internal */
  readonly getNow: (clock: Clock.Clock, key: string, make: (key: string) => CircuitBreaker) => CircuitBreaker
  /** How many are kept. */
  readonly size: Effect.Effect<number>
  /** The circuits that are kept, and what an admission to each would find. */
  readonly snapshot: Effect.Effect<
    ReadonlyArray<{ readonly key: string; readonly name: string; readonly state: State }>
  >
}

/**
 * The circuit breakers of a program, by key.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "effect-resilience"
 *
 * const callModel: Effect.Effect<string> = Effect.succeed("any effect at all")
 *
 * const program = Effect.gen(function*() {
 *   const circuits = yield* CircuitBreaker.Registry
 *   const circuit = yield* circuits.get("openai gpt-4o", { openFor: "10 seconds" })
 *   return yield* callModel.pipe(CircuitBreaker.protect(circuit))
 * }).pipe(Effect.provide(CircuitBreaker.layerRegistry()))
 * ```
 *
 * @since 0.1.0
 * @category registry
 */
export class Registry extends Context.Tag("effect-resilience/CircuitBreaker/Registry")<Registry, RegistryService>() {}

/**
 * `makeRegistry` for the rare place that cannot run an effect.
 *
 * @since 0.1.0
 * @category registry
 */
export const unsafeMakeRegistry = (options: RegistryOptions = {}): RegistryService =>
  prepareRegistry(options, prepare)()

/**
 * A registry to pass around by hand. Throws a `RangeError` that names a bad option.
 *
 * @since 0.1.0
 * @category registry
 */
export const makeRegistry = (options: RegistryOptions = {}): Effect.Effect<RegistryService> =>
  Effect.sync(prepareRegistry(options, prepare))

/**
 * A registry as a service. Throws a `RangeError` that names a bad option.
 *
 * @since 0.1.0
 * @category registry
 */
export const layerRegistry = (options: RegistryOptions = {}): Layer.Layer<Registry> =>
  Layer.effect(Registry, makeRegistry(options))
