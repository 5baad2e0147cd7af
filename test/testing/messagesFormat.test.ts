/** Anthropic's format of the FaultServer, and Anthropic's own client as a check of it. */
import Anthropic, {
  APIError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  ContentTooLargeError,
  GatewayTimeoutError,
  InternalServerError,
  NotFoundError,
  OverloadedError,
  PaymentRequiredError,
  PermissionDeniedError,
  RateLimitError,
  ServiceUnavailableError
} from "@anthropic-ai/sdk"
import { describe, it } from "@effect/vitest"
import { assertInclude, assertInstanceOf, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, TestClock } from "effect"
import { Fault, FaultServer } from "effect-resilience/testing"

const ask = (server: FaultServer.Service, body: unknown) =>
  Effect.promise(async (signal) => {
    const response = await fetch(`${server.url}/v1/messages`, { method: "POST", body: JSON.stringify(body), signal })
    return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) }
  })

const messages = [{ role: "user" as const, content: "the secret prompt" }]

const asking = (model: string) => ({ model, max_tokens: 10, messages })

describe("FaultServer in Anthropic's format", () => {
  it.scopedLive("answers well, with the content and the usage it was given", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.ok({ content: "é", usage: { promptTokens: 3, completionTokens: 4 } }))
      const { body, headers, status } = yield* ask(server, asking("m"))
      strictEqual(status, 200)
      strictEqual(headers.get("request-id"), "req_1")
      strictEqual(headers.get("x-request-id"), null)
      strictEqual(headers.get("anthropic-ratelimit-requests-remaining"), "49")
      deepStrictEqual(body, {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "m",
        content: [{ type: "text", text: "é", citations: null }],
        stop_reason: "end_turn",
        stop_sequence: null,
        usage: {
          input_tokens: 3,
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: 0,
          output_tokens: 4,
          service_tier: "standard"
        }
      })
    }))

  it.scopedLive("shares models, scripts and the log with the other format, each fault in its own words", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.quotaExhausted)
      const chat = yield* Effect.promise(() =>
        fetch(`${server.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(asking("m")) })
          .then((response) => response.json())
      )
      strictEqual(chat.error.code, "insufficient_quota")
      const { body, headers, status } = yield* ask(server, asking("m"))
      strictEqual(status, 429)
      deepStrictEqual(body, {
        type: "error",
        error: {
          type: "rate_limit_error",
          message: "Your organization has reached the spend limit of its tier.",
          details: { error_code: "enforced_spend_limit_reached" }
        },
        request_id: "req_2"
      })
      strictEqual(headers.get("retry-after"), null)
      strictEqual(headers.get("anthropic-ratelimit-requests-reset"), null)
      deepStrictEqual((yield* server.attempts).map(({ fault, model }) => [model, fault]), [
        ["m", Fault.quotaExhausted],
        ["m", Fault.quotaExhausted]
      ])
    }))

  it.scoped("a rate limit says when it ends, in seconds, as an instant, and rounded up", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* TestClock.setTime(Date.parse("2026-11-22T12:00:00Z"))
      yield* server.script("m", Fault.rateLimited({ retryAfter: "1500 millis" }))
      const { body, headers } = yield* ask(server, asking("m"))
      strictEqual(body.error.type, "rate_limit_error")
      strictEqual(headers.get("retry-after"), "2")
      strictEqual(headers.get("anthropic-ratelimit-requests-remaining"), "0")
      strictEqual(headers.get("anthropic-ratelimit-requests-reset"), "2026-11-22T12:00:02Z")
    }))

  it.scopedLive("refuses what Anthropic refuses, in its words", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ maxBodyBytes: 200 })
      const cases: ReadonlyArray<readonly [unknown, number, string, string]> = [
        [[], 400, "invalid_request_error", "JSON"],
        [{ messages, max_tokens: 1 }, 400, "invalid_request_error", "model: Field required"],
        [{ model: "m", max_tokens: 1 }, 400, "invalid_request_error", "messages: Field required"],
        [{ model: "m", messages }, 400, "invalid_request_error", "max_tokens: Field required"],
        [asking("fault-nonsense"), 404, "not_found_error", "fault-slow-<time>"],
        ["x".repeat(200), 413, "request_too_large", "too large"]
      ]
      for (const [sent, status, type, message] of cases) {
        const seen = yield* ask(server, sent)
        strictEqual(seen.status, status)
        strictEqual(seen.body.type, "error")
        strictEqual(seen.body.error.type, type)
        assertInclude(seen.body.error.message, message)
        strictEqual(seen.body.request_id, seen.headers.get("request-id"))
      }
    }))

  it.scopedLive("a script from outside can name the kind of an error", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* Effect.promise(() =>
        fetch(`${server.url}/__faults/m`, {
          method: "PUT",
          body: JSON.stringify([
            { _tag: "Status", status: 400, error: "context-too-long" },
            { _tag: "Status", status: 200, error: 529 },
            { _tag: "Status", status: 429, headers: { "retry-after-ms": "soon" } }
          ])
        })
      )
      const long = yield* ask(server, asking("m"))
      assertInclude(long.body.error.message, "prompt is too long")
      const inside = yield* ask(server, asking("m"))
      deepStrictEqual([inside.status, inside.body.error.type], [200, "overloaded_error"])
      strictEqual((yield* ask(server, asking("m"))).status, 429)
    }))
})

describe("Anthropic's client", () => {
  const client = (server: FaultServer.Service, options: ConstructorParameters<typeof Anthropic>[0] = {}) =>
    new Anthropic({ apiKey: "sk-ant-1", baseURL: server.url, maxRetries: 0, logLevel: "off", ...options })

  const fails = (server: FaultServer.Service, model: string) =>
    Effect.promise(() =>
      client(server).messages.create(asking(model)).then(() => "answered", (error: unknown) => error)
    )

  it.scopedLive("reads a plain answer and its request id", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const answer = yield* Effect.promise(() => client(server).messages.create(asking("claude")))
      deepStrictEqual(answer.content.map((block) => block.type === "text" ? block.text : ""), [
        "This is claude, answering in the resilience demo."
      ])
      strictEqual(answer._request_id, "req_1")
      strictEqual(answer.usage.output_tokens, 8)
      // What it sends is not shown in the log, whichever header it puts the key into.
      assertTrue(!JSON.stringify(yield* server.attempts).includes("sk-ant-1"))
    }))

  const errors = [
    ["a spent quota", Fault.quotaExhausted, RateLimitError, "rate_limit_error"],
    ["a rate limit", Fault.rateLimited(), RateLimitError, "rate_limit_error"],
    ["a bad key", Fault.badKey, AuthenticationError, "authentication_error"],
    ["a problem with the bill", Fault.status(402), PaymentRequiredError, "billing_error"],
    ["a missing permission", Fault.status(403), PermissionDeniedError, "permission_error"],
    ["an unknown model", Fault.status(404), NotFoundError, "not_found_error"],
    ["a conflict", Fault.status(409), ConflictError, "conflict_error"],
    ["a request that is too large", Fault.status(413), ContentTooLargeError, "request_too_large"],
    ["a context that is too long", Fault.contextTooLong, BadRequestError, "invalid_request_error"],
    ["filtered content", Fault.contentFiltered, BadRequestError, "invalid_request_error"],
    ["an internal error", Fault.status(500), InternalServerError, "api_error"],
    ["overload with 503", Fault.overloaded(), ServiceUnavailableError, "overloaded_error"],
    ["a timeout of the gateway", Fault.status(504), GatewayTimeoutError, "timeout_error"],
    ["overload", Fault.overloaded({ status: 529 }), OverloadedError, "overloaded_error"]
  ] as const
  for (const [what, fault, errorClass, type] of errors) {
    it.scopedLive(`knows ${what} as ${errorClass.name}`, () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", fault)
        const error = yield* fails(server, "m")
        assertInstanceOf(error, errorClass)
        assertTrue(error instanceof APIError)
        strictEqual(error.type, type)
        strictEqual(error.requestID, "req_1")
      }))
  }

  it.scopedLive("sees a spend limit by its code", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const error = yield* fails(server, "fault-quota-exhausted")
      assertTrue(error instanceof RateLimitError)
      strictEqual(error.errorCode, "enforced_spend_limit_reached")
    }))

  it.scopedLive("retries by its own rules: overload and rate limits, not a bad key", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const wait = { retryAfter: "1 millis" } as const
      yield* server.script("m", Fault.overloaded({ status: 529, ...wait }), Fault.rateLimited(wait), Fault.ok())
      const retrying = client(server, { maxRetries: 2 })
      const answer = yield* Effect.promise(() => retrying.messages.create(asking("m")))
      strictEqual(answer._request_id, "req_3")
      yield* Effect.exit(Effect.tryPromise(() => retrying.messages.create(asking("fault-bad-key"))))
      deepStrictEqual((yield* server.attempts).map(({ status }) => status), [529, 429, 200, 401])
    }))

  it.scopedLive("takes an error inside a 200 for an answer, which is why this library looks inside", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const answer: unknown = yield* Effect.promise(() =>
        client(server).messages.create(asking("fault-error-inside-200"))
      )
      assertTrue(typeof answer === "object" && answer !== null && "error" in answer)
    }))
})
