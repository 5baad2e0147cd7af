/**
 * `AiError` and `CallError`, each as the other.
 *
 * Our policies decide by the tags of `CallError`; programs on `@effect/ai` handle `AiError`. An `AiError` that comes from
 * a client with `ResilientHttpClient` has ours inside, any other says what happened by its status, headers and kind. What
 * is made here never carries a header of the request along; an `AiError` of the provider packages may, with the key in
 * clear, which `redacted` takes out.
 *
 * @since 0.1.0
 */
import * as AiError from "@effect/ai/AiError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { CallError, Target } from "../ProviderError.js"
import * as ProviderError from "../ProviderError.js"
import { platformCode } from "../runtime/exchange.js"
import { findCallError, rememberIn } from "../runtime/httpAttempt.js"
import { redactedHeaders, redactedTarget } from "../runtime/secrets.js"

// The fields come from an error that was checked.
const unvalidated = { disableValidation: true }

const classified = (error: AiError.AiError, now: number, target: Target): CallError | undefined => {
  switch (error._tag) {
    case "HttpRequestError":
      return error.reason === "Transport"
        ? ProviderError.fromTransport({ code: platformCode(error.cause) }, target)
        : ProviderError.invalidRequest("the request cannot be sent to this URL", target)
    case "HttpResponseError": {
      const { headers, status } = error.response
      return error.reason === "StatusCode"
        ? ProviderError.fromResponse({ status, headers, body: error.body ?? "", now }, target)
        : ProviderError.malformed(error.response, target)
    }
    case "MalformedInput":
      return ProviderError.unsupported(target)
    case "MalformedOutput":
      return ProviderError.malformed({ status: 200, headers: {} }, target)
    case "UnknownError":
      return undefined
  }
}

/**
 * What an `AiError` is for our policies: the error of ours inside it, or else what its status, headers and kind mean. An
 * answer that does not match its schema is a `ServerError` (`Malformed`); a prompt that the provider's client has no words
 * for, a `ClientError` (`InvalidRequest`). Undefined for an `UnknownError` with nothing of ours inside, which may be
 * anything. `target` is who was asked, for the message.
 *
 * @example
 * ```ts
 * import type { AiError } from "@effect/ai"
 * import { Effect } from "effect"
 * import { AiErrors } from "effect-resilience/ai"
 *
 * const waitOf = (error: AiError.AiError) =>
 *   AiErrors.toCallError(error).pipe(Effect.map((ours) => ours?.retryAfter))
 * ```
 *
 * @since 0.1.0
 * @category conversions
 */
export const toCallError = (error: AiError.AiError, target: Target = {}): Effect.Effect<CallError | undefined> => {
  const known = findCallError(error)
  return known === undefined
    ? Effect.map(Clock.currentTimeMillis, (now) => classified(error, now, target))
    : Effect.succeed(known)
}

/**
 * Our error as an `AiError`, with ours as its cause: `MalformedOutput` for an answer that cannot be read or was cut short,
 * `MalformedInput` for a request that is wrong, `UnknownError` for whatever else. `where` names the module and the method
 * that it is raised by, as in every `AiError`.
 *
 * @example
 * ```ts
 * import { ProviderError } from "effect-resilience"
 * import { AiErrors } from "effect-resilience/ai"
 *
 * const error = AiErrors.fromCallError(new ProviderError.RateLimited({ message: "slow down" }), {
 *   module: "MyModel",
 *   method: "generateText"
 * })
 * ```
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromCallError = (
  error: CallError,
  where: { readonly module: string; readonly method: string }
): AiError.AiError => {
  const fields = { ...where, description: error.message, cause: error }
  if (error._tag === "ServerError" && (error.reason === "Malformed" || error.reason === "Truncated")) {
    return new AiError.MalformedOutput(fields)
  }
  return error._tag === "ClientError" && error.reason === "InvalidRequest"
    ? new AiError.MalformedInput(fields)
    : new AiError.UnknownError(fields)
}

/** What the options of `@effect/ai-openai` take as `Redacted` beside the key. */
const SECRET_NAMES = ["openai-organization", "openai-project"]

const withoutSecrets = (headers: Readonly<Record<string, string>>) => redactedHeaders(headers, SECRET_NAMES)

/** In the place of a body that cannot be read, `AiError` has the error about that, with the whole request. */
const readableBody = (body: string | undefined): string | undefined =>
  body?.includes("\"@effect/platform/HttpClientRequest\"") === true ? undefined : body

/**
 * The error without the keys in it: they say `<redacted>` in headers and URL, and the cause, which holds the request once
 * more, is ours if there is one, and left out otherwise. `ResilientHttpClient.callError` finds in it what it found before.
 * What the provider and the model said stays in it (`body`, `description`), and may quote the prompt.
 *
 * @example
 * ```ts
 * import type { AiError } from "@effect/ai"
 * import { Effect } from "effect"
 * import { AiErrors } from "effect-resilience/ai"
 *
 * const logged = <A, R>(self: Effect.Effect<A, AiError.AiError, R>) =>
 *   self.pipe(
 *     Effect.mapError(AiErrors.redacted),
 *     Effect.tapError((error) => Effect.logError("the model failed", error))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const redacted = (error: AiError.AiError): AiError.AiError => {
  switch (error._tag) {
    case "HttpRequestError":
      return new AiError.HttpRequestError({
        module: error.module,
        method: error.method,
        reason: error.reason,
        description: error.description,
        request: redactedDetails(error.request),
        cause: findCallError(error)
      }, unvalidated)
    case "HttpResponseError": {
      const { headers, status } = error.response
      return new AiError.HttpResponseError({
        module: error.module,
        method: error.method,
        reason: error.reason,
        description: error.description,
        body: readableBody(error.body),
        request: redactedDetails(error.request),
        response: rememberIn({ status, headers: withoutSecrets(headers) }, findCallError(error))
      }, unvalidated)
    }
    case "MalformedInput":
    case "MalformedOutput":
    case "UnknownError":
      return error
  }
}

const redactedDetails = (request: typeof AiError.HttpRequestDetails.Type): typeof AiError.HttpRequestDetails.Type => ({
  ...request,
  ...redactedTarget(request),
  headers: withoutSecrets(request.headers)
})
