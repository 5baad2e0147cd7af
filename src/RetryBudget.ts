/**
 * How many retries a user, a feature or a whole program may spend.
 *
 * A limit per call does not bound what many calls do together: when a provider is down, five attempts each are five
 * times the load on it, and five times the bill. So retries are paid for: every call earns a fraction of one (`ratio`),
 * every retry costs a whole one, and when none is left the call's own error surfaces at once. In good times nobody
 * notices; in an outage the retries settle at that fraction of the calls. A small reserve, which time fills up, lets a
 * program that makes few calls retry as well. What calls earned expires, so that a quiet night does not pay for a storm.
 *
 * The first attempt is never refused, and a budget is never the error: it only decides what is not tried again. A retry
 * that waited as long as the server asked (Retry-After) is paced by the server, and the first attempt at a fallback
 * provider adds nothing to the load of the one that failed; both are free of the budget and count for the hard cap only.
 *
 * Keys divide a budget: each has a bucket of its own, and inside several of them a retry takes one token from each or is
 * not made. No timer and no fiber runs: a bucket is brought up to date when it is used.
 *
 * Source: Finagle's RetryBudget, https://finagle.github.io/blog/2016/02/08/retry-budgets; gRFC A6, retry throttling.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type { Charge, Key, Rules } from "./internal/retryLedger.js"
import { Ledger } from "./internal/retryLedger.js"
import { inContext } from "./runtime/bracket.js"
import { clockOf } from "./runtime/caller.js"
import * as OptionsOf from "./runtime/options.js"

/**
 * Marks a retry budget.
 *
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-resilience/RetryBudget")

/**
 * The type of `TypeId`.
 *
 * @since 0.1.0
 * @category symbols
 */
export type TypeId = typeof TypeId

/**
 * Retries that calls share. Made by `make`; put in force by `layer`, or as a value of `CurrentBudget`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryBudget {
  readonly [TypeId]: TypeId
  /**
   * How many retries could be made now, by tokens and hard cap: with this key, or without any. A look that changes
   * nothing; a retry takes one from every key in force, so with several keys the lowest number counts.
   */
  readonly available: (key?: string) => Effect.Effect<number>
  /** @internal */
  readonly deposit: (key: Key, now: bigint) => void
  /** @internal */
  readonly withdraw: (charge: Charge, keys: ReadonlyArray<Key>, now: bigint) => boolean
}

/**
 * Is this a retry budget?
 *
 * @since 0.1.0
 * @category guards
 */
export const isRetryBudget = (u: unknown): u is RetryBudget => Predicate.hasProperty(u, TypeId)

/**
 * Options of `make` and `layer`; each key's bucket has all of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Retries earned per call: 0.2, the default, is one for every five calls. 0 leaves the reserve alone. */
  readonly ratio?: number | undefined
  /** Retries in reserve when a bucket starts, and the most its reserve ever holds. Default 10; 0 for no reserve. */
  readonly initial?: number | undefined
  /** Retries the reserve regains per second, up to `initial`. Default 0.1. */
  readonly minPerSecond?: number | undefined
  /**
   * How long what a call earned lasts, give or take a tenth of it (never longer). Default 60 seconds, the default
   * attempt timeout: a call that waited that long in vain still finds what it paid. Finagle's 10 seconds are meant for
   * calls of milliseconds.
   */
  readonly ttl?: Duration.DurationInput | undefined
  /**
   * At most `limit` extra attempts (retries and fallbacks of any kind) of a key in any stretch of `per`, whatever was
   * earned: a stop for runaway cost. Each key remembers up to `limit` timestamps for it. Default: none.
   */
  readonly hardCap?: { readonly limit: number; readonly per: Duration.DurationInput } | undefined
  /**
   * How many keys are kept. Default 10,000. Beyond it the one least recently used is forgotten and starts anew when it
   * comes back. That gives nothing away while forgotten keys have been idle for `initial / minPerSecond` seconds (100 by
   * default), after which the reserve is full by itself; so keep more keys than are in use in such a time, and with a
   * hard cap more than are in use within its `per`.
   */
  readonly capacity?: number | undefined
}

const rulesOf = (options: Options): Rules => ({
  ratio: OptionsOf.numberAtLeast("ratio", 0, options.ratio ?? 0.2),
  initial: OptionsOf.numberAtLeast("initial", 0, options.initial ?? 10),
  minPerSecond: OptionsOf.numberAtLeast("minPerSecond", 0, options.minPerSecond ?? 0.1),
  ttl: Duration.toMillis(OptionsOf.positiveDuration("ttl", options.ttl ?? "60 seconds")),
  hardCap: options.hardCap === undefined ? undefined : {
    limit: OptionsOf.positiveCount("hardCap.limit", options.hardCap.limit),
    per: Duration.toMillis(OptionsOf.finitePositiveDuration("hardCap.per", options.hardCap.per))
  },
  capacity: OptionsOf.positiveCount("capacity", options.capacity ?? 10_000)
})

const nanosToMillis = (nanos: bigint): number => Number(nanos) / 1e6

const build = (rules: Rules): RetryBudget => {
  const ledger = new Ledger(rules)
  return {
    [TypeId]: TypeId,
    available: (key) => Effect.map(Clock.currentTimeNanos, (now) => ledger.available(key, nanosToMillis(now))),
    deposit: (key, now) => ledger.deposit(key, nanosToMillis(now)),
    withdraw: (charge, keys, now) => ledger.withdraw(charge, keys, nanosToMillis(now))
  }
}

/**
 * `make` for the rare place that cannot run an effect.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeMake = (options: Options = {}): RetryBudget => build(rulesOf(options))

/**
 * A budget, to be shared by all calls it is meant for. Throws a `RangeError` that names a bad option.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ProviderError, RetryBudget, RetryPolicy } from "effect-resilience"
 *
 * const callModel = Effect.fail(new ProviderError.ServerError({ message: "503", reason: "Overloaded" }))
 *
 * const program = Effect.gen(function*() {
 *   const budget = yield* RetryBudget.make({ ratio: 0.1, initial: 5 })
 *   return yield* callModel.pipe(
 *     Effect.retry(RetryPolicy.make()),
 *     RetryBudget.track,
 *     RetryBudget.withKey("user:42"),
 *     Effect.provideService(RetryBudget.CurrentBudget, budget)
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<RetryBudget> => {
  const rules = rulesOf(options)
  return Effect.sync(() => build(rules))
}

/**
 * A budget that never refuses.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unlimited: RetryBudget = {
  [TypeId]: TypeId,
  available: () => Effect.succeed(Infinity),
  deposit: () => {},
  withdraw: () => true
}

/**
 * The budget in force. Default: undefined; then nothing is refused, save by a `Resilience`, which uses one of its own.
 *
 * @since 0.1.0
 * @category references
 */
export class CurrentBudget extends Context.Reference<CurrentBudget>()(
  "effect-resilience/RetryBudget/CurrentBudget",
  { defaultValue: (): RetryBudget | undefined => undefined }
) {}

const nameless: ReadonlyArray<Key> = [undefined]

/** The keys in force, outermost first. */
class CurrentKeys extends Context.Reference<CurrentKeys>()(
  "effect-resilience/RetryBudget/CurrentKeys",
  { defaultValue: () => nameless }
) {}

/**
 * What a call has paid to a budget. All that happens in the call shares it, so that a bucket is paid once, however often
 * the call comes by.
 */
class Payment {
  private readonly paid: Array<Key> = []

  constructor(readonly budget: RetryBudget, readonly around: Payment | undefined) {}

  payFor(keys: ReadonlyArray<Key>, now: bigint): void {
    for (const key of keys) {
      if (!this.paid.includes(key)) {
        this.paid.push(key)
        this.budget.deposit(key, now)
      }
    }
  }
}

class CurrentPayment extends Context.Reference<CurrentPayment>()(
  "effect-resilience/RetryBudget/CurrentPayment",
  { defaultValue: (): Payment | undefined => undefined }
) {}

const paymentTo = (budget: RetryBudget, payment: Payment | undefined): Payment | undefined =>
  payment === undefined || payment.budget === budget ? payment : paymentTo(budget, payment.around)

/**
 * Puts one budget in force for everything the layer is provided to. Provide it once, around the program: provided to
 * each call, it would be a new budget each time, and limit nothing.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { RetryBudget } from "effect-resilience"
 *
 * const program: Effect.Effect<void> = Effect.log("all calls of the program")
 *
 * const main = program.pipe(
 *   Effect.provide(RetryBudget.layer({ ratio: 0.1, hardCap: { limit: 100, per: "1 hour" } }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<CurrentBudget> => Layer.effect(CurrentBudget, make(options))

/**
 * Puts `unlimited` in force: nothing is refused, and no `Resilience` uses a budget of its own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerUnlimited: Layer.Layer<CurrentBudget> = Layer.succeed(CurrentBudget, unlimited)

/**
 * `withKey`, for a context that is about to be provided anyway.
 *
 * @internal
 */
export const keyed = (key: string) => <R>(context: Context.Context<R>): Context.Context<R> => {
  const keys = Context.get(context, CurrentKeys)
  return keys.includes(key)
    ? context
    : Context.add(context, CurrentKeys, keys === nameless ? [key] : [...keys, key])
}

/**
 * Charges what happens inside to a key as well: a user, a feature, a tenant. Keys nest: inside `user:42` and
 * `feature:chat` every call pays into both buckets, and every retry takes one from each, or is not made if either has
 * none. Without any key, calls share the budget's one nameless bucket. Put it outside of `track` and of what retries, so
 * that both know the key. Keys never leave the process: no metric, span or log names them.
 *
 * @example
 * ```ts
 * import { ChatProvider, RetryBudget } from "effect-resilience"
 *
 * const answer = ChatProvider.complete({ messages: [{ role: "user", content: "Hello" }] }).pipe(
 *   RetryBudget.withKey("feature:chat"),
 *   RetryBudget.withKey("user:42")
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const withKey: {
  (key: string): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, key: string): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, key: string): Effect.Effect<A, E, R> => inContext(self, keyed(key)))

/**
 * `track` for who has the context at hand: pays in for a call that begins in it, and gives the context the call is to run
 * in. Where no budget is in force it puts `own` in force.
 *
 * @internal
 */
export const unsafeDeposit = <R>(
  context: Context.Context<R>,
  now: bigint,
  own?: RetryBudget | undefined
): Context.Context<R> => {
  const provided = Context.get(context, CurrentBudget)
  const budget = provided ?? own
  if (budget === undefined) {
    return context
  }
  const inForce = provided === undefined ? Context.add(context, CurrentBudget, budget) : context
  const around = Context.get(context, CurrentPayment)
  const known = paymentTo(budget, around)
  const payment = known ?? new Payment(budget, around)
  payment.payFor(Context.get(context, CurrentKeys), now)
  return known === undefined ? Context.add(inForce, CurrentPayment, payment) : inForce
}

/**
 * Makes the effect one call: it pays `ratio` of a retry into the bucket of each key in force when it begins, whether it
 * will succeed or not. Put it outside the retry, so that retries earn nothing. A call inside a call pays nothing more to
 * a bucket that was paid already, so the layers of a program may each track; a fiber forked inside is part of the call.
 * Does nothing when no budget is in force.
 *
 * `Resilience` tracks by itself.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { RetryBudget, RetryPolicy } from "effect-resilience"
 *
 * const callModel: Effect.Effect<string> = Effect.succeed("any effect at all")
 *
 * const call = callModel.pipe(Effect.retry(RetryPolicy.make()), RetryBudget.track)
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const track = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.clockWith((clock) => inContext(self, (context) => unsafeDeposit(context, clock.unsafeCurrentTimeNanos())))

/**
 * `withdraw` for who has the context at hand.
 *
 * @internal
 */
export const unsafeWithdraw = (
  context: Context.Context<never>,
  charge: "retry" | "hard cap only",
  now: bigint
): boolean => {
  const budget = Context.get(context, CurrentBudget)
  return budget === undefined || budget.withdraw(charge, Context.get(context, CurrentKeys), now)
}

/**
 * May an extra attempt be made? If so it is charged to every key in force: a `"retry"` takes a token and counts for the
 * hard cap, `"hard cap only"` takes no token (a fallback's first attempt, a retry that waited out the server's
 * Retry-After). If a key lacks either, none is charged. Always true when no budget is in force. Policies ask this
 * themselves; it is for retry loops of your own.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { RetryBudget } from "effect-resilience"
 *
 * const again: Effect.Effect<string, string> = Effect.fail("boom")
 *
 * const program = Effect.catchAll(again, (error) =>
 *   Effect.if(RetryBudget.withdraw("retry"), {
 *     onTrue: () => again,
 *     onFalse: () => Effect.fail(error)
 *   }))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const withdraw = (charge: "retry" | "hard cap only"): Effect.Effect<boolean> =>
  Effect.withFiberRuntime((fiber) =>
    Effect.succeed(unsafeWithdraw(fiber.currentContext, charge, clockOf(fiber).unsafeCurrentTimeNanos()))
  )
