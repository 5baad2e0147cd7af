import { FetchHttpClient, Headers, HttpBody, HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import type { Layer } from "effect"
import { Chunk, Effect, Either, Exit, Logger, LogLevel, Option, Stream } from "effect"
import { CallReport, CircuitBreaker, IdempotencyKey, Resilience, ResilientHttpClient } from "effect-resilience"
import { Fault, FaultServer } from "effect-resilience/testing"
import { inspect } from "node:util"
import { rememberingTracer } from "./spans.js"
import { failureOf, nameOf, onlyReport } from "./utils.js"

const quick: ResilientHttpClient.Options = { retry: { base: "2 millis", jitter: "none" } }

const post = (server: FaultServer.Service, model = "m") =>
  HttpClientRequest.post(`${server.url}/v1/chat/completions`).pipe(
    HttpClientRequest.bodyUnsafeJson({ model, messages: [{ role: "user", content: "Hello" }] })
  )

/** A server with this script for the model `m`, and a wrapped client. */
const setting = (faults: ReadonlyArray<Fault.Fault>, options: ResilientHttpClient.Options = quick) =>
  Effect.gen(function*() {
    const server = yield* FaultServer.make()
    yield* server.script("m", ...faults)
    const wrap = yield* ResilientHttpClient.make(options)
    const client = wrap(yield* HttpClient.HttpClient)
    const requests = Effect.map(server.attempts, (attempts) => attempts.length)
    return { server, client, requests }
  })

const clients: ReadonlyArray<readonly [string, Layer.Layer<HttpClient.HttpClient>]> = [
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici]
]

for (const [name, layer] of clients) {
  describe(`a wrapped client (${name})`, () => {
    const faults: ReadonlyArray<readonly [string, Fault.Fault]> = [
      ["503", Fault.overloaded()],
      ["429 with Retry-After", Fault.rateLimited({ retryAfter: "20 millis" })],
      ["a reset connection", Fault.resetBeforeHeaders],
      ["a body that is cut", Fault.truncatedBody()],
      ["JSON that is cut", Fault.truncatedJson],
      ["an error inside a 200", Fault.errorInside200()]
    ]
    for (const [what, fault] of faults) {
      it.scopedLive(`makes the request again after ${what}`, () =>
        Effect.gen(function*() {
          const { client, requests, server } = yield* setting([fault, Fault.ok({ content: "Hi" })])
          const response = yield* client.execute(post(server))
          const body = yield* response.json
          deepStrictEqual([response.status, yield* requests], [200, 2])
          assertTrue(JSON.stringify(body).includes("Hi"))
        }).pipe(Effect.provide(layer)))
    }

    it.scopedLive("reads a body again that was read below, to log it", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.overloaded(), Fault.ok({ content: "Hi" }), Fault.badKey)
        const logged: Array<string> = []
        const logging = HttpClient.tap(yield* HttpClient.HttpClient, ({ text }) =>
          Effect.map(text, (body) => {
            logged.push(body)
          }))
        const client = (yield* ResilientHttpClient.make(quick))(logging)
        const bodies = [
          yield* Effect.flatMap(client.execute(post(server)), ({ text }) => text),
          yield* Effect.flatMap(client.execute(post(server)), ({ text }) => text)
        ]
        strictEqual(logged.length, 3)
        deepStrictEqual(bodies, logged.slice(1))
      }).pipe(Effect.provide(layer)))

    it.scopedLive("takes an error by its status where its body stalls", () =>
      Effect.gen(function*() {
        const { client, requests, server } = yield* setting([Fault.stalledBody({ status: 401 })])
        const response = yield* client.execute(post(server))
        deepStrictEqual([response.status, yield* response.text, yield* requests], [401, "", 1])
        yield* server.awaitClosed
      }).pipe(Effect.provide(layer)))

    it.scopedLive("covers the body with the attempt timeout", () =>
      Effect.gen(function*() {
        const { client, requests, server } = yield* setting([Fault.stalledBody(), Fault.ok()], {
          ...quick,
          attemptTimeout: "100 millis"
        })
        const response = yield* client.execute(post(server))
        deepStrictEqual([response.status, yield* requests], [200, 2])
        yield* server.awaitClosed
      }).pipe(Effect.provide(layer)))
  })
}

it.scopedLive("10,000 failing requests leave no connection behind", () =>
  Effect.gen(function*() {
    const { client, server } = yield* setting([Fault.overloaded()], {
      retry: { maxAttempts: 1 },
      circuitBreaker: false
    })
    yield* Effect.forEach(Array.from({ length: 10_000 }), () => client.execute(post(server)), {
      concurrency: 50,
      discard: true
    })
    strictEqual((yield* server.attempts).length, 10_000)
    yield* server.awaitClosed
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None), Effect.provide(NodeHttpClient.layerUndici)), 300_000)

describe("what the program sees", () => {
  it.scopedLive("a response that is an error is a response, and callError knows what it means", () =>
    Effect.gen(function*() {
      const { client, requests, server } = yield* setting([Fault.badKey], { ...quick, circuitBreaker: false })
      const response = yield* client.execute(post(server))
      deepStrictEqual([response.status, yield* requests], [401, 1])
      assertTrue((yield* response.text).length > 0)
      const strict = yield* Effect.either(HttpClient.filterStatusOk(client).execute(post(server)))
      const error = Either.isLeft(strict) ? ResilientHttpClient.callError(strict.left) : undefined
      strictEqual(error?._tag === "ClientError" ? error.reason : undefined, "Authentication")
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("an error inside a 200 is an error, whose response has the body", () =>
    Effect.gen(function*() {
      const { client, requests, server } = yield* setting([Fault.errorInside200()])
      const error = failureOf(yield* Effect.exit(client.execute(post(server))))
      deepStrictEqual([error._tag, error.reason, yield* requests], ["ResponseError", "Decode", 5])
      strictEqual(nameOf(ResilientHttpClient.callError(error)), "ServerError")
      if (error._tag === "ResponseError") {
        strictEqual(error.response.status, 200)
        assertTrue((yield* error.response.text).includes("error"))
      }
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  const saying = (body: object) => {
    const asked: Array<string> = []
    const client = HttpClient.make((request) =>
      Effect.sync(() => {
        asked.push(request.url)
        return HttpClientResponse.fromWeb(request, Response.json(body))
      })
    )
    return { asked, client: ResilientHttpClient.unsafeMake(quick)(client) }
  }

  it.effect("a job that failed, which was asked for and is no failure to answer", () =>
    Effect.gen(function*() {
      const { asked, client } = saying({
        id: "job",
        status: "failed",
        error: { code: "server_error", message: "oops" }
      })
      const { exit, reports } = yield* CallReport.collect(client.get("https://api.example.com/jobs/1"))
      assertTrue(Exit.isSuccess(exit))
      deepStrictEqual([asked.length, onlyReport(reports).outcome], [1, "Success"])
    }))

  it.effect("a refusal of one word inside a 200, for the program to look at", () =>
    Effect.gen(function*() {
      const { client } = saying({ ok: false, error: "channel_not_found" })
      const response = yield* client.post("https://api.example.com/chat.postMessage")
      deepStrictEqual(yield* response.json, { ok: false, error: "channel_not_found" })
    }))

  it.scopedLive("the same within a span, which wraps every error that passes", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.badKey])
      const response = yield* client.execute(post(server)).pipe(Effect.withSpan("ask"))
      strictEqual(response.status, 401)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  for (const [name, layer] of clients) {
    it.scopedLive(`the client's own error where that refuses error statuses, classified by the response (${name})`, () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.overloaded(), Fault.badKey)
        const strict = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
        const client = (yield* ResilientHttpClient.make(quick))(strict)
        const error = failureOf(yield* Effect.exit(client.execute(post(server)).pipe(Effect.withSpan("ask"))))
        const ours = ResilientHttpClient.callError(error)
        deepStrictEqual([error._tag, error.reason], ["ResponseError", "StatusCode"])
        strictEqual(ours?._tag === "ClientError" ? ours.reason : undefined, "Authentication")
        strictEqual((yield* server.attempts).length, 2)
        yield* server.awaitClosed
      }).pipe(Effect.provide(layer)))
  }

  it.scopedLive("an error that holds neither key nor prompt", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.resetBeforeHeaders], { retry: { maxAttempts: 1 } })
      const request = post(server).pipe(
        HttpClientRequest.bearerToken("a-secret"),
        HttpClientRequest.setHeader("x-team-key", "a-secret"),
        HttpClientRequest.setUrlParam("key", "a-secret"),
        HttpClientRequest.bodyUnsafeJson({ model: "m", messages: [{ role: "user", content: "a-prompt" }] })
      )
      const error = failureOf(
        yield* Effect.exit(client.execute(request)).pipe(
          Effect.locally(Headers.currentRedactedNames, ["x-team-key"])
        )
      )
      deepStrictEqual([error._tag, error.request.method], ["RequestError", "POST"])
      for (const printed of [JSON.stringify(error), inspect(error, { depth: 9 }), String(error)]) {
        assertTrue(!printed.includes("a-secret") && !printed.includes("a-prompt"), printed)
      }
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  for (const strict of [false, true]) {
    it.scopedLive(`an error response with neither key nor prompt${strict ? ", where the client refuses it" : ""}`, () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.badKey, Fault.truncatedJson)
        const bare = yield* HttpClient.HttpClient
        const wrap = yield* ResilientHttpClient.make({ retry: { maxAttempts: 1 }, circuitBreaker: false })
        const client = wrap(strict ? HttpClient.filterStatusOk(bare) : bare)
        const request = HttpClientRequest.post(`${server.url}/v1/chat/completions`).pipe(
          HttpClientRequest.bearerToken("a-secret"),
          HttpClientRequest.bodyUnsafeJson({ model: "m", messages: [{ role: "user", content: "a-prompt" }] })
        )
        for (const status of [401, 200]) {
          const seen = yield* Effect.merge(client.execute(request))
          const response = "response" in seen ? seen.response : seen
          assertTrue("status" in response && response.status === status)
          for (const printed of [JSON.stringify(seen), inspect(seen, { depth: 9 })]) {
            assertTrue(!printed.includes("a-secret") && !printed.includes("a-prompt"), printed)
          }
        }
      }).pipe(Effect.provide(FetchHttpClient.layer)))
  }

  it.scopedLive("no key of any provider in the client's spans", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.ok()])
      const { spans, tracer } = yield* rememberingTracer
      yield* client.execute(HttpClientRequest.setHeader(post(server), "api-key", "a-secret")).pipe(
        Effect.withTracer(tracer)
      )
      yield* client.execute(HttpClientRequest.setUrlParam(post(server), "key", "a-secret")).pipe(
        Effect.zipRight(client.get(`${server.url}/v1/models?alt=sse&api_key=a-secret`)),
        Effect.withTracer(tracer)
      )
      deepStrictEqual(spans.map(({ name }) => name), ["http.client POST"])
      const printed = inspect(spans.map(({ attributes }) => attributes))
      assertTrue(printed.includes("api-key") && !printed.includes("a-secret"), printed)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("when retries do not help, the last response", () =>
    Effect.gen(function*() {
      const { client, requests, server } = yield* setting([Fault.overloaded()])
      const response = yield* client.execute(post(server))
      deepStrictEqual([response.status, yield* requests], [503, 5])
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("what has no response is a RequestError that holds ours, also for who wraps it again", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.silence], {
        attemptTimeout: "50 millis",
        retry: { maxAttempts: 1 }
      })
      const error = failureOf(yield* Effect.exit(client.execute(post(server))))
      deepStrictEqual([error._tag, ResilientHttpClient.callError(error)?._tag], ["RequestError", "Timeout"])
      strictEqual(ResilientHttpClient.callError(new Error("outer", { cause: { cause: error } }))?._tag, "Timeout")
      strictEqual(ResilientHttpClient.callError(new Error("another")), undefined)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("an open circuit is an error, and each origin has its own", () =>
    Effect.gen(function*() {
      const options = {
        retry: { maxAttempts: 1 },
        circuitBreaker: { trip: CircuitBreaker.consecutiveFailures(1) }
      }
      const { client, requests, server } = yield* setting([Fault.overloaded()], options)
      const other = yield* FaultServer.make()
      yield* client.execute(post(server))
      const error = failureOf(yield* Effect.exit(client.execute(post(server))))
      deepStrictEqual([ResilientHttpClient.callError(error)?._tag, yield* requests], ["CircuitOpen", 1])
      strictEqual((yield* client.execute(post(other))).status, 200)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("a wrapped client inside a wrapped one does not multiply the attempts", () =>
    Effect.gen(function*() {
      const { client, requests, server } = yield* setting([Fault.overloaded()])
      const outer = (yield* ResilientHttpClient.make(quick))(client)
      strictEqual((yield* outer.execute(post(server))).status, 503)
      strictEqual(yield* requests, 5)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("a report of each call, with status and request id", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.overloaded(), Fault.ok()])
      const { reports } = yield* CallReport.collect(client.execute(post(server)))
      const { attempts } = onlyReport(reports)
      deepStrictEqual(attempts.map(({ outcome, status }) => [outcome, status]), [["ServerError", 503], [
        "Success",
        200
      ]])
      assertTrue(attempts.every(({ provider, requestId }) => provider === server.url && requestId !== undefined))
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})

describe("what is sent again", () => {
  const keys = (server: FaultServer.Service) =>
    Effect.map(server.attempts, (attempts) => new Set(attempts.map(({ headers }) => headers["idempotency-key"])))

  it.scopedLive("carries one key for all attempts of a request, the caller's own if there is one", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.overloaded(), Fault.overloaded(), Fault.ok()])
      yield* client.execute(post(server))
      const made = yield* keys(server)
      deepStrictEqual([made.size, made.has(undefined)], [1, false])
      yield* server.reset
      yield* client.execute(post(server)).pipe(IdempotencyKey.withKey("mine"))
      deepStrictEqual([...(yield* keys(server))], ["mine"])
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("has a key of its own for each of the requests that policies around them see as one", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.overloaded(), Fault.ok()])
      const { protect } = yield* Resilience.make()
      const both = Effect.zip(client.execute(post(server)), client.execute(post(server)))
      yield* protect(both).pipe(IdempotencyKey.withKey("mine"))
      const sent = (yield* server.attempts).map(({ headers }) => headers["idempotency-key"])
      deepStrictEqual(sent, ["mine", "mine-2"])
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("is, without a key, only what the server says it did not do", () =>
    Effect.gen(function*() {
      const without = { ...quick, idempotencyKey: false }
      const reset = yield* setting([Fault.resetBeforeHeaders, Fault.ok()], without)
      yield* Effect.exit(reset.client.execute(post(reset.server)))
      strictEqual(yield* reset.requests, 1)
      const busy = yield* setting([Fault.overloaded(), Fault.ok()], without)
      strictEqual((yield* busy.client.execute(post(busy.server))).status, 200)
      strictEqual(yield* busy.requests, 2)
      deepStrictEqual([...(yield* keys(busy.server))], [undefined])
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("is never a body that can be read but once", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.overloaded(), Fault.ok()])
      const body = new TextEncoder().encode(JSON.stringify({ model: "m", messages: [] }))
      const request = HttpClientRequest.post(`${server.url}/v1/chat/completions`).pipe(
        HttpClientRequest.setBody(HttpBody.stream(Stream.fromChunk(Chunk.of(body)), "application/json"))
      )
      const response = yield* client.execute(request)
      deepStrictEqual([response.status, (yield* server.attempts).length], [503, 1])
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})

describe("a stream of events", () => {
  const streamed = (
    server: FaultServer.Service,
    path: "chat/completions" | "responses" | "messages" = "chat/completions"
  ) =>
    HttpClientRequest.post(`${server.url}/v1/${path}`).pipe(
      HttpClientRequest.bodyUnsafeJson({
        model: "m",
        max_tokens: 100,
        stream: true,
        [path === "responses" ? "input" : "messages"]: [{ role: "user", content: "Hello" }]
      })
    )
  const options: ResilientHttpClient.Options = { ...quick, attemptTimeout: "300 millis", idle: "150 millis" }

  /** The text of a streamed body, and the error of ours that ended it. */
  const read = (client: HttpClient.HttpClient, request: HttpClientRequest.HttpClientRequest) =>
    Effect.gen(function*() {
      const response = yield* client.execute(request)
      let text = ""
      const end = yield* response.stream.pipe(
        Stream.decodeText(),
        Stream.runForEach((piece) =>
          Effect.sync(() => {
            text += piece
          })
        ),
        Effect.either
      )
      const error = Either.isLeft(end) ? ResilientHttpClient.callError(end.left) : undefined
      return { text, end: error === undefined ? "whole" : nameOf(error), status: response.status }
    })

  const thens: ReadonlyArray<readonly [Fault.StreamEnd, string]> = [
    ["cut", "ServerError"],
    ["eof", "ServerError"],
    ["stall", "Timeout Idle"],
    ["reset", "ServerError"],
    ["error", "ServerError"],
    ["pings", "Timeout Idle"]
  ]
  for (const path of ["chat/completions", "responses", "messages"] as const) {
    for (const [then, error] of thens) {
      it.scopedLive(`is made again until the first content, and fails with ours after it: ${then}, ${path}`, () =>
        Effect.gen(function*() {
          const before = yield* setting([Fault.stream({ then }), Fault.ok({ content: "all is well" })], options)
          const seen = yield* read(before.client, streamed(before.server, path))
          deepStrictEqual([seen.end, seen.status, yield* before.requests], ["whole", 200, 2])
          assertTrue(seen.text.includes("well"))
          const after = yield* setting([Fault.stream({ then, after: 2, content: "one two three four" })], options)
          const cut = yield* read(after.client, streamed(after.server, path))
          deepStrictEqual([cut.end, yield* after.requests], [error, 1])
          assertTrue(cut.text.includes("two") && !cut.text.includes("three"))
          yield* after.server.awaitClosed
        }).pipe(Effect.provide(FetchHttpClient.layer)))
    }
  }

  it.scopedLive("that breaks is known by its headers alone, which is all that some libraries keep", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.stream({ then: "cut", after: 2 })], options)
      const response = yield* client.execute(streamed(server))
      const error = failureOf(yield* Effect.exit(Stream.runDrain(response.stream)))
      const kept = { response: { status: error.response.status, headers: error.response.headers } }
      strictEqual(ResilientHttpClient.callError(kept)?._tag, "ServerError")
      strictEqual(yield* error.response.text, "")
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("is read once, and told as a whole to everybody who asks", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting(
        [Fault.stream({ every: "5 millis", content: "one two three" })],
        options
      )
      const response = yield* client.execute(streamed(server))
      const [text, again] = yield* Effect.all([response.text, response.text], { concurrency: 2 })
      assertTrue(text.includes("three") && text.endsWith("data: [DONE]\n\n"), text)
      strictEqual(again, text)
      strictEqual(yield* response.text, text)
      strictEqual(Buffer.from(yield* response.arrayBuffer).toString(), text)
      const { message, reason } = yield* Effect.flip(Stream.runDrain(response.stream))
      strictEqual(reason, "Decode")
      assertTrue(message.includes("read already"), message)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("is gone for those who come after a reader who left", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.stream({ then: "stall", after: 2 })], {
        ...options,
        idle: "1 minute"
      })
      const response = yield* client.execute(streamed(server))
      deepStrictEqual(yield* Effect.timeoutOption(response.text, "50 millis"), Option.none())
      strictEqual((yield* Effect.flip(response.text)).reason, "Decode")
      strictEqual((yield* Effect.flip(Stream.runDrain(response.stream))).reason, "Decode")
      yield* server.awaitClosed
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("passes through as it is, byte for byte", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.ok({ content: "Grüße und 你好" })], options)
      const wrapped = yield* read(client, streamed(server))
      const bare = yield* read(yield* HttpClient.HttpClient, streamed(server))
      const comparable = (text: string) => text.replaceAll(/"(id|created)":("[^"]*"|\d+)/g, "")
      strictEqual(comparable(wrapped.text), comparable(bare.text))
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("that is no longer read is let go of at once", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.stream({ then: "stall", after: 2 })], {
        ...options,
        idle: "1 minute"
      })
      const response = yield* client.execute(streamed(server))
      yield* Stream.runDrain(Stream.take(response.stream, 1))
      const attempt = yield* server.awaitAttempt(({ end }) => end !== undefined)
      strictEqual(attempt.end?.how, "closed by client")
      yield* server.awaitClosed
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  for (
    const [path, last] of [["chat/completions", "[DONE]"], ["messages", "message_stop"]] as const
  ) {
    it.scopedLive(`that is read up to the protocol's end was read well: ${path}`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* setting([Fault.stream({ then: "stall", after: 2 }), Fault.ok()], options)
        // One that stops before it is none of the provider's business.
        const outcomeOf = (request: HttpClientRequest.HttpClientRequest, until: string) =>
          Effect.flatMap(client.execute(request), ({ stream }) =>
            stream.pipe(
              Stream.decodeText(),
              Stream.takeUntil((text) => text.includes(until)),
              Stream.runDrain
            )).pipe(
              CallReport.collect,
              Effect.map(({ reports }) => onlyReport(reports).attempts.map(({ outcome }) => outcome))
            )
        deepStrictEqual(yield* outcomeOf(streamed(server, path), "This"), ["Interrupted"])
        deepStrictEqual(yield* outcomeOf(streamed(server, path), last), ["Success"])
      }).pipe(Effect.provide(FetchHttpClient.layer)))
  }

  it.scopedLive("holds its slot until it ends", () =>
    Effect.gen(function*() {
      const { client, server } = yield* setting([Fault.stream({ then: "stall", after: 2 }), Fault.ok()], {
        ...options,
        maxConcurrent: 1,
        attemptTimeout: "100 millis",
        retry: { maxAttempts: 1 }
      })
      const response = yield* client.execute(streamed(server))
      const error = failureOf(yield* Effect.exit(client.execute(post(server))))
      strictEqual(ResilientHttpClient.callError(error)?._tag, "RateLimited")
      yield* Effect.ignore(Stream.runDrain(response.stream))
      strictEqual((yield* client.execute(post(server))).status, 200)
    }).pipe(Effect.provide(FetchHttpClient.layer)))
})
