import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Terminal from "@effect/platform/Terminal"
import { describe, it } from "@effect/vitest"
import { assertFalse, assertInclude, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Effect } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { run } from "../../../src/cli/command.js"
import * as TestTerminal from "../terminal.js"

const folder = mkdtempSync(join(tmpdir(), "effect-resilience-check-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const fileOf = (name: string, content: string): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

/** Runs the program as a process would with these arguments and this environment, until it ends by itself. */
const start = (args: ReadonlyArray<string>, environment: Readonly<Record<string, string>> = {}) => {
  const { terminal, written } = TestTerminal.make(false)
  const said: Array<string> = []
  const remember = (...args: ReadonlyArray<unknown>) => Effect.sync(() => void said.push(args.join(" ")))
  return Effect.consoleWith((console) =>
    run(["node", "main.ts", ...args]).pipe(
      Effect.withConsole({ ...console, log: remember, error: remember }),
      Effect.provideService(Terminal.Terminal, terminal),
      Effect.provide(NodeContext.layer),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment)))),
      Effect.match({ onFailure: ({ _tag }) => _tag, onSuccess: () => "Success" }),
      Effect.map((tag) => ({ tag, shown: written(), said: said.join("\n") }))
    )
  )
}

const config = `
listen: { host: 127.0.0.1, port: 9000 }
auth:
  keys:
    - { name: web, key: env:WEB_KEY, budget: { limit: 100, per: 1 hour }, maxConcurrent: 1 }
    - { name: batch, key: written-what-nobody-may-read }
providers:
  openai: { type: openai, apiKey: env:OPENAI_API_KEY, headers: { x-tenant: what-nobody-may-read } }
  claude: { type: anthropic, authToken: env:OPENAI_API_KEY }
  local: { type: openai, baseUrl: "http://127.0.0.1:11434/v1" }
models:
  chat: { chain: [openai/gpt-4o, claude/claude-haiku-4-5], policy: interactive }
policies:
  interactive:
    deadline: 20 seconds
    onCut: continue
    retry: { maxAttempts: 3, cap: 1500 millis }
    circuitBreaker: { trip: { failureRate: { threshold: 0.5 } } }
passthrough: [local/llama3.2]
`

const environment = { WEB_KEY: "web-what-nobody-may-read", OPENAI_API_KEY: "sk-what-nobody-may-read" }

describe("check", () => {
  it.effect("says what would run, and no key of it", () =>
    Effect.gen(function*() {
      const file = fileOf("good.yaml", config)
      const { said, shown, tag } = yield* start(["check", file], environment)
      strictEqual(tag, "Success")
      strictEqual(said, "")
      const lines = shown.split("\n").map((line) => line.replace(/window \w+/, "window W"))
      deepStrictEqual(lines.slice(0, -1), [
        `${file} can be used.`,
        "",
        "Listens on http://127.0.0.1:9000",
        "",
        "Keys of clients",
        "  web    100 retries per 1h, 1 request at a time",
        "  batch  no limits of its own",
        "",
        "Providers",
        "  openai  OpenAI's API at https://api.openai.com/v1, with a key, with x-tenant",
        "  claude  Anthropic's API at https://api.anthropic.com, with a key",
        "  local   OpenAI's API at http://127.0.0.1:11434/v1, without a key",
        "",
        "Models",
        "  chat            openai/gpt-4o > claude/claude-haiku-4-5",
        "                  deadline 20s, onCut continue, maxConcurrent 256",
        "                  retry: maxAttempts 3, cap 1s 500ms",
        "                  circuitBreaker: trip.failureRate.threshold 0.5, trip.failureRate.minimumCalls 20, " +
        "trip.failureRate.window W",
        "  local/llama3.2  local/llama3.2",
        "                  deadline 2m, maxConcurrent 256"
      ])
      assertFalse(shown.includes("what-nobody-may-read"))
    }))

  it.effect("says all that is wrong, each with its place", () =>
    Effect.gen(function*() {
      const file = fileOf("bad.yaml", config.replace("[openai/gpt-4o,", "[openia/gpt-4o,").replace("20 seconds", "20s"))
      const { said, shown, tag } = yield* start(["check", file], { WEB_KEY: environment.WEB_KEY })
      strictEqual(tag, "NotConfigured")
      strictEqual(shown, "")
      assertInclude(said, `${file} cannot be used:\n`)
      assertInclude(said, "providers.openai.apiKey: the environment variable OPENAI_API_KEY is not set\n")
      assertInclude(said, "policies.interactive.deadline: ")
      assertInclude(said, "models.chat.chain[0]: ")
      assertFalse(said.includes("what-nobody-may-read"))
    }))

  it.effect("says that there is no such file", () =>
    Effect.gen(function*() {
      const { said, tag } = yield* start(["check", join(folder, "none.json")])
      strictEqual(tag, "NotConfigured")
      assertInclude(said, "no such file")
    }))
})

describe("gateway", () => {
  it.effect("says what to do without a configuration, as it can be typed there", () =>
    Effect.gen(function*() {
      const installed = yield* start(["gateway"])
      strictEqual(installed.tag, "NotConfigured")
      assertInclude(installed.said, "  npx effect-resilience gateway --config FILE ")
      const script = yield* start(["gateway"], { npm_lifecycle_event: "gateway" })
      assertInclude(script.said, "  npm run gateway -- --config FILE ")
    }))

  it.effect("refuses what it would misunderstand", () =>
    Effect.gen(function*() {
      const file = fileOf("again.yaml", config)
      const both = yield* start(["gateway", "--config", file, "--demo"], environment)
      strictEqual(both.tag, "UsageError")
      assertInclude(both.said, "use --config or --demo")
      assertInclude((yield* start(["gateway"], { npm_config_demo: "true" })).said, "npm run gateway -- --config FILE")
      assertInclude((yield* start(["gateway", "--demo", "--port", "70000"])).said, "from 0 to 65535")
      assertInclude((yield* start(["gateway", "--demo", "--grace", "soon"])).said, "such as \"30 seconds\"")
      assertInclude((yield* start(["gateway", "--demo", "--log-level", "loud"])).said, "debug, info, warning")
      assertInclude((yield* start(["gateway", "--demo", "--verbose"])).said, "--verbose")
    }))

  it.effect("refuses an address that other machines can reach, where no key is asked for", () =>
    Effect.gen(function*() {
      const file = fileOf("open.json", JSON.stringify({ providers: {}, models: {} }))
      const { said, tag } = yield* start(["gateway", "--config", file, "--host", "0.0.0.0"])
      strictEqual(tag, "NotConfigured")
      strictEqual(said, "--host 0.0.0.0: other machines can reach this address, so auth is required.")
    }))

  it.effect("refuses variables of OpenTelemetry that it cannot follow, by their names", () =>
    Effect.gen(function*() {
      const file = fileOf("closed.json", JSON.stringify({ providers: {}, models: {} }))
      const refused = (variables: Readonly<Record<string, string>>) =>
        Effect.map(
          start(["gateway", "--config", file, "--port", "0"], {
            OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318",
            ...variables
          }),
          ({ said, tag }) => `${tag} ${said}`
        )
      assertInclude(
        yield* refused({ OTEL_EXPORTER_OTLP_ENDPOINT: "127.0.0.1:4318" }),
        "NotConfigured OTEL_EXPORTER_OTLP_ENDPOINT: expected a URL"
      )
      assertInclude(
        yield* refused({ OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }),
        "NotConfigured OTEL_EXPORTER_OTLP_PROTOCOL: expected http/json or http/protobuf"
      )
      for (const headers of ["what-nobody-may-read", "a=%ZZ-what-nobody-may-read", "a=%0Ab"]) {
        const message = yield* refused({ OTEL_EXPORTER_OTLP_HEADERS: headers })
        assertInclude(message, "NotConfigured OTEL_EXPORTER_OTLP_HEADERS: expected name=value")
        assertFalse(message.includes("what-nobody-may-read"))
      }
    }))
})

describe("the program", () => {
  it.effect("shows its commands when none is named, and its version", () =>
    Effect.gen(function*() {
      const { said } = yield* start([])
      for (const command of ["gateway", "check", "ask"]) {
        assertInclude(said, `${command} `)
      }
      assertInclude((yield* start(["--version"])).said, "0.1.0")
    }))
})
