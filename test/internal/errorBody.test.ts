import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { type ErrorBody, parseErrorBody } from "../../src/internal/errorBody.js"

const details = (...items: ReadonlyArray<object>) => ({
  error: { code: 429, message: "Quota exceeded.", status: "RESOURCE_EXHAUSTED", details: items }
})

describe("parseErrorBody", () => {
  const shapes: ReadonlyArray<readonly [string, unknown, Partial<ErrorBody>]> = [
    ["OpenAI", {
      error: { message: "Too long.", type: "invalid_request_error", param: "messages", code: "context_length_exceeded" }
    }, { message: "Too long.", codes: ["context_length_exceeded", "invalid_request_error"], param: "messages" }],
    ["OpenRouter: a number as code", { error: { code: 402, message: "Insufficient credits" } }, {
      message: "Insufficient credits",
      codes: [],
      status: 402
    }],
    ["Azure: a number in a string", { error: { code: "429", message: "Slow down" } }, {
      message: "Slow down",
      codes: [],
      status: 429
    }],
    ["Ollama: a string", { error: "model requires more system memory" }, {
      message: "model requires more system memory"
    }],
    ["OAuth: a code as the string", { error: "invalid_grant", error_description: "Expired" }, {
      message: "Expired",
      codes: ["invalid_grant"]
    }],
    ["Spring", { timestamp: 1, status: 503, error: "Service Unavailable", message: "down" }, {
      message: "down",
      status: 503
    }],
    ["flat (vLLM, Mistral)", { object: "error", message: "Bad", type: "BadRequestError", param: null, code: 400 }, {
      message: "Bad",
      codes: ["BadRequestError"],
      status: 400
    }],
    ["Mistral: a validation error as the message", {
      object: "error",
      message: { detail: [{ loc: ["body", "model"], msg: "Field required", type: "missing" }] }
    }, { message: "body.model: Field required" }],
    ["Google in an array", [{ error: { code: 503, message: "Overloaded", status: "UNAVAILABLE" } }], {
      message: "Overloaded",
      codes: ["UNAVAILABLE"],
      status: 503
    }],
    ["JSON inside the message", {
      error: {
        code: 429,
        message: "{\n \"error\": {\"code\": 503, \"message\": \"Inner\", \"status\": \"UNAVAILABLE\"}}\n"
      }
    }, { message: "Inner", codes: ["UNAVAILABLE"], status: 429 }],
    ["JSON after a prefix", {
      message: "429 {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Slow\"}}"
    }, {
      message: "Slow",
      codes: ["rate_limit_error"]
    }],
    ["OpenRouter: the upstream's own words", {
      error: {
        code: 429,
        message: "Provider returned error",
        metadata: {
          provider_name: "OpenAI",
          raw: "{\"error\":{\"message\":\"Out of quota\",\"code\":\"insufficient_quota\"}}"
        }
      }
    }, { message: "Out of quota", codes: ["insufficient_quota"], status: 429 }],
    ["Anthropic", {
      type: "error",
      error: { type: "rate_limit_error", message: "Cap", details: { error_code: "enforced_spend_limit_reached" } },
      request_id: "req_1"
    }, { message: "Cap", codes: ["enforced_spend_limit_reached", "rate_limit_error"], requestId: "req_1" }],
    ["Bedrock", { Message: "Denied", __type: "com.amazon.coral.service#AccessDeniedException" }, {
      message: "Denied",
      codes: ["AccessDeniedException"]
    }],
    ["FastAPI: a string", { detail: "Not authenticated" }, { message: "Not authenticated" }],
    ["FastAPI: validation errors, without the rejected input", {
      detail: [
        { loc: ["body", "messages", 0], msg: "field required", type: "missing", input: "my secret prompt" },
        { loc: ["body", "model"], msg: "unknown", type: "value_error" }
      ]
    }, { message: "body.messages.0: field required; body.model: unknown" }],
    ["problem+json", {
      type: "https://example.com/problems/out-of-credit",
      title: "You do not have enough credit.",
      detail: "Your balance is 30, but that costs 50.",
      status: 403
    }, {
      message: "Your balance is 30, but that costs 50.",
      codes: ["https://example.com/problems/out-of-credit"],
      status: 403
    }],
    ["problem+json with a title only", { type: "about:blank", title: "Forbidden" }, {
      message: "Forbidden",
      codes: []
    }],
    ["JSON:API", { errors: [{ status: "404", code: "not_found", title: "No such model" }] }, {
      message: "No such model",
      codes: ["not_found"],
      status: 404
    }],
    ["Azure's inner error", {
      error: { message: "Filtered", code: "content_filter", innererror: { code: "ResponsibleAIPolicyViolation" } }
    }, { codes: ["content_filter", "ResponsibleAIPolicyViolation"] }],
    ["xAI", { code: "The caller lacks permission", error: "Your team has no credits" }, {
      message: "Your team has no credits",
      codes: ["The caller lacks permission"]
    }],
    ["a string", "Rate limited", { message: "Rate limited" }],
    ["RetryInfo", details({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "36.429760048s" }), {
      retryDelayMs: 36_430
    }],
    ["RetryInfo as fields", details({ retryDelay: { seconds: "36", nanos: 1 } }), { retryDelayMs: 36_001 }],
    [
      "QuotaFailure",
      details({ violations: [{ quotaId: "RequestsPerDay", quotaValue: "50" }, { quotaId: "PerMinute" }] }),
      {
        quotaIds: ["RequestsPerDay", "PerMinute"],
        zeroQuota: false
      }
    ],
    ["a quota of zero", details({ violations: [{ quotaId: "A", quotaValue: "0" }] }), { zeroQuota: true }],
    [
      "ErrorInfo",
      details({ reason: "QUOTA_EXHAUSTED", metadata: { quotaResetDelay: "1h2m3s", quota_unit: "1/d/{project}" } }),
      {
        codes: ["QUOTA_EXHAUSTED", "RESOURCE_EXHAUSTED"],
        retryDelayMs: 3_723_000,
        quotaIds: ["1/d/{project}"]
      }
    ],
    ["a moderation report", { error: { code: 403, message: "No", metadata: { flagged_input: "text", reasons: [] } } }, {
      flagged: true
    }]
  ]
  for (const [name, value, expected] of shapes) {
    it(name, () => {
      const body: Partial<ErrorBody> = parseErrorBody(JSON.stringify(value)) ?? {}
      deepStrictEqual(
        Object.fromEntries(Object.entries(body).filter(([key]) => key in expected)),
        { ...expected }
      )
    })
  }

  const texts: ReadonlyArray<readonly [string, string, Partial<ErrorBody> | undefined]> = [
    [
      "a frame that was sent as the body",
      "event: error\ndata: {\"error\":{\"message\":\"Slow\",\"code\":\"slow_down\"}}\n\n",
      {
        message: "Slow",
        codes: ["slow_down"]
      }
    ],
    ["plain text serves for its wording alone", "upstream connect error", { text: "upstream connect error" }],
    ["HTML", "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>", undefined],
    ["HTML in a message", "{\"error\":{\"message\":\"<html><body>502</body></html>\"}}", undefined],
    ["nothing", "", undefined],
    ["blank", " \r\n", undefined],
    ["null", "null", undefined],
    ["a number", "429", undefined],
    ["an empty object", "{}", undefined],
    ["an empty array", "[]", undefined],
    ["an empty error", "{\"error\":{}}", undefined],
    ["other JSON", "{\"choices\":[{\"message\":{\"content\":\"error\"}}]}", undefined]
  ]
  for (const [name, body, expected] of texts) {
    it(name, () => {
      const parsed = parseErrorBody(body)
      strictEqual(parsed === undefined, expected === undefined)
      for (const [key, value] of Object.entries(expected ?? {})) {
        deepStrictEqual(Object.entries(parsed ?? {}).find(([name]) => name === key)?.[1], value)
      }
    })
  }

  it("looks no deeper than any real body", () => {
    const nest = (depth: number): string =>
      JSON.stringify({ error: { message: depth === 0 ? "innermost" : nest(depth - 1) } })
    strictEqual(parseErrorBody(nest(1))?.message, "innermost")
    assertTrue(parseErrorBody(nest(10))?.message?.startsWith("{") ?? false)
  })
})
