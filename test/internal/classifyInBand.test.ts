import { describe, it } from "@effect/vitest"
import { strictEqual } from "@effect/vitest/utils"
import { classifyInBand } from "../../src/internal/classify.js"

const kind = (value: unknown): string | undefined => {
  const classified = classifyInBand(value, {}, 0)
  return classified === undefined
    ? undefined
    : "reason" in classified
    ? `${classified._tag} ${classified.reason}`
    : classified._tag
}

describe("an error inside a 200 is classified as if it had come as a status", () => {
  const errors: ReadonlyArray<readonly [unknown, string]> = [
    [{ error: { code: 429, message: "x" } }, "RateLimited"],
    [{ error: { code: "429", message: "x" } }, "RateLimited"],
    [{ error: { code: 402, message: "x" } }, "ClientError QuotaExhausted"],
    [{ error: { code: 502, message: "x" } }, "ServerError BadGateway"],
    [
      { error: { code: 400, message: "prompt is too long: 9 tokens > 8 maximum" } },
      "ClientError ContextLengthExceeded"
    ],
    [{ error: { code: 400, type: "rate_limit_error", message: "x" } }, "ClientError InvalidRequest"],
    [{ error: "something broke" }, "ServerError Internal"],
    [{ error: "context window exceeded, rate limit, overloaded" }, "ServerError Internal"],
    [{ error: true, message: "x" }, "ServerError Internal"],
    [{ error: { message: "x" } }, "ServerError Internal"],
    [{ error: { code: 200, message: "x" } }, "ServerError Internal"],
    [{ error: { type: "brand_new_trouble", message: "x" } }, "ServerError Internal"],
    [{ type: "error" }, "ServerError Internal"],
    [
      { type: "error", error: { details: null, type: "overloaded_error", message: "Overloaded" } },
      "ServerError Overloaded"
    ],
    [{ type: "error", error: { type: "api_error", message: "x" } }, "ServerError Internal"],
    [{ type: "error", error: { type: "rate_limit_error", message: "x" } }, "RateLimited"],
    [{ type: "error", error: { type: "timeout_error", message: "x" } }, "Timeout"],
    [{ type: "error", error: { type: "invalid_request_error", message: "x" } }, "ClientError InvalidRequest"],
    [
      { type: "error", error: { type: "invalid_request_error", message: "Your credit balance is too low" } },
      "ClientError QuotaExhausted"
    ],
    [{ type: "error", error: { type: "authentication_error", message: "x" } }, "ClientError Authentication"],
    [{ type: "error", code: "server_error", message: "x", param: null, sequence_number: 3 }, "ServerError Internal"],
    [{ error: { code: 503, message: "x", status: "UNAVAILABLE" } }, "ServerError Unavailable"],
    [{ error: { status: "UNAVAILABLE", message: "The model is overloaded." } }, "ServerError Overloaded"],
    [{ error: { status: "INTERNAL", message: "x" } }, "ServerError Internal"],
    [{ error: { status: "DEADLINE_EXCEEDED" } }, "Timeout"],
    [[{ candidates: [] }, { error: { status: "RESOURCE_EXHAUSTED", message: "x" } }], "RateLimited"],
    [{
      id: "gen-1",
      object: "chat.completion.chunk",
      error: { code: 502, message: "Provider disconnected" },
      choices: [{ delta: { content: "" }, finish_reason: "error" }]
    }, "ServerError BadGateway"],
    [{ id: "gen-1", choices: [{ finish_reason: "error", error: { code: 429, message: "x" } }] }, "RateLimited"],
    [
      { id: "gen-1", choices: [{ finish_reason: "error", message: { role: "assistant", content: "half" } }] },
      "ServerError Internal"
    ],
    [
      { type: "response.failed", response: { status: "failed", error: { code: "server_error", message: "x" } } },
      "ServerError Internal"
    ],
    [
      { type: "response.failed", response: { status: "failed", error: { code: "rate_limit_exceeded", message: "x" } } },
      "RateLimited"
    ],
    [
      { type: "response.failed", response: { error: { code: "invalid_prompt", message: "x" } } },
      "ClientError ContentFiltered"
    ],
    [
      { type: "response.failed", response: { error: { code: "bio_policy", message: "x" } } },
      "ClientError ContentFiltered"
    ],
    [{ type: "response.failed", response: { error: { code: "vector_store_timeout", message: "x" } } }, "Timeout"],
    [
      { type: "response.failed", response: { error: { code: "image_file_not_found", message: "x" } } },
      "ClientError InvalidRequest"
    ],
    [
      { type: "response.failed", response: { error: { code: "invalid_image_format", message: "x" } } },
      "ClientError InvalidRequest"
    ],
    [
      { type: "response.failed", response: { error: { code: "data_residency_mismatch", message: "x" } } },
      "ClientError PermissionDenied"
    ],
    [
      { type: "response.failed", response: { error: { code: "context_length_exceeded", message: "x" } } },
      "ClientError ContextLengthExceeded"
    ],
    [{ type: "response.failed", response: { error: null } }, "ServerError Internal"],
    [
      { object: "response", status: "failed", error: { code: "insufficient_quota", message: "x" } },
      "ClientError QuotaExhausted"
    ],
    [{ object: "error", message: "x", type: "BadRequestError", param: null, code: 400 }, "ClientError InvalidRequest"],
    [{ object: "error", message: "x", type: "NotFoundError" }, "ClientError NotFound"],
    [{ object: "error", message: "x", type: "InternalServerError" }, "ServerError Internal"],
    [{ message: "Too many tokens, please wait", __type: "ThrottlingException" }, "RateLimited"],
    [
      { message: "Too many tokens per day", __type: "com.amazon.coral#ThrottlingException" },
      "ClientError QuotaExhausted"
    ],
    [{ message: "x", __type: "ModelTimeoutException" }, "Timeout"],
    [{ message: "x", __type: "ServiceUnavailableException" }, "ServerError Unavailable"],
    [{ throttlingException: { message: "x" } }, "RateLimited"],
    [{ modelStreamErrorException: { message: "x", originalStatusCode: 400 } }, "ServerError FailedDependency"],
    [{ internalServerException: { message: "x" } }, "ServerError Internal"],
    [{ validationException: { message: "x" } }, "ClientError InvalidRequest"],
    [{ code: "Throttling.RateQuota", message: "x", request_id: "1" }, "RateLimited"],
    [{ code: 503, message: "x" }, "ServerError Unavailable"],
    [{ success: false, errors: [{ code: 7009, message: "x" }], result: null }, "ServerError Internal"]
  ]
  for (const [value, expected] of errors) {
    it(`${JSON.stringify(value).slice(0, 150)} is ${expected}`, () => strictEqual(kind(value), expected))
  }

  it("reports the status that the error states, and none when it states none", () => {
    strictEqual(classifyInBand({ error: { code: 503, message: "x" } }, {}, 0)?.status, 503)
    strictEqual(classifyInBand({ error: { type: "overloaded_error" } }, {}, 0)?.status, undefined)
  })
})

describe("an ordinary answer is never an error", () => {
  const message = { role: "assistant", content: "{\"error\":{\"code\":429,\"message\":\"rate limit\"}}" }
  const answers: ReadonlyArray<unknown> = [
    {
      id: "c",
      object: "chat.completion",
      choices: [{ index: 0, message, finish_reason: "stop" }],
      usage: {},
      error: null
    },
    { id: "c", choices: [{ message, finish_reason: "stop", error: null }], error: {} },
    { id: "c", choices: [{ message, finish_reason: "content_filter" }] },
    { id: "c", choices: [{ message }], error: { message: "", type: "", code: null, param: null } },
    { id: "c", choices: [{ message }], error: "" },
    { id: "c", choices: [{ message }], error: false },
    { object: "chat.completion.chunk", choices: [{ delta: { content: "error" }, finish_reason: null }] },
    { object: "chat.completion.chunk", choices: [], usage: { total_tokens: 1 } },
    { type: "message", role: "assistant", content: [{ type: "text", text: "error" }], stop_reason: "end_turn" },
    {
      type: "message",
      content: [{
        type: "web_search_tool_result",
        content: { type: "web_search_tool_result_error", error_code: "unavailable" }
      }]
    },
    { type: "message_start", message: { type: "message", content: [] } },
    { type: "content_block_delta", delta: { type: "text_delta", text: "an error occurred" } },
    { type: "ping" },
    { type: "response.created", response: { id: "r", status: "in_progress", error: null } },
    {
      type: "response.completed",
      response: { id: "r", status: "completed", error: null, output: [{ type: "mcp_call", error: "failed" }] }
    },
    { type: "response.mcp_call.failed", item_id: "i" },
    { type: "response.incomplete", response: { error: null, incomplete_details: { reason: "max_output_tokens" } } },
    { object: "response", status: "completed", error: null, output: [] },
    { candidates: [{ content: { parts: [{ text: "error" }] } }], usageMetadata: {} },
    { model: "llama3", message: { role: "assistant", content: "429" }, done: false },
    { code: 200, message: "ok", data: {} },
    { code: 0, message: "success" },
    { code: "Success", message: "ok" },
    { message: "hello" },
    [{ candidates: [] }],
    [],
    {},
    null,
    undefined,
    "error",
    "{\"error\":1}",
    429,
    true
  ]
  for (const answer of answers) {
    it((JSON.stringify(answer) ?? "undefined").slice(0, 150), () => strictEqual(kind(answer), undefined))
  }
})
