/**
 * What OpenAI's APIs have in common: what an error says, which headers come with a response, the list of models.
 */
import type { Asked, Refusal, Said, Sending } from "./wire.js"
import { requestId } from "./wire.js"

export interface OpenAiError {
  readonly error: {
    readonly message: string
    readonly type: string | null
    readonly param: string | null
    readonly code: string | null
  }
}

const error = (message: string, type: string, code: string | null, param: string | null = null): OpenAiError => ({
  error: { message, type, param, code }
})

/** A request that no retry cures. */
export const invalidRequest = (message: string, code: string | null = null, param: string | null = null): OpenAiError =>
  error(message, "invalid_request_error", code, param)

/** The error that OpenAI, or what stands before it, sends with a status. */
const errorForStatus = ({ retryAfter, status }: Said) => {
  switch (status) {
    case 401:
      return invalidRequest("Incorrect API key provided.", "invalid_api_key")
    case 402:
      return error("Insufficient credits.", "insufficient_quota", "credit_balance_exhausted")
    case 403:
      return error(
        "Country, region, or territory not supported",
        "request_forbidden",
        "unsupported_country_region_territory"
      )
    case 404:
      return invalidRequest(
        "The model does not exist or you do not have access to it.",
        "model_not_found",
        "model"
      )
    case 408:
      return error("Request timed out.", "timeout", "timeout")
    case 409:
      return error("The resource is locked by another request.", "conflict_error", "conflict")
    case 413:
      return invalidRequest("The request is too large.", "request_too_large")
    case 422:
      return invalidRequest("The request could not be processed.", "unprocessable_entity")
    case 429:
      return error(
        `Rate limit reached for requests.${retryAfter === undefined ? "" : ` Please try again in ${retryAfter}ms.`}`,
        "requests",
        "rate_limit_exceeded"
      )
    case 502:
      return error("Bad gateway.", "server_error", "bad_gateway")
    case 503:
      return error(
        "The engine is currently overloaded, please try again later.",
        "service_unavailable_error",
        "server_is_overloaded"
      )
    case 504:
      return error("Gateway timeout.", "server_error", "gateway_timeout")
    case 529:
      return error("Overloaded", "overloaded_error", "overloaded")
    default:
      return status >= 500
        ? error("The server had an error while processing your request.", "server_error", "server_error")
        : invalidRequest("The request is invalid.")
  }
}

const quotaExhausted = error(
  "You exceeded your current quota, please check your plan and billing details.",
  "insufficient_quota",
  "insufficient_quota"
)

const contentFiltered = {
  error: {
    message: "The response was filtered due to the prompt triggering the content management policy.",
    type: null,
    param: "prompt",
    code: "content_filter",
    status: 400,
    innererror: {
      code: "ResponsibleAIPolicyViolation",
      content_filter_result: { violence: { filtered: true, severity: "medium" } }
    }
  }
}

/** The error that an API sends; each has its own words for a prompt that is too long. */
export const errorFor = (said: Said, contextTooLong: OpenAiError): OpenAiError => {
  switch (said.kind) {
    case "quota-exhausted":
      return quotaExhausted
    case "context-too-long":
      return contextTooLong
    case "content-filtered":
      return contentFiltered
    case undefined:
      return errorForStatus(said)
  }
}

/** The body of a refusal. */
export const refusal = ({ code, message, param }: Refusal): unknown => invalidRequest(message, code, param)

export const headers = ({ number }: Asked, { elapsed }: Sending): Readonly<Record<string, string>> => ({
  "x-request-id": requestId(number),
  "openai-processing-ms": `${Math.round(elapsed)}`
})

export const models = (names: Iterable<string>) => ({
  object: "list",
  data: Array.from(names, (id) => ({ id, object: "model", created: 0, owned_by: "effect-resilience" }))
})
