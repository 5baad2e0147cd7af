/** How a program that uses the library is tested: another layer, and virtual time. */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, TestClock } from "effect"
import { Fallback, ProviderError, Resilience } from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { haiku } from "./chain.js"

describe("haiku", () => {
  it.effect("comes from whoever provides it", () =>
    Effect.gen(function*() {
      const text = yield* haiku.pipe(Effect.provide(ScriptedProvider.layer(["The page loads slowly"])))
      expect(text).toBe("The page loads slowly")
    }))

  it.effect("falls over when the first provider is down", () =>
    Effect.gen(function*() {
      const down = new ProviderError.ServerError({ message: "down", reason: "Unavailable" })
      const primary = yield* ScriptedProvider.make([down])
      const backup = yield* ScriptedProvider.make(["From the backup"])
      const text = yield* haiku.pipe(Effect.provide(primary.layer.pipe(Fallback.orElse(backup.layer))))
      expect(text).toBe("From the backup")
      expect(yield* primary.asked).toHaveLength(1)
    }))
})

describe("Retry-After", () => {
  it.effect("is waited for, in virtual time", () =>
    Effect.gen(function*() {
      const busy = new ProviderError.RateLimited({ message: "429", retryAfter: Duration.seconds(20) })
      const provider = yield* ScriptedProvider.make([busy, "Thank you for waiting"])
      const fiber = yield* haiku.pipe(Effect.provide(provider.layer.pipe(Resilience.layer())), Effect.fork)

      yield* TestClock.adjust("19 seconds")
      expect(yield* provider.asked).toHaveLength(1)

      yield* TestClock.adjust("3 seconds") // up to a tenth more, so that clients do not return together
      expect(yield* Fiber.join(fiber)).toBe("Thank you for waiting")
    }))
})
