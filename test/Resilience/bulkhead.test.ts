import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, Exit, Fiber, TestClock } from "effect"
import {
  CallReport,
  ChatProvider,
  CircuitBreaker,
  Deadline,
  Fallback,
  ProviderError,
  Resilience
} from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { alternatives, badCounts, failureOf, nameOf, onlyReport, overloaded, refuses, simulate } from "../utils.js"

const request: ChatProvider.ChatRequest = { model: "m", messages: [{ role: "user", content: "Hello" }] }

const inChain = (left: number) => Effect.provideService(Fallback.Alternatives, alternatives(left))

/** Policies of which every slot is taken for so long. */
const full = (time: number, options: Resilience.Options = {}) =>
  Effect.gen(function*() {
    const resilience = yield* Resilience.make({ maxConcurrent: 2, retry: { maxAttempts: 1 }, ...options })
    yield* Effect.forEach([1, 2], () => Effect.fork(resilience.protect(Effect.sleep(time))))
    yield* Effect.yieldNow()
    return resilience
  })

describe("maxConcurrent", () => {
  it.effect("no more attempts than so many are under way, and the others wait in line", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ maxConcurrent: 2 })
      let inside = 0
      let most = 0
      const attempt = Effect.acquireUseRelease(
        Effect.sync(() => {
          most = Math.max(most, inside += 1)
        }),
        () => Effect.sleep("1 second"),
        () => Effect.sync(() => inside -= 1)
      )
      const calls = Effect.all(Array.from({ length: 6 }, () => protect(attempt)), { concurrency: "unbounded" })
      const { at } = yield* simulate(calls)
      deepStrictEqual([most, at], [2, 3000])
    }))

  it.effect("a slot is free while its call waits for the next attempt", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ maxConcurrent: 1, retry: { jitter: "none" } })
      const backsOff = yield* Effect.fork(Effect.exit(protect(Effect.fail(overloaded()))))
      yield* TestClock.adjust(500)
      strictEqual(yield* protect(Effect.succeed("through")), "through")
      yield* Fiber.interrupt(backsOff)
    }))

  it.effect("when full, a call that has another provider left turns to it at once", () =>
    Effect.gen(function*() {
      const { protect } = yield* full(5000)
      const call = CallReport.collect(simulate(inChain(1)(protect(Effect.void))))
      const { exit: ended, reports } = yield* call
      const { at, exit } = yield* ended
      const error = failureOf(exit)
      assertTrue(error._tag === "RateLimited")
      deepStrictEqual([at, error.retryAfter, ProviderError.isRetryable(error)], [0, undefined, false])
      assertTrue(ProviderError.isFallbackable(error, { first: true }))
      deepStrictEqual(onlyReport(reports).denials.map(({ by }) => by), ["bulkhead"])
    }))

  it.effect("otherwise it waits for as long as an attempt may take, and no longer", () =>
    Effect.gen(function*() {
      const { protect } = yield* full(5000, { attemptTimeout: "10 seconds" })
      strictEqual((yield* simulate(protect(Effect.void))).at, 5000)
      const busy = yield* full(50_000, { attemptTimeout: "10 seconds" })
      // Those inside end after ten seconds by themselves, so a slot is found at the last moment.
      const { exit } = yield* simulate(busy.protect(Effect.void))
      assertTrue(Exit.isSuccess(exit) || nameOf(failureOf(exit)) === "RateLimited")
    }))

  it.effect("nobody stands in line for longer than would leave an attempt its reserve", () =>
    Effect.gen(function*() {
      const { protect } = yield* full(30_000)
      const { at, exit } = yield* simulate(Deadline.within(protect(Effect.void), "3 seconds"))
      deepStrictEqual([nameOf(failureOf(exit)), at], ["RateLimited", 2500])
      const narrow = (yield* full(30_000)).protect(Effect.void)
      const close = yield* simulate(Effect.exit(Deadline.within(narrow, "3 seconds", { reserve: "4 seconds" })), 0)
      strictEqual(nameOf(failureOf(yield* close.exit)), "RateLimited")
    }))

  it.effect("to be turned away says nothing about the provider: its circuit stays closed", () =>
    Effect.gen(function*() {
      const circuit = yield* CircuitBreaker.make({ trip: CircuitBreaker.consecutiveFailures(1) })
      const { protect } = yield* full(5000, { circuitBreaker: circuit })
      yield* Effect.exit(inChain(1)(protect(Effect.void)))
      strictEqual((yield* circuit.state)._tag, "Closed")
    }))

  it.effect("in a chain the next provider answers, and the full one is asked again when it has room", () =>
    Effect.gen(function*() {
      const slow = Effect.as(Effect.sleep("1 second"), "from the primary")
      const primary = yield* ScriptedProvider.make([slow, "from the primary, later"])
      const backup = yield* ScriptedProvider.make(["from the backup"])
      const call = Effect.map(ChatProvider.complete(request), ChatProvider.text)
      const texts = yield* Effect.gen(function*() {
        const first = yield* Effect.fork(call)
        yield* Effect.yieldNow()
        const second = yield* call
        yield* TestClock.adjust("1 second")
        return [yield* Fiber.join(first), second, yield* call]
      }).pipe(
        Effect.provide(primary.layer.pipe(Resilience.layer({ maxConcurrent: 1 }), Fallback.orElse(backup.layer)))
      )
      deepStrictEqual(texts, ["from the primary", "from the backup", "from the primary, later"])
    }))

  it("refuses what is no count", () => {
    for (const bad of badCounts) {
      refuses("maxConcurrent", () => Resilience.make({ maxConcurrent: bad }))
    }
  })
})
