import { describe, it } from "@effect/vitest"
import { assertFalse, assertInclude, assertTrue, deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Metric } from "effect"
import { Telemetry } from "effect-resilience"
import { readFileSync } from "node:fs"
import * as Prometheus from "../../../src/cli/gateway/prometheus.js"

const text = Effect.flatten(Prometheus.make({ name: "front-door", version: "1.2.3" }))

const everyMetric = Effect.all([
  Metric.increment(Telemetry.calls),
  Metric.increment(Telemetry.attempts),
  Metric.increment(Telemetry.retries),
  Metric.update(Telemetry.retryDelay, 0.3),
  Metric.increment(Telemetry.retryDenied),
  Metric.set(Telemetry.circuitState, 2),
  Metric.increment(Telemetry.circuitTransitions),
  Metric.update(Telemetry.operationDuration, 1.5),
  Metric.update(Telemetry.timeToFirstChunk, 0.5)
]).pipe(Effect.tagMetrics("provider", "prometheus"))

describe("metrics for Prometheus", () => {
  it.effect("have the names that the alert rules ask for", () =>
    Effect.gen(function*() {
      yield* everyMetric
      const rules = readFileSync(new URL("../../../examples/prometheus-alerts.yml", import.meta.url), "utf8")
      const asked = new Set(
        Array.from(rules.matchAll(/\b(?:resilience|gen_ai_client)_\w+(?=[[{)])/g), ([name]) => name)
      )
      assertTrue(asked.size > 5)
      const there = yield* text
      deepStrictEqual([...asked].filter((name) => !there.includes(`\n${name}{`)), [])
    }))

  it.effect("carry their unit in the name and not as a label", () =>
    Effect.gen(function*() {
      yield* everyMetric
      const there = yield* text
      assertTrue(/^resilience_retry_delay_seconds_count\{provider="prometheus"\} \d+$/m.test(there))
      assertInclude(there, `resilience_circuit_state{provider="prometheus"} 2\n`)
      assertFalse(/unit=/.test(there))
    }))

  it.effect("say which service and which version they are of", () =>
    Effect.gen(function*() {
      assertTrue(/^target_info\{.*service_name="front-door".*service_version="1\.2\.3".*\} 1$/m.test(yield* text))
    }))
})
