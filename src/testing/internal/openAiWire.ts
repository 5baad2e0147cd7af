/**
 * OpenAI's side of the wire: what the Chat Completions API answers, as JSON values.
 *
 * Knows bodies and nothing of sockets, faults or time, so that another wire format is another file like this one.
 */
import * as Duration from "effect/Duration"

const error = (message: string, type: string, code: string | null, param: string | null = null) => ({
  error: { message, type, param, code }
})

/** A request that no retry cures. */
export const invalidRequest = (message: string, code: string | null = null, param: string | null = null) =>
  error(message, "invalid_request_error", code, param)

export const modelNotFound = (message: string) => invalidRequest(message, "model_not_found", "model")

/** The error that OpenAI, or what stands before it, sends with a status. */
export const errorFor = (status: number) => {
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
      return modelNotFound("The model does not exist or you do not have access to it.")
    case 408:
      return error("Request timed out.", "timeout", "timeout")
    case 409:
      return error("The resource is locked by another request.", "conflict_error", "conflict")
    case 413:
      return invalidRequest("The request is too large.", "request_too_large")
    case 422:
      return invalidRequest("The request could not be processed.", "unprocessable_entity")
    case 429:
      return error("Rate limit reached for requests.", "requests", "rate_limit_exceeded")
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

export const rateLimited = (retryAfter: Duration.Duration) =>
  error(
    `Rate limit reached for requests. Please try again in ${Duration.toMillis(retryAfter)}ms.`,
    "requests",
    "rate_limit_exceeded"
  )

export const retryAfterHeaders = (retryAfter: Duration.Duration) => ({
  "retry-after": `${Math.ceil(Duration.toSeconds(retryAfter))}`,
  "retry-after-ms": `${Duration.toMillis(retryAfter)}`
})

export const quotaExhausted = error(
  "You exceeded your current quota, please check your plan and billing details.",
  "insufficient_quota",
  "insufficient_quota"
)

export const contextTooLong = invalidRequest(
  "This model's maximum context length is 8192 tokens. However, your messages resulted in 8227 tokens.",
  "context_length_exceeded",
  "messages"
)

export const contentFiltered = {
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

export const badGatewayPage = `<!DOCTYPE html>
<html lang="en-US">
<head><title>api.example.com | 502: Bad gateway</title></head>
<body><h1>Bad gateway <span>Error code 502</span></h1><p>cloudflare</p></body>
</html>
`

export const signInPage = `<!DOCTYPE html>
<html><head><title>Sign in to this network</title></head><body><h1>Welcome</h1></body></html>
`

/** A whole answer. `number` and `created` (seconds) are the caller's, so that the same request gets the same bytes. */
export const completion = (answer: {
  readonly number: number
  readonly created: number
  readonly model: string
  readonly content?: string | undefined
  readonly usage?: { readonly promptTokens: number; readonly completionTokens: number } | undefined
}) => {
  const content = answer.content ?? `This is ${answer.model}, answering in the resilience demo.`
  const { completionTokens, promptTokens } = answer.usage ??
    { promptTokens: 8, completionTokens: content.split(/\s+/).length }
  return {
    id: `chatcmpl-${answer.number}`,
    object: "chat.completion",
    created: answer.created,
    model: answer.model,
    choices: [{
      index: 0,
      message: { role: "assistant", content, refusal: null },
      logprobs: null,
      finish_reason: "stop"
    }],
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens
    }
  }
}

export const models = (names: Iterable<string>) => ({
  object: "list",
  data: Array.from(names, (id) => ({ id, object: "model", created: 0, owned_by: "effect-resilience" }))
})
