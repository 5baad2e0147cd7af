/**
 * Metrics, spans and logs, which every call feeds without being asked to.
 *
 * Retries that work hide what they cure: a provider can fail every second request while no user notices, until the bill
 * or the next outage does. So what `CallReport` tells of one call is also counted for all of them. There is nothing to
 * switch on. Metrics go into Effect's registry, spans to its `Tracer`, logs to its loggers; whatever exports those
 * (`@effect/opentelemetry`, Effect's own OTLP exporter) exports these. Where no tracer is installed no span is made.
 *
 * **Metrics** are the values below. Their tags come in the order written there, and Effect tells metrics apart by it:
 * `provider` and `model` are those the call or the attempt was meant for; for a chain, its first provider. Models come
 * from requests, so after 1,000 pairs of provider and model further models are counted as `_OTHER`. No tag is ever a
 * user, a key or a text of the request. Tags of your own (`Effect.tagMetrics`) come after these.
 *
 * **Spans**: `chat {model}` for a call of a provider layer or a chain, by the GenAI conventions of OpenTelemetry, from
 * the request's numbers (`gen_ai.request.max_tokens`) to the tokens paid for; in it one `attempt` for each request that
 * was sent, with `http.request.resend_count` from the second at the same provider on. Waits and denials are events of
 * the call's span. A `protect` around an effect of your own opens none. Each request carries its attempt's `traceparent`.
 *
 * **Logs**: a warning for every attempt that failed, a debug line for every one that succeeded or was interrupted, as
 * `attemptFailed`, `attemptSucceeded` and `attemptInterrupted`, annotated with `provider`, `model`, `attempt`, `outcome`,
 * `reason` or `scope`, `status`, `requestId`, `waitedMs` (before it), `durationMs`, `traceId`, `spanId`. A failed
 * attempt's line also says what became of it, since it is written when that is decided: `retryInMs`, `fallbackTo` or
 * `deniedBy`.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"

/** In the key itself and not piped on, so that the registry is not searched on every update. */
const withUnit = (unit: string) => MetricKey.taggedWithLabels([MetricLabel.make("unit", unit)])

const counter = (name: string, description: string): Metric.Metric.Counter<number> =>
  Metric.counter(name, { description, incremental: true })

const seconds = (
  name: string,
  boundaries: ReadonlyArray<number>,
  description: string
): Metric.Metric.Histogram<number> =>
  Metric.fromMetricKey(
    MetricKey.histogram(name, MetricBoundaries.fromIterable(boundaries), description).pipe(withUnit("s"))
  )

/**
 * How a call ended, as `calls` counts it: at once, after a retry, after another provider of a chain was turned to, or not
 * at all. An interrupted call is none of these and is not counted; its attempts are, as `Interrupted`.
 *
 * @since 0.1.0
 * @category models
 */
export type CallOutcome = "first_try" | "after_retry" | "after_fallback" | "failed"

/**
 * The tags of each metric, by its name and in their order. `unit` is there for exporters.
 *
 * @since 0.1.0
 * @category names
 */
export const tags = {
  "resilience.calls": ["provider", "model", "outcome"],
  "resilience.attempts": ["provider", "model", "outcome"],
  "resilience.retries": ["provider", "model", "reason"],
  "resilience.retry.delay": ["unit", "provider", "model"],
  "resilience.retry.denied": ["provider", "model", "by"],
  "resilience.circuit.state": ["unit", "circuit"],
  "resilience.circuit.transitions": ["circuit", "from", "to"],
  "gen_ai.client.operation.duration": [
    "unit",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "error.type"
  ],
  "gen_ai.client.operation.time_to_first_chunk": [
    "unit",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model"
  ]
} as const

/**
 * Calls that ran to their end. `resilience.calls`, tagged `provider`, `model`, `outcome` (a `CallOutcome`).
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-resilience"
 *
 * const rescued = Telemetry.calls.pipe(
 *   Metric.tagged("provider", "openai"),
 *   Metric.tagged("model", "gpt-4o"),
 *   Metric.tagged("outcome", "after_retry")
 * )
 *
 * const program = Effect.gen(function*() {
 *   const { count } = yield* Metric.value(rescued)
 *   yield* Effect.log(`${count} calls would have failed without a retry`)
 * })
 * ```
 *
 * @since 0.1.0
 * @category metrics
 */
export const calls: Metric.Metric.Counter<number> = counter("resilience.calls", "Calls by how they ended.")

/**
 * Attempts that ended. `resilience.attempts`, tagged `provider`, `model`, `outcome` (a `CallReport.Outcome`).
 *
 * @since 0.1.0
 * @category metrics
 */
export const attempts: Metric.Metric.Counter<number> = counter(
  "resilience.attempts",
  "Attempts, each one request at one provider, by how they ended."
)

/**
 * Attempts made because the one before at the same provider failed. `resilience.retries`, tagged `provider`, `model`,
 * `reason` (how that one ended).
 *
 * @since 0.1.0
 * @category metrics
 */
export const retries: Metric.Metric.Counter<number> = counter(
  "resilience.retries",
  "Attempts made because the one before at the same provider failed, by how that one ended."
)

/**
 * The wait before a retry as it was decided, in seconds: the backoff, or what the server asked for.
 * `resilience.retry.delay`, tagged `provider`, `model`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const retryDelay: Metric.Metric.Histogram<number> = seconds(
  "resilience.retry.delay",
  [0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300],
  "The wait before a retry."
)

/**
 * What could have been tried and was not. `resilience.retry.denied`, tagged `provider`, `model`, `by` (a
 * `CallReport.DeniedBy`).
 *
 * @since 0.1.0
 * @category metrics
 */
export const retryDenied: Metric.Metric.Counter<number> = counter(
  "resilience.retry.denied",
  "Retries and fallbacks that were not made, by what stood against them."
)

/**
 * The state of each circuit breaker as of its last transition: 0 closed, 1 half-open, 2 open, 3 isolated.
 * `resilience.circuit.state`, tagged `circuit`. A circuit whose time has passed reads open until the next call finds out.
 *
 * @since 0.1.0
 * @category metrics
 */
export const circuitState: Metric.Metric.Gauge<number> = Metric.fromMetricKey(
  MetricKey.gauge("resilience.circuit.state", {
    description: "The state of a circuit: 0 closed, 1 half-open, 2 open, 3 isolated."
    // A gauge of unit "1" is a ratio to Prometheus, which appends that to its name; an annotation is left out.
  }).pipe(withUnit("{state}"))
)

/**
 * Transitions of circuit breakers. `resilience.circuit.transitions`, tagged `circuit`, `from`, `to` (`closed`,
 * `half_open`, `open`, `isolated`).
 *
 * @since 0.1.0
 * @category metrics
 */
export const circuitTransitions: Metric.Metric.Counter<number> = counter(
  "resilience.circuit.transitions",
  "Transitions of circuits from one state to another."
)

/** Of the GenAI conventions, for all metrics of the client that are durations. */
const genAiBoundaries = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]

/**
 * How long chat calls took, retries, waits and fallbacks included, in seconds. `gen_ai.client.operation.duration`, tagged
 * `gen_ai.operation.name`, `gen_ai.provider.name`, `gen_ai.request.model`, and `error.type` (a `CallReport.Outcome`) if
 * it failed. An interrupted call is not recorded. Source: OpenTelemetry's semantic conventions for generative AI.
 *
 * @since 0.1.0
 * @category metrics
 */
export const operationDuration: Metric.Metric.Histogram<number> = seconds(
  "gen_ai.client.operation.duration",
  genAiBoundaries,
  "GenAI operation duration."
)

/**
 * How long streamed calls took to their first chunk, in seconds. `gen_ai.client.operation.time_to_first_chunk`, tagged
 * like `operationDuration`. Plain calls do not feed it. Source: OpenTelemetry's semantic conventions for generative AI.
 *
 * @since 0.1.0
 * @category metrics
 */
export const timeToFirstChunk: Metric.Metric.Histogram<number> = seconds(
  "gen_ai.client.operation.time_to_first_chunk",
  genAiBoundaries,
  "Time to receive the first chunk of a streamed response."
)

/**
 * The warning for an attempt that failed.
 *
 * @since 0.1.0
 * @category logs
 */
export const attemptFailed = "effect-resilience: attempt failed"

/**
 * The debug line for an attempt that succeeded.
 *
 * @since 0.1.0
 * @category logs
 */
export const attemptSucceeded = "effect-resilience: attempt succeeded"

/**
 * The debug line for an attempt that was interrupted, which is no failure.
 *
 * @since 0.1.0
 * @category logs
 */
export const attemptInterrupted = "effect-resilience: attempt interrupted"
