import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { type Classified, classifyResponse, classifyTransport } from "../../src/internal/classify.js"
import type { HeaderRecord } from "../../src/internal/retryAfter.js"

const now = Date.UTC(2026, 10, 22, 12, 0, 0)

const kind = (classified: Classified): string =>
  "reason" in classified ? `${classified._tag} ${classified.reason}` : classified._tag

const respond = (status: number, body: unknown = "", headers: HeaderRecord = {}): Classified =>
  classifyResponse({ status, headers, now, body: typeof body === "string" ? body : JSON.stringify(body) })

type Row = readonly [status: number, body: unknown, expected: string, headers?: HeaderRecord]

const check = (rows: ReadonlyArray<Row>) => {
  for (const [status, body, expected, headers] of rows) {
    const shown = typeof body === "string" ? body : JSON.stringify(body)
    it(`${status} ${shown.slice(0, 150)} is ${expected}`, () =>
      strictEqual(kind(respond(status, body, headers)), expected))
  }
}

const openAi = (message: string, type: string | null = "invalid_request_error", code: string | null = null) => ({
  error: { message, type, param: null, code }
})
const anthropic = (type: string, message: string, errorCode?: string) => ({
  type: "error",
  error: { type, message, details: errorCode === undefined ? null : { error_code: errorCode } },
  request_id: "req_011"
})
const gemini = (code: number, status: string, message = "", details: ReadonlyArray<object> = []) => ({
  error: { code, message, status, details }
})
const retryInfo = (retryDelay: string) => ({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay })
const quotaFailure = (...quotaIds: ReadonlyArray<string>) => ({
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: quotaIds.map((quotaId) => ({
    quotaId,
    quotaMetric: "generate_content_free_tier_requests",
    quotaValue: "50"
  }))
})
const errorInfo = (reason: string) => ({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, metadata: {} })
const html =
  "<!DOCTYPE html><html><head><title>Error</title></head><body>Too many requests, quota exceeded</body></html>"

const geminiQuota = "You exceeded your current quota, please check your plan and billing details. " +
  "For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. " +
  "* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 50"

describe("a status by itself", () => {
  const statuses: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
    ["ClientError InvalidRequest", [400, 406, 411, 412, 415, 416, 417, 418, 421, 422, 423, 425, 426, 428, 444, 499]],
    ["ClientError Authentication", [401, 407]],
    ["ClientError QuotaExhausted", [402]],
    ["ClientError PermissionDenied", [403, 451]],
    ["ClientError NotFound", [301, 302, 303, 304, 307, 308, 404, 405, 410]],
    ["ClientError RequestTooLarge", [413, 414, 431]],
    ["Timeout", [408, 504, 524]],
    ["ServerError Conflict", [409]],
    ["ServerError FailedDependency", [424]],
    ["RateLimited", [429]],
    ["ServerError Internal", [500, 501, 505, 507, 508, 511, 599, 0, 100, 600, 999]],
    ["ServerError BadGateway", [502, 520, 521, 522, 523, 525, 526, 530]],
    ["ServerError Unavailable", [503]],
    ["ServerError Overloaded", [529]]
  ]
  for (const [expected, codes] of statuses) {
    for (const status of codes) {
      it(`${status} is ${expected}, with an empty, plain or HTML body`, () => {
        for (const body of ["", html, "nothing to see", "{}", "[]", "null", "{\"unknown\":1}"]) {
          strictEqual(kind(respond(status, body)), expected)
        }
      })
    }
  }
})

describe("OpenAI", () => {
  check([
    [
      400,
      openAi(
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 8227 tokens.",
        "invalid_request_error",
        "context_length_exceeded"
      ),
      "ClientError ContextLengthExceeded"
    ],
    [400, openAi("Rejected.", "invalid_request_error", "content_policy_violation"), "ClientError ContentFiltered"],
    [400, openAi("Rejected.", "invalid_request_error", "invalid_prompt"), "ClientError ContentFiltered"],
    [400, openAi("Rejected.", null, "content_filter"), "ClientError ContentFiltered"],
    [400, openAi("Invalid value for 'temperature'."), "ClientError InvalidRequest"],
    [
      401,
      openAi("Incorrect API key provided: sk-x.", "invalid_request_error", "invalid_api_key"),
      "ClientError Authentication"
    ],
    [
      403,
      openAi("Not here.", "request_forbidden", "unsupported_country_region_territory"),
      "ClientError PermissionDenied"
    ],
    [
      404,
      openAi("The model `gpt-9` does not exist", "invalid_request_error", "model_not_found"),
      "ClientError NotFound"
    ],
    [422, openAi("Unprocessable."), "ClientError InvalidRequest"],
    [
      429,
      openAi(
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        "insufficient_quota"
      ),
      "ClientError QuotaExhausted"
    ],
    [
      429,
      openAi(
        "Rate limit reached for gpt-4o-mini in organization org-x on tokens per min (TPM): Limit 200000, Used 199821, Requested 2295. Please try again in 634ms. Visit https://platform.openai.com/account/rate-limits to learn more. You can increase your rate limit by adding a payment method to your account at https://platform.openai.com/account/billing.",
        "tokens",
        "rate_limit_exceeded"
      ),
      "RateLimited"
    ],
    [
      429,
      openAi(
        "Rate limit reached for gpt-4o on requests per day (RPD): Limit 200, Used 200, Requested 1. Please try again in 7h12m.",
        "requests",
        "rate_limit_exceeded"
      ),
      "ClientError QuotaExhausted"
    ],
    [
      429,
      openAi(
        "Rate limit reached for gpt-4o on requests per day (RPD): Limit 10000, Used 10000, Requested 1. Please try again in 8.64s.",
        "requests",
        "rate_limit_exceeded"
      ),
      "RateLimited"
    ],
    [
      429,
      openAi(
        "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 40000. The input or output tokens must be reduced in order to run successfully.",
        "tokens",
        "rate_limit_exceeded"
      ),
      "ClientError RequestTooLarge"
    ],
    [429, openAi("Slow down", "rate_limit_error", "slow_down"), "RateLimited"],
    ...[
      "credit_balance_exhausted",
      "organization_spend_limit_exceeded",
      "project_spend_limit_exceeded",
      "organization_usage_limit_exceeded",
      "billing_hard_limit_reached",
      "billing_not_active"
    ].map((code): Row => [429, openAi("No.", "insufficient_quota", code), "ClientError QuotaExhausted"]),
    [500, openAi("The server had an error", "server_error"), "ServerError Internal"],
    [
      503,
      openAi(
        "The engine is currently overloaded, please try again later",
        "service_unavailable_error",
        "server_is_overloaded"
      ),
      "ServerError Overloaded"
    ],
    [503, openAi("Not now.", "service_unavailable_error"), "ServerError Unavailable"],
    [502, html, "ServerError BadGateway"]
  ])
})

describe("Anthropic", () => {
  check([
    [
      400,
      anthropic("invalid_request_error", "messages: at least one message is required"),
      "ClientError InvalidRequest"
    ],
    [
      400,
      anthropic(
        "invalid_request_error",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
      ),
      "ClientError QuotaExhausted"
    ],
    [
      400,
      anthropic(
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."
      ),
      "ClientError QuotaExhausted"
    ],
    [
      400,
      anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
      "ClientError ContextLengthExceeded"
    ],
    [
      400,
      anthropic(
        "invalid_request_error",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"
      ),
      "ClientError ContextLengthExceeded"
    ],
    [
      400,
      anthropic("invalid_request_error", "Output blocked by content filtering policy"),
      "ClientError ContentFiltered"
    ],
    [
      400,
      anthropic(
        "invalid_request_error",
        "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet"
      ),
      "ClientError InvalidRequest"
    ],
    [401, anthropic("authentication_error", "invalid x-api-key"), "ClientError Authentication"],
    [402, anthropic("billing_error", "Payment required"), "ClientError QuotaExhausted"],
    [
      403,
      anthropic("permission_error", "Your API key does not have permission to use the specified resource."),
      "ClientError PermissionDenied"
    ],
    [404, anthropic("not_found_error", "model: claude-9"), "ClientError NotFound"],
    [409, anthropic("conflict_error", "Conflict"), "ServerError Conflict"],
    [413, anthropic("request_too_large", "Request exceeds the maximum size"), "ClientError RequestTooLarge"],
    [
      429,
      anthropic(
        "rate_limit_error",
        "This request would exceed the rate limit for your organization of 40,000 input tokens per minute. Please reduce the prompt length or the maximum tokens requested, or try again later."
      ),
      "RateLimited"
    ],
    [429, anthropic("rate_limit_error", "Limit reached", "enforced_spend_limit_reached"), "ClientError QuotaExhausted"],
    [429, anthropic("rate_limit_error", "Limit reached", "contract_spend_limit_reached"), "ClientError QuotaExhausted"],
    [429, anthropic("rate_limit_error", "Slow down", "ramp_limit_exceeded"), "RateLimited"],
    [500, anthropic("api_error", "Internal server error"), "ServerError Internal"],
    [504, anthropic("timeout_error", "Timed out"), "Timeout"],
    [529, anthropic("overloaded_error", "Overloaded"), "ServerError Overloaded"]
  ])
})

describe("Gemini", () => {
  check([
    [400, gemini(400, "INVALID_ARGUMENT", "Invalid value at 'contents'"), "ClientError InvalidRequest"],
    [
      400,
      gemini(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", [
        errorInfo("API_KEY_INVALID")
      ]),
      "ClientError Authentication"
    ],
    [
      400,
      gemini(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
      "ClientError Authentication"
    ],
    [
      400,
      gemini(
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
      ),
      "ClientError ContextLengthExceeded"
    ],
    [
      400,
      gemini(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
      "ClientError PermissionDenied"
    ],
    [402, gemini(402, "FAILED_PRECONDITION", "Enable billing"), "ClientError QuotaExhausted"],
    [403, gemini(403, "PERMISSION_DENIED", "The caller does not have permission"), "ClientError PermissionDenied"],
    [404, gemini(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta"), "ClientError NotFound"],
    [
      429,
      gemini(429, "RESOURCE_EXHAUSTED", geminiQuota, [
        quotaFailure("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
        retryInfo("36s")
      ]),
      "ClientError QuotaExhausted"
    ],
    [
      429,
      gemini(429, "RESOURCE_EXHAUSTED", geminiQuota, [
        quotaFailure("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
        retryInfo("36s")
      ]),
      "RateLimited"
    ],
    [
      429,
      gemini(429, "RESOURCE_EXHAUSTED", geminiQuota, [quotaFailure("GenerateRequestsPerMinutePerProject")]),
      "RateLimited"
    ],
    [
      429,
      gemini(429, "RESOURCE_EXHAUSTED", geminiQuota, [
        quotaFailure("RequestsPerMinute", "RequestsPerDay"),
        retryInfo("6s")
      ]),
      "ClientError QuotaExhausted"
    ],
    [429, gemini(429, "RESOURCE_EXHAUSTED", `${geminiQuota}\nPlease retry in 36.4s.`), "RateLimited"],
    [429, gemini(429, "RESOURCE_EXHAUSTED", geminiQuota), "ClientError QuotaExhausted"],
    [
      429,
      gemini(
        429,
        "RESOURCE_EXHAUSTED",
        "Quota exceeded for metric: free_tier_input_token_count, limit: 0, model: gemini-pro\nPlease retry in 12s.",
        [quotaFailure("TokensPerMinute"), retryInfo("12s")]
      ),
      "ClientError QuotaExhausted"
    ],
    [429, gemini(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."), "RateLimited"],
    [
      429,
      [gemini(429, "RESOURCE_EXHAUSTED", "Slow", [errorInfo("QUOTA_EXHAUSTED"), retryInfo("3s")])],
      "ClientError QuotaExhausted"
    ],
    [
      429,
      gemini(429, "RESOURCE_EXHAUSTED", "No", [errorInfo("INSUFFICIENT_G1_CREDITS_BALANCE")]),
      "ClientError QuotaExhausted"
    ],
    [
      429,
      gemini(429, "RESOURCE_EXHAUSTED", "No capacity available", [errorInfo("MODEL_CAPACITY_EXHAUSTED")]),
      "ClientError QuotaExhausted"
    ],
    [
      429,
      gemini(429, "RESOURCE_EXHAUSTED", "Slow", [errorInfo("RATE_LIMIT_EXCEEDED"), retryInfo("3s")]),
      "RateLimited"
    ],
    [499, gemini(499, "CANCELLED", "Cancelled"), "ClientError InvalidRequest"],
    [500, gemini(500, "INTERNAL", "An internal error has occurred."), "ServerError Internal"],
    [503, gemini(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), "ServerError Overloaded"],
    [503, gemini(503, "UNAVAILABLE", "The service is currently unavailable."), "ServerError Unavailable"],
    [504, gemini(504, "DEADLINE_EXCEEDED", "Deadline expired"), "Timeout"]
  ])
})

describe("Azure OpenAI", () => {
  check([
    [429, {
      error: {
        code: "429",
        message:
          "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-06-01 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."
      }
    }, "RateLimited"],
    [429, { error: { code: "429", message: "The system is experiencing high demand." } }, "RateLimited"],
    [400, {
      error: {
        message: "The response was filtered",
        type: null,
        param: "prompt",
        code: "content_filter",
        status: 400,
        innererror: { code: "ResponsibleAIPolicyViolation" }
      }
    }, "ClientError ContentFiltered"],
    [
      401,
      { error: { code: "401", message: "Access denied due to invalid subscription key" } },
      "ClientError Authentication"
    ],
    [403, { error: { code: "AccessDenied", message: "Public access is disabled." } }, "ClientError PermissionDenied"],
    [
      403,
      { statusCode: 403, message: "Out of call volume quota. Quota will be replenished in 2.17:48:12." },
      "ClientError QuotaExhausted"
    ],
    [
      404,
      { error: { code: "DeploymentNotFound", message: "The API deployment for this resource does not exist." } },
      "ClientError NotFound"
    ],
    [408, { error: { code: "Timeout", message: "The operation was timeout." } }, "Timeout"],
    [424, { error: { code: "FailedDependency", message: "failed" } }, "ServerError FailedDependency"]
  ])
})

describe("Bedrock", () => {
  const type = (name: string): HeaderRecord => ({
    "x-amzn-errortype": `${name}:http://internal.amazon.com/coral/com.amazon.bedrock/`,
    "x-amzn-requestid": "a-b-c"
  })
  check([
    [
      403,
      { message: "You don't have access to the model." },
      "ClientError PermissionDenied",
      type("AccessDeniedException")
    ],
    [
      400,
      { message: "The provided model identifier is invalid." },
      "ClientError NotFound",
      type("ValidationException")
    ],
    [
      400,
      { message: "Input is too long for requested model." },
      "ClientError ContextLengthExceeded",
      type("ValidationException")
    ],
    [400, { message: "Malformed input request" }, "ClientError InvalidRequest", type("ValidationException")],
    [404, { message: "Not found" }, "ClientError NotFound", type("ResourceNotFoundException")],
    [
      400,
      { message: "You have exceeded the quota." },
      "ClientError QuotaExhausted",
      type("ServiceQuotaExceededException")
    ],
    [408, { message: "Model timed out" }, "Timeout", type("ModelTimeoutException")],
    [424, { message: "Model failed" }, "ServerError FailedDependency", type("ModelErrorException")],
    [429, { message: "Too many tokens, please wait before trying again." }, "RateLimited", type("ThrottlingException")],
    [
      429,
      { message: "Too many tokens per day, please wait before trying again." },
      "ClientError QuotaExhausted",
      type("ThrottlingException")
    ],
    [429, { message: "Model is not ready" }, "RateLimited", type("ModelNotReadyException")],
    [400, { message: "Rate exceeded" }, "ClientError InvalidRequest", type("ThrottlingException")],
    [
      403,
      { message: "The security token included in the request is invalid." },
      "ClientError Authentication",
      type("UnrecognizedClientException")
    ],
    [500, { Message: "Internal" }, "ServerError Internal", type("InternalServerException")],
    [503, { message: "Too many connections" }, "ServerError Unavailable", type("ServiceUnavailableException")]
  ])
})

describe("OpenRouter", () => {
  const error = (code: number, message: string, metadata = {}) => ({ error: { code, message, metadata } })
  check([
    [402, error(402, "This request requires more credits, or fewer max_tokens."), "ClientError QuotaExhausted"],
    [
      403,
      error(
        403,
        "gpt-4o requires moderation on OpenAI. Your input was flagged for \"violence\". No credits were charged."
      ),
      "ClientError ContentFiltered"
    ],
    [
      403,
      error(403, "Nope", { reasons: ["violence"], flagged_input: "…", provider_name: "OpenAI" }),
      "ClientError ContentFiltered"
    ],
    [
      403,
      error(403, "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys"),
      "ClientError QuotaExhausted"
    ],
    [408, error(408, "Timed out"), "Timeout"],
    [413, error(413, "Too large"), "ClientError RequestTooLarge"],
    [429, error(429, "Rate limit exceeded: free-models-per-min. "), "RateLimited"],
    [
      429,
      error(429, "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day"),
      "ClientError QuotaExhausted"
    ],
    [
      429,
      error(429, "Provider returned error", {
        raw:
          "gemma is temporarily rate-limited upstream. Please retry shortly, or add your own key to accumulate your rate limits"
      }),
      "RateLimited"
    ],
    [502, error(502, "Provider returned error"), "ServerError BadGateway"],
    [503, error(503, "No available model provider"), "ServerError Unavailable"],
    [524, "error code: 524", "Timeout"],
    [529, error(529, "Provider overloaded"), "ServerError Overloaded"]
  ])
})

describe("Groq: a request above the limit per minute by itself", () => {
  check([
    [
      413,
      openAi(
        "Request too large for model `llama-3.1-8b` in organization org-x on tokens per minute (TPM): Limit 6000, Requested 8000, please reduce your message size and try again.",
        "tokens",
        "rate_limit_exceeded"
      ),
      "ClientError RequestTooLarge"
    ],
    [413, openAi("Too long.", null, "context_length_exceeded"), "ClientError ContextLengthExceeded"],
    [413, { message: "Prompt is too long" }, "ClientError ContextLengthExceeded"],
    [
      429,
      openAi(
        "Rate limit reached for model `llama-3` on tokens per day (TPD): Limit 500000, Used 499000, Requested 2000. Please try again in 2m52.8s. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing",
        "tokens",
        "rate_limit_exceeded"
      ),
      "ClientError QuotaExhausted"
    ],
    [
      429,
      openAi(
        "Rate limit reached for model `llama-3` on tokens per minute (TPM): Limit 6000. Please try again in 1m12s. Need more tokens? Upgrade at https://console.groq.com/settings/billing",
        "tokens",
        "rate_limit_exceeded"
      ),
      "RateLimited"
    ]
  ])
})

describe("a prompt that does not fit, in any provider's words", () => {
  const messages = [
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
    "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
    "Input length (265330) exceeds model's maximum context length (262144).",
    "Input length 131393 exceeds the maximum allowed input length of 131040 tokens.",
    "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "Please reduce the length of the messages or completion.",
    "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000. Try using a shorter prompt.",
    "the request exceeds the available context size, try increasing it",
    "request (13000 tokens) exceeds the available context size (8192 tokens), try increasing it",
    "input length exceeds the context length",
    "prompt is too long; input length exceeds maximum context length",
    "The model returned the following errors: Input is too long for requested model.",
    "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    "Your request exceeded model token limit: 8192",
    "invalid params, context window exceeds limit (2013)",
    "prompt token count of 200000 exceeds the limit of 128000",
    "Range of input length should be [1, 30720]",
    "Prompt exceeds max length",
    "Prompt too long: 5152 tokens exceeds max_seq_len 2048 (leave room for output tokens)",
    "Unable to submit request because the input token count is 32825 but model only supports up to 32768.",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens",
    "This endpoint's maximum context length is 40960 tokens. However, you requested about 50000 tokens.",
    "The conversation is too long for this model",
    "Requested token count exceeds the model's maximum context length of 8192 tokens.",
    "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
    "You passed 9000 input tokens. However, the model's context length is only 8192 tokens.",
    "Trying to keep the first 6555 tokens when context the overflows. However, the model is loaded with " +
    "context length of only 4096 tokens",
    "Context size has been exceeded.",
    "Maximum token limit exceeded",
    "Your prompt exceeds the model's token limit by 500 tokens",
    "total tokens 9000 exceed the model limit of 8192",
    "Expected at most 8192 tokens in prompt, got 9000",
    "This model only supports 4096 tokens; the request has 5000",
    "Please shorten your prompt: it has 9000 tokens and the model takes 8192",
    "The message you submitted was too long, please submit something shorter.",
    "sequence length 9000 exceeds maximum 8192",
    "input tokens + max_tokens > context window",
    "The length of your prompt and completion exceeds what this model can process",
    "context_length_exceeded",
    "The prompt has 9000 tokens, which is more than the 8191 that this model can take"
  ]
  const shapes: ReadonlyArray<readonly [string, (message: string) => unknown]> = [
    ["OpenAI's shape", (message) => openAi(message)],
    ["a flat shape", (message) => ({ object: "error", message, type: "BadRequestError", code: 400 })],
    ["a string", (message) => ({ error: message })]
  ]
  for (const message of messages) {
    it(message, () => {
      for (const [, shape] of shapes) {
        strictEqual(kind(respond(400, shape(message))), "ClientError ContextLengthExceeded")
      }
    })
  }
  check([
    [
      400,
      { error: { code: 400, message: "n", type: "exceed_context_size_error", n_ctx: 8192 } },
      "ClientError ContextLengthExceeded"
    ],
    [400, { error: { code: "model_max_prompt_tokens_exceeded", message: "n" } }, "ClientError ContextLengthExceeded"]
  ])
})

describe("what only resembles a prompt that does not fit is an invalid request", () => {
  const messages = [
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.",
    "Invalid 'tools': array too long. Expected an array with maximum length 128, but got 200 instead.",
    "Invalid 'messages[0].name': string too long. Expected a string with maximum length 64.",
    "Invalid 'stop': array too long. Expected an array with maximum length 4.",
    "Invalid input: max_tokens must be less than or equal to 8192",
    "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum",
    "messages: roles must alternate between user and assistant",
    "tools.0.custom.input_schema: JSON schema is invalid",
    "temperature: range: 0..1",
    "max_completion_tokens (100000) exceeds the maximum number of output tokens (8192) for this model",
    "The maximum tokens you requested exceeds the model limit of 4096. Try again with a lower maximum tokens value.",
    "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
    "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    "metadata.user_id: String should have at most 256 characters",
    "Too many images in request: 30 > 20",
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "This model does not support image inputs",
    "No tool output found for function call call_x",
    "An assistant message with 'tool_calls' must be followed by tool messages",
    "Unrecognized request argument supplied: context_management",
    "Input should be a valid string"
  ]
  for (const message of messages) {
    it(message, () => strictEqual(kind(respond(400, openAi(message))), "ClientError InvalidRequest"))
  }
})

describe("content that is refused, in any provider's words", () => {
  const messages = [
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    "Your request was rejected as a result of our safety system.",
    "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
    "Content violates usage guidelines: blocked by moderation",
    "The request was blocked by our guardrails",
    "Input data may contain inappropriate content.",
    "Output blocked by content filtering policy"
  ]
  for (const message of messages) {
    it(message, () => {
      strictEqual(kind(respond(400, openAi(message))), "ClientError ContentFiltered")
      strictEqual(kind(respond(403, { error: { message } })), "ClientError ContentFiltered")
    })
  }
  check([
    [400, { code: "data_inspection_failed", message: "no" }, "ClientError ContentFiltered"],
    [400, openAi("no", "invalid_request_error", "responsible_ai_policy_violation"), "ClientError ContentFiltered"],
    [
      403,
      { error: { message: "Request is prohibited by organization's policy.", status: "PERMISSION_DENIED" } },
      "ClientError PermissionDenied"
    ]
  ])
})

describe("429: does waiting a minute cure it?", () => {
  check([
    [429, { detail: "Insufficient balance" }, "ClientError QuotaExhausted"],
    [429, { error: "You have run out of credits" }, "ClientError QuotaExhausted"],
    [429, openAi("Your account has reached its monthly spending limit"), "ClientError QuotaExhausted"],
    [429, openAi("Spending cap reached for this project"), "ClientError QuotaExhausted"],
    [429, openAi("Daily request limit reached, try again tomorrow."), "ClientError QuotaExhausted"],
    [429, openAi("Weekly token limit reached"), "ClientError QuotaExhausted"],
    [
      429,
      { error: { type: "exceeded_current_quota_error", message: "account suspended" } },
      "ClientError QuotaExhausted"
    ],
    [429, { error: { type: "CreditsError", message: "No payment method" } }, "ClientError QuotaExhausted"],
    [429, { error: { code: "daily_limit_exceeded", message: "no" } }, "ClientError QuotaExhausted"],
    [429, { error: { code: "quota_exceeded", message: "no" } }, "ClientError QuotaExhausted"],
    [429, { error: { code: "quota_exceeded", message: "no" } }, "RateLimited", { "retry-after": "20" }],
    [429, { error: { code: "context_length_exceeded", message: "no" } }, "ClientError ContextLengthExceeded"],
    [
      429,
      openAi("Limit: 0 / min. Please try again in 6ms.", "requests", "rate_limit_exceeded"),
      "ClientError QuotaExhausted"
    ],
    [429, openAi("Limit: 10 / min."), "RateLimited"],
    [429, { message: "Limit: 0.5 per second" }, "RateLimited"],
    [429, openAi("Limit: 200 / day"), "ClientError QuotaExhausted"],
    [429, openAi("You have hit your monthly usage cap"), "ClientError QuotaExhausted"],
    [429, openAi("API quota exhausted"), "ClientError QuotaExhausted"],
    [429, openAi("Please recharge"), "ClientError QuotaExhausted"],
    [429, openAi("budget has been exceeded! Current cost: 10.0, Max budget: 5.0"), "ClientError QuotaExhausted"],
    [429, openAi("You have exceeded your daily quota. Retry in 30s"), "RateLimited"],
    [429, openAi("Slow down: 3 RPM. Please try again in 20s, or top up to raise your limits."), "RateLimited"],
    [429, openAi("You exceeded your quota: 100 per minute, please check your account balance"), "RateLimited"],
    [429, openAi("Quota exceeded for metric 'requests per minute' and limit 'per minute for a region'"), "RateLimited"],
    [
      429,
      gemini(429, "RESOURCE_EXHAUSTED", "Quota exceeded: requests per day. Please retry in 36s.", [retryInfo("36s")]),
      "ClientError QuotaExhausted"
    ],
    [429, openAi("Your request reached organization TPD rate limit, current: 1500000"), "ClientError QuotaExhausted"],
    [429, openAi("Number of request tokens has exceeded your per-minute rate limit"), "RateLimited"],
    [429, openAi("Too many concurrent requests"), "RateLimited"],
    [429, openAi("Too many requests"), "RateLimited", { "retry-after": "3600" }],
    [429, openAi("Limit of 100 requests per hour reached"), "RateLimited"],
    [429, openAi("The engine is overloaded", "engine_overloaded_error"), "RateLimited"],
    [429, "error code: 1015", "RateLimited"],
    [429, "Too Many Requests", "RateLimited"]
  ])
})

describe("a body never turns a wrong request into one to retry", () => {
  const bodies = [
    openAi("Please try again in 1s", "rate_limit_error", "rate_limit_exceeded"),
    anthropic("overloaded_error", "Overloaded"),
    gemini(503, "UNAVAILABLE", "The model is overloaded", [retryInfo("1s")]),
    gemini(429, "RESOURCE_EXHAUSTED"),
    openAi("Timed out", "timeout_error"),
    { message: "x", __type: "ThrottlingException" },
    { error: { code: 500, message: "internal error" } }
  ]
  for (const status of [400, 401, 403, 404, 405, 406, 410, 413, 414, 415, 418, 422, 425, 431, 451, 499]) {
    it(String(status), () => {
      for (const body of bodies) {
        strictEqual(respond(status, body, { "x-should-retry": "true", "retry-after": "1" })._tag, "ClientError")
      }
    })
  }
})

describe("a 5xx is what its code says, then what its status says", () => {
  check([
    [500, openAi("no", "insufficient_quota", "insufficient_quota"), "ClientError QuotaExhausted"],
    [500, openAi("no", null, "context_length_exceeded"), "ClientError ContextLengthExceeded"],
    [500, openAi("no", "rate_limit_error", "rate_limit_exceeded"), "RateLimited"],
    [500, { error: { code: 429, message: "no" } }, "RateLimited"],
    [500, anthropic("overloaded_error", "Overloaded"), "ServerError Overloaded"],
    [500, anthropic("api_error", "Overloaded"), "ServerError Overloaded"],
    [500, gemini(504, "DEADLINE_EXCEEDED"), "Timeout"],
    [500, openAi("This model's maximum context length is 8192 tokens"), "ServerError Internal"],
    [500, openAi("Bad", "invalid_request_error"), "ServerError Internal"],
    [503, gemini(503, "UNAVAILABLE", "x", [errorInfo("MODEL_CAPACITY_EXHAUSTED")]), "ServerError Overloaded"],
    [503, openAi("You exceeded your current quota"), "ServerError Unavailable"],
    [504, anthropic("overloaded_error", "Overloaded"), "Timeout"],
    [502, "error code: 502", "ServerError BadGateway"]
  ])
})

describe("a 2xx that is not what was promised", () => {
  check([
    [200, html, "ServerError Malformed"],
    [200, "", "ServerError Truncated"],
    [200, "{\"id\":\"chatcmpl-1\",\"choices\":[{", "ServerError Truncated"],
    [200, "{\"unexpected\":true}", "ServerError Malformed"],
    [200, openAi("no", null, "rate_limit_exceeded"), "RateLimited"],
    [200, { error: { code: 502, message: "upstream" } }, "ServerError BadGateway"],
    [204, "", "ServerError Truncated"]
  ])
})

describe("details", () => {
  it("ids, code, text and wait", () => {
    deepStrictEqual(
      respond(529, anthropic("overloaded_error", "Overloaded. Try again in 3s."), {
        "request-id": "req_header",
        "cf-ray": "8c",
        "x-should-retry": "true"
      }),
      {
        _tag: "ServerError",
        reason: "Overloaded",
        status: 529,
        code: "overloaded_error",
        requestId: "req_header",
        retryAfterMs: 3_000,
        shouldRetry: true,
        detail: "Overloaded. Try again in 3s."
      }
    )
  })

  const ids: ReadonlyArray<readonly [HeaderRecord, string | undefined]> = [
    [{ "x-request-id": "req_openai", "cf-ray": "8c-FRA" }, "req_openai"],
    [{ "request-id": "req_anthropic" }, "req_anthropic"],
    [{ "apim-request-id": "azure-1" }, "azure-1"],
    [{ "x-amzn-requestid": "aws-1" }, "aws-1"],
    [{ "x-generation-id": "gen-1" }, "gen-1"],
    [{ "cf-ray": "8c-FRA" }, "req_011"],
    [{ "x-request-id": "Bearer sk-secret" }, "req_011"],
    [{ "x-request-id": "a".repeat(500) }, "req_011"],
    [{ "x-request-id": "a\u001b[31m", "cf-ray": "8c" }, "req_011"],
    [{ "x-ms-client-request-id": "ours" }, "req_011"]
  ]
  for (const [headers, id] of ids) {
    it(`the request id of ${JSON.stringify(headers).slice(0, 80)} is ${id}`, () =>
      strictEqual(respond(500, anthropic("api_error", "x"), headers).requestId, id))
  }
  it("without any other, Cloudflare's id serves", () =>
    strictEqual(respond(502, html, { "cf-ray": "8c-FRA" }).requestId, "8c-FRA"))

  const codes: ReadonlyArray<readonly [unknown, string | undefined]> = [
    [openAi("x", "requests", "rate_limit_exceeded"), "rate_limit_exceeded"],
    [openAi("x", "invalid_request_error"), "invalid_request_error"],
    [gemini(429, "RESOURCE_EXHAUSTED", "x", [errorInfo("RATE_LIMIT_EXCEEDED")]), "RATE_LIMIT_EXCEEDED"],
    [{ error: { code: 402, message: "x" } }, "402"],
    [openAi("x", "a type", "sk-secret key\n"), undefined],
    [openAi("x", "fallback", "c".repeat(100)), "fallback"],
    ["", undefined]
  ]
  for (const [body, code] of codes) {
    it(`the code of ${JSON.stringify(body).slice(0, 90)} is ${code}`, () => strictEqual(respond(418, body).code, code))
  }
  it("Bedrock's code is in a header", () =>
    strictEqual(
      respond(429, { message: "x" }, { "x-amzn-errortype": "ThrottlingException:http://x" }).code,
      "ThrottlingException"
    ))

  it("x-should-retry counts only when it is exact", () => {
    for (
      const [value, expected] of [["true", true], ["false", false], ["True", undefined], ["1", undefined], [
        "true, true",
        undefined
      ]] as const
    ) {
      strictEqual(respond(500, "", { "x-should-retry": value }).shouldRetry, expected)
    }
  })

  it("the provider's text is bounded, and never HTML or a whole body", () => {
    strictEqual(respond(500, openAi("x".repeat(5_000))).detail?.length, 2_000)
    strictEqual(respond(500, openAi(`${"x".repeat(1_999)}\u{1f600}`)).detail, "x".repeat(1_999))
    strictEqual(respond(502, html).detail, undefined)
    strictEqual(respond(502, { error: { message: html } }).detail, undefined)
    strictEqual(respond(500, "stack trace: at secret()").detail, undefined)
    strictEqual(respond(500, { prompt: "secret" }).detail, undefined)
  })
})

describe("the wait comes from the most trusted source", () => {
  const message = "Rate limit reached. Please try again in 7s."
  const window = { "ratelimit": "\"default\";r=0;t=5" }
  const body = gemini(429, "RESOURCE_EXHAUSTED", message, [retryInfo("4.5s")])
  const rows: ReadonlyArray<readonly [string, number, unknown, HeaderRecord, number | undefined]> = [
    ["retry-after-ms", 429, body, { ...window, "retry-after": "3", "retry-after-ms": "2500" }, 2_500],
    ["retry-after", 429, body, { ...window, "retry-after": "3", "retry-after-ms": "x" }, 3_000],
    ["RetryInfo", 429, body, window, 4_500],
    ["an exhausted window", 429, openAi(message), window, 5_000],
    ["the message", 429, openAi(message), {}, 7_000],
    ["the message of an overloaded server", 529, openAi(message), {}, 7_000],
    ["no window but a 429's", 503, openAi("no"), window, undefined],
    ["no message of another error", 500, openAi(message), {}, undefined],
    ["Retry-After of any error", 503, "", { "retry-after": "9" }, 9_000],
    ["nothing", 429, "", {}, undefined]
  ]
  for (const [name, status, content, headers, expected] of rows) {
    it(`${name}: ${expected}`, () => strictEqual(respond(status, content, headers).retryAfterMs, expected))
  }

  it("a day's quota does not repeat the 36 s it was sent with", () =>
    strictEqual(
      respond(429, gemini(429, "RESOURCE_EXHAUSTED", "x", [quotaFailure("RequestsPerDay"), retryInfo("36s")]))
        .retryAfterMs,
      undefined
    ))

  it("a long wait is kept, for the policy to refuse", () => {
    const classified = respond(429, openAi("Too many requests"), { "retry-after": "9999999999" })
    strictEqual(kind(classified), "RateLimited")
    strictEqual(classified.retryAfterMs, 9_999_999_999_000)
  })
})

describe("classifyTransport", () => {
  const failures: ReadonlyArray<readonly [Parameters<typeof classifyTransport>[0], string]> = [
    ...[
      "ECONNREFUSED",
      "ECONNRESET",
      "ENOTFOUND",
      "EAI_AGAIN",
      "EPIPE",
      "EHOSTUNREACH",
      "UND_ERR_SOCKET",
      "CERT_HAS_EXPIRED",
      "ConnectionRefused"
    ]
      .map((code) => [{ code }, "ServerError Connection"] as const),
    ...["ETIMEDOUT", "ESOCKETTIMEDOUT", "UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"]
      .map((code) => [{ code }, "Timeout"] as const),
    [{ code: "UND_ERR_BODY_TIMEOUT", bodyStarted: true }, "Timeout"],
    [{ code: "ECONNRESET", bodyStarted: true }, "ServerError Truncated"],
    [{ code: "UND_ERR_SOCKET", message: "other side closed", bodyStarted: true }, "ServerError Truncated"],
    [{ message: "terminated", bodyStarted: true }, "ServerError Truncated"],
    [{ message: "terminated" }, "ServerError Connection"],
    [{ message: "fetch failed" }, "ServerError Connection"],
    [{ message: "The operation timed out" }, "Timeout"],
    [{ message: "The operation was aborted due to timeout" }, "Timeout"],
    [{ code: "ERR_STREAM_PREMATURE_CLOSE" }, "ServerError Truncated"],
    [{ code: "HPE_INVALID_CONSTANT" }, "ServerError Malformed"],
    [{ code: "ERR_INVALID_CHAR" }, "ClientError InvalidRequest"],
    [{ code: "E_NEVER_SEEN" }, "ServerError Connection"],
    [{ code: "" }, "ServerError Connection"],
    [{}, "ServerError Connection"]
  ]
  for (const [failure, expected] of failures) {
    it(`${JSON.stringify(failure)} is ${expected}`, () => strictEqual(kind(classifyTransport(failure)), expected))
  }

  it("keeps the code, and nothing of a message that may hold a URL with a key", () =>
    deepStrictEqual(classifyTransport({ code: "ECONNRESET", message: "https://x?key=secret" }), {
      _tag: "ServerError",
      reason: "Connection",
      code: "ECONNRESET"
    }))
})
