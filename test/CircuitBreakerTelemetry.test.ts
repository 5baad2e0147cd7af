import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Metric, TestClock } from "effect"
import { CircuitBreaker, Resilience, Telemetry } from "effect-resilience"
import { overloaded } from "./utils.js"

/** The registry of metrics is the process's, so each test counts a circuit of its own. */
const stateOf = (circuit: string) =>
  Effect.map(Metric.value(Metric.tagged(Telemetry.circuitState, "circuit", circuit)), ({ value }) => value)

const transitionsOf = (circuit: string, from: string, to: string) =>
  Telemetry.circuitTransitions.pipe(
    Metric.tagged("circuit", circuit),
    Metric.tagged("from", from),
    Metric.tagged("to", to),
    Metric.value,
    Effect.map(({ count }) => count)
  )

const options: CircuitBreaker.Options = { trip: CircuitBreaker.consecutiveFailures(1), openFor: "10 seconds" }

describe("what metrics tell of a circuit", () => {
  it.effect("its state, and every transition once", () =>
    Effect.gen(function*() {
      const resilience = yield* Resilience.make({ retry: { maxAttempts: 1 }, circuitBreaker: options })
      const call = (effect: Effect.Effect<unknown, unknown>) =>
        Effect.exit(resilience.protect(effect, { provider: "metered", model: "m" }))
      yield* call(Effect.fail(overloaded()))
      yield* call(Effect.void)
      deepStrictEqual(yield* stateOf("metered m"), 2)
      yield* TestClock.adjust("10 seconds")
      deepStrictEqual(yield* Effect.flatten(call(stateOf("metered m"))), 1)
      deepStrictEqual(yield* stateOf("metered m"), 0)
      deepStrictEqual(
        yield* Effect.all([
          transitionsOf("metered m", "closed", "open"),
          transitionsOf("metered m", "open", "half_open"),
          transitionsOf("metered m", "half_open", "closed")
        ]),
        [1, 1, 1]
      )
    }))

  it.effect("isolation and reset too", () =>
    Effect.gen(function*() {
      const circuit = yield* CircuitBreaker.make({ ...options, name: "isolated by hand" })
      yield* Effect.scoped(Effect.gen(function*() {
        yield* circuit.isolate
        deepStrictEqual(yield* stateOf("isolated by hand"), 3)
      }))
      deepStrictEqual(yield* stateOf("isolated by hand"), 0)
      yield* Effect.exit(CircuitBreaker.protect(Effect.fail(overloaded()), circuit))
      yield* circuit.reset
      deepStrictEqual(yield* transitionsOf("isolated by hand", "open", "closed"), 1)
    }))
})
