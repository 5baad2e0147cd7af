/** Metrics, spans and logs to an OpenTelemetry collector: provide an exporter, and every call is in it. */
import * as Otlp from "@effect/opentelemetry/Otlp"
import { FetchHttpClient } from "@effect/platform"
import { Effect, Layer, Metric } from "effect"
import { Telemetry } from "effect-resilience"
import { Chat, haiku } from "./chain.js"

const Exporter = Otlp.layerJson({
  baseUrl: "http://localhost:4318",
  resource: { serviceName: "haiku" }
}).pipe(Layer.provide(FetchHttpClient.layer))

// `chat gpt-4o` and its attempts become children of this span, and all log lines carry its trace id.
export const main = haiku.pipe(Effect.withSpan("haiku"), Effect.provide([Chat, Exporter]))

// Every metric is a value of Effect's, to be read in the program as well.
export const failed = Metric.value(
  Telemetry.calls.pipe(
    Metric.tagged("provider", "openai"),
    Metric.tagged("model", "gpt-4o"),
    Metric.tagged("outcome", "failed")
  )
)
