import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Exit, Fiber, Random, TestClock } from "effect"
import { CallReport, ChatProvider, Deadline, Fallback, Resilience } from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { alternatives, always, failureOf, nameOf, onlyReport, rateLimited, simulate } from "../utils.js"

const request: ChatProvider.ChatRequest = { model: "m", messages: [{ role: "user", content: "Hello" }] }

/** Policies that have just heard a 429 with Retry-After, from one call that gave up. */
const paused = (retryAfter: Duration.DurationInput, options: Resilience.Options = {}) =>
  Effect.gen(function*() {
    const resilience = yield* Resilience.make({ retry: { jitter: "none" }, ...options })
    const first = yield* Effect.fork(resilience.protect(Effect.fail(rateLimited(retryAfter))))
    yield* Effect.yieldNow()
    yield* Fiber.interrupt(first)
    return resilience
  })

const inChain = (left: number) => Effect.provideService(Fallback.Alternatives, alternatives(left))

describe("a 429 with Retry-After", () => {
  it.effect("pauses the provider for everyone: a call on its last provider waits before it sends anything", () =>
    Effect.gen(function*() {
      const { protect } = yield* paused("20 seconds")
      const { at, attempt } = always(Effect.succeed("answer"))
      const { exit } = yield* simulate(protect(attempt))
      deepStrictEqual([exit, at], [Exit.succeed("answer"), [20_000]])
    }))

  it.effect("those who waited do not return together, and none comes early", () =>
    Effect.gen(function*() {
      const { protect } = yield* paused("20 seconds", { retry: {} })
      const { at, attempt } = always(Effect.void)
      yield* simulate(Effect.all(Array.from({ length: 50 }, () => protect(attempt)), { concurrency: "unbounded" }))
      assertTrue(Math.min(...at) >= 20_000 && Math.max(...at) <= 21_000)
      assertTrue(new Set(at).size > 40)
    }).pipe(Effect.withRandom(Random.make("spread"))))

  it.effect("a call that has another provider left skips it, without sending anything", () =>
    Effect.gen(function*() {
      const { protect } = yield* paused("1 second")
      const { at, attempt } = always(Effect.void)
      const { exit: ended, reports } = yield* CallReport.collect(simulate(inChain(1)(protect(attempt))))
      const { at: endedAt, exit } = yield* ended
      const error = failureOf(exit)
      assertTrue(error._tag === "RateLimited")
      deepStrictEqual([error.retryAfter, at, endedAt], [Duration.seconds(1), [], 0])
      deepStrictEqual(onlyReport(reports).denials.map(({ by }) => by), ["pause"])
    }))

  it.effect("the wait is in the report, with its reason", () =>
    Effect.gen(function*() {
      const { protect } = yield* paused("20 seconds")
      const events: Array<CallReport.Event> = []
      const call = CallReport.observe(protect(Effect.void), (event) => Effect.sync(() => events.push(event)))
      const { exit, reports } = yield* CallReport.collect(simulate(call))
      yield* exit
      strictEqual(Duration.toMillis(onlyReport(reports).waited), 20_000)
      deepStrictEqual(
        events.flatMap((event) => event._tag === "Waiting" ? [[event.reason, Duration.toMillis(event.delay)]] : []),
        [["pause", 20_000]]
      )
    }))

  it.effect("a pause that ends past the deadline is not waited for", () =>
    Effect.gen(function*() {
      const { protect } = yield* paused("20 seconds")
      const { at, exit } = yield* simulate(Deadline.within(protect(Effect.void), "10 seconds"))
      deepStrictEqual([nameOf(failureOf(exit)), at], ["RateLimited", 0])
    }))

  it.effect("a pause longer than maxRetryAfter is not waited for", () =>
    Effect.gen(function*() {
      const { protect } = yield* paused("2 minutes")
      const { at, exit } = yield* simulate(protect(Effect.void))
      deepStrictEqual([nameOf(failureOf(exit)), at], ["RateLimited", 0])
    }))

  it.effect("one that others prolong is waited for again, but no longer than maxRetryAfter in all", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ retry: { maxAttempts: 1, jitter: "none" } })
      const busy = (after: Duration.DurationInput) =>
        Effect.fork(Effect.exit(protect(Effect.zipRight(Effect.sleep(after), Effect.fail(rateLimited("20 seconds"))))))
      // Requests under way before the pause go on hearing 429.
      yield* Effect.forEach([1, "19 seconds", "38 seconds", "57 seconds"] as const, busy)
      yield* TestClock.adjust(1)
      const { at, exit } = yield* simulate(protect(Effect.void))
      deepStrictEqual([nameOf(failureOf(exit)), at], ["RateLimited", 58_000])
    }))

  it.effect("holds for its own model and no other", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ retry: { maxAttempts: 1 } })
      yield* Effect.exit(protect(Effect.fail(rateLimited("20 seconds")), { provider: "p", model: "m" }))
      const { at } = yield* simulate(protect(Effect.void, { provider: "p", model: "n" }))
      strictEqual(at, 0)
    }))

  it.effect("a shorter one does not shorten it, and an absurd one is believed for five minutes", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ retry: { maxAttempts: 1, jitter: "none", maxRetryAfter: "1 hour" } })
      yield* Effect.exit(protect(Effect.fail(rateLimited("2000 hours"))))
      const { at } = yield* simulate(protect(Effect.void))
      strictEqual(at, 5 * 60_000)
    }))

  it.effect("without Retry-After there is no pause", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ retry: { maxAttempts: 1 } })
      yield* Effect.exit(protect(Effect.fail(rateLimited())))
      strictEqual((yield* simulate(protect(Effect.void))).at, 0)
    }))

  it.effect("in a chain the paused primary is skipped, and the backup is the first that was asked", () =>
    Effect.gen(function*() {
      const primary = yield* ScriptedProvider.make([rateLimited("30 seconds"), "from the primary"])
      const backup = yield* ScriptedProvider.make(["one", "two"])
      const call = Effect.map(ChatProvider.complete(request), ChatProvider.text)
      const [first, second, third] = yield* Effect.gen(function*() {
        const first = yield* call
        const second = yield* call
        yield* TestClock.adjust("30 seconds")
        return [first, second, yield* call]
      }).pipe(Effect.provide(primary.layer.pipe(Resilience.layer(), Fallback.orElse(backup.layer))))
      deepStrictEqual([first, second, third], ["one", "two", "from the primary"])
      strictEqual((yield* primary.asked).length, 2)
    }))
})
