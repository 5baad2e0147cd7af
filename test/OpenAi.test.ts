import { FetchHttpClient, HttpClient } from "@effect/platform"
import { describe, it } from "@effect/vitest"
import { assertFalse, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import {
  Config,
  ConfigProvider,
  Duration,
  Effect,
  Either,
  Inspectable,
  Layer,
  Logger,
  LogLevel,
  Redacted
} from "effect"
import { CallReport, ChatProvider, Fallback, IdempotencyKey, OpenAi, Resilience } from "effect-resilience"
import { Fault, FaultServer } from "effect-resilience/testing"
import { inspect } from "node:util"
import { asking, clients, describeError } from "./providerOverHttp.js"
import { rememberingTracer } from "./spans.js"

const KEY = "sk-key-that-must-stay-secret"
const PROMPT = "a prompt that must stay private"
const request: ChatProvider.ChatRequest = { messages: [{ role: "user", content: PROMPT }] }

const provider = (server: FaultServer.Service, model: string, options: OpenAi.Options = {}) =>
  OpenAi.layer({ apiKey: Redacted.make(KEY), baseUrl: `${server.url}/v1`, model, ...options })

const ask = asking(request, provider)

for (const [name, client] of Object.entries(clients)) {
  describe(`OpenAi over ${name}`, () => {
    it.scopedLive("sends the conversation and decodes the answer", () =>
      Effect.gen(function*() {
        const { attempts, result } = yield* ask(
          Fault.ok({ content: "Hi", usage: { promptTokens: 3, completionTokens: 1 } })
        )
        assertTrue(Either.isRight(result))
        strictEqual(ChatProvider.text(result.right), "Hi")
        strictEqual(result.right.model, "m")
        strictEqual(result.right.usage?.prompt_tokens, 3)
        strictEqual(result.right["object"], "chat.completion")
        strictEqual(attempts[0]?.path, "/v1/chat/completions")
        strictEqual(attempts[0]?.headers["content-type"], "application/json")
        strictEqual(attempts[0]?.bodyLength, JSON.stringify({ ...request, model: "m" }).length)
      }).pipe(Effect.provide(client)))

    const faults: Record<string, readonly [Fault.Fault, string]> = {
      "a rate limit": [Fault.rateLimited({ retryAfter: "2 seconds" }), "RateLimited 429"],
      "a spent quota": [Fault.quotaExhausted, "ClientError QuotaExhausted 429"],
      "overload": [Fault.overloaded({ status: 529 }), "ServerError Overloaded 529"],
      "a bad key": [Fault.badKey, "ClientError Authentication 401"],
      "a context that is too long": [Fault.contextTooLong, "ClientError ContextLengthExceeded 400"],
      "filtered content": [Fault.contentFiltered, "ClientError ContentFiltered 400"],
      "an unknown model": [Fault.status(404), "ClientError NotFound 404"],
      "a proxy's HTML": [Fault.htmlBadGateway, "ServerError BadGateway 502"],
      "an empty 500": [Fault.status(500, { body: "" }), "ServerError Internal 500"],
      "a gateway's timeout": [Fault.status(504), "Timeout Attempt 504"],
      "an error inside a 200": [Fault.errorInside200({ as: 500 }), "ServerError Internal"],
      "a reset before the headers": [Fault.resetBeforeHeaders, "ServerError Connection"],
      "a body cut short": [Fault.truncatedBody(), "ServerError Truncated 200"],
      "a chunked body cut short": [Fault.truncatedBody({ chunked: true }), "ServerError Truncated 200"],
      "JSON cut short": [Fault.truncatedJson, "ServerError Truncated 200"],
      "a 200 that is HTML": [Fault.malformedBody({ as: "html" }), "ServerError Malformed 200"],
      "a 200 that is no response": [Fault.status(200, { body: { hello: "world" } }), "ServerError Malformed 200"],
      "a 200 without a choice": [Fault.status(200, { body: { choices: [] } }), "ServerError Malformed 200"],
      "a redirect that leads nowhere": [Fault.status(304), "ClientError NotFound 304"]
    }
    for (const [what, [fault, expected]] of Object.entries(faults)) {
      it.scopedLive(`takes ${what} for ${expected}`, () =>
        Effect.gen(function*() {
          const { result } = yield* ask(fault)
          assertTrue(Either.isLeft(result))
          strictEqual(describeError(result.left), expected)
          strictEqual(result.left.provider, "openai")
          strictEqual(result.left.model, "m")
        }).pipe(Effect.provide(client)))
    }

    it.scopedLive("closes the socket of an attempt that is abandoned, whatever it waits for", () =>
      Effect.forEach(
        [Fault.silence, Fault.stalledBody(), Fault.slow("1 minute")],
        (fault) =>
          Effect.gen(function*() {
            const policy = Resilience.layer({ attemptTimeout: "150 millis", retry: { maxAttempts: 1 } })
            const { result, server } = yield* ask(fault, policy)
            assertTrue(Either.isLeft(result) && result.left._tag === "Timeout" && result.left.scope === "Attempt")
            // Where the headers had come, support can be asked for the request by its id.
            strictEqual(result.left.requestId, fault._tag === "Stalled" ? "req_1" : undefined)
            const attempt = yield* server.awaitAttempt((attempt) => attempt.end !== undefined)
            strictEqual(attempt.end?.how, "closed by client")
            yield* server.awaitClosed
          }),
        { discard: true }
      ).pipe(Effect.provide(client)))

    it.scopedLive("knows the status of an error whose body stalls", () =>
      Effect.gen(function*() {
        const { result, server } = yield* ask(Fault.stalledBody({ status: 503 }))
        assertTrue(Either.isLeft(result))
        strictEqual(result.left._tag, "ServerError")
        yield* server.awaitClosed
      }).pipe(Effect.provide(client)))

    it.scopedLive("reads no more of an error body than it needs", () =>
      Effect.gen(function*() {
        const { result, server } = yield* ask(Fault.status(500, { body: "x".repeat(20_000_000) }))
        assertTrue(Either.isLeft(result) && result.left._tag === "ServerError")
        yield* server.awaitClosed
      }).pipe(Effect.provide(client)))

    it.scopedLive("is refused by a port where nobody listens", () =>
      Effect.gen(function*() {
        const port = yield* Effect.scoped(Effect.map(FaultServer.make(), (server) => server.port))
        const result = yield* ChatProvider.complete(request).pipe(
          Effect.flip,
          Effect.provide(OpenAi.layer({ baseUrl: `http://127.0.0.1:${port}/v1`, model: "m" }))
        )
        strictEqual(describeError(result), "ServerError Connection")
        strictEqual("code" in result ? result.code : undefined, "ECONNREFUSED")
      }).pipe(Effect.provide(client)))
  })
}

describe("sockets", () => {
  it.scopedLive("10,000 failing requests leave none open", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ maxAttempts: 10, keepAlive: true })
      yield* server.script("m", Fault.flapping({ every: 1, bad: Fault.badKey, good: Fault.overloaded() }))
      const failures = yield* ChatProvider.complete(request).pipe(
        Effect.flip,
        Effect.replicateEffect(10_000, { concurrency: 20 }),
        Logger.withMinimumLogLevel(LogLevel.Error),
        Effect.provide(provider(server, "m"))
      )
      strictEqual(failures.length, 10_000)
      // Kept alive are the few that 20 requests at a time can use; a response left unread would hold a connection each.
      assertTrue((yield* server.openSockets) < 100)
    }).pipe(Effect.provide(FetchHttpClient.layer)), 300_000)

  it.scopedLive("an interrupted call closes its own at once", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.silence)
      const fiber = yield* ChatProvider.complete(request).pipe(
        Effect.provide(provider(server, "m").pipe(Resilience.layer())),
        Effect.fork
      )
      yield* server.awaitAttempt((attempt) => attempt.fault !== undefined)
      yield* fiber.interruptAsFork(fiber.id())
      strictEqual((yield* server.awaitAttempt((attempt) => attempt.end !== undefined)).end?.how, "closed by client")
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})

describe("a whole call over HTTP", () => {
  it.scopedLive("waits as long as the server asked, sends one key, and answers", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.rateLimited({ retryAfter: "300 millis" }), Fault.ok({ content: "at last" }))
      const { exit, reports } = yield* ChatProvider.complete(request).pipe(
        IdempotencyKey.withKey("the-caller's-own"),
        CallReport.collect,
        Effect.provide(provider(server, "m").pipe(Resilience.layer({ retry: { base: "1 millis" } })))
      )
      strictEqual(ChatProvider.text(yield* exit), "at last")
      const attempts = yield* server.attempts
      deepStrictEqual(attempts.map((attempt) => attempt.headers["idempotency-key"]), [
        "the-caller's-own",
        "the-caller's-own"
      ])
      const report = reports[0]
      deepStrictEqual(report?.attempts.map(({ outcome, requestId, status }) => [outcome, status, requestId]), [
        ["RateLimited", 429, "req_1"],
        ["Success", 200, "req_2"]
      ])
      const waited = Duration.toMillis(report?.attempts[1]?.waitedBefore ?? 0)
      assertTrue(waited >= 300)
      // No upper bound on a busy machine, but for what was decided: at most a tenth more.
      const between = (attempts[1]?.time ?? 0) - (attempts[0]?.time ?? 0)
      assertTrue(between >= 300)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("falls over to the next model, and the report says so", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("first", Fault.badKey)
      const chain = Fallback.layer(provider(server, "first"), provider(server, "second", { provider: "backup" }))
      const { exit, reports } = yield* CallReport.collect(ChatProvider.complete(request)).pipe(Effect.provide(chain))
      strictEqual((yield* exit).model, "second")
      deepStrictEqual(
        reports[0]?.attempts.map(({ model, outcome, provider }) => [provider, model, outcome]),
        [["openai", "first", "ClientError"], ["backup", "second", "Success"]]
      )
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})

describe("secrets and prompts", () => {
  it.scopedLive("reach no error, report, log or span", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const server = yield* FaultServer.make()
      // A provider that quotes the prompt and the key back, where some do.
      const echo = { error: { message: `Invalid: ${PROMPT} ${KEY}`, type: "invalid", code: `${PROMPT} ${KEY}` } }
      const faults = [
        Fault.status(500, { body: echo, headers: { "x-request-id": `${KEY} ${PROMPT}` } }),
        Fault.status(200, { body: { choices: [{ message: { content: 1, echo: PROMPT } }] } }),
        Fault.status(200, { body: `${PROMPT} ${KEY}` }),
        Fault.truncatedBody(),
        Fault.resetBeforeHeaders,
        Fault.status(400, { body: echo })
      ]
      yield* server.script("m", ...faults)
      const { spans, tracer } = yield* rememberingTracer
      const logger = Logger.make((entry) => {
        seen.push(entry.message, entry.cause, [...entry.annotations])
      })
      const { exit, reports } = yield* ChatProvider.complete(request).pipe(
        Effect.tapErrorCause((cause) => Effect.logError("failed", cause)),
        CallReport.observe((event) => Effect.logInfo(event)),
        CallReport.collect,
        Effect.withSpan("caller"),
        Effect.withTracer(tracer),
        Effect.provide([
          provider(server, "m").pipe(Resilience.layer({ retry: { base: "1 millis", maxAttempts: 9 } })),
          Logger.replace(Logger.defaultLogger, logger)
        ])
      )
      strictEqual(reports[0]?.attempts.length, faults.length)
      assertTrue(exit._tag === "Failure")
      const errors = reports.flatMap((report) => report.attempts.map((attempt) => attempt.error))
      const rendered = [seen, spans, reports, errors, exit].flatMap((value) => [
        JSON.stringify(value, (_, part) => typeof part === "bigint" ? String(part) : part),
        inspect(value, { depth: 20, showHidden: true }),
        String(value)
      ]).concat(errors.map((error) => String(error?.stack)), errors.map((error) => String(error?.message)))
      strictEqual(rendered.filter((text) => text.includes(KEY) || text.includes(PROMPT)).length, 0)
      // The provider's own words are there for the caller who asks for them.
      const last = errors.at(-1)
      assertTrue(last?._tag === "ClientError" && last.detail !== undefined)
      assertTrue(Redacted.value(last.detail).includes(PROMPT))
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.effect("keys of every provider are redacted for whoever looks at the request", () =>
    Effect.gen(function*() {
      const rendered: Array<string> = []
      // As a logger or a tracer of the client's would.
      const spy = HttpClient.make((request) =>
        Effect.withFiberRuntime((fiber) => {
          rendered.push(Inspectable.withRedactableContext(fiber.getFiberRefs(), () => JSON.stringify(request)))
          return Effect.dieMessage("seen")
        })
      )
      yield* ChatProvider.complete(request).pipe(
        Effect.exit,
        Effect.provide(
          OpenAi.layer({
            apiKey: Redacted.make(KEY),
            headers: { "api-key": Redacted.make(KEY), "x-my-own": Redacted.make(KEY), "x-goog-api-key": KEY },
            model: "m"
          })
        ),
        Effect.provideService(HttpClient.HttpClient, spy)
      )
      strictEqual(rendered.length, 1)
      assertFalse(rendered.some((text) => text.includes(KEY)))
    }))
})

describe("options", () => {
  const bad: Record<string, readonly [OpenAi.Options, string]> = {
    "an empty key": [{ apiKey: Redacted.make("") }, "apiKey"],
    "a key with its line break": [{ apiKey: Redacted.make(`${KEY}\n`) }, "apiKey"],
    "a header that ends early": [{ headers: { "x-tenant": "a\r\nb: c" } }, "headers.x-tenant"],
    "a URL that is none": [{ baseUrl: "api.openai.com" }, "baseUrl"],
    "a URL of another protocol": [{ baseUrl: "ftp://example.com" }, "baseUrl"],
    "credentials in the URL": [{ baseUrl: `https://me:${KEY}@example.com` }, "baseUrl"],
    "a key in the URL": [{ query: { key: KEY } }, "query.key"],
    "a query in the base URL": [{ baseUrl: "https://example.com/v1?api-version=1" }, "baseUrl"]
  }
  for (const [what, [options, name]] of Object.entries(bad)) {
    it(`refuses ${what}, by name and without its value`, () => {
      const made = Either.try({ try: () => OpenAi.layer(options), catch: String })
      assertTrue(Either.isLeft(made))
      assertTrue(made.left.startsWith(`RangeError: ${name}:`))
      assertFalse(made.left.includes(KEY))
    })
  }

  it.effect("a missing key is a ConfigError that names it", () =>
    Effect.gen(function*() {
      const error = yield* ChatProvider.complete(request).pipe(
        Effect.provide(
          OpenAi.layerConfig({ apiKey: Config.redacted("OPENAI_API_KEY"), model: "m" }).pipe(
            Layer.provide(FetchHttpClient.layer)
          )
        ),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map())),
        Effect.flip
      )
      assertTrue(String(error).includes("OPENAI_API_KEY"))
    }))

  it.effect("an unusable key is a ConfigError that does not show it", () =>
    Effect.gen(function*() {
      const error = yield* ChatProvider.complete(request).pipe(
        Effect.provide(
          OpenAi.layerConfig({ apiKey: Config.redacted("OPENAI_API_KEY"), model: "m" }).pipe(
            Layer.provide(FetchHttpClient.layer)
          )
        ),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["OPENAI_API_KEY", `${KEY}\nX`]]))),
        Effect.flip
      )
      assertTrue(String(error).includes("apiKey"))
      assertFalse(String(error).includes(KEY))
    }))

  it.scopedLive("a call without a model, or one that is no JSON, is an invalid request that is never sent", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const layer = OpenAi.layer({ baseUrl: `${server.url}/v1` })
      const noModel = yield* ChatProvider.complete(request).pipe(Effect.flip, Effect.provide(layer))
      strictEqual(noModel.message, "openai: no model, name one in the request or in the layer")
      const noJson = yield* ChatProvider.complete({ ...request, model: "m", seed: 1n }).pipe(
        Effect.flip,
        Effect.provide(layer)
      )
      strictEqual(noJson.message, "openai m: the request cannot be encoded as JSON")
      deepStrictEqual([noModel, noJson].map(describeError), [
        "ClientError InvalidRequest",
        "ClientError InvalidRequest"
      ])
      strictEqual((yield* server.attempts).length, 0)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("Azure's: key in its own header, api-version in the query", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ redact: false })
      yield* ChatProvider.complete(request).pipe(
        Effect.exit,
        Effect.provide(OpenAi.layer({
          baseUrl: `${server.url}/openai/deployments/d/`,
          query: { "api-version": "2024-10-21" },
          headers: { "API-Key": Redacted.make(KEY) },
          model: "m"
        }))
      )
      const [attempt] = yield* server.attempts
      strictEqual(attempt?.path, "/openai/deployments/d/chat/completions?api-version=2024-10-21")
      strictEqual(attempt?.headers["api-key"], KEY)
      strictEqual(attempt?.headers["authorization"], undefined)
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})
