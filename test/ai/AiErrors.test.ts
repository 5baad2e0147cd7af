import { AiError, LanguageModel } from "@effect/ai"
import { OpenAiClient, OpenAiLanguageModel } from "@effect/ai-openai"
import { FetchHttpClient } from "@effect/platform"
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Layer, Option, Redacted } from "effect"
import { ProviderError, ResilientHttpClient } from "effect-resilience"
import { AiErrors } from "effect-resilience/ai"
import { Fault, FaultServer } from "effect-resilience/testing"
import { inspect } from "node:util"

const request = {
  method: "POST",
  url: "https://api.example.com/v1/responses",
  urlParams: [],
  hash: Option.none(),
  headers: { authorization: "Bearer a-secret", "openai-organization": "a-secret", "openai-beta": "v1" }
} as const

const answered = (
  status: number,
  headers: Record<string, string> = {},
  body?: string
) =>
  new AiError.HttpResponseError({
    module: "M",
    method: "m",
    reason: "StatusCode",
    request,
    response: { status, headers },
    body
  })

const nameOf = (error: ProviderError.CallError | undefined): string =>
  error === undefined ? "none" : "reason" in error ? `${error._tag} ${error.reason}` : error._tag

describe("an AiError is for our policies", () => {
  const errors: ReadonlyArray<readonly [string, AiError.AiError, string]> = [
    ["a status", answered(529), "ServerError Overloaded"],
    [
      "a status and its body",
      answered(429, {}, `{"error":{"code":"insufficient_quota"}}`),
      "ClientError QuotaExhausted"
    ],
    ["a wrong key", answered(401), "ClientError Authentication"],
    [
      "a response that cannot be decoded",
      new AiError.HttpResponseError({
        module: "M",
        method: "m",
        reason: "Decode",
        request,
        response: { status: 200, headers: {} }
      }),
      "ServerError Malformed"
    ],
    [
      "a connection that failed",
      new AiError.HttpRequestError({ module: "M", method: "m", reason: "Transport", request }),
      "ServerError Connection"
    ],
    [
      "a URL that is none",
      new AiError.HttpRequestError({ module: "M", method: "m", reason: "InvalidUrl", request }),
      "ClientError InvalidRequest"
    ],
    [
      "an answer that does not match",
      new AiError.MalformedOutput({ module: "M", method: "m" }),
      "ServerError Malformed"
    ],
    [
      "a prompt without words for it",
      new AiError.MalformedInput({ module: "M", method: "m" }),
      "ClientError InvalidRequest"
    ],
    ["nothing, where it may be anything", new AiError.UnknownError({ module: "M", method: "m" }), "none"]
  ]
  for (const [what, error, expected] of errors) {
    it.effect(`${what}: ${expected}`, () =>
      Effect.gen(function*() {
        const ours = yield* AiErrors.toCallError(error, { provider: "openai", model: "gpt-4o" })
        strictEqual(nameOf(ours), expected)
        assertTrue(ours === undefined || ours.message.startsWith("openai gpt-4o: "))
        assertTrue(!inspect(ours, { depth: 9 }).includes("a-secret"))
      }))
  }

  it.effect("the wait that the server asked for, also as a date", () =>
    Effect.gen(function*() {
      const wait = (headers: Record<string, string>) =>
        Effect.map(
          AiErrors.toCallError(answered(429, headers)),
          (ours) => ours?.retryAfter === undefined ? undefined : Duration.toSeconds(ours.retryAfter)
        )
      strictEqual(yield* wait({ "retry-after": "7" }), 7)
      // The test's clock stands at the epoch.
      strictEqual(yield* wait({ "retry-after": "Thu, 01 Jan 1970 00:00:09 GMT" }), 9)
    }))

  it.effect("the error of ours that it was made of", () =>
    Effect.gen(function*() {
      const errors: ReadonlyArray<readonly [ProviderError.CallError, AiError.AiError["_tag"]]> = [
        [new ProviderError.RateLimited({ message: "busy", status: 429 }), "UnknownError"],
        [new ProviderError.ServerError({ message: "cut", reason: "Truncated" }), "MalformedOutput"],
        [new ProviderError.ServerError({ message: "what", reason: "Malformed" }), "MalformedOutput"],
        [new ProviderError.ServerError({ message: "down", reason: "Overloaded" }), "UnknownError"],
        [new ProviderError.ClientError({ message: "wrong", reason: "InvalidRequest" }), "MalformedInput"],
        [new ProviderError.ClientError({ message: "key", reason: "Authentication" }), "UnknownError"],
        [new ProviderError.Timeout({ message: "late", scope: "Idle" }), "UnknownError"],
        [new ProviderError.CircuitOpen({ message: "open", circuit: "c" }), "UnknownError"]
      ]
      for (const [ours, tag] of errors) {
        const error = AiErrors.fromCallError(ours, { module: "M", method: "m" })
        deepStrictEqual([error._tag, error.module, error.method, error.description], [tag, "M", "m", ours.message])
        strictEqual(yield* AiErrors.toCallError(error), ours)
        strictEqual(ResilientHttpClient.callError(AiErrors.redacted(error)), ours)
      }
    }))
})

describe("an AiError without keys", () => {
  it("says what it said but for them", () => {
    const error = answered(503, { "x-request-id": "req_1", "set-cookie": "a-secret" }, "overloaded")
    const redacted = AiErrors.redacted(error)
    assertTrue(redacted._tag === "HttpResponseError")
    deepStrictEqual([redacted.response.status, redacted.body, redacted.message.includes("503")], [
      503,
      "overloaded",
      true
    ])
    deepStrictEqual(redacted.response.headers, { "x-request-id": "req_1", "set-cookie": "<redacted>" })
    deepStrictEqual(redacted.request.headers, {
      authorization: "<redacted>",
      "openai-organization": "<redacted>",
      "openai-beta": "v1"
    })
  })

  it("leaves the cause out, which holds the request again", () => {
    const error = new AiError.HttpRequestError({
      module: "M",
      method: "m",
      reason: "Transport",
      request: { ...request, url: "https://api.example.com/v1?api_key=a-secret&beta=true" },
      cause: { request }
    })
    const redacted = AiErrors.redacted(error)
    const printed = inspect(redacted, { depth: 9 }) + JSON.stringify(redacted) + redacted.message
    assertTrue(!printed.includes("a-secret") && printed.includes("api_key=<redacted>&beta=true"), printed)
  })

  it.scopedLive("says nothing of the request in the place of a body that cannot be read, as its makers do", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.truncatedJson)
      // A client without our policies, whose responses hold the request.
      const error = yield* Effect.flip(LanguageModel.generateText({ prompt: "a-prompt" })).pipe(
        Effect.provide(
          OpenAiLanguageModel.layer({ model: "m" }).pipe(
            Layer.provide(OpenAiClient.layer({ apiKey: Redacted.make("a-secret"), apiUrl: `${server.url}/v1` })),
            Layer.provide(FetchHttpClient.layer)
          )
        )
      )
      const redacted = AiErrors.redacted(error)
      assertTrue(redacted._tag === "HttpResponseError" && redacted.reason === "Decode")
      for (const printed of [inspect(redacted, { depth: 9 }), JSON.stringify(redacted), redacted.message]) {
        assertTrue(!printed.includes("a-secret") && !printed.includes("a-prompt"), printed)
      }
    }))
})
