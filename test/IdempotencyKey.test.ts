import { describe, it } from "@effect/vitest"
import { assertMatch, assertTrue, deepStrictEqual, notDeepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Cause, Context, Effect, Exit, Fiber, Random, TestClock } from "effect"
import { ChatProvider, IdempotencyKey, Resilience, RetryPolicy } from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { expectTypeOf } from "vitest"
import { badCounts, overloaded, refuses, simulate } from "./utils.js"

/** A generator of `key-a`, `key-b`, … and how often it was asked. */
const counted = () => {
  const made: Array<string> = []
  const generate = Effect.sync(() => {
    const key = `key-${String.fromCharCode(97 + made.length)}`
    made.push(key)
    return key
  })
  return { made, generate: Effect.provideService(IdempotencyKey.Generator, generate) }
}

/** Asks for the key in each of three attempts, of which the last succeeds. */
const threeAttempts = () => {
  const keys: Array<string> = []
  const attempt = Effect.flatMap(
    IdempotencyKey.current,
    (key) => keys.push(key) < 3 ? Effect.fail(overloaded()) : Effect.succeed("answer")
  )
  return { keys, attempt }
}

describe("the key of a call", () => {
  it.effect("is the same for all attempts of a protected effect, and another for the next call", () =>
    Effect.gen(function*() {
      const { generate } = counted()
      const resilience = yield* Resilience.make()
      const first = threeAttempts()
      const second = threeAttempts()
      yield* simulate(generate(Effect.zip(resilience.protect(first.attempt), resilience.protect(second.attempt))))
      deepStrictEqual(first.keys, ["key-a", "key-a", "key-a"])
      deepStrictEqual(second.keys, ["key-b", "key-b", "key-b"])
    }))

  it.effect("is made anew each time one protected effect is run", () =>
    Effect.gen(function*() {
      const { generate } = counted()
      const call = (yield* Resilience.make()).protect(IdempotencyKey.current)
      deepStrictEqual(yield* generate(Effect.replicateEffect(call, 3)), ["key-a", "key-b", "key-c"])
    }))

  it.effect("is one for a whole retry around which there is once", () =>
    Effect.gen(function*() {
      const { generate } = counted()
      const { attempt, keys } = threeAttempts()
      yield* simulate(generate(attempt.pipe(Effect.retry(RetryPolicy.make()), IdempotencyKey.once)))
      deepStrictEqual(keys, ["key-a", "key-a", "key-a"])
    }))

  it.effect("would change with every attempt inside the retry", () =>
    Effect.gen(function*() {
      const { generate } = counted()
      const { attempt, keys } = threeAttempts()
      yield* simulate(generate(attempt.pipe(IdempotencyKey.once, Effect.retry(RetryPolicy.make()))))
      deepStrictEqual(keys, ["key-a", "key-b", "key-c"])
    }))

  it.effect("is the outermost one's, where calls are nested", () =>
    Effect.gen(function*() {
      const { generate, made } = counted()
      const { protect } = yield* Resilience.make()
      const key = IdempotencyKey.current
      const nested = Effect.all([key, IdempotencyKey.once(key), protect(key), protect(IdempotencyKey.once(key))])
      deepStrictEqual(yield* generate(protect(nested)), ["key-a", "key-a", "key-a", "key-a"])
      deepStrictEqual(yield* generate(IdempotencyKey.once(nested)), ["key-b", "key-b", "key-b", "key-b"])
      deepStrictEqual(made, ["key-a", "key-b"])
    }))

  it.effect("reaches the provider, the same with every attempt", () =>
    Effect.gen(function*() {
      const { generate } = counted()
      const provider = yield* ScriptedProvider.make([overloaded(), overloaded(), "answer", "another"])
      const complete = ChatProvider.complete({ messages: [{ role: "user", content: "Hello" }] })
      yield* simulate(
        Effect.zip(complete, complete).pipe(Effect.provide(Resilience.layer()(provider.layer)), generate)
      )
      const keys = (yield* provider.asked).map((asked) => asked.idempotencyKey)
      deepStrictEqual(keys, ["key-a", "key-a", "key-a", "key-b"])
    }))

  it.effect("is another for another body: a second request in one attempt has a derived one", () =>
    Effect.gen(function*() {
      const { generate } = counted()
      const provider = yield* ScriptedProvider.make(["first", overloaded(), "first", "second"])
      const complete = ChatProvider.complete({ messages: [{ role: "user", content: "Hello" }] })
      const { protect } = yield* Resilience.make()
      yield* simulate(protect(Effect.zip(complete, complete)).pipe(Effect.provide(provider.layer), generate))
      const keys = (yield* provider.asked).map((asked) => asked.idempotencyKey)
      deepStrictEqual(keys, ["key-a", "key-a-2", "key-a", "key-a-2"])
    }))

  it.effect("is a new one each time outside of any call", () =>
    Effect.gen(function*() {
      const { generate } = counted()
      deepStrictEqual(yield* generate(Effect.replicateEffect(IdempotencyKey.current, 2)), ["key-a", "key-b"])
    }))
})

describe("the generator", () => {
  it.effect("is not asked by a call that needs no key", () =>
    Effect.gen(function*() {
      const { generate, made } = counted()
      const resilience = yield* Resilience.make()
      yield* generate(resilience.protect(IdempotencyKey.once(Effect.succeed("answer"))))
      deepStrictEqual(made, [])
    }))

  it.effect("may be slow: those who ask meanwhile get the same key", () =>
    Effect.gen(function*() {
      let made = 0
      const slow = Effect.sleep("1 second").pipe(Effect.map(() => `key-${made++}`))
      const { exit } = yield* simulate(
        Effect.all(Array<typeof IdempotencyKey.current>(3).fill(IdempotencyKey.current), { concurrency: 3 }).pipe(
          IdempotencyKey.once,
          Effect.provideService(IdempotencyKey.Generator, slow)
        )
      )
      strictEqual(new Set(yield* exit).size, 1)
    }))

  it.effect("by default makes random UUIDs, which no seed repeats", () =>
    Effect.gen(function*() {
      const keys = Effect.withRandom(Effect.replicateEffect(IdempotencyKey.current, 100), Random.make("seed"))
      const first = yield* keys
      const second = yield* keys
      for (const key of first) {
        assertMatch(key, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      }
      strictEqual(new Set([...first, ...second]).size, 200)
      notDeepStrictEqual(first, second)
    }))

  for (const key of ["", "two words", "line\r\nX-Header: value", "schlüssel", "k".repeat(256)]) {
    it.effect(`that makes ${JSON.stringify(key.slice(0, 20))} is a defect that does not quote it`, () =>
      Effect.gen(function*() {
        const exit = yield* IdempotencyKey.current.pipe(
          Effect.provideService(IdempotencyKey.Generator, Effect.succeed(key)),
          Effect.exit
        )
        assertTrue(Exit.isFailure(exit) && Cause.isDieType(exit.cause))
        assertTrue(exit.cause.defect instanceof RangeError)
        strictEqual(exit.cause.defect.message, "IdempotencyKey.Generator: expected 1 to 255 visible ASCII characters")
      }))
  }
})

describe("the caller's own key", () => {
  it.effect("wins over everything inside, and makes none", () =>
    Effect.gen(function*() {
      const { generate, made } = counted()
      const resilience = yield* Resilience.make()
      const { attempt, keys } = threeAttempts()
      yield* simulate(
        attempt.pipe(IdempotencyKey.once, resilience.protect, IdempotencyKey.withKey("order-42"), generate)
      )
      deepStrictEqual([keys, made], [["order-42", "order-42", "order-42"], []])
    }))

  it.effect("the innermost of two", () =>
    Effect.gen(function*() {
      const inner = IdempotencyKey.withKey(IdempotencyKey.current, "inner")
      strictEqual(yield* IdempotencyKey.withKey(inner, "outer"), "inner")
    }))

  for (const key of ["!", "order-42", "~".repeat(255)]) {
    it.effect(`may be ${key.slice(0, 10)} of ${key.length}`, () =>
      Effect.map(IdempotencyKey.current.pipe(IdempotencyKey.withKey(key)), (used) => strictEqual(used, key)))
  }

  for (
    const key of ["", " ", "two words", "tab\t", "line\n", "line\r\nX-Header: value", "schlüssel", "k".repeat(256)]
  ) {
    it(`may not be ${JSON.stringify(key.slice(0, 30))} of ${key.length}`, () =>
      refuses("key", () => IdempotencyKey.withKey(Effect.void, key)))
  }
})

describe("a derived key", () => {
  const four = Effect.all([1, 2, 3, 2].map((n) => IdempotencyKey.current.pipe(IdempotencyKey.derived(n))))

  it.effect("is the key with the number of the body, and the key itself for the first", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* IdempotencyKey.withKey(four, "key"), ["key", "key-2", "key-3", "key-2"])
    }))

  it.effect("belongs to the call it is derived in", () =>
    Effect.gen(function*() {
      const { generate } = counted()
      const resilience = yield* Resilience.make()
      deepStrictEqual(yield* generate(resilience.protect(four)), ["key-a", "key-a-2", "key-a-3", "key-a-2"])
    }))

  it.effect("is the same for all attempts inside", () =>
    Effect.gen(function*() {
      const { generate } = counted()
      const resilience = yield* Resilience.make()
      const { attempt, keys } = threeAttempts()
      yield* simulate(attempt.pipe(resilience.protect, IdempotencyKey.derived(2), IdempotencyKey.once, generate))
      deepStrictEqual(keys, ["key-a-2", "key-a-2", "key-a-2"])
    }))

  it.effect("differs from every other, also when derived of a derived one", () =>
    Effect.gen(function*() {
      const nested = Effect.all(
        [1, 2, 3].map((n) =>
          Effect.all([1, 2, 3].map((m) => IdempotencyKey.current.pipe(IdempotencyKey.derived(m)))).pipe(
            IdempotencyKey.derived(n)
          )
        )
      )
      const keys = (yield* IdempotencyKey.withKey(nested, "key")).flat()
      deepStrictEqual([keys[0], keys[3], new Set(keys).size], ["key", "key-2", 9])
    }))

  it.effect("is one that servers take, however long the caller's own is", () =>
    Effect.gen(function*() {
      const key = yield* IdempotencyKey.current.pipe(
        IdempotencyKey.derived(2),
        IdempotencyKey.withKey("k".repeat(255))
      )
      assertMatch(key, /^[\x21-\x7e]{1,255}$/)
    }))

  for (const n of badCounts) {
    it(`is not made for a body number ${typeof n} ${n}`, () =>
      refuses("n", () => IdempotencyKey.derived(Effect.void, n)))
  }
})

it("types: nothing is added", () => {
  class Service extends Context.Tag("Service")<Service, string>() {}
  const call = Effect.zipRight(Service, Effect.fail("boom" as const))
  type Call = Effect.Effect<never, "boom", Service>
  expectTypeOf(call.pipe(IdempotencyKey.once)).toEqualTypeOf<Call>()
  expectTypeOf(call.pipe(IdempotencyKey.withKey("key"))).toEqualTypeOf<Call>()
  expectTypeOf(call.pipe(IdempotencyKey.derived(2))).toEqualTypeOf<Call>()
  expectTypeOf(IdempotencyKey.current).toEqualTypeOf<Effect.Effect<string>>()
})

it.effect("two requests in one attempt send two bodies, and each has its key on every attempt", () =>
  Effect.gen(function*() {
    const down = overloaded()
    const provider = yield* ScriptedProvider.make(["one", down, "one", "two"])
    const { protect } = yield* Resilience.make()
    const ask = ChatProvider.complete({ model: "m", messages: [] })
    const fiber = yield* Effect.zipRight(ask, ask).pipe(
      protect,
      IdempotencyKey.withKey("key"),
      Effect.provide(provider.layer),
      Effect.fork
    )
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(fiber)
    const asked = yield* provider.asked
    deepStrictEqual(asked.map((one) => one.idempotencyKey), ["key", "key-2", "key", "key-2"])
  }))
