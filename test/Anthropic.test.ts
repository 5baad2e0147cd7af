import { FetchHttpClient, HttpClient, type HttpClientRequest } from "@effect/platform"
import { describe, it } from "@effect/vitest"
import { assertFalse, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Config, ConfigProvider, Duration, Effect, Either, Inspectable, Layer, Logger, Redacted } from "effect"
import { Anthropic, CallReport, ChatProvider, Fallback, IdempotencyKey, OpenAi, Resilience } from "effect-resilience"
import { Fault, FaultServer } from "effect-resilience/testing"
import { inspect } from "node:util"
import { asking, clients, describeError } from "./providerOverHttp.js"
import { rememberingTracer } from "./spans.js"
import { onlyReport } from "./utils.js"

const KEY = "sk-ant-key-that-must-stay-secret"
const PROMPT = "a prompt that must stay private"
const request: ChatProvider.ChatRequest = { messages: [{ role: "user", content: PROMPT }] }

const provider = (server: FaultServer.Service, model: string, options: Anthropic.Options = {}) =>
  Anthropic.layer({ apiKey: Redacted.make(KEY), baseUrl: server.url, model, ...options })

const ask = asking(request, provider)

const bodyOf = (sent: HttpClientRequest.HttpClientRequest): unknown =>
  sent.body._tag === "Uint8Array" ? JSON.parse(new TextDecoder().decode(sent.body.body)) : undefined

/** The client in the context, and the bodies that went through it. */
const recording = Effect.map(HttpClient.HttpClient, (client) => {
  const bodies: Array<unknown> = []
  return {
    bodies,
    client: HttpClient.tapRequest(client, (sent) => Effect.sync(() => bodies.push(bodyOf(sent))))
  }
})

for (const [name, client] of Object.entries(clients)) {
  describe(`Anthropic over ${name}`, () => {
    it.scopedLive("sends the conversation and decodes the answer", () =>
      Effect.gen(function*() {
        const { attempts, result } = yield* ask(
          Fault.ok({ content: "Hi", usage: { promptTokens: 3, completionTokens: 1 } })
        )
        assertTrue(Either.isRight(result))
        strictEqual(ChatProvider.text(result.right), "Hi")
        strictEqual(result.right.id, "msg_1")
        strictEqual(result.right.model, "m")
        strictEqual(result.right.choices[0].finish_reason, "stop")
        deepStrictEqual(
          [result.right.usage?.prompt_tokens, result.right.usage?.completion_tokens, result.right.usage?.total_tokens],
          [3, 1, 4]
        )
        strictEqual(attempts[0]?.path, "/v1/messages")
        strictEqual(attempts[0]?.headers["content-type"], "application/json")
        strictEqual(attempts[0]?.headers["anthropic-version"], "2023-06-01")
        strictEqual(attempts[0]?.headers["anthropic-beta"], undefined)
      }).pipe(Effect.provide(client)))

    const faults: Record<string, readonly [Fault.Fault, string]> = {
      "a rate limit": [Fault.rateLimited({ retryAfter: "2 seconds" }), "RateLimited 429"],
      "a rate limit that names no wait": [Fault.rateLimited(), "RateLimited 429"],
      "a spend limit": [Fault.quotaExhausted, "ClientError QuotaExhausted 429"],
      "a problem with the bill": [Fault.status(402), "ClientError QuotaExhausted 402"],
      "overload": [Fault.overloaded({ status: 529 }), "ServerError Overloaded 529"],
      "a bad key": [Fault.badKey, "ClientError Authentication 401"],
      "a missing permission": [Fault.status(403), "ClientError PermissionDenied 403"],
      "a request that is too large": [Fault.status(413), "ClientError RequestTooLarge 413"],
      "a context that is too long": [Fault.contextTooLong, "ClientError ContextLengthExceeded 400"],
      "filtered content": [Fault.contentFiltered, "ClientError ContentFiltered 400"],
      "an unknown model": [Fault.status(404), "ClientError NotFound 404"],
      "a conflict": [Fault.status(409), "ServerError Conflict 409"],
      "a proxy's HTML": [Fault.htmlBadGateway, "ServerError BadGateway 502"],
      "an internal error": [Fault.status(500), "ServerError Internal 500"],
      "an empty 500": [Fault.status(500, { body: "" }), "ServerError Internal 500"],
      "a gateway's timeout": [Fault.status(504), "Timeout Attempt 504"],
      "overload inside a 200": [Fault.errorInside200({ as: 529 }), "ServerError Overloaded"],
      "a rate limit inside a 200": [Fault.errorInside200({ as: 429 }), "RateLimited"],
      "a reset before the headers": [Fault.resetBeforeHeaders, "ServerError Connection"],
      "a body cut short": [Fault.truncatedBody(), "ServerError Truncated 200"],
      "a chunked body cut short": [Fault.truncatedBody({ chunked: true }), "ServerError Truncated 200"],
      "JSON cut short": [Fault.truncatedJson, "ServerError Truncated 200"],
      "a 200 that is HTML": [Fault.malformedBody({ as: "html" }), "ServerError Malformed 200"],
      "a 200 that is no message": [Fault.status(200, { body: { hello: "world" } }), "ServerError Malformed 200"],
      "a 200 of another protocol": [
        Fault.status(200, { body: { choices: [{ message: { content: "Hi" } }] } }),
        "ServerError Malformed 200"
      ],
      "a redirect that leads nowhere": [Fault.status(304), "ClientError NotFound 304"]
    }
    for (const [what, [fault, expected]] of Object.entries(faults)) {
      it.scopedLive(`takes ${what} for ${expected}`, () =>
        Effect.gen(function*() {
          const { result } = yield* ask(fault)
          assertTrue(Either.isLeft(result))
          strictEqual(describeError(result.left), expected)
          strictEqual(result.left.provider, "anthropic")
          strictEqual(result.left.model, "m")
          if ("status" in result.left && result.left.status !== undefined) {
            strictEqual(result.left.requestId, "req_1")
          }
        }).pipe(Effect.provide(client)))
    }

    it.scopedLive("closes the socket of an attempt that is abandoned", () =>
      Effect.gen(function*() {
        const policy = Resilience.layer({ attemptTimeout: "150 millis", retry: { maxAttempts: 1 } })
        const { result, server } = yield* ask(Fault.stalledBody(), policy)
        assertTrue(Either.isLeft(result) && result.left._tag === "Timeout" && result.left.scope === "Attempt")
        strictEqual(result.left.requestId, "req_1")
        const attempt = yield* server.awaitAttempt((attempt) => attempt.end !== undefined)
        strictEqual(attempt.end?.how, "closed by client")
        yield* server.awaitClosed
      }).pipe(Effect.provide(client)))
  })
}

describe("what an error tells", () => {
  it.scopedLive("a rate limit tells how long to wait; a spend limit does not, and its code says what it is", () =>
    Effect.gen(function*() {
      const limited = yield* ask(Fault.rateLimited({ retryAfter: "2 seconds" }))
      assertTrue(Either.isLeft(limited.result) && limited.result.left._tag === "RateLimited")
      deepStrictEqual(limited.result.left.retryAfter, Duration.seconds(2))
      strictEqual(limited.result.left.code, "rate_limit_error")
      const spent = yield* ask(Fault.quotaExhausted)
      assertTrue(Either.isLeft(spent.result) && spent.result.left._tag === "ClientError")
      strictEqual(spent.result.left.retryAfter, undefined)
      strictEqual(spent.result.left.code, "enforced_spend_limit_reached")
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("the time at which a limit is whole again is no wait: there is room for a call before", () =>
    Effect.gen(function*() {
      const { result } = yield* ask(Fault.status(429, {
        headers: {
          "anthropic-ratelimit-requests-remaining": "0",
          "anthropic-ratelimit-requests-reset": new Date(Date.now() + 60_000).toISOString()
        }
      }))
      assertTrue(Either.isLeft(result) && result.left._tag === "RateLimited")
      strictEqual(result.left.retryAfter, undefined)
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})

describe("a whole call over HTTP", () => {
  it.scopedLive("waits as long as the server asked, sends one key, and answers", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script(
        "m",
        Fault.rateLimited({ retryAfter: "100 millis" }),
        Fault.overloaded({ status: 529 }),
        Fault.ok({ content: "at last" })
      )
      const { exit, reports } = yield* ChatProvider.complete(request).pipe(
        IdempotencyKey.withKey("the-caller's-own"),
        CallReport.collect,
        Effect.provide(provider(server, "m").pipe(Resilience.layer({ retry: { base: "1 millis" } })))
      )
      strictEqual(ChatProvider.text(yield* exit), "at last")
      deepStrictEqual(
        (yield* server.attempts).map((attempt) => attempt.headers["idempotency-key"]),
        Array.from({ length: 3 }, () => "the-caller's-own")
      )
      const report = onlyReport(reports)
      deepStrictEqual(report.attempts.map(({ outcome, requestId, status }) => [outcome, status, requestId]), [
        ["RateLimited", 429, "req_1"],
        ["ServerError", 529, "req_2"],
        ["Success", 200, "req_3"]
      ])
      assertTrue(Duration.toMillis(report.attempts[1]?.waitedBefore ?? 0) >= 100)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("one request goes to either kind of provider", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("gpt", Fault.quotaExhausted)
      yield* server.script("claude", Fault.ok({ content: "From Claude" }))
      const { exit, reports } = yield* ChatProvider.complete({ ...request, seed: 7, temperature: 1.4 }).pipe(
        CallReport.collect,
        Effect.provide(
          OpenAi.layer({ baseUrl: `${server.url}/v1`, model: "gpt" }).pipe(
            Fallback.orElse(provider(server, "claude"))
          )
        )
      )
      strictEqual(ChatProvider.text(yield* exit), "From Claude")
      const report = onlyReport(reports)
      deepStrictEqual(report.attempts.map(({ dropped, provider }) => [provider, dropped]), [
        ["openai", []],
        ["anthropic", ["temperature", "seed"]]
      ])
      deepStrictEqual((yield* server.attempts).map(({ path }) => path), ["/v1/chat/completions", "/v1/messages"])
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("a tool is called, answered and told of", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const { bodies, client } = yield* recording
      const thinking = { type: "thinking", thinking: "I need the weather.", signature: "sig" }
      const use = { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Bern" } }
      const usage = { input_tokens: 5, output_tokens: 6 }
      const called = {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "m",
        content: [thinking, use],
        stop_reason: "tool_use",
        usage
      }
      yield* server.script("m", Fault.status(200, { body: called }), Fault.ok({ content: "Sunny in Bern." }))
      const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
      const asked = {
        messages: [{ role: "user", content: "Weather in Bern?" }],
        tools: [{ type: "function", function: { name: "weather", parameters } }],
        tool_choice: "auto",
        thinking: { type: "enabled", budget_tokens: 1024 }
      }
      const text = yield* Effect.gen(function*() {
        const first = yield* ChatProvider.complete(asked)
        const { finish_reason, message } = first.choices[0]
        strictEqual(finish_reason, "tool_calls")
        strictEqual(message["reasoning_content"], "I need the weather.")
        deepStrictEqual(message["tool_calls"], [
          { id: "toolu_1", type: "function", function: { name: "weather", arguments: `{"city":"Bern"}` } }
        ])
        const second = yield* ChatProvider.complete({
          ...asked,
          messages: [
            ...asked.messages,
            { ...message, role: "assistant" },
            { role: "tool", tool_call_id: "toolu_1", content: "sunny" }
          ]
        })
        return ChatProvider.text(second)
      }).pipe(Effect.provide(provider(server, "m")), Effect.provideService(HttpClient.HttpClient, client))
      strictEqual(text, "Sunny in Bern.")
      const common = {
        model: "m",
        max_tokens: 5120,
        tools: [{ name: "weather", input_schema: parameters }],
        tool_choice: { type: "auto" },
        thinking: asked.thinking
      }
      const user = { role: "user", content: [{ type: "text", text: "Weather in Bern?" }] }
      deepStrictEqual(bodies, [
        { ...common, messages: [user] },
        {
          ...common,
          messages: [
            user,
            { role: "assistant", content: [thinking, use] },
            {
              role: "user",
              content: [{ type: "tool_result", tool_use_id: "toolu_1", content: [{ type: "text", text: "sunny" }] }]
            }
          ]
        }
      ])
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})

describe("what cannot be honoured", () => {
  it.scopedLive("is named beforehand, and asking for it all the same sends nothing", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const asked = { ...request, response_format: { type: "json_object" }, n: 2 }
      yield* Effect.gen(function*() {
        const service = yield* ChatProvider.ChatProvider
        deepStrictEqual(service.unsupported?.(asked), ["response_format", "n"])
        deepStrictEqual(service.unsupported?.(request), [])
        const error = yield* Effect.flip(service.complete(asked))
        strictEqual(describeError(error), "ClientError InvalidRequest")
        strictEqual(error.message, "anthropic m: cannot honour response_format, n")
      }).pipe(Effect.provide(provider(server, "m")))
      strictEqual((yield* server.attempts).length, 0)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("a request that cannot be written is invalid and is never sent", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const bad = { role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: `{${PROMPT}` } }] }
      const complete = (asked: ChatProvider.ChatRequest, layer = provider(server, "m")) =>
        ChatProvider.complete(asked).pipe(Effect.flip, Effect.provide(layer))
      const errors = [
        yield* complete({ messages: [bad] }),
        yield* complete({ ...request, top_k: 1n }),
        yield* complete(request, Anthropic.layer({ baseUrl: server.url }))
      ]
      deepStrictEqual(errors.map(describeError), errors.map(() => "ClientError InvalidRequest"))
      deepStrictEqual(errors.map((error) => error.message), [
        "anthropic m: the arguments of a tool call are not a JSON object",
        "anthropic m: the request cannot be encoded as JSON",
        "anthropic: no model, name one in the request or in the layer"
      ])
      strictEqual((yield* server.attempts).length, 0)
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})

describe("options", () => {
  const headersOf = (options: (server: FaultServer.Service) => Anthropic.Options) =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ redact: false })
      yield* ChatProvider.complete({ ...request, model: "m" }).pipe(
        Effect.provide(Anthropic.layer(options(server)))
      )
      const [attempt] = yield* server.attempts
      return { path: attempt?.path, headers: attempt?.headers ?? {} }
    })

  it.scopedLive("the key goes as x-api-key, the token as Authorization, each where it is given", () =>
    Effect.gen(function*() {
      const key = yield* headersOf(({ url }) => ({ baseUrl: url, apiKey: Redacted.make(KEY) }))
      deepStrictEqual([key.headers["x-api-key"], key.headers["authorization"]], [KEY, undefined])
      const token = yield* headersOf(({ url }) => ({ baseUrl: url, authToken: Redacted.make(KEY) }))
      deepStrictEqual([token.headers["x-api-key"], token.headers["authorization"]], [undefined, `Bearer ${KEY}`])
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("version, beta features, headers and query are sent; a base URL may end with its version", () =>
    Effect.gen(function*() {
      const { headers, path } = yield* headersOf(({ url }) => ({
        baseUrl: `${url}/v1/`,
        version: "2030-01-01",
        beta: ["one-2025-01-01", "two-2025-01-01"],
        headers: { "X-Team": "t", "Anthropic-Version": "overruled" },
        query: { beta: "true" }
      }))
      strictEqual(path, "/v1/messages?beta=true")
      deepStrictEqual(
        [headers["anthropic-version"], headers["anthropic-beta"], headers["x-team"]],
        ["2030-01-01", "one-2025-01-01,two-2025-01-01", "t"]
      )
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  const bad: Record<string, readonly [Anthropic.Options, string]> = {
    "an empty key": [{ apiKey: Redacted.make("") }, "apiKey"],
    "a key with its line break": [{ apiKey: Redacted.make(`${KEY}\n`) }, "apiKey"],
    "a token with a space at its end": [{ authToken: Redacted.make(`${KEY} `) }, "authToken"],
    "an empty version": [{ version: "" }, "version"],
    "a beta feature with a line break": [{ beta: ["a", "b\nc: d"] }, "beta"],
    "a header that ends early": [{ headers: { "x-tenant": "a\r\nb: c" } }, "headers.x-tenant"],
    "a URL that is none": [{ baseUrl: "api.anthropic.com" }, "baseUrl"],
    "credentials in the URL": [{ baseUrl: `https://me:${KEY}@example.com` }, "baseUrl"],
    "a key in the URL": [{ query: { "api-key": KEY } }, "query.api-key"]
  }
  for (const [what, [options, name]] of Object.entries(bad)) {
    it(`refuses ${what}, by name and without its value`, () => {
      const made = Either.try({ try: () => Anthropic.layer(options), catch: String })
      assertTrue(Either.isLeft(made))
      assertTrue(made.left.startsWith(`RangeError: ${name}:`))
      assertFalse(made.left.includes(KEY))
    })
  }

  it.scopedLive("can come from a ConfigProvider, where a missing one is named and a bad one not shown", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ redact: false })
      const call = (config: ReadonlyArray<readonly [string, string]>) =>
        ChatProvider.complete(request).pipe(
          Effect.provide(Anthropic.layerConfig({
            apiKey: Config.redacted("ANTHROPIC_API_KEY"),
            baseUrl: Config.string("ANTHROPIC_BASE_URL"),
            beta: Config.array(Config.string(), "ANTHROPIC_BETA").pipe(Config.withDefault([])),
            model: "m"
          })),
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map(config)))
        )
      const url = ["ANTHROPIC_BASE_URL", server.url] as const
      yield* call([url, ["ANTHROPIC_API_KEY", KEY]])
      const [attempt] = yield* server.attempts
      deepStrictEqual([attempt?.headers["x-api-key"], attempt?.headers["anthropic-beta"]], [KEY, undefined])
      const missing = yield* Effect.flip(call([url]))
      assertTrue(String(missing).includes("ANTHROPIC_API_KEY"))
      const unusable = yield* Effect.flip(call([url, ["ANTHROPIC_API_KEY", `${KEY}\nX`]]))
      assertTrue(String(unusable).includes("apiKey"))
      assertFalse(String(unusable).includes(KEY))
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})

describe("credential", () => {
  const credential = (layer: Layer.Layer<ChatProvider.ChatProvider, never, HttpClient.HttpClient>) =>
    Effect.map(ChatProvider.ChatProvider, (service) => service.credential ?? "").pipe(
      Effect.provide(layer.pipe(Layer.provide(FetchHttpClient.layer)))
    )
  const key = (key: string) => ({ apiKey: Redacted.make(key) })

  it.effect("tells accounts and servers apart, whatever header the key is in, and shows none", () =>
    Effect.gen(function*() {
      const layers = [
        Anthropic.layer(key("sk-1")),
        Anthropic.layer(key("sk-2")),
        Anthropic.layer({ authToken: Redacted.make("sk-1") }),
        Anthropic.layer({ headers: { "x-tenant-key": Redacted.make("sk-1") } }),
        Anthropic.layer({ ...key("sk-1"), baseUrl: "https://gateway.example.com" }),
        OpenAi.layer(key("sk-1")),
        OpenAi.layer({ headers: { "api-key": "sk-1" } }),
        OpenAi.layer()
      ]
      const credentials = yield* Effect.forEach(layers, credential)
      strictEqual(new Set(credentials).size, layers.length)
      assertTrue(credentials.every((one) => /^[0-9a-z]{1,7}$/.test(one)))
    }))

  it.effect("is the same for the same account, whatever else differs", () =>
    Effect.gen(function*() {
      const credentials = yield* Effect.forEach([
        Anthropic.layer({ ...key("sk-1"), model: "a" }),
        Anthropic.layer({ ...key("sk-1"), model: "b", beta: ["x"], headers: { "x-trace": "1" } }),
        Anthropic.layer({ headers: { "X-Api-Key": "sk-1" } })
      ], credential)
      strictEqual(new Set(credentials).size, 1)
    }))
})

describe("secrets", () => {
  it.scopedLive("key and prompt are in no error, log, span or report, however the call ends", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const server = yield* FaultServer.make()
      const echo = { type: "error", error: { type: `${PROMPT} ${KEY}`, message: `Invalid: ${PROMPT} ${KEY}` } }
      const faults = [
        Fault.status(500, { body: echo, headers: { "request-id": `${KEY} ${PROMPT}` } }),
        Fault.status(200, { body: { type: "message", content: [{ type: "text", echo: PROMPT }] } }),
        Fault.status(200, { body: `${PROMPT} ${KEY}` }),
        Fault.resetBeforeHeaders,
        Fault.status(400, { body: echo })
      ]
      yield* server.script("m", ...faults)
      const { spans, tracer } = yield* rememberingTracer
      const logger = Logger.make((entry) => {
        seen.push(entry.message, entry.cause, [...entry.annotations])
      })
      const { exit, reports } = yield* ChatProvider.complete({ ...request, seed: 1 }).pipe(
        Effect.tapErrorCause((cause) => Effect.logError("failed", cause)),
        CallReport.observe((event) => Effect.logInfo(event)),
        CallReport.collect,
        Effect.withSpan("caller"),
        Effect.withTracer(tracer),
        Effect.provide([
          provider(server, "m", { authToken: Redacted.make(KEY) }).pipe(
            Resilience.layer({ retry: { base: "1 millis", maxAttempts: 9 } })
          ),
          Logger.replace(Logger.defaultLogger, logger)
        ])
      )
      assertTrue(exit._tag === "Failure")
      const report = onlyReport(reports)
      strictEqual(report.attempts.length, faults.length)
      const rendered = [seen, spans, reports, exit].flatMap((value) => [
        JSON.stringify(value, (_, part) => typeof part === "bigint" ? String(part) : part),
        inspect(value, { depth: 20, showHidden: true }),
        String(value)
      ]).concat(report.attempts.map(({ error }) => `${error?.message} ${error?.stack}`))
      strictEqual(rendered.filter((text) => text.includes(KEY) || text.includes(PROMPT)).length, 0)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.effect("keys are redacted for whoever looks at the request", () =>
    Effect.gen(function*() {
      const rendered: Array<string> = []
      const spy = HttpClient.make((request) =>
        Effect.withFiberRuntime((fiber) => {
          rendered.push(Inspectable.withRedactableContext(fiber.getFiberRefs(), () => JSON.stringify(request)))
          return Effect.dieMessage("seen")
        })
      )
      yield* ChatProvider.complete(request).pipe(
        Effect.exit,
        Effect.provide(Anthropic.layer({
          apiKey: Redacted.make(KEY),
          authToken: Redacted.make(KEY),
          headers: { "x-my-own": Redacted.make(KEY) },
          model: "m"
        })),
        Effect.provideService(HttpClient.HttpClient, spy)
      )
      strictEqual(rendered.length, 1)
      assertFalse(rendered.some((text) => text.includes(KEY)))
    }))
})
