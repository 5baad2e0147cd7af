/** What the gateway lets in, and in which words it refuses the rest. Nothing that is refused reaches a provider. */
import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, Fiber } from "effect"
import { Fault } from "effect-resilience/testing"
import type * as Http from "node:http"
import type { Answer, Serving } from "./serving.js"
import { chat, CLIENT_KEY, errorOf, messages, post, send, serve, two } from "./serving.js"

const auth = { keys: [{ name: "web", key: CLIENT_KEY }] }
const authorization = `Bearer ${CLIENT_KEY}`
const path = "/v1/chat/completions"
const json = { "content-type": "application/json" }
const wellSaid = JSON.stringify({ model: "chat", messages })

/** A refusal, in the shape that OpenAI's clients read, and that nobody was asked. */
const refused = (serving: Serving, answer: Answer, status: number, code: string) =>
  Effect.gen(function*() {
    strictEqual(`${answer.status} ${errorOf(answer).code}`, `${status} ${code}`)
    strictEqual(errorOf(answer).type, "invalid_request_error")
    strictEqual(answer.headers["content-type"], "application/json")
    strictEqual(answer.headers["x-should-retry"], "false")
    deepStrictEqual(yield* serving.upstream.attempts, [])
    return answer
  })

describe("behind keys, the gateway", () => {
  const asked: ReadonlyArray<readonly [method: string, path: string]> = [
    ["POST", path],
    ["POST", "/v1/embeddings"],
    ["POST", "/v1/responses"],
    ["GET", "/v1/models"],
    ["GET", "/metrics"]
  ]
  for (const [method, path] of asked) {
    it.scopedLive(`answers ${method} ${path} to those who have one alone`, () =>
      Effect.gen(function*() {
        const serving = yield* serve({ auth })
        const body = method === "POST" ? JSON.stringify({ model: "chat", messages, input: "one" }) : undefined
        const ask = (headers: Http.OutgoingHttpHeaders) =>
          send(serving, path, { method, body, headers: { ...json, ...headers } })
        for (
          const headers of [
            {},
            { authorization: "" },
            { authorization: "Bearer" },
            { authorization: "Bearer " },
            { authorization: CLIENT_KEY },
            { authorization: `Basic ${CLIENT_KEY}` },
            { authorization: `${authorization}x` },
            { authorization: authorization.slice(0, -1) },
            { authorization: `${authorization}, ${authorization}` },
            { "x-api-key": CLIENT_KEY },
            { cookie: authorization }
          ]
        ) {
          yield* refused(serving, yield* ask(headers), 401, "invalid_api_key")
        }
        strictEqual((yield* ask({ authorization })).status, 200)
        strictEqual((yield* ask({ authorization: `bearer ${CLIENT_KEY}` })).status, 200)
      }))
  }

  it.scopedLive("tells anybody whether it is alive and ready, until it drains", () =>
    Effect.gen(function*() {
      const serving = yield* serve({ auth })
      const ask = (path: string) =>
        Effect.map(send(serving, path), ({ status, text }) => [status, JSON.parse(text).status])
      deepStrictEqual(yield* ask("/health"), [200, "ok"])
      deepStrictEqual(yield* ask("/ready"), [200, "ready"])
      yield* serving.drain
      deepStrictEqual(yield* ask("/health"), [200, "ok"])
      deepStrictEqual(yield* ask("/ready"), [503, "draining"])
      strictEqual((yield* chat(serving, { authorization })).status, 200)
    }))

  it.scopedLive("has metrics as Prometheus reads them", () =>
    Effect.gen(function*() {
      const serving = yield* serve({ auth })
      yield* chat(serving, { authorization })
      const { headers, text } = yield* send(serving, "/metrics", { headers: { authorization } })
      assertInclude(headers["content-type"], "text/plain; version=0.0.4")
      assertInclude(text, "resilience_calls")
    }))

  it.scopedLive("gives a key as many places as it may have at a time, and says when to come again", () =>
    Effect.gen(function*() {
      const serving = yield* serve({
        auth: { keys: [{ name: "web", key: CLIENT_KEY, maxConcurrent: 1 }, { name: "app", key: "sk-of-the-app" }] }
      })
      yield* serving.upstream.script("a", Fault.stream({ firstAfter: "400 millis" }), Fault.ok())
      const running = yield* Effect.fork(chat(serving, { authorization }, { stream: true }))
      yield* serving.upstream.awaitAttempt(({ model }) => model === "a")
      const answer = yield* chat(serving, { authorization })
      deepStrictEqual([answer.status, errorOf(answer).code], [429, "too_many_concurrent_requests"])
      strictEqual(errorOf(answer).type, "rate_limit_error")
      strictEqual(answer.headers["retry-after"], "1")
      strictEqual(answer.headers["x-should-retry"], undefined)
      strictEqual((yield* serving.upstream.attempts).length, 1)
      strictEqual((yield* chat(serving, { authorization: "Bearer sk-of-the-app" })).status, 200)
      strictEqual((yield* Fiber.join(running)).status, 200)
      strictEqual((yield* chat(serving, { authorization })).status, 200)
    }))
})

describe("of the pages in a browser, the gateway", () => {
  const origins = ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1", "file://"]
  for (const origin of origins) {
    it.scopedLive(`answers none of another origin (${origin})`, () =>
      Effect.gen(function*() {
        const serving = yield* serve()
        yield* refused(serving, yield* chat(serving, { origin }), 403, "foreign_origin")
        yield* refused(serving, yield* send(serving, "/v1/models", { headers: { origin } }), 403, "foreign_origin")
        yield* refused(serving, yield* send(serving, "/metrics", { headers: { origin } }), 403, "foreign_origin")
      }))
  }

  for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", ""]) {
    it.scopedLive(`answers none whose name only points here (${host})`, () =>
      Effect.gen(function*() {
        const serving = yield* serve()
        yield* refused(serving, yield* chat(serving, { host: `${host}:${serving.port}` }), 403, "foreign_host")
        const origin = `http://${host}:${serving.port}`
        const answer = yield* chat(serving, { host: `${host}:${serving.port}`, origin })
        strictEqual(answer.status, 403)
      }))
  }

  it.scopedLive("lets none ask beforehand whether it may", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      const headers = { origin: "http://evil.example", "access-control-request-method": "POST" }
      const answer = yield* send(serving, path, { method: "OPTIONS", headers })
      yield* refused(serving, answer, 405, "method_not_allowed")
      assertTrue(Object.keys(answer.headers).every((name) => !name.startsWith("access-control")))
    }))

  it.scopedLive("answers its own, under each of the names of this machine", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      for (const name of ["127.0.0.1", "localhost", "[::1]", "127.0.0.2"]) {
        const host = `${name}:${serving.port}`
        strictEqual((yield* chat(serving, { host })).status, 200)
        strictEqual((yield* chat(serving, { host, origin: `http://${host}` })).status, 200)
      }
    }))
})

describe("the gateway refuses", () => {
  it.scopedLive("a path that it has not", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      for (
        const path of ["/", "/v1", "/v1/chat/completions/", "/v1//models", "/V1/MODELS", "/v1/files", "/%2e%2e/health"]
      ) {
        yield* refused(serving, yield* send(serving, path), 404, "unknown_url")
      }
    }))

  it.scopedLive("a method that is not for this path, and says which is", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      for (
        const [method, path, allow] of [["GET", "/v1/responses", "POST"], ["DELETE", "/v1/models", "GET"]] as const
      ) {
        const answer = yield* refused(serving, yield* send(serving, path, { method }), 405, "method_not_allowed")
        strictEqual(answer.headers.allow, allow)
      }
    }))

  it.scopedLive("what does not say that it is JSON", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      for (
        const type of [
          "",
          "text/plain",
          "application/x-www-form-urlencoded",
          "multipart/form-data",
          "application/jsonp"
        ]
      ) {
        const answer = yield* send(serving, path, { body: wellSaid, headers: { "content-type": type } })
        yield* refused(serving, answer, 415, "unsupported_media_type")
      }
      const headers = { "content-type": "Application/JSON; charset=utf-8" }
      strictEqual((yield* send(serving, path, { body: wellSaid, headers })).status, 200)
    }))

  const nonsense: ReadonlyArray<readonly [what: string, body: string | Uint8Array]> = [
    ["nothing", ""],
    ["half a body", wellSaid.slice(0, -1)],
    ["a list", "[]"],
    ["null", "null"],
    ["a text", `"chat"`],
    ["bytes that are no text", Uint8Array.from([0xff, 0xfe, 0x00, 0x80])],
    ["compressed bytes", Uint8Array.from([0x1f, 0x8b, 0x08, 0x00])],
    ["brackets without end", "[".repeat(1_000_000)]
  ]
  for (const [what, body] of nonsense) {
    it.scopedLive(`${what} in the place of a request`, () =>
      Effect.gen(function*() {
        const serving = yield* serve()
        for (const path of ["/v1/chat/completions", "/v1/embeddings", "/v1/responses"]) {
          yield* refused(
            serving,
            yield* send(serving, path, { body, method: "POST", headers: json }),
            400,
            "invalid_json"
          )
        }
      }))
  }

  it.scopedLive("a model that is none", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      for (const path of ["/v1/chat/completions", "/v1/embeddings", "/v1/responses"]) {
        for (const model of [undefined, null, 1, ["chat"], { name: "chat" }]) {
          const answer = yield* post(serving, path, { model, messages })
          yield* refused(serving, answer, 400, "missing_required_parameter")
          strictEqual(errorOf(answer).param, "model")
        }
        for (const model of ["", "CHAT", "first/a", "__proto__", "constructor"]) {
          yield* refused(serving, yield* post(serving, path, { model, messages }), 404, "model_not_found")
        }
      }
    }))

  it.scopedLive("a chat without messages, and says what is wrong with it", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      for (const messages of [undefined, null, "Hello", [1], [{ content: "Hello" }]]) {
        const answer = yield* refused(
          serving,
          yield* post(serving, path, { model: "chat", messages }),
          400,
          "invalid_request"
        )
        assertTrue(errorOf(answer).param?.startsWith("messages") === true)
      }
    }))

  it.scopedLive("a body that is deeper than it can be read, and goes on", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      const deep = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`
      for (const depth of [1000, 10_000, 100_000, 1_000_000]) {
        for (
          const [path, body] of [
            ["/v1/chat/completions", `{"model":"chat","messages":[{"role":"user","content":${deep(depth)}}]}`],
            ["/v1/chat/completions", `{"model":"chat","messages":[{"role":"user","content":"Hi"}],"x":${deep(depth)}}`],
            ["/v1/responses", `{"model":"chat","input":${deep(depth)}}`]
          ] as const
        ) {
          const answer = yield* send(serving, path, { body, headers: json })
          yield* refused(serving, answer, 400, "invalid_json")
        }
      }
      strictEqual((yield* chat(serving)).status, 200)
    }), 20_000)

  it.scopedLive("a body that is too large, told beforehand or not, without keeping it", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      const told = { ...json, "content-length": `${33 * 1024 * 1024}`, expect: "100-continue" }
      yield* refused(serving, yield* send(serving, path, { method: "POST", headers: told }), 413, "request_too_large")
      const large = { ...json, "transfer-encoding": "chunked" }
      const body = new Uint8Array(33 * 1024 * 1024).fill(32)
      yield* refused(serving, yield* send(serving, path, { body, headers: large }), 413, "request_too_large")
      strictEqual((yield* chat(serving)).status, 200)
    }))

  it.scopedLive("to pass on what none of the model's providers speaks", () =>
    Effect.gen(function*() {
      const serving = yield* serve(two)
      for (const [path, body] of [["/v1/embeddings", { input: "one" }], ["/v1/responses", { input: "one" }]] as const) {
        const answer = yield* post(serving, path, { model: "claude", ...body })
        yield* refused(serving, answer, 400, "unsupported_model")
      }
    }))
})

describe("the gateway answers", () => {
  it.scopedLive("HEAD where it answers GET, without the body", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      for (const path of ["/health", "/ready", "/v1/models", "/metrics"]) {
        const answer = yield* send(serving, path, { method: "HEAD" })
        deepStrictEqual([answer.status, answer.text], [200, ""])
      }
    }))

  it.scopedLive("a body whose length is not told", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      const headers = { ...json, "transfer-encoding": "chunked" }
      const body = JSON.stringify({ model: "chat", messages: [{ role: "user", content: "é".repeat(100_000) }] })
      strictEqual((yield* send(serving, path, { body, headers })).status, 200)
      const [attempt] = yield* serving.upstream.attempts
      assertInclude(attempt?.body, "é".repeat(100_000))
    }))

  it.scopedLive("whatever follows the path", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      strictEqual((yield* post(serving, `${path}?api-version=1`, { model: "chat", messages })).status, 200)
    }))

  it.scopedLive("a body as large as the images that providers take", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      yield* serving.upstream.script("a", Fault.ok())
      const url = `data:image/png;base64,${"A".repeat(8 * 1024 * 1024)}`
      const image = [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }]
      strictEqual((yield* chat(serving, {}, { messages: image })).status, 200)
      const [attempt] = yield* serving.upstream.attempts
      assertTrue((attempt?.bodyLength ?? 0) > 8 * 1024 * 1024)
    }))
})
