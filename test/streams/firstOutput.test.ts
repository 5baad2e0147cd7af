import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, Exit, Fiber, Layer, Random, Stream, TestClock } from "effect"
import { ChatProvider, CircuitBreaker, Fallback, Resilience, RetryBudget } from "effect-resilience"
import { clientError, failureOf, nameOf, overloaded, rateLimited, simulate } from "../utils.js"
import { read, request, scripted, silentAfter, texts } from "./reading.js"

const plainJitter = { jitter: "none" } as const

describe("up to its first output", () => {
  it.effect("a stream is retried with backoff, and its reader notices nothing", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", overloaded(), overloaded(), "Hello there")
      const seen = yield* read(provider.layer.pipe(Resilience.layer({ retry: plainJitter })))
      deepStrictEqual([seen.text, seen.end], ["Hello there", "whole"])
      strictEqual(seen.at.at(-1), 3000)
      strictEqual(seen.report.retries, 2)
    }))

  it.effect("Retry-After is waited for, and everyone else waits with it", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", rateLimited("7 seconds"), "first", "second")
      const layer = provider.layer.pipe(Resilience.layer({ retry: plainJitter }))
      const both = Effect.gen(function*() {
        const context = yield* Layer.build(layer)
        const ask = Effect.provide(ChatProvider.collect(ChatProvider.stream(request)), context)
        const first = yield* Effect.fork(ask)
        yield* Effect.sleep("1 second")
        yield* ask
        yield* Fiber.join(first)
      })
      const { at } = yield* simulate(Effect.scoped(both))
      assertTrue(at >= 7000, `ended at ${at}`)
      const asked = yield* provider.asked
      assertTrue(asked.slice(1).every((one) => one.at >= 7000))
    }))

  it.effect("what does not help is not retried", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", clientError("InvalidRequest"))
      const seen = yield* read(provider.layer.pipe(Resilience.layer()))
      deepStrictEqual([seen.text, seen.end, seen.report.attempts.length], ["", "ClientError", 1])
    }))

  it.effect("chunks without output are not the reader's to see, when the attempt then fails", () =>
    Effect.gen(function*() {
      const role: ChatProvider.ChatChunk = { choices: [{ index: 0, delta: { role: "assistant", content: "" } }] }
      const provider = yield* scripted("a", Stream.concat(Stream.make(role), Stream.fail(overloaded())), "again")
      const chunks = ChatProvider.stream(request).pipe(
        Stream.runCollect,
        Effect.provide(provider.layer.pipe(Resilience.layer()))
      )
      const { exit } = yield* simulate(chunks)
      const seen = [...(yield* exit)]
      strictEqual(seen.filter((chunk) => chunk === role).length, 0)
      strictEqual(seen.map(ChatProvider.deltaText).join(""), "again")
    }))

  it.effect("the next provider is turned to, and the first one's time is 10 seconds while it is left", () =>
    Effect.gen(function*() {
      const silent = yield* scripted("a", Stream.never)
      const backup = yield* scripted("b", "from b")
      const seen = yield* read(Fallback.layer(silent.layer, backup.layer))
      deepStrictEqual([seen.text, seen.end], ["from b", "whole"])
      strictEqual(seen.at.at(-1), 10_000)
      deepStrictEqual(seen.report.attempts.map(({ error }) => error && nameOf(error)), [
        "Timeout FirstToken",
        undefined
      ])
    }))

  it.effect("a model that is asked to reason has the whole attempt timeout", () =>
    Effect.gen(function*() {
      for (const reasoning of [{ reasoning_effort: "high" }, { thinking: { type: "enabled", budget_tokens: 2000 } }]) {
        const slow = yield* scripted("a", texts(["thought about it"], 40_000))
        const backup = yield* scripted("b", "from b")
        const seen = yield* read(
          Fallback.layer(slow.layer, backup.layer),
          ChatProvider.stream({ ...request, ...reasoning })
        )
        deepStrictEqual([seen.text, seen.at.at(-1)], ["thought about it", 40_000])
      }
    }))

  it.effect("so has one whose layer says that it reasons", () =>
    Effect.gen(function*() {
      const slow = yield* scripted("a", texts(["thought about it"], 40_000))
      const backup = yield* scripted("b", "from b")
      const seen = yield* read(
        Fallback.layer(slow.layer.pipe(Resilience.layer({ reasoning: true })), backup.layer)
      )
      strictEqual(seen.text, "thought about it")
    }))

  it.effect("firstToken limits it, and the attempt timeout where it is shorter", () =>
    Effect.gen(function*() {
      for (
        const [options, end, at] of [
          [{ firstToken: "3 seconds" }, "Timeout FirstToken", 3000],
          [{ firstToken: "3 seconds", attemptTimeout: "2 seconds" }, "Timeout Attempt", 2000]
        ] as const
      ) {
        const silent = yield* scripted("a", Stream.never)
        const seen = yield* read(silent.layer.pipe(Resilience.layer({ ...options, retry: { maxAttempts: 1 } })))
        deepStrictEqual([seen.end, seen.at.at(-1)], [end, at])
      }
    }))

  it.effect("a whole answer that has no output is whole", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", Stream.empty)
      const seen = yield* read(provider.layer.pipe(Resilience.layer()))
      deepStrictEqual([seen.text, seen.end, seen.report.attempts.length], ["", "whole", 1])
    }))
})

describe("what a stream holds", () => {
  it.effect("is a slot, until it ends, is stopped or is interrupted", () =>
    Effect.gen(function*() {
      const { protect, protectStream } = yield* Resilience.make({ maxConcurrent: 1, retry: { maxAttempts: 1 } })
      const isFree = Effect.map(
        Effect.either(Effect.timeout(protect(Effect.void), 1)),
        (either) => either._tag === "Right"
      )
      const ends = [
        Stream.runDrain(protectStream(texts(["a", "b"], 1000))),
        Stream.runDrain(Stream.take(protectStream(texts(["a", "b"], 1000)), 1)),
        Effect.ignore(Stream.runDrain(protectStream(texts(["a"], 1000, overloaded())))),
        Effect.ignore(Stream.runForEach(protectStream(texts(["a", "b"], 1000)), () => Effect.fail("reader")))
      ]
      for (const end of ends) {
        const fiber = yield* Effect.fork(end)
        yield* TestClock.adjust(500)
        const during = yield* Effect.fork(isFree)
        yield* TestClock.adjust(1)
        strictEqual(yield* Fiber.join(during), false)
        yield* TestClock.adjust(5000)
        yield* Fiber.join(fiber)
        const after = yield* Effect.fork(isFree)
        yield* TestClock.adjust(1)
        strictEqual(yield* Fiber.join(after), true)
      }
      const running = yield* Effect.fork(Stream.runDrain(protectStream(silentAfter("a"))))
      yield* TestClock.adjust(500)
      yield* Fiber.interrupt(running)
      const after = yield* Effect.fork(isFree)
      yield* TestClock.adjust(1)
      strictEqual(yield* Fiber.join(after), true)
    }))

  it.effect("is a permit: a break after the first output is a failure, and whoever stops reading says nothing", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ trip: CircuitBreaker.consecutiveFailures(2) })
      const { protectStream } = yield* Resilience.make({ circuitBreaker: breaker, retry: { maxAttempts: 1 } })
      const broken = Effect.exit(Stream.runDrain(protectStream(texts(["a"], 0, overloaded()))))
      const stopped = Stream.runDrain(Stream.take(protectStream(texts(["a", "b"])), 1))
      yield* broken
      yield* stopped
      strictEqual((yield* breaker.state)._tag, "Closed")
      yield* broken
      strictEqual((yield* breaker.state)._tag, "Open")
    }))

  it.effect("a probe has done its duty with its first output, and its later break is an ordinary failure", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ trip: CircuitBreaker.consecutiveFailures(1), openFor: "5 seconds" })
      const { protect, protectStream } = yield* Resilience.make({
        circuitBreaker: breaker,
        retry: { maxAttempts: 1 }
      })
      yield* Effect.exit(protect(Effect.fail(overloaded())))
      yield* TestClock.adjust("5 seconds")
      const probe = yield* Effect.fork(
        Effect.exit(Stream.runDrain(protectStream(texts(["a", "b"], 10_000, overloaded()))))
      )
      yield* TestClock.adjust("9 seconds")
      strictEqual((yield* breaker.state)._tag, "HalfOpen")
      strictEqual(nameOf(failureOf(yield* Effect.exit(protect(Effect.void)))), "CircuitOpen")
      yield* TestClock.adjust("1 second")
      strictEqual((yield* breaker.state)._tag, "Closed")
      yield* TestClock.adjust("10 seconds")
      assertTrue(Exit.isFailure(yield* Fiber.join(probe)))
      strictEqual((yield* breaker.state)._tag, "Open")
    }))

  it.effect("costs its budget like any call: a deposit for each, a token for each retry", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0.5, initial: 1, minPerSecond: 0 })
      const provider = yield* scripted("a", overloaded(), "one", overloaded(), "never asked for")
      const layer = provider.layer.pipe(Resilience.layer({ retry: plainJitter }))
      const twice = Effect.gen(function*() {
        const context = yield* Layer.build(layer)
        const ask = Effect.exit(Effect.provide(ChatProvider.collect(ChatProvider.stream(request)), context))
        return [yield* ask, yield* ask] as const
      })
      const { exit } = yield* simulate(
        twice.pipe(
          Effect.provideService(RetryBudget.CurrentBudget, budget),
          Effect.scoped,
          Effect.withRandom(Random.make("budget"))
        )
      )
      const [first, second] = yield* exit
      assertTrue(Exit.isSuccess(first))
      // One token paid for the first retry; two calls have earned one more.
      assertTrue(Exit.isSuccess(second))
      strictEqual(yield* budget.available(), 0)
    }))
})
