/** Policies that remember: chosen in code or in a file, and shared by the calls of a program. */
import { Effect, Schema } from "effect"
import { ChatProvider, CircuitBreaker, Resilience, RetryBudget } from "effect-resilience"

// Policies from a file: every option has a default, and a misspelt one is refused with its path.
export const options = Schema.decodeUnknownSync(Resilience.Config)({
  retry: { maxAttempts: 3, base: "500 millis" },
  attemptTimeout: "20 seconds",
  circuitBreaker: { trip: { failureRate: { threshold: 0.5, minimumCalls: 10 } }, openFor: "10 seconds" },
  maxConcurrent: 50
})

// Retries are paid for: one for every ten calls of a user, and never more than a hundred in an hour.
export const answer = (user: string, question: string) =>
  ChatProvider.complete({ messages: [{ role: "user", content: question }] }).pipe(
    RetryBudget.withKey(`user:${user}`)
  )

export const Budget = RetryBudget.layer({ ratio: 0.1, hardCap: { limit: 100, per: "1 hour" } })

// The circuits of all layers in one place, to look at and to reset.
export const circuits = Effect.gen(function*() {
  const registry = yield* CircuitBreaker.Registry
  return yield* registry.snapshot
})

export const Circuits = CircuitBreaker.layerRegistry()
