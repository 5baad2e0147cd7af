import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Terminal from "@effect/platform/Terminal"
import { describe, it } from "@effect/vitest"
import { assertFalse, assertInclude, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Effect, Fiber } from "effect"
import * as Fault from "effect-resilience/testing/Fault"
import * as FaultServer from "effect-resilience/testing/FaultServer"
import { execFile } from "node:child_process"
import { run } from "../../src/cli/command.js"
import * as Scenes from "../../src/cli/scenes.js"
import * as TestTerminal from "./terminal.js"

const SECRET_PROMPT = "what-nobody-else-may-read"
const SECRET_KEY = "sk-what-nobody-may-read"

/** Runs the program as a process would with these arguments and this environment. */
const start = (
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>> = {},
  { terminal, written } = TestTerminal.make(false)
) => {
  const said: Array<string> = []
  const remember = (...args: ReadonlyArray<unknown>) => Effect.sync(() => void said.push(args.join(" ")))
  return Effect.consoleWith((console) =>
    run(["node", "main.ts", ...args]).pipe(
      Effect.withConsole({ ...console, log: remember, error: remember }),
      Effect.provideService(Terminal.Terminal, terminal),
      Effect.provide(NodeContext.layer),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment)))),
      Effect.match({ onFailure: ({ _tag }) => _tag, onSuccess: () => "Success" }),
      Effect.map((tag) => ({
        tag,
        shown: written(),
        said: said.join("\n")
      }))
    )
  )
}

/** The rows of attempts, as `model outcome`. */
const attempts = (shown: string): ReadonlyArray<string> =>
  Array.from(
    shown.matchAll(/^ +\d+ +\d\S* m?s {2}\S+ (\S+) +(?:\d+|-) +(\w+(?: \(\w+\))?)/gm),
    ([, model, outcome]) => `${model} ${outcome}`
  )

const times = <A>(n: number, value: A): ReadonlyArray<A> => Array.from({ length: n }, () => value)

describe("npm start", () => {
  it.live("without a key shows every kind of event on a local server, the answer and a table", () =>
    Effect.gen(function*() {
      const { shown, tag } = yield* start([SECRET_PROMPT])
      strictEqual(tag, "Success")
      assertTrue(shown.startsWith("Demo: OPENAI_API_KEY is not set"))
      deepStrictEqual(attempts(shown), [
        ...times(3, "gpt-4o ServerError (Overloaded)"),
        "gpt-4o-mini RateLimited",
        "gpt-4.1-mini RateLimited",
        "gpt-4.1-mini Success"
      ])
      const parts = [
        "(backoff)",
        "(Retry-After)",
        "denied by attempts",
        "denied by patience",
        "fallback to demo gpt-4o-mini",
        "Answer from demo gpt-4.1-mini",
        "This is gpt-4.1-mini",
        "Summary"
      ]
      parts.forEach((part) => assertInclude(shown, part))
      assertFalse(shown.includes(SECRET_PROMPT))
      assertFalse(shown.includes("\u001b"))
      shown.split("\n").forEach((line) => assertTrue(line.length <= 100, line))
    }))

  it.live("calls the real service with a key, and shows neither key nor prompt, even to a terminal", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("gpt-4o", Fault.badKey)
      const environment = { OPENAI_API_KEY: SECRET_KEY, OPENAI_BASE_URL: `${server.url}/v1` }
      const { shown, tag } = yield* start(["Say", SECRET_PROMPT], environment, TestTerminal.make(true))
      strictEqual(tag, "Success")
      assertInclude(shown.split("\n")[0], `Live: calling ${server.url}/v1 with OPENAI_API_KEY.`)
      assertInclude(shown, `127.0.0.1:${server.port} gpt-4o-mini`)
      assertFalse(shown.includes(SECRET_PROMPT))
      assertFalse(shown.includes(SECRET_KEY))
      const sent = yield* server.attempts
      deepStrictEqual(sent.map((attempt) => attempt.model), ["gpt-4o", "gpt-4o-mini"])
      sent.forEach((attempt) => strictEqual(attempt.headers["authorization"], "<redacted>"))
    }).pipe(Effect.scoped))

  it.live("asks the models named, and a server on this machine without a key", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const environment = { OPENAI_BASE_URL: `${server.url}/v1`, OPENAI_API_KEY: "" }
      const { shown, tag } = yield* start(["--model", "fault-bad-key", "--model", "llama"], environment)
      strictEqual(tag, "Success")
      assertInclude(shown, "without a key")
      const sent = yield* server.attempts
      deepStrictEqual(sent.map((attempt) => attempt.model), ["fault-bad-key", "llama"])
      assertFalse(sent.some((attempt) => "authorization" in attempt.headers))
    }).pipe(Effect.scoped))

  it.live("says that the key is missing for a server elsewhere", () =>
    Effect.gen(function*() {
      const { said, shown, tag } = yield* start([], { OPENAI_BASE_URL: "https://llm.example.com/v1" })
      strictEqual(tag, "UsageError")
      assertInclude(said, "OPENAI_API_KEY is not set")
      strictEqual(shown, "")
    }))

  it.live("says which setting cannot be used, and not its value", () =>
    Effect.gen(function*() {
      const { said, tag } = yield* start([], { OPENAI_API_KEY: `${SECRET_KEY}\n` })
      strictEqual(tag, "UsageError")
      assertInclude(said, "apiKey")
      assertFalse(said.includes(SECRET_KEY))
    }))

  it.live("fails when there is no answer, with the error in plain words", () =>
    Effect.gen(function*() {
      const { shown, tag } = yield* start(["--model", "fault-bad-key"])
      strictEqual(tag, "CallFailed")
      assertInclude(shown, "No answer\n  error        ClientError\n  reason       Authentication\n")
      assertInclude(shown, "  request id   req_1\n")
    }))

  it.live("lists the scenes in the help, plain for a pipe", () =>
    Effect.gen(function*() {
      const { said, tag } = yield* start(["--help"])
      strictEqual(tag, "Success")
      Scenes.list.forEach((line) => assertInclude(said, line))
      assertFalse(said.includes("\u001b"))
    }))

  it.live("lists the scenes when there is none of that name", () =>
    Effect.gen(function*() {
      const { said, tag } = yield* start(["--scene", "no-such-scene"])
      assertTrue(tag !== "Success")
      assertInclude(said, "There is no scene of that name")
      Scenes.list.forEach((line) => assertInclude(said, line))
    }))

  it.live("refuses what it would misunderstand", () =>
    Effect.gen(function*() {
      assertInclude((yield* start(["--verbose"])).said, "There is no option --verbose")
      assertInclude((yield* start(["--scene", "slow", "--model", "gpt-4o"])).said, "not both")
      assertInclude((yield* start(["slow"], { npm_config_scene: "true" })).said, "npm start -- --scene")
    }))

  it.live("leaves nothing open when it is interrupted", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const environment = { OPENAI_BASE_URL: `${server.url}/v1` }
      const terminal = TestTerminal.make(false)
      const fiber = yield* Effect.fork(start(["--model", "fault-silence"], environment, terminal))
      yield* server.awaitAttempt((attempt) => attempt.model === "fault-silence")
      yield* Fiber.interrupt(fiber)
      yield* server.awaitClosed
      assertTrue(terminal.written().endsWith("Interrupted.\n"))
    }).pipe(Effect.scoped))
})

describe("scenes", () => {
  const expected: Readonly<Record<string, ReadonlyArray<string>>> = {
    "rate-limited": [
      "gpt-4o RateLimited",
      "gpt-4o-mini RateLimited",
      "gpt-4.1-mini RateLimited",
      "gpt-4.1-mini Success"
    ],
    "all-wait": [
      "gpt-4o RateLimited",
      "gpt-4o-mini RateLimited",
      "gpt-4.1-mini RateLimited",
      "gpt-4o-mini Success"
    ],
    "outage": [...times(3, "gpt-4o ServerError (Overloaded)"), "gpt-4o-mini Success"],
    "flaky": [...times(2, "gpt-4o ServerError (Overloaded)"), "gpt-4o Success"],
    "slow": ["gpt-4o Timeout (Attempt)", "gpt-4o-mini Success"],
    "truncated": [...times(2, "gpt-4o ServerError (Truncated)"), "gpt-4o Success"],
    "bad-key": ["gpt-4o ClientError (Authentication)", "gpt-4o-mini Success"],
    "quota": ["gpt-4o ClientError (QuotaExhausted)", "gpt-4o-mini Success"],
    "invalid-request": ["gpt-4o ClientError (InvalidRequest)"],
    "deadline": ["gpt-4o Timeout (Attempt)", "gpt-4o-mini Timeout (Attempt)", "gpt-4.1-mini Timeout (Deadline)"],
    "all-down": [
      ...times(3, "gpt-4o ServerError (Overloaded)"),
      ...times(3, "gpt-4o-mini ServerError (Connection)"),
      ...times(5, "gpt-4.1-mini ServerError (BadGateway)")
    ]
  }

  it("have an expectation each", () => {
    deepStrictEqual(Scenes.scenes.map(({ name }) => name), Object.keys(expected))
  })

  it.live(
    "end as they are meant to, on a local server even when there is a key",
    () =>
      Effect.forEach(Scenes.scenes, ({ lookFor, name, shows }) =>
        Effect.gen(function*() {
          const { shown, tag } = yield* start(["--scene", name], { OPENAI_API_KEY: SECRET_KEY })
          strictEqual(tag, "Success", name)
          assertTrue(shown.startsWith(`Scene ${name}: calling a local server`))
          assertInclude(shown, shows)
          assertInclude(shown, lookFor)
          deepStrictEqual(attempts(shown), expected[name])
          shown.split("\n").forEach((line) => assertTrue(line.length <= 100, line))
        }), { concurrency: "unbounded", discard: true }),
    20_000
  )

  const spawn = (...args: ReadonlyArray<string>) =>
    Effect.async<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>((resume) => {
      const child = execFile(
        process.execPath,
        ["--import", "tsx", "src/cli/main.ts", ...args],
        (_error, stdout, stderr) => resume(Effect.succeed({ code: child.exitCode, stdout, stderr }))
      )
      return Effect.sync(() => child.kill())
    })

  it.live("end the process with an exit code, and write plain text to a pipe", () =>
    Effect.gen(function*() {
      const [played, unknown] = yield* Effect.all([spawn("--scene", "invalid-request"), spawn("--scene", "none")], {
        concurrency: 2
      })
      strictEqual(played.code, 0)
      assertInclude(played.stdout, "This is how the scene is meant to end")
      assertFalse(played.stdout.includes("\u001b"))
      strictEqual(played.stderr, "")
      strictEqual(unknown.code, 1)
      assertInclude(unknown.stderr, "There is no scene of that name")
    }), 20_000)
})
