/**
 * The resilience layer Effect programs put around LLM calls.
 *
 * @since 0.1.0
 */

/**
 * A provider layer for Anthropic's Messages API.
 *
 * @since 0.1.0
 */
export * as Anthropic from "./Anthropic.js"

/**
 * How long to wait after the nth failure.
 *
 * @since 0.1.0
 */
export * as Backoff from "./Backoff.js"

/**
 * What happened: every attempt, wait and outcome of a call.
 *
 * @since 0.1.0
 */
export * as CallReport from "./CallReport.js"

/**
 * The provider service: request and response.
 *
 * @since 0.1.0
 */
export * as ChatProvider from "./ChatProvider.js"

/**
 * Stops asking a provider that does not answer, and finds out when it does again.
 *
 * @since 0.1.0
 */
export * as CircuitBreaker from "./CircuitBreaker.js"

/**
 * One latency ceiling for a whole call.
 *
 * @since 0.1.0
 */
export * as Deadline from "./Deadline.js"

/**
 * The next provider when one gives up.
 *
 * @since 0.1.0
 */
export * as Fallback from "./Fallback.js"

/**
 * One key for all attempts of a call.
 *
 * @since 0.1.0
 */
export * as IdempotencyKey from "./IdempotencyKey.js"

/**
 * A provider layer for any OpenAI-compatible server.
 *
 * @since 0.1.0
 */
export * as OpenAi from "./OpenAi.js"

/**
 * The typed error channel.
 *
 * @since 0.1.0
 */
export * as ProviderError from "./ProviderError.js"

/**
 * The policies in their right order.
 *
 * @since 0.1.0
 */
export * as Resilience from "./Resilience.js"

/**
 * The same policies as an `HttpClient` transformer, for any Effect program that calls an API.
 *
 * @since 0.1.0
 */
export * as ResilientHttpClient from "./ResilientHttpClient.js"

/**
 * What a server asked for, as a `Duration`.
 *
 * @since 0.1.0
 */
export * as RetryAfter from "./RetryAfter.js"

/**
 * How many retries a user or a feature may spend.
 *
 * @since 0.1.0
 */
export * as RetryBudget from "./RetryBudget.js"

/**
 * Whether to try again, and after how long.
 *
 * @since 0.1.0
 */
export * as RetryPolicy from "./RetryPolicy.js"

/**
 * Metrics, spans and logs, which every call feeds without being asked to.
 *
 * @since 0.1.0
 */
export * as Telemetry from "./Telemetry.js"
