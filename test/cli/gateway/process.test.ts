import { describe, it } from "@effect/vitest"
import { assertFalse, assertInclude, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import * as FaultServer from "effect-resilience/testing/FaultServer"
import { afterAll, beforeAll } from "vitest"
import * as Collector from "./collector.js"
import * as Program from "./program.js"

const SECRET_KEY = "sk-what-nobody-may-read"
const CLIENT_KEY = "client-key-what-nobody-may-read"

let program: ReturnType<typeof Program.bundle>
beforeAll(() => {
  program = Program.bundle()
}, 30_000)
afterAll(() => program.remove())

const configOf = (server: FaultServer.Service, model: string) => ({
  listen: { port: 0 },
  auth: { keys: [{ name: "web", key: "env:CLIENT_KEY" }] },
  providers: { local: { type: "openai", baseUrl: `${server.url}/v1`, apiKey: "env:PROVIDER_KEY" } },
  models: { chat: { chain: [`local/${model}`], policy: "patient" } },
  policies: { patient: { deadline: "20 seconds", retry: { maxAttempts: 2, base: "10 millis" } } }
})

/** A gateway whose one model is this one of a server that fails on purpose. */
const start = (model: string, args: ReadonlyArray<string> = [], env: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function*() {
    const server = yield* FaultServer.make()
    const file = program.write("gateway.json", configOf(server, model))
    const gateway = yield* Program.start(program.file, ["gateway", "--config", file, ...args], {
      CLIENT_KEY,
      PROVIDER_KEY: SECRET_KEY,
      ...env
    })
    return { ...gateway, server, url: yield* gateway.url }
  })

const fetched = (url: string, init: RequestInit = {}) =>
  Effect.tryPromise({
    try: async (signal) => {
      const response = await fetch(url, { signal, ...init })
      return { status: response.status, text: await response.text() }
    },
    catch: () => "no answer"
  })

const chat = (url: string, init: { readonly headers?: Record<string, string> } = {}) =>
  fetched(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${CLIENT_KEY}`, ...init.headers },
    body: JSON.stringify({ model: "chat", messages: [{ role: "user", content: "Hello" }] })
  })

const parseLines = (text: string): ReadonlyArray<{ readonly message: string; readonly logLevel: string }> =>
  text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))

describe("a gateway as a process", () => {
  it.live(
    "that gets SIGTERM gives what runs its answer, takes nothing new, and exits with 0",
    () =>
      Effect.gen(function*() {
        const { exit, output, server, shows, signal, url } = yield* start("fault-slow-1s")
        const running = yield* Effect.fork(chat(url))
        yield* server.awaitAttempt(() => true)
        yield* signal("SIGTERM")
        yield* shows("stderr", /"stopping"/)
        strictEqual(yield* Effect.flip(fetched(`${url}/health`)), "no answer")
        const { status, text } = yield* running
        strictEqual(status, 200)
        assertInclude(text, "This is fault-slow-1s")
        strictEqual(yield* exit, 0)
        strictEqual(output.stdout, `Listening on ${url}/v1 for chat. Metrics: ${url}/metrics\n`)
        assertTrue(parseLines(output.stderr).some(({ message }) => message === "stopping"))
      }).pipe(Effect.scoped),
    20_000
  )

  it.live("cuts what outlasts the grace period, and exits with 0", () =>
    Effect.gen(function*() {
      const { exit, server, signal, url } = yield* start("fault-silence", ["--grace", "100 millis"])
      const running = yield* Effect.fork(Effect.flip(chat(url)))
      yield* server.awaitAttempt(() => true)
      yield* signal("SIGINT")
      strictEqual(yield* running, "no answer")
      strictEqual(yield* exit, 0)
      yield* server.awaitClosed
    }).pipe(Effect.scoped), 20_000)

  it.live(
    "takes two signals in a moment for one, and one that comes later for impatience",
    () =>
      Effect.gen(function*() {
        const { exit, output, server, signal, url } = yield* start("fault-silence")
        const running = yield* Effect.fork(Effect.flip(chat(url)))
        yield* server.awaitAttempt(() => true)
        yield* signal("SIGINT")
        yield* signal("SIGTERM")
        yield* Effect.sleep("1 second")
        assertTrue(running.unsafePoll() === null)
        yield* signal("SIGINT")
        strictEqual(yield* running, "no answer")
        strictEqual(yield* exit, 0)
        strictEqual(parseLines(output.stderr).filter(({ message }) => message === "stopping").length, 1)
      }).pipe(Effect.scoped),
    20_000
  )

  it.live(
    "logs lines of JSON, as many as asked for, and tells its metrics to who has a key",
    () =>
      Effect.gen(function*() {
        const { exit, output, signal, url } = yield* start("fault-503", ["--log-level", "debug"])
        strictEqual((yield* chat(url)).status >= 500, true)
        strictEqual((yield* chat(url, { headers: { authorization: "Bearer wrong" } })).status, 401)
        strictEqual((yield* fetched(`${url}/metrics`)).status, 401)
        const { text } = yield* fetched(`${url}/metrics`, { headers: { authorization: `Bearer ${CLIENT_KEY}` } })
        assertInclude(text, `resilience_attempts_total{provider="local",model="fault-503",outcome="ServerError"} 2\n`)
        yield* signal("SIGTERM")
        strictEqual(yield* exit, 0)
        const lines = parseLines(output.stderr)
        strictEqual(lines.filter(({ message }) => message === "effect-resilience: attempt failed").length, 2)
        assertFalse(`${output.stdout}${output.stderr}${text}`.includes("what-nobody-may-read"))
      }).pipe(Effect.scoped),
    20_000
  )

  it.live("exports traces, metrics and logs to a collector", () =>
    Effect.gen(function*() {
      const collector = yield* Collector.make
      const { exit, output, signal, url } = yield* start("gpt-4o", ["--log-level", "debug"], {
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=a%20team, authorization=Bearer%20otlp-what-nobody-may-read",
        OTEL_SERVICE_NAME: "front-door",
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test"
      })
      const named = { "idempotency-key": "order-what-nobody-may-read", "x-budget-key": "user-what-nobody-may-read" }
      strictEqual((yield* chat(url, { headers: named })).status, 200)
      strictEqual((yield* fetched(`${url}/health`)).status, 200)
      yield* signal("SIGTERM")
      strictEqual(yield* exit, 0)
      const received = collector.received()
      deepStrictEqual([...new Set(received.map(({ path }) => path))].sort(), ["/v1/logs", "/v1/metrics", "/v1/traces"])
      for (const { body, headers, path } of received) {
        strictEqual(headers["x-tenant"], "a team", path)
        strictEqual(headers["authorization"], "Bearer otlp-what-nobody-may-read", path)
        assertInclude(body, "front-door")
        assertInclude(body, "deployment.environment")
      }
      const said = (path: string) => received.filter((one) => one.path === path).map(({ body }) => body).join("\n")
      assertInclude(said("/v1/traces"), `"chat gpt-4o"`)
      assertInclude(said("/v1/traces"), "http.server POST")
      assertFalse(said("/v1/traces").includes("http.server GET"))
      assertInclude(said("/v1/metrics"), `"resilience.attempts"`)
      assertInclude(said("/v1/logs"), "effect-resilience: attempt succeeded")
      assertFalse(`${output.stdout}${output.stderr}`.includes("what-nobody-may-read"))
      const exported = received.map(({ body }) => body).join("\n")
      assertFalse(exported.includes("what-nobody-may-read"))
    }).pipe(Effect.scoped), 20_000)

  it.live("serves as well when the collector is away", () =>
    Effect.gen(function*() {
      const { exit, output, signal, url } = yield* start("gpt-4o", ["--log-level", "debug"], {
        OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
        OTEL_EXPORTER_OTLP_HEADERS: "api-key=otlp-what-nobody-may-read"
      })
      strictEqual((yield* chat(url)).status, 200)
      yield* signal("SIGTERM")
      strictEqual(yield* exit, 0)
      assertFalse(output.stderr.includes("what-nobody-may-read"))
    }).pipe(Effect.scoped), 20_000)

  it.live("says what is wrong before it listens, with an exit code of 2", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const good = program.write("good.json", configOf(server, "gpt-4o"))
      const bad = program.write("bad.yaml", "providers: {}\nmodels: { chat: { chain: [lost/gpt-4o] } }\npolices: {}\n")
      const env = { CLIENT_KEY, PROVIDER_KEY: SECRET_KEY }
      const [none, wrong, unset, collector] = yield* Effect.all([
        Program.finish(program.file, ["gateway"]),
        Program.finish(program.file, ["gateway", "--config", bad]),
        Program.finish(program.file, ["gateway", "--config", good], { CLIENT_KEY }),
        Program.finish(program.file, ["gateway", "--config", good], {
          ...env,
          OTEL_EXPORTER_OTLP_ENDPOINT: "otlp-what-nobody-may-read"
        })
      ], { concurrency: 2 })
      deepStrictEqual([none.code, wrong.code, unset.code, collector.code], [2, 2, 2, 2])
      assertInclude(none.stderr, "npx effect-resilience gateway --demo")
      assertInclude(wrong.stderr, `${bad} cannot be used:\n`)
      assertInclude(wrong.stderr, "\npolices: unknown key")
      assertInclude(wrong.stderr, "\nmodels.chat.chain[0]: no provider is named \"lost\"")
      assertInclude(
        unset.stderr,
        "\nproviders.local.apiKey: the environment variable PROVIDER_KEY is not set"
      )
      strictEqual(collector.stderr, "OTEL_EXPORTER_OTLP_ENDPOINT: expected a URL of http or https\n")
      deepStrictEqual([none.stdout, wrong.stdout, unset.stdout, collector.stdout], ["", "", "", ""])
      const taken = yield* Program.finish(program.file, ["gateway", "--demo", "--port", `${server.port}`])
      strictEqual(taken.code, 1)
      strictEqual(
        taken.stderr,
        `Cannot listen on 127.0.0.1:${server.port}: another program listens there. Choose another port with --port.\n`
      )
    }).pipe(Effect.scoped), 30_000)

  it.live("shows a newcomer a fallback, without a file and without a key", () =>
    Effect.gen(function*() {
      const demo = yield* Program.start(program.file, ["gateway", "--demo", "--port", "0"])
      const url = yield* demo.url
      yield* demo.shows("stdout", /Ctrl-C ends it/)
      const [, target = "", body = ""] = /curl -i (\S+) .*\n.*-d '(.*)'/.exec(demo.output.stdout) ?? []
      strictEqual(target, `${url}/v1/chat/completions`)
      const { status, text } = yield* fetched(target, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body
      })
      strictEqual(status, 200)
      assertInclude(text, "This is claude-haiku-4-5")
      yield* demo.signal("SIGINT")
      strictEqual(yield* demo.exit, 0)
    }).pipe(Effect.scoped), 20_000)
})
