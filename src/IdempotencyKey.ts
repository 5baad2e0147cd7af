/**
 * One key for all attempts of a call.
 *
 * A request that timed out may have been carried out, and paid for, all the same. A server that knows idempotency keys
 * answers the retry with the first result, but only if every attempt carries the same key; a key made inside the retry
 * is worse than none. So the key is made once, outside, and travels as an ambient value. A fallback or a continuation
 * sends another body, for which a server would reject the same key, and gets a derived one (`key-2`). Providers are free
 * to ignore the header, and most LLM providers do today.
 *
 * Source: draft-ietf-httpapi-idempotency-key-header.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { inContext } from "./runtime/bracket.js"
import { positiveCount } from "./runtime/options.js"

/**
 * Makes the keys. Default: `crypto.randomUUID`. It does not draw on `Random`, whose seed is too small to keep the keys
 * of many processes apart.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { IdempotencyKey } from "effect-resilience"
 *
 * const program = IdempotencyKey.current.pipe(
 *   Effect.provideService(IdempotencyKey.Generator, Effect.succeed("key-for-a-test"))
 * )
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export class Generator extends Context.Reference<Generator>()(
  "effect-resilience/IdempotencyKey/Generator",
  { defaultValue: (): Effect.Effect<string> => Effect.sync(() => globalThis.crypto.randomUUID()) }
) {}

/** A key that is made when it is first asked for, since most calls never need one. */
interface Root {
  key: string | undefined
}

/**
 * A key, and which body of the call it is for. That of a first body is the key it is derived of, so a level of firsts
 * shows only once something else is derived inside: the second body of the first is `key-1-2`, and not that of another.
 */
class Cell {
  constructor(readonly root: Root, private readonly suffix = "", private readonly firsts = "") {}
  nth(n: number): Cell {
    return n === 1
      ? new Cell(this.root, this.suffix, `${this.firsts}-1`)
      : new Cell(this.root, `${this.suffix}${this.firsts}-${n}`)
  }
  of(key: string): string {
    return `${key.slice(0, 255 - this.suffix.length)}${this.suffix}`
  }
}

const cellOf = (key: string | undefined): Cell => new Cell({ key })

class CurrentKey extends Context.Reference<CurrentKey>()(
  "effect-resilience/IdempotencyKey/CurrentKey",
  { defaultValue: (): Cell | undefined => undefined }
) {}

// Visible ASCII: what every server takes as a header value, with nothing that could end the header early.
const legal = /^[\x21-\x7e]{1,255}$/

const expected = "expected 1 to 255 visible ASCII characters"

/** Whoever comes first makes it, even if another began to. */
const made = (root: Root, key: string): string => {
  if (!legal.test(key)) {
    throw new RangeError(`IdempotencyKey.Generator: ${expected}`)
  }
  return root.key ??= key
}

/**
 * The key of the call this runs in; a new one each time outside of any.
 *
 * @since 0.1.0
 * @category accessors
 */
export const current: Effect.Effect<string> = Effect.withFiberRuntime((fiber) => {
  const context = fiber.currentContext
  const cell = Context.get(context, CurrentKey) ?? cellOf(undefined)
  const { root } = cell
  return root.key === undefined
    ? Effect.map(Context.get(context, Generator), (key) => cell.of(made(root, key)))
    : Effect.succeed(cell.of(root.key))
})

/**
 * `withKey`, for a context that is about to be provided anyway.
 *
 * @internal
 */
export const keyed = (key: string): <R>(context: Context.Context<R>) => Context.Context<R> => {
  if (!legal.test(key)) {
    throw new RangeError(`key: ${expected}`)
  }
  return (context) => Context.add(context, CurrentKey, cellOf(key))
}

/**
 * Uses the caller's own key for every call inside. Throws a `RangeError` unless it is 1 to 255 visible ASCII characters.
 * Give each logical call a key of its own: a server takes a second body under the same key for a mistake.
 *
 * @example
 * ```ts
 * import { ChatProvider, IdempotencyKey } from "effect-resilience"
 *
 * const answer = ChatProvider.complete({ messages: [{ role: "user", content: "Hello" }] }).pipe(
 *   IdempotencyKey.withKey("order-42-summary")
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
 * `once`, for a context that is about to be provided anyway.
 *
 * @internal
 */
export const ensure = <R>(context: Context.Context<R>): Context.Context<R> =>
  Context.get(context, CurrentKey) === undefined ? Context.add(context, CurrentKey, cellOf(undefined)) : context

/**
 * Gives the effect one key for all that happens in it, unless a caller already chose one. Put it outside the retry;
 * `Resilience` and `Fallback` do so themselves.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { IdempotencyKey, RetryPolicy } from "effect-resilience"
 *
 * const send = Effect.flatMap(IdempotencyKey.current, (key) => Effect.log(`Idempotency-Key: ${key}`))
 *
 * const program = send.pipe(Effect.retry(RetryPolicy.make()), IdempotencyKey.once)
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const once = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => inContext(self, ensure)

/**
 * `derived`, for a context that is about to be provided anyway.
 *
 * @internal
 */
export const nth = (n: number) => <R>(context: Context.Context<R>): Context.Context<R> => {
  const cell = Context.get(context, CurrentKey)
  return cell === undefined && n === 1 ? context : Context.add(context, CurrentKey, (cell ?? cellOf(undefined)).nth(n))
}

/**
 * The key for the nth body that one logical call sends: the key itself for the first, `key-2` for the second, and for the
 * second body of the second `key-2-2`. For fallbacks and continuations.
 *
 * @since 0.1.0
 * @category combinators
 */
export const derived: {
  (n: number): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, n: number): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, n: number): Effect.Effect<A, E, R> => {
  positiveCount("n", n)
  return inContext(self, nth(n))
})
