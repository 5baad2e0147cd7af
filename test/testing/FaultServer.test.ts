import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, deepStrictEqual, strictEqual, throws } from "@effect/vitest/utils"
import { Effect, Exit, Fiber, Schema, Scope, TestClock } from "effect"
import * as Fault from "effect-resilience/testing/Fault"
import * as FaultServer from "effect-resilience/testing/FaultServer"
import * as Http from "node:http"
import * as Net from "node:net"

const chat = (server: FaultServer.Service, model: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model, messages: [{ role: "user", content: "the secret prompt" }] }),
    ...init
  })

interface Seen {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** What a client sees of a whole response; fails with whatever `fetch` or the reading of the body threw. */
const see = (send: (signal: AbortSignal) => Promise<Response>) =>
  Effect.tryPromise(async (signal): Promise<Seen> => {
    const response = await send(signal)
    return { status: response.status, headers: response.headers, text: await response.text() }
  })

const ask = (server: FaultServer.Service, model: string) => see((signal) => chat(server, model, { signal }))

const control = (server: FaultServer.Service, method: string, path: string, body: string | null = null) =>
  see((signal) => fetch(`${server.url}${path}`, { method, body, signal }))

const ErrorBody = Schema.parseJson(Schema.Struct({
  error: Schema.Struct({
    message: Schema.String,
    type: Schema.NullOr(Schema.String),
    code: Schema.NullOr(Schema.String)
  })
}))

const errorOf = (seen: Seen) => Schema.decodeUnknownSync(ErrorBody)(seen.text).error

const contentOf = (seen: Seen) =>
  Schema.decodeUnknownSync(Schema.parseJson(Schema.Struct({
    choices: Schema.Tuple(Schema.Struct({ message: Schema.Struct({ content: Schema.String }) }))
  })))(seen.text).choices[0].message.content

/** Every message in the chain of causes, since `fetch` hides what happened in there. */
const messages = (error: unknown): string =>
  error instanceof Error
    ? [error.message, "code" in error ? String(error.code) : "", messages(error.cause)].join(" ")
    : ""

const ended = (server: FaultServer.Service, model: string) =>
  server.awaitAttempt((attempt) => attempt.model === model && attempt.end !== undefined)

const howEnded = (server: FaultServer.Service, model: string) =>
  Effect.map(ended(server, model), (attempt) => attempt.end?.how)

describe("FaultServer", () => {
  describe("answers", () => {
    it.scopedLive("well, in OpenAI's shape, for an ordinary model", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const seen = yield* ask(server, "gpt-4o")
        strictEqual(seen.status, 200)
        strictEqual(seen.headers.get("content-type"), "application/json")
        strictEqual(seen.headers.get("x-request-id"), "req_1")
        assertTrue(/^\d+$/.test(seen.headers.get("openai-processing-ms") ?? ""))
        const { created, ...body } = JSON.parse(seen.text)
        strictEqual(typeof created, "number")
        deepStrictEqual(body, {
          id: "chatcmpl-1",
          object: "chat.completion",
          model: "gpt-4o",
          choices: [{
            index: 0,
            message: {
              role: "assistant",
              content: "This is gpt-4o, answering in the resilience demo.",
              refusal: null
            },
            logprobs: null,
            finish_reason: "stop"
          }],
          usage: { prompt_tokens: 8, completion_tokens: 8, total_tokens: 16 }
        })
        strictEqual((yield* ask(server, "gpt-4o")).headers.get("x-request-id"), "req_2")
      }))

    it.scopedLive("with the content and the usage it was given", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.ok({ content: "é", usage: { promptTokens: 3, completionTokens: 4 } }))
        const seen = yield* ask(server, "m")
        strictEqual(contentOf(seen), "é")
        deepStrictEqual(JSON.parse(seen.text).usage, { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 })
      }))

    it.scopedLive("refuses what OpenAI refuses", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ maxBodyBytes: 100 })
        const post = (body: string) => control(server, "POST", "/v1/chat/completions", body)
        const refused = function*(seen: Effect.Effect<Seen, unknown>, status: number, message: string) {
          const response = yield* seen
          strictEqual(response.status, status)
          assertInclude(errorOf(response).message, message)
          assertTrue(response.headers.has("x-request-id"))
        }
        yield* refused(post("{"), 400, "JSON")
        yield* refused(post("[]"), 400, "JSON")
        yield* refused(post(`{ "messages": [] }`), 400, "'model'")
        yield* refused(post(`{ "model": "gpt-4o" }`), 400, "'messages'")
        yield* refused(post("x".repeat(101)), 413, "too large")
        yield* refused(post("x".repeat(5_000_000)), 413, "too large")
        yield* refused(control(server, "GET", "/v1/chat/completions"), 405, "GET")
        yield* refused(control(server, "GET", "/nowhere?key=secret"), 404, "/nowhere")
        const attempts = yield* server.attempts
        strictEqual(attempts.length, 8)
        strictEqual(attempts[5]?.bodyLength, 5_000_000)
        assertTrue(attempts.every((attempt) => attempt.model === undefined && attempt.fault === undefined))
      }))

    it.scopedLive("lists models", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("mine", Fault.ok())
        const models = JSON.parse((yield* control(server, "GET", "/v1/models")).text)
        const ids = models.data.map((model: { readonly id: string }) => model.id)
        assertTrue(["gpt-4o", "mine", "fault-silence"].every((id) => ids.includes(id)))
        for (const id of ids.filter((id: string) => id.startsWith("fault-") && !/silence|slow|stalled/.test(id))) {
          const seen = yield* Effect.option(ask(server, id))
          assertTrue(seen._tag === "None" || seen.value.status !== 404, id)
        }
      }))
  })

  describe("statuses", () => {
    it.scopedLive("any status, with any headers and any body", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script(
          "m",
          Fault.status(418, { headers: { "Retry-After": "soon", "Content-Type": "text/teapot" }, body: "short" }),
          Fault.status(400, { body: { detail: null } }),
          Fault.status(503, { retryAfter: "1500 millis" }),
          Fault.status(500, { body: "" }),
          Fault.status(204)
        )
        const teapot = yield* ask(server, "m")
        deepStrictEqual([teapot.status, teapot.text], [418, "short"])
        strictEqual(teapot.headers.get("retry-after"), "soon")
        strictEqual(teapot.headers.get("content-type"), "text/teapot")
        assertTrue(teapot.headers.has("x-request-id"))
        strictEqual((yield* ask(server, "m")).text, `{"detail":null}`)
        const busy = yield* ask(server, "m")
        strictEqual(busy.headers.get("retry-after"), "2")
        strictEqual(busy.headers.get("retry-after-ms"), "1500")
        strictEqual((yield* ask(server, "m")).text, "")
        const empty = yield* ask(server, "m")
        deepStrictEqual([empty.status, empty.text], [204, ""])
      }))

    const cases: ReadonlyArray<readonly [string, Fault.Fault, number, string]> = [
      ["rateLimited", Fault.rateLimited(), 429, "rate_limit_exceeded"],
      ["overloaded", Fault.overloaded(), 503, "server_is_overloaded"],
      ["overloaded 529", Fault.overloaded({ status: 529 }), 529, "overloaded"],
      ["quotaExhausted", Fault.quotaExhausted, 429, "insufficient_quota"],
      ["badKey", Fault.badKey, 401, "invalid_api_key"],
      ["contextTooLong", Fault.contextTooLong, 400, "context_length_exceeded"],
      ["contentFiltered", Fault.contentFiltered, 400, "content_filter"],
      ["errorInside200", Fault.errorInside200(), 200, "server_error"],
      ["errorInside200 as 429", Fault.errorInside200({ as: 429 }), 200, "rate_limit_exceeded"],
      ...[401, 402, 403, 404, 408, 409, 413, 422, 500, 502, 503, 504, 529].map((status) =>
        [`status ${status}`, Fault.status(status), status, ""] as const
      )
    ]
    it.scopedLive.each(cases)("%s", ([_, fault, status, code]) =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", fault)
        const seen = yield* ask(server, "m")
        strictEqual(seen.status, status)
        const error = errorOf(seen)
        assertInclude(error.code ?? "", code)
        assertTrue(error.message !== "")
        strictEqual(yield* howEnded(server, "m"), "answered")
      }))

    it.scopedLive("a rate limit asks for its wait in headers and message", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.rateLimited({ retryAfter: "250 millis" }))
        const seen = yield* ask(server, "m")
        strictEqual(seen.headers.get("retry-after"), "1")
        strictEqual(seen.headers.get("retry-after-ms"), "250")
        assertInclude(errorOf(seen).message, "try again in 250ms")
      }))

    it.scopedLive("HTML and broken text instead of JSON", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script(
          "m",
          Fault.htmlBadGateway,
          Fault.malformedBody(),
          Fault.malformedBody({ as: "html" })
        )
        const gateway = yield* ask(server, "m")
        strictEqual(gateway.status, 502)
        assertInclude(gateway.text, "<html")
        const text = yield* ask(server, "m")
        deepStrictEqual([text.status, text.headers.get("content-type")], [200, "application/json"])
        throws(() => JSON.parse(text.text))
        const html = yield* ask(server, "m")
        deepStrictEqual([html.status, html.headers.get("content-type")], [200, "text/html; charset=UTF-8"])
      }))
  })

  describe("transport", () => {
    it.scopedLive("resets before the headers", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.resetBeforeHeaders)
        assertInclude(messages(yield* Effect.flip(ask(server, "m"))), "ECONNRESET")
        const attempt = yield* ended(server, "m")
        strictEqual(attempt.end?.how, "reset")
        strictEqual(attempt.status, undefined)
      }))

    it.scopedLive("keeps silent until the client leaves", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.silence)
        const client = yield* Effect.fork(ask(server, "m"))
        const arrived = yield* server.awaitAttempt((attempt) => attempt.fault?._tag === "Silence")
        strictEqual(arrived.end, undefined)
        strictEqual(yield* server.openSockets, 1)
        yield* Fiber.interrupt(client)
        strictEqual(yield* howEnded(server, "m"), "closed by client")
        yield* server.awaitClosed
        strictEqual(yield* server.openSockets, 0)
      }))

    it.scoped("answers late, in real time even under a TestClock", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.slow("40 millis"), Fault.status(503, { delay: "40 millis" }))
        const start = performance.now()
        strictEqual((yield* ask(server, "m")).status, 200)
        const between = performance.now()
        strictEqual((yield* ask(server, "m")).status, 503)
        assertTrue(between - start >= 39)
        assertTrue(performance.now() - between >= 39)
      }))

    it.scopedLive("sees a client leave before a late answer", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const client = yield* Effect.fork(ask(server, "fault-slow-1h"))
        yield* Fiber.interrupt(client)
        yield* server.script("m", Fault.slow("1 hour"))
        const late = yield* Effect.fork(ask(server, "m"))
        yield* server.awaitAttempt((attempt) => attempt.model === "m")
        yield* Fiber.interrupt(late)
        strictEqual(yield* howEnded(server, "m"), "closed by client")
      }))

    for (const chunked of [false, true]) {
      it.scopedLive(`cuts a body (${chunked ? "chunked" : "Content-Length"})`, () =>
        Effect.gen(function*() {
          const server = yield* FaultServer.make()
          yield* server.script("m", Fault.truncatedBody({ chunked }))
          const response = yield* Effect.promise(() => chat(server, "m"))
          strictEqual(response.status, 200)
          strictEqual(response.headers.has("content-length"), !chunked)
          assertInclude(messages(yield* Effect.flip(Effect.tryPromise(() => response.text()))), "terminated")
          strictEqual(yield* howEnded(server, "m"), "cut")
        }))
    }

    it.scopedLive("ends properly in the middle of the JSON", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.truncatedJson)
        const seen = yield* ask(server, "m")
        strictEqual(seen.status, 200)
        assertTrue(seen.text.startsWith(`{"id"`))
        throws(() => JSON.parse(seen.text))
        strictEqual(yield* howEnded(server, "m"), "answered")
      }))

    for (const status of [200, 503]) {
      it.scopedLive(`stalls in the body of a ${status}`, () =>
        Effect.gen(function*() {
          const server = yield* FaultServer.make()
          yield* server.script("m", Fault.stalledBody({ status }))
          const aborter = new AbortController()
          const response = yield* Effect.promise(() => chat(server, "m", { signal: aborter.signal }))
          strictEqual(response.status, status)
          const reader = response.body?.getReader()
          const first = yield* Effect.promise(async () => reader?.read())
          assertTrue((first?.value?.length ?? 0) > 0)
          assertTrue((first?.value?.length ?? 0) < Number(response.headers.get("content-length")))
          strictEqual((yield* server.attempts)[0]?.end, undefined)
          aborter.abort()
          const attempt = yield* ended(server, "m")
          deepStrictEqual([attempt.status, attempt.end?.how], [status, "closed by client"])
        }))
    }
  })

  describe("patterns", () => {
    const statuses = (server: FaultServer.Service, model: string, count: number) =>
      Effect.replicateEffect(Effect.map(ask(server, model), (seen) => seen.status), count)

    it.scopedLive("flapping by count", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.flapping({ every: 2, bad: Fault.badKey }))
        deepStrictEqual(yield* statuses(server, "m", 6), [401, 401, 200, 200, 401, 401])
        deepStrictEqual(yield* statuses(server, "fault-flapping-1", 4), [503, 200, 503, 200])
      }))

    it.scoped("flapping and outage by the time of the Clock, from the first request on", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("flapping", Fault.flapping({ every: "10 seconds" }))
        yield* server.script("outage", Fault.ok(), Fault.outage("15 seconds", { fault: Fault.badKey }))
        yield* TestClock.adjust("1 minute")
        const seen: Array<number> = []
        for (let i = 0; i < 3; i++) {
          seen.push(...(yield* statuses(server, "flapping", 1)), ...(yield* statuses(server, "outage", 1)))
          yield* TestClock.adjust("10 seconds")
        }
        seen.push(...(yield* statuses(server, "outage", 1)))
        deepStrictEqual(seen, [503, 200, 200, 401, 503, 401, 200])
        const attempts = yield* server.attempts
        strictEqual(attempts.at(-1)?.time, 90_000)
      }))

    it.scopedLive("random: the seed decides, and the rate holds", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("a", Fault.random({ rate: 0.3, seed: 7 }))
        yield* server.script("b", Fault.random({ rate: 0.3, seed: 7 }))
        yield* server.script("c", Fault.random({ rate: 0.3, seed: 8 }))
        const [a, b, c] = yield* Effect.all([
          statuses(server, "a", 60),
          statuses(server, "b", 60),
          statuses(server, "c", 60)
        ], { concurrency: 3 })
        deepStrictEqual(a, b)
        assertTrue(a.join() !== c.join())
        const bad = a.filter((status) => status === 503).length
        assertTrue(bad > 10 && bad < 26, `${bad} of 60`)
        yield* server.script("never", Fault.random({ rate: 0 }))
        yield* server.script("always", Fault.random({ rate: 1 }))
        deepStrictEqual(new Set(yield* statuses(server, "never", 10)), new Set([200]))
        deepStrictEqual(new Set(yield* statuses(server, "always", 10)), new Set([503]))
      }))
  })

  describe("scripts", () => {
    it.scopedLive("the nth request meets the nth fault, the last repeats, per model", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("a", Fault.status(500), Fault.badKey, Fault.ok())
        yield* server.script("b", Fault.status(503))
        const status = (model: string) => Effect.map(ask(server, model), (seen) => seen.status)
        deepStrictEqual(
          yield* Effect.forEach(["a", "b", "a", "b", "a", "a"], status),
          [500, 503, 401, 503, 200, 200]
        )
        yield* server.script("a", Fault.status(500))
        strictEqual(yield* status("a"), 500)
        yield* server.script("a")
        strictEqual(yield* status("a"), 200)
        const faults = (yield* server.attempts).filter((attempt) => attempt.model === "a").map((attempt) =>
          attempt.fault
        )
        deepStrictEqual(faults.slice(0, 3), [Fault.status(500), Fault.badKey, Fault.ok()])
      }))

    it.scopedLive("reset forgets scripts, counts and the log; ids go on", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.status(500))
        yield* ask(server, "m")
        strictEqual((yield* ask(server, "fault-flapping-1")).status, 503)
        yield* server.reset
        deepStrictEqual(yield* server.attempts, [])
        strictEqual((yield* ask(server, "m")).headers.get("x-request-id"), "req_3")
        strictEqual((yield* ask(server, "fault-flapping-1")).status, 503)
      }))

    it("constructors refuse what cannot be meant", () => {
      throws(() => Fault.status(42))
      throws(() => Fault.status(503, { headers: { "bad name": "x" } }))
      throws(() => Fault.status(503, { headers: { name: "line\nbreak" } }))
      throws(() => Fault.slow(-1))
      throws(() => Fault.slow(NaN))
      throws(() => Fault.rateLimited({ retryAfter: "-1 seconds" }))
      throws(() => Fault.flapping({ every: 0 }))
      throws(() => Fault.flapping({ every: 1.5 }))
      throws(() => Fault.flapping({ every: "0 seconds" }))
      throws(() => Fault.random({ rate: 2 }))
      throws(() => FaultServer.make({ port: 70_000 }))
      throws(() => FaultServer.make({ maxBodyBytes: 0 }))
    })
  })

  describe("model names", () => {
    const grammar: ReadonlyArray<readonly [string, Fault.Behaviour]> = [
      ["fault-503", Fault.status(503)],
      ["fault-status-503", Fault.status(503)],
      ["fault-429", Fault.rateLimited()],
      ["fault-429-retry-after-2", Fault.rateLimited({ retryAfter: "2 seconds" })],
      ["fault-503-retry-after-250ms", Fault.status(503, { retryAfter: "250 millis" })],
      ["fault-overloaded", Fault.overloaded()],
      ["fault-quota-exhausted", Fault.quotaExhausted],
      ["fault-bad-key", Fault.badKey],
      ["fault-context-too-long", Fault.contextTooLong],
      ["fault-content-filtered", Fault.contentFiltered],
      ["fault-html-bad-gateway", Fault.htmlBadGateway],
      ["fault-error-inside-200", Fault.errorInside200()],
      ["fault-reset", Fault.resetBeforeHeaders],
      ["fault-silence", Fault.silence],
      ["fault-slow-1500ms", Fault.slow("1500 millis")],
      ["fault-slow-2", Fault.slow("2 seconds")],
      ["fault-truncated", Fault.truncatedBody()],
      ["fault-truncated-chunked", Fault.truncatedBody({ chunked: true })],
      ["fault-truncated-json", Fault.truncatedJson],
      ["fault-malformed", Fault.malformedBody()],
      ["fault-malformed-html", Fault.malformedBody({ as: "html" })],
      ["fault-stalled", Fault.stalledBody()],
      ["fault-stalled-503", Fault.stalledBody({ status: 503 })],
      ["fault-stream-cut", Fault.stream({ after: 3, then: "cut" })],
      ["fault-stream-cut-at-once", Fault.stream({ then: "cut" })],
      ["fault-stream-stall", Fault.stream({ after: 3, then: "stall" })],
      ["fault-stream-stall-at-once", Fault.stream({ then: "stall" })],
      ["fault-stream-pings", Fault.stream({ after: 3, then: "pings" })],
      ["fault-stream-malformed", Fault.stream({ after: 3, then: "malformed" })],
      ["fault-stream-error", Fault.stream({ after: 3, then: "error" })],
      ["fault-stream-reset", Fault.stream({ after: 3, then: "reset" })],
      ["fault-stream-eof", Fault.stream({ after: 3, then: "eof" })],
      ["fault-stream-slow-2s", Fault.stream({ firstAfter: "2 seconds" })],
      ["fault-flapping-2", Fault.overloaded()],
      ["fault-flapping-5s", Fault.overloaded()],
      ["fault-outage-10s", Fault.overloaded()],
      ["fault-random-100", Fault.overloaded()],
      ["fault-random-0", Fault.ok()],
      ["gpt-4o", Fault.ok()]
    ]
    it.scopedLive.each(grammar)("%s", ([model, fault]) =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const client = yield* Effect.fork(Effect.exit(ask(server, model)))
        const attempt = yield* server.awaitAttempt((attempt) => attempt.fault !== undefined)
        deepStrictEqual(attempt.fault, fault)
        yield* Fiber.interrupt(client)
      }))

    it.scopedLive("an unknown fault is a 404 that lists the known ones, unless there is a script", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        for (const model of ["fault-nonsense", "fault-", "fault-600", "fault-flapping-0", "fault-silence2"]) {
          const seen = yield* ask(server, model)
          strictEqual(seen.status, 404)
          const error = errorOf(seen)
          strictEqual(error.code, "model_not_found")
          assertInclude(error.message, model)
          assertInclude(error.message, "fault-slow-<time>")
        }
        yield* server.script("fault-nonsense", Fault.ok())
        strictEqual((yield* ask(server, "fault-nonsense")).status, 200)
      }))
  })

  describe("control endpoint", () => {
    it.scopedLive("sets scripts, shows the log and resets", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const put = yield* control(
          server,
          "PUT",
          "/__faults/openai%2Fgpt-4o",
          JSON.stringify([
            { _tag: "Status", status: 429, headers: { "retry-after": "2" } },
            { _tag: "Flapping", every: "1 minute", bad: { _tag: "Ok", delay: "1 millis" } }
          ])
        )
        deepStrictEqual([put.status, JSON.parse(put.text)], [200, { model: "openai/gpt-4o", faults: 2 }])
        strictEqual(put.headers.get("x-request-id"), null)
        const limited = yield* ask(server, "openai/gpt-4o")
        deepStrictEqual([limited.status, limited.headers.get("retry-after")], [429, "2"])
        strictEqual((yield* ask(server, "openai/gpt-4o")).status, 200)
        yield* server.awaitAttempt((attempt) => attempt.id === "req_2" && attempt.end !== undefined)

        const log = yield* control(server, "GET", "/__attempts")
        const decode = Schema.decodeUnknown(Schema.parseJson(Schema.Array(FaultServer.Attempt)))
        deepStrictEqual(yield* decode(log.text), yield* server.attempts)
        deepStrictEqual((yield* server.attempts)[1]?.fault, Fault.slow("1 millis"))

        strictEqual((yield* control(server, "DELETE", "/__faults")).status, 204)
        deepStrictEqual(yield* server.attempts, [])
        strictEqual((yield* ask(server, "openai/gpt-4o")).status, 200)
      }))

    const bad: ReadonlyArray<readonly [string, string]> = [
      ["not json", "JSON"],
      [`{ "_tag": "Ok" }`, "body"],
      [`[{ "_tag": "Nonsense" }]`, "0._tag"],
      [`[{ "_tag": "Status", "status": 42 }]`, "0.status"],
      [`[{ "_tag": "Ok", "delay": "10s" }]`, "2 seconds"],
      [`[{ "_tag": "Ok", "delay": "-1 seconds" }]`, "2 seconds"],
      [`[{ "_tag": "Ok", "delay": 5 }]`, "0.delay"],
      [`[{ "_tag": "Ok", "dellay": "1 seconds" }]`, "dellay"],
      [`[{ "_tag": "Status", "status": 500, "headers": { "x": "a\\nb" } }]`, "0.headers.x"],
      [`[{ "_tag": "Flapping", "every": 0 }]`, "0.every"]
    ]
    it.scopedLive.each(bad)("refuses %s", ([body, reason]) =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.status(500))
        const seen = yield* control(server, "PUT", "/__faults/m", body)
        strictEqual(seen.status, 400)
        assertInclude(errorOf(seen).message, reason)
        strictEqual((yield* ask(server, "m")).status, 500)
      }))

    it.scopedLive("refuses unknown paths, methods and encodings", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        strictEqual((yield* control(server, "PUT", "/__faults/%E0%A4", "[]")).status, 400)
        strictEqual((yield* control(server, "GET", "/__faults")).status, 405)
        strictEqual((yield* control(server, "GET", "/__nothing")).status, 404)
        deepStrictEqual(yield* server.attempts, [])
      }))
  })

  describe("the log", () => {
    const secrets = { authorization: "Bearer sk-1", "api-key": "sk-2", "idempotency-key": "key-1" }
    const send = (server: FaultServer.Service) =>
      see((signal) =>
        fetch(`${server.url}/v1/chat/completions?key=sk-3&api-version=2`, {
          method: "POST",
          headers: secrets,
          body: JSON.stringify({ model: "gpt-4o", messages: [] }),
          signal
        })
      )

    it.scoped("holds the request as it arrived, without its secrets", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* TestClock.adjust("5 seconds")
        yield* send(server)
        const { headers, ...attempt } = yield* ended(server, "gpt-4o")
        deepStrictEqual(attempt, {
          id: "req_1",
          time: 5_000,
          method: "POST",
          path: "/v1/chat/completions?key=<redacted>&api-version=2",
          bodyLength: 32,
          model: "gpt-4o",
          fault: Fault.ok(),
          status: 200,
          end: { how: "answered", time: 5_000 }
        })
        strictEqual(headers["authorization"], "<redacted>")
        strictEqual(headers["api-key"], "<redacted>")
        strictEqual(headers["idempotency-key"], "key-1")
        assertTrue(!JSON.stringify(yield* server.attempts).includes("sk-"))
      }))

    it.scopedLive("keeps them with `redact: false`", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ redact: false })
        yield* send(server)
        const [attempt] = yield* server.attempts
        strictEqual(attempt?.headers["authorization"], "Bearer sk-1")
        assertInclude(attempt?.path, "key=sk-3")
      }))

    it.scopedLive("keeps what was sent with `keepBodies: true` alone", () =>
      Effect.forEach([false, true], (keepBodies) =>
        Effect.gen(function*() {
          const server = yield* FaultServer.make({ keepBodies })
          yield* see((signal) =>
            fetch(`${server.url}/v1/chat/completions`, { method: "POST", body: `{"model":1}`, signal })
          )
          yield* ask(server, "gpt-4o")
          const bodies = (yield* server.attempts).map(({ body }) => body)
          deepStrictEqual(
            bodies,
            keepBodies
              ? [`{"model":1}`, `{"model":"gpt-4o","messages":[{"role":"user","content":"the secret prompt"}]}`]
              : [undefined, undefined]
          )
        })))

    it.scopedLive("keeps the newest `maxAttempts`", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make({ maxAttempts: 2 })
        yield* Effect.replicateEffect(ask(server, "gpt-4o"), 3, { discard: true })
        deepStrictEqual((yield* server.attempts).map((attempt) => attempt.id), ["req_2", "req_3"])
      }))

    it.scopedLive("a predicate that throws is a defect of whoever waits", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const waiting = yield* Effect.fork(Effect.exit(server.awaitAttempt(() => {
          throw new Error("mine")
        })))
        yield* Effect.yieldNow()
        strictEqual((yield* ask(server, "gpt-4o")).status, 200)
        assertTrue(Exit.isFailure(yield* Fiber.join(waiting)))
      }))

    it.scoped("a client that leaves in the middle of its body is seen", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const request = Http.request(`${server.url}/v1/chat/completions`, {
          method: "POST",
          headers: { "content-length": "1000" }
        })
        request.on("error", () => {})
        request.write("{")
        yield* server.awaitAttempt(() => true)
        request.destroy()
        const attempt = yield* server.awaitAttempt((attempt) => attempt.end !== undefined)
        strictEqual(attempt.end?.how, "closed by client")
        strictEqual(attempt.model, undefined)
      }))

    it.scoped("a fault that cannot be sent breaks the connection instead of leaving the client to wait", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.status(500, { body: 1n }))
        yield* Effect.flip(ask(server, "m"))
        strictEqual(yield* howEnded(server, "m"), "closed by server")
      }))
  })

  describe("lifetime", () => {
    it.live("closing the scope cuts requests in flight, frees the port and does not wait", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const server = yield* Scope.extend(FaultServer.make(), scope)
        const hanging = ["fault-silence", "fault-stalled", "fault-slow-100"]
        const clients = yield* Effect.forEach(hanging, (model) => Effect.fork(Effect.exit(ask(server, model))))
        yield* Effect.forEach(hanging, (model) => server.awaitAttempt((attempt) => attempt.model === model))
        const idle = yield* Effect.async<Net.Socket>((resume) => {
          const socket = Net.connect(server.port, "127.0.0.1", () => resume(Effect.succeed(socket)))
          socket.on("error", () => {})
        })
        yield* Effect.timeout(Scope.close(scope, Exit.void), "1 second")
        const exits = yield* Effect.forEach(clients, Fiber.join)
        assertTrue(exits.every(Exit.isFailure))
        idle.destroy()
        strictEqual(yield* server.openSockets, 0)
        assertTrue((yield* server.attempts).every((attempt) => attempt.end?.how === "closed by server"))
        yield* Effect.scoped(Effect.gen(function*() {
          const next = yield* FaultServer.make({ port: server.port })
          strictEqual(next.port, server.port)
          strictEqual((yield* ask(next, "gpt-4o")).status, 200)
        }))
      }))

    it.scopedLive("a port that is taken is a typed error", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const error = yield* Effect.flip(FaultServer.make({ port: server.port }))
        strictEqual(error._tag, "ListenError")
        strictEqual(error.port, server.port)
        assertInclude(error.message, "EADDRINUSE")
      }))

    it.scopedLive("1,000 requests leave no open socket", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const models = ["gpt-4o", "fault-503", "fault-reset", "fault-truncated", "fault-malformed"]
        yield* Effect.forEach(
          Array.from({ length: 1_000 }, (_, i) => models[i % models.length] ?? "gpt-4o"),
          (model) => Effect.exit(ask(server, model)),
          { concurrency: 50, discard: true }
        )
        yield* server.awaitClosed
        strictEqual(yield* server.openSockets, 0)
        const attempts = yield* server.attempts
        strictEqual(attempts.length, 1_000)
        strictEqual(new Set(attempts.map((attempt) => attempt.id)).size, 1_000)
        assertTrue(attempts.every((attempt) => attempt.end !== undefined))
      }), 60_000)

    for (const keepAlive of [true, false]) {
      it.scopedLive(`keepAlive: ${keepAlive}`, () =>
        Effect.gen(function*() {
          const server = yield* FaultServer.make({ keepAlive })
          const agent = yield* Effect.acquireRelease(
            Effect.sync(() => new Http.Agent({ keepAlive: true, maxSockets: 1 })),
            (agent) => Effect.sync(() => agent.destroy())
          )
          const get = Effect.async<Net.Socket>((resume) => {
            const request = Http.get(`${server.url}/v1/models`, { agent }, (response) => {
              const { socket } = response
              response.resume().on("end", () => resume(Effect.succeed(socket)))
            })
            request.end()
          })
          strictEqual((yield* get) === (yield* get), keepAlive)
          if (keepAlive) {
            strictEqual(yield* server.openSockets, 1)
          }
          agent.destroy()
          yield* server.awaitClosed
        }))
    }

    it.live("as a layer, with accessors", () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.FaultServer
        yield* FaultServer.script("m", Fault.badKey)
        strictEqual(yield* FaultServer.url, server.url)
        strictEqual((yield* ask(server, "m")).status, 401)
        strictEqual((yield* FaultServer.attempts).length, 1)
        yield* FaultServer.awaitAttempt((attempt) => attempt.end?.how === "answered")
        yield* FaultServer.awaitClosed
        strictEqual(yield* FaultServer.openSockets, 0)
        yield* FaultServer.reset
        strictEqual((yield* FaultServer.attempts).length, 0)
      }).pipe(Effect.provide(FaultServer.layer())))
  })
})
