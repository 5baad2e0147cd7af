/**
 * For programs on `@effect/ai`: several models as one, and errors in both directions.
 *
 * A single model needs nothing of this: its client takes `ResilientHttpClient` as `transformClient`.
 *
 * @since 0.1.0
 */

/**
 * `AiError` and `CallError`, each as the other.
 *
 * @since 0.1.0
 */
export * as AiErrors from "./AiErrors.js"

/**
 * The next model when one gives up.
 *
 * @since 0.1.0
 */
export * as LanguageModelFallback from "./LanguageModelFallback.js"
