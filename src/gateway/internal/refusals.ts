/**
 * Errors as OpenAI's clients expect them: a status, a body `{ error: { message, type, param, code } }`, and headers that
 * say whether to come again.
 *
 * What a provider refused was retried here as far as that helps, so clients are told not to multiply it: all but a 429 or a
 * 503 with `retry-after` carry `x-should-retry: false`, which OpenAI's SDKs obey. A provider that refuses the gateway itself
 * (its key is wrong) is the operator's trouble and not the client's, so that is no 401. The provider's own reason is part
 * of the message, which is for the caller alone and never logged.
 *
 * Source: OpenAI's API reference, Error codes; openai-node, `shouldRetry`.
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type { CallError, ClientErrorReason } from "../../ProviderError.js"

/** What is answered in the place of what was asked for. */
export interface Refusal {
  readonly status: number
  readonly message: string
  readonly type: string
  readonly code: string
  readonly param?: string | undefined
  /** Seconds. */
  readonly retryAfter?: number | undefined
}

/** A request that is wrong, whoever is asked. */
export const invalid = (status: number, code: string, message: string, param?: string): Refusal => ({
  status,
  message,
  type: "invalid_request_error",
  code,
  param
})

/** Seconds to come again after, of a wait that is not known. */
const SOON = 1

const clientErrors: Readonly<Record<ClientErrorReason, readonly [status: number, type: string, code: string]>> = {
  InvalidRequest: [400, "invalid_request_error", "invalid_request"],
  ContextLengthExceeded: [400, "invalid_request_error", "context_length_exceeded"],
  ContentFiltered: [400, "invalid_request_error", "content_filter"],
  PermissionDenied: [403, "invalid_request_error", "permission_denied"],
  NotFound: [404, "invalid_request_error", "model_not_found"],
  RequestTooLarge: [413, "invalid_request_error", "request_too_large"],
  QuotaExhausted: [429, "insufficient_quota", "insufficient_quota"],
  Authentication: [502, "server_error", "provider_authentication"]
}

const secondsOf = (wait: Duration.Duration | undefined): number =>
  wait === undefined || !Duration.isFinite(wait) ? SOON : Math.max(SOON, Math.ceil(Duration.toSeconds(wait)))

const meaningOf = (error: CallError): Omit<Refusal, "message"> => {
  switch (error._tag) {
    case "RateLimited":
      return {
        status: 429,
        type: "rate_limit_error",
        code: "rate_limit_exceeded",
        retryAfter: secondsOf(error.retryAfter)
      }
    case "CircuitOpen":
      return {
        status: 503,
        type: "server_error",
        code: "circuit_open",
        retryAfter: secondsOf(error.retryAfter)
      }
    case "Timeout":
      return { status: 504, type: "server_error", code: error.scope === "Deadline" ? "deadline_exceeded" : "timeout" }
    case "ServerError":
      return error.reason === "Overloaded" || error.reason === "Unavailable"
        ? {
          status: 503,
          type: "server_error",
          code: "server_is_overloaded",
          retryAfter: secondsOf(error.retryAfter)
        }
        : { status: 502, type: "server_error", code: `provider_${error.reason.toLowerCase()}` }
    case "ClientError": {
      const [status, type, code] = clientErrors[error.reason]
      return { status, type, code }
    }
  }
}

/** What a call failed with, with the provider's own reason. */
export const ofCall = (error: CallError): Refusal => {
  const detail = error._tag === "CircuitOpen" || error.detail === undefined ? "" : `: ${Redacted.value(error.detail)}`
  return { ...meaningOf(error), message: `${error.message}${detail}` }
}

/** The error object, as it stands in a body or in a stream. */
export const bodyOf = ({ code, message, param, type }: Refusal) => ({
  error: { message, type, param: param ?? null, code }
})

export const headersOf = ({ retryAfter, status }: Refusal): Readonly<Record<string, string>> =>
  retryAfter !== undefined && (status === 429 || status === 503)
    ? { "retry-after": `${retryAfter}` }
    : { "x-should-retry": "false" }

export const respond = (
  refusal: Refusal,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.unsafeJson(bodyOf(refusal), {
    status: refusal.status,
    headers: { ...headers, ...headersOf(refusal) }
  })
