/** What the operator of a gateway is told: one line for each request, and nothing that is its client's own. */
import { describe, it } from "@effect/vitest"
import { assertFalse, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Cause, Effect, Exit, Fiber, HashMap, Layer, Logger, LogLevel } from "effect"
import { Telemetry } from "effect-resilience"
import { Fault } from "effect-resilience/testing"
import { inspect } from "node:util"
import { rememberingTracer } from "../spans.js"
import type { Serving } from "./serving.js"
import { chat, CLIENT_KEY, messages, post, PROVIDER_KEY, quick, send, serve } from "./serving.js"

const CANARY = "canary"
const PROMPT = `the prompt of a ${CANARY}`
const ANSWER = `the answer of a ${CANARY}`
const secrets = [CLIENT_KEY, PROVIDER_KEY, CANARY]

const deep = (value: unknown) =>
  inspect(value, { depth: Infinity, maxStringLength: Infinity, maxArrayLength: Infinity })

interface Line {
  readonly level: string
  readonly message: unknown
  readonly annotations: Readonly<Record<string, unknown>>
}

/** A gateway that logs at any level to whoever listens. */
const serveLogging = (options: Parameters<typeof serve>[0], log: (entry: Logger.Logger.Options<unknown>) => void) =>
  serve(options).pipe(Effect.provide(Layer.merge(
    Logger.replace(Logger.defaultLogger, Logger.make(log)),
    Logger.minimumLogLevel(LogLevel.All)
  )))

const lineOf = (entry: Logger.Logger.Options<unknown>): Line => {
  const [message] = Array.isArray(entry.message) ? entry.message : [entry.message]
  return { level: entry.logLevel.label, message, annotations: Object.fromEntries(HashMap.toEntries(entry.annotations)) }
}

/** A gateway, what it logs at any level, and its spans. */
const listening = Effect.gen(function*() {
  const lines: Array<Line> = []
  const written: Array<string> = []
  const { spans, tracer } = yield* rememberingTracer
  const policies = { quick: { ...quick, attemptTimeout: "200 millis", circuitBreaker: false } }
  const serving = yield* serveLogging(
    { auth: { keys: [{ name: "web", key: CLIENT_KEY, maxConcurrent: 20 }] }, policies },
    (entry) => {
      const line = lineOf(entry)
      lines.push(line)
      written.push(
        deep([entry.message, line.annotations, entry.cause]),
        Cause.pretty(entry.cause),
        Logger.jsonLogger.log(entry)
      )
    }
  ).pipe(Effect.withTracer(tracer))
  // Of what a span ended with, tracers are told the failures.
  const traced = () =>
    spans.map(({ attributes, name, status }) => {
      const failure = status._tag === "Ended" && Exit.isFailure(status.exit) ? status.exit.cause : Cause.empty
      return deep([name, attributes, failure]) + Cause.pretty(failure)
    })
  return {
    serving,
    spans,
    /** The lines of requests, in the order in which they ended, when there are so many. */
    requests: (count: number) =>
      Effect.sync(() => lines.filter(({ message }) => message === "request")).pipe(
        Effect.delay("10 millis"),
        Effect.repeat({ until: (lines) => lines.length >= count }),
        Effect.timeout("2 seconds"),
        Effect.orDie
      ),
    /** Fails if any of the secrets was told. */
    isDiscreet: Effect.sync(() => {
      for (const told of [...written, ...traced()]) {
        const leaked = secrets.filter((secret) => told.includes(secret))
        assertTrue(leaked.length === 0, `${leaked.join(", ")} in ${told}`)
      }
    })
  }
})

const said = { role: "user", content: PROMPT }
const tool = { type: "function", function: { name: CANARY, parameters: { type: "object", description: PROMPT } } }

const asked: Readonly<Record<string, readonly [path: string, body: object]>> = {
  "a chat": ["/v1/chat/completions", { messages: [said], tools: [tool], user: CANARY }],
  "a chat as a stream": ["/v1/chat/completions", { messages: [said], stream: true, stop: [CANARY] }],
  "a response": ["/v1/responses", { input: PROMPT, instructions: PROMPT }],
  "a response as a stream": ["/v1/responses", { input: PROMPT, stream: true }],
  "embeddings": ["/v1/embeddings", { input: [PROMPT] }]
}

/** Some of them stand for the client's own users. */
const headers = {
  authorization: `Bearer ${CLIENT_KEY}`,
  "idempotency-key": CANARY,
  "x-budget-key": CANARY,
  cookie: `session=${CANARY}`,
  "x-api-key": CANARY
}

const askAll = (serving: Serving, model: string) =>
  Effect.forEach(Object.values(asked), ([path, body]) => post(serving, path, { model, ...body }, headers))

const quoting = { error: { message: `I cannot say ${PROMPT}`, type: "refused", param: CANARY } }

const faults: Readonly<Record<string, Fault.Fault>> = {
  "all is well": Fault.ok({ content: ANSWER }),
  "a tool is called": Fault.ok({ toolCall: { name: CANARY, arguments: JSON.stringify({ of: ANSWER }) } }),
  "a refusal quotes the prompt": Fault.status(400, { body: quoting }),
  "a failure quotes the prompt": Fault.status(500, { body: quoting }),
  "an error in an answer quotes the prompt": Fault.status(200, { body: quoting }),
  "the key is wrong, and is quoted": Fault.status(401, {
    body: { error: { message: `No such key: ${PROVIDER_KEY}` } }
  }),
  "the rate is limited": Fault.rateLimited(),
  "the answer is a page": Fault.status(200, { headers: { "content-type": "text/html" }, body: ANSWER }),
  "the answer is somewhere else": Fault.status(302, { headers: { location: "/login" }, body: PROMPT }),
  "the answer is no JSON": Fault.status(200, { headers: { "content-type": "application/json" }, body: ANSWER }),
  "the connection is reset": Fault.resetBeforeHeaders,
  "nothing is answered": Fault.silence,
  "the answer breaks off": Fault.truncatedBody(),
  "a stream is cut": Fault.stream({ content: ANSWER, after: 2, then: "cut" }),
  "a stream has an error": Fault.stream({ content: ANSWER, after: 2, then: "error" }),
  "a stream cannot be read": Fault.stream({ content: ANSWER, after: 2, then: "malformed twice" }),
  "a stream is reset at once": Fault.stream({ content: ANSWER, then: "reset" })
}

describe("logs and spans tell no key, no prompt and no answer", () => {
  for (const [what, fault] of Object.entries(faults)) {
    it.scopedLive(`when ${what}`, () =>
      Effect.gen(function*() {
        const { isDiscreet, requests, serving, spans } = yield* listening
        for (const model of ["a", "b", "c"]) {
          yield* serving.upstream.script(model, fault)
        }
        yield* askAll(serving, "chat")
        yield* askAll(serving, "claude")
        strictEqual((yield* requests(10)).length, 10)
        assertTrue(spans.length >= 10)
        yield* isDiscreet
      }), 15_000)
  }

  it.scopedLive("of what is refused", () =>
    Effect.gen(function*() {
      const { isDiscreet, requests, serving } = yield* listening
      const json = { "content-type": "application/json" }
      const path = "/v1/chat/completions"
      yield* chat(serving, { ...headers, authorization: `Bearer ${CANARY}` })
      yield* chat(serving, { ...headers, "x-deadline-ms": "soon" })
      yield* chat(serving, { ...headers, "idempotency-key": `${CANARY} ${CANARY}` })
      yield* chat(serving, headers, { model: CANARY })
      yield* chat(serving, headers, { messages: PROMPT })
      yield* chat(serving, headers, { messages: [{ role: PROMPT, content: PROMPT, [CANARY]: 1 }] })
      yield* send(serving, path, { body: `{"model":"chat","messages":"${PROMPT}`, headers: { ...headers, ...json } })
      yield* send(serving, path, { body: PROMPT, headers: { ...headers, "content-type": "text/plain" } })
      strictEqual((yield* requests(8)).length, 8)
      yield* isDiscreet
    }))
})

describe("the log has one line for each request", () => {
  const shown = ({ annotations }: Line) =>
    ["method", "path", "status", "client", "model", "provider", "attempts", "fallbacks", "error"].map((name) =>
      annotations[name] ?? "-"
    ).join(" ")

  it.scopedLive("that says who asked for what, who answered, and what it took", () =>
    Effect.gen(function*() {
      const { requests, serving } = yield* listening
      yield* serving.upstream.script("a", Fault.status(500))
      const answers = [
        ...yield* askAll(serving, "chat"),
        yield* chat(serving),
        yield* chat(serving, headers, { model: "gpt-9" }),
        yield* send(serving, `/v1/nowhere?key=${CLIENT_KEY}`)
      ]
      const lines = yield* requests(answers.length)
      deepStrictEqual(lines.map(shown), [
        "POST /v1/chat/completions 200 web chat second 3 1 -",
        "POST /v1/chat/completions 200 web chat second 3 1 -",
        "POST /v1/responses 200 web chat second 3 1 -",
        "POST /v1/responses 200 web chat second 3 1 -",
        "POST /v1/embeddings 502 web chat first 2 0 provider_internal",
        "POST /v1/chat/completions 401 - - - - - invalid_api_key",
        "POST /v1/chat/completions 404 web - - - - model_not_found",
        "GET /v1/nowhere 404 - - - - - unknown_url"
      ])
      deepStrictEqual(
        lines.map(({ annotations }) => annotations["requestId"]),
        answers.map(({ headers }) => headers["x-request-id"])
      )
      assertTrue(lines.every(({ annotations, level }) => level === "INFO" && Number(annotations["durationMs"]) >= 0))
      assertTrue(lines.every(({ annotations }) => /^[0-9a-f]{32}$/.test(String(annotations["traceId"]))))
    }))

  it.scopedLive("also if it broke in the middle, or its client left", () =>
    Effect.gen(function*() {
      const { isDiscreet, requests, serving } = yield* listening
      yield* serving.upstream.script("a", Fault.stream({ content: ANSWER, after: 2, then: "cut" }))
      yield* chat(serving, headers, { model: "one", messages, stream: true })
      yield* serving.upstream.script("b", Fault.silence)
      yield* serving.upstream.script("a", Fault.badKey)
      const client = yield* Effect.fork(chat(serving, headers))
      yield* serving.upstream.awaitAttempt(({ fault }) => fault?._tag === "Silence")
      yield* Fiber.interrupt(client)
      deepStrictEqual((yield* requests(2)).map(shown), [
        "POST /v1/chat/completions 200 web one first 1 0 provider_truncated",
        "POST /v1/chat/completions 499 web chat second 2 1 -"
      ])
      yield* isDiscreet
    }))

  it.scopedLive("and one of the attempt that its deadline cut, in the same trace", () =>
    Effect.gen(function*() {
      const lines: Array<Line> = []
      const policies = { quick: { ...quick, deadline: "300 millis", circuitBreaker: false } }
      const serving = yield* serveLogging({ policies }, (entry) => void lines.push(lineOf(entry)))
      for (const fields of [{ model: "one", messages }, { model: "one", messages, stream: true }]) {
        yield* serving.upstream.script("a", Fault.silence)
        const { status } = yield* post(serving, "/v1/chat/completions", fields)
        strictEqual(status, 504)
      }
      const tracesOf = (ofWhat: string) =>
        lines.flatMap(({ annotations, message }) => `${message}`.includes(ofWhat) ? [annotations["traceId"]] : [])
      const requests = tracesOf("request")
      strictEqual(new Set(requests).size, 2)
      deepStrictEqual(tracesOf(Telemetry.attemptFailed), requests)
    }))

  it.scopedLive("but for what machines ask again and again, which is for debugging and has no span", () =>
    Effect.gen(function*() {
      const { requests, serving, spans } = yield* listening
      for (const path of ["/health", "/ready", "/metrics"]) {
        yield* send(serving, path, { headers })
      }
      assertFalse((yield* requests(3)).some(({ level }) => level !== "DEBUG"))
      deepStrictEqual(spans, [])
    }))
})
