import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, type Layer, Schedule } from "effect"
import { CallReport, ChatProvider, Fallback, Resilience, RetryBudget, RetryPolicy } from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { always, failureOf, nameOf, onlyReport, overloaded, rateLimited, simulate } from "../utils.js"

const request: ChatProvider.ChatRequest = { model: "m", messages: [{ role: "user", content: "Hello" }] }

const options: Resilience.Options = { retry: { jitter: "none" }, circuitBreaker: false }

/** So many retries, and no more. */
const retries = (initial: number) => RetryBudget.make({ initial, ratio: 0, minPerSecond: 0 })

const within = (budget: RetryBudget.RetryBudget) => Effect.provideService(RetryBudget.CurrentBudget, budget)

describe("the retry budget of a Resilience", () => {
  it.effect("is its own by default: ten retries in reserve, and one for every five calls", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const { protect } = yield* Resilience.make(options)
      const calls = Array.from({ length: 100 }, () => Effect.exit(protect(attempt)))
      const { at: endedAt } = yield* simulate(Effect.all(calls, { concurrency: "unbounded" }))
      const retries = at.length - 100
      // Time gives back one in ten seconds.
      deepStrictEqual([retries >= 30, retries <= 30 + Math.ceil(endedAt / 10_000)], [true, true])
    }))

  it.effect("when it is spent the call's own error surfaces at once, and the report says why", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const { protect } = yield* Resilience.make(options)
      const call = CallReport.collect(simulate(protect(attempt)))
      const { exit: ended, reports } = yield* within(yield* retries(1))(call)
      const { at: endedAt, exit } = yield* ended
      deepStrictEqual([nameOf(failureOf(exit)), at, endedAt], ["ServerError", [0, 1000], 1000])
      strictEqual(onlyReport(reports).stoppedBy, "budget")
    }))

  it.effect("a spent budget never touches the first attempt", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make(options)
      strictEqual(yield* within(yield* retries(0))(protect(Effect.succeed("answer"))), "answer")
    }))

  it.effect("a provided one holds for all that share it", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const [one, two] = [yield* Resilience.make(options), yield* Resilience.make(options)]
      const budget = within(yield* retries(3))
      yield* simulate(budget(Effect.exit(one.protect(attempt))))
      yield* simulate(budget(Effect.exit(two.protect(attempt))))
      strictEqual(at.length, 2 + 3)
    }))

  it.effect("layerUnlimited lifts it", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const { protect } = yield* Resilience.make(options)
      yield* simulate(Effect.forEach(Array.from({ length: 10 }), () => Effect.exit(protect(attempt))))
      strictEqual(at.length, 50)
    }).pipe(Effect.provide(RetryBudget.layerUnlimited)))

  it.effect("a retry that waits out Retry-After takes no token", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(rateLimited("2 seconds")))
      const { protect } = yield* Resilience.make(options)
      yield* within(yield* retries(0))(simulate(protect(attempt)))
      strictEqual(at.length, 5)
    }))

  it.effect("each retry takes one token, whatever policy of the user's says so too", () =>
    Effect.gen(function*() {
      const budget = yield* retries(10)
      const retry = RetryPolicy.make({ jitter: "none" }).pipe(Schedule.tapOutput(() => Effect.void))
      for (const policy of [retry, RetryPolicy.make({ jitter: "none" })]) {
        const before = yield* budget.available()
        const { at, attempt } = always(Effect.fail(overloaded()))
        const { protect } = yield* Resilience.make({ ...options, retry: policy })
        yield* within(budget)(simulate(protect(attempt)))
        deepStrictEqual([at.length, before - (yield* budget.available())], [5, 4])
      }
    }))

  it.effect("a policy turned away by the circuit has not paid", () =>
    Effect.gen(function*() {
      const budget = yield* retries(10)
      const { protect } = yield* Resilience.make({
        ...options,
        circuitBreaker: { trip: { _tag: "ConsecutiveFailures", failures: 1 } }
      })
      yield* within(budget)(simulate(protect(Effect.fail(overloaded()))))
      strictEqual(yield* budget.available(), 10)
    }))
})

describe("a chain", () => {
  const complete = (
    ...layers: readonly [Layer.Layer<ChatProvider.ChatProvider>, ...Array<Layer.Layer<ChatProvider.ChatProvider>>]
  ) => Effect.provide(ChatProvider.complete(request), Fallback.layer(...layers))

  it.effect("is one call, and pays once, however many providers it asks", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ initial: 0, ratio: 1, minPerSecond: 0 })
      const down = ScriptedProvider.layer([Effect.fail(rateLimited("1 hour"))])
      yield* within(budget)(complete(down, ScriptedProvider.layer(["answer"])))
      strictEqual(yield* budget.available(), 1)
    }))

  it.effect("the next provider takes no token, but counts for the hard cap", () =>
    Effect.gen(function*() {
      const down = () => ScriptedProvider.layer([Effect.fail(rateLimited("1 hour"))])
      const spent = yield* retries(0)
      const text = yield* within(spent)(complete(down(), ScriptedProvider.layer(["answer"])))
      strictEqual(ChatProvider.text(text), "answer")

      const capped = yield* RetryBudget.make({ hardCap: { limit: 1, per: "1 hour" } })
      const chain = CallReport.collect(complete(down(), down(), ScriptedProvider.layer(["answer"])))
      const { exit, reports } = yield* within(capped)(chain)
      strictEqual(nameOf(failureOf(exit)), "RateLimited")
      deepStrictEqual([onlyReport(reports).attempts.length, onlyReport(reports).stoppedBy], [2, "budget"])
    }))
})
