import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Terminal from "@effect/platform/Terminal"
import { describe, it } from "@effect/vitest"
import { assertFalse, assertInclude, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Effect, Fiber, Schedule } from "effect"
import * as Fault from "effect-resilience/testing/Fault"
import * as FaultServer from "effect-resilience/testing/FaultServer"
import { execFile } from "node:child_process"
import * as Scenes from "../../../src/cli/ask/scenes.js"
import { run } from "../../../src/cli/command.js"
import * as TestTerminal from "../terminal.js"

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
    run(["node", "main.ts", "ask", ...args]).pipe(
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

const assertInOrder = (shown: string, parts: ReadonlyArray<string>): void => {
  let from = 0
  parts.forEach((part) => {
    const at = shown.indexOf(part, from)
    assertTrue(at >= 0, `${part} is not in its place in:\n${shown}`)
    from = at + part.length
  })
}

const times = <A>(n: number, value: A): ReadonlyArray<A> => Array.from({ length: n }, () => value)

describe("npm start", () => {
  it.live("without a key shows every kind of event on a local server, the answer and a table", () =>
    Effect.gen(function*() {
      const { shown, tag } = yield* start([SECRET_PROMPT])
      strictEqual(tag, "Success")
      assertTrue(shown.startsWith("Demo: no API key is set"))
      deepStrictEqual(attempts(shown), [
        ...times(3, "gpt-4o ServerError (Overloaded)"),
        "claude-haiku-4-5 RateLimited",
        "claude-haiku-4-5 Success"
      ])
      assertInOrder(shown, [
        "gpt-4o (OpenAI) > claude-haiku-4-5 (Anthropic)",
        "(backoff)",
        "denied by attempts",
        "fallback to demo claude-haiku-4-5",
        "(Retry-After)",
        "Answer from demo claude-haiku-4-5",
        "This is claude-haiku-4-5",
        "Summary"
      ])
      assertFalse(shown.includes("Call 1 of"))
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
      assertInclude(shown, "Not asked: claude-haiku-4-5, as ANTHROPIC_API_KEY is not set.")
      assertInclude(shown, `127.0.0.1:${server.port} gpt-4o-mini`)
      assertFalse(shown.includes(SECRET_PROMPT))
      assertFalse(shown.includes(SECRET_KEY))
      const sent = yield* server.attempts
      deepStrictEqual(sent.map((attempt) => attempt.model), ["gpt-4o", "gpt-4o-mini"])
      sent.forEach((attempt) => strictEqual(attempt.headers["authorization"], "<redacted>"))
    }).pipe(Effect.scoped))

  it.live("asks both services with both keys, each in its own format", () =>
    Effect.gen(function*() {
      const [openai, anthropic] = yield* Effect.all([FaultServer.make(), FaultServer.make()])
      yield* openai.script("gpt-4o", Fault.badKey)
      const environment = {
        OPENAI_API_KEY: SECRET_KEY,
        OPENAI_BASE_URL: `${openai.url}/v1`,
        ANTHROPIC_API_KEY: SECRET_KEY,
        ANTHROPIC_BASE_URL: anthropic.url
      }
      const { shown, tag } = yield* start([SECRET_PROMPT], environment)
      strictEqual(tag, "Success")
      assertInOrder(shown, [
        `Live: calling ${openai.url}/v1 with OPENAI_API_KEY.\nLive: calling ${anthropic.url} with ANTHROPIC_API_KEY.\n`,
        `fallback to 127.0.0.1:${anthropic.port} claude-haiku-4-5`,
        "This is claude-haiku-4-5"
      ])
      assertFalse(shown.includes("Not asked"))
      assertFalse(shown.includes(SECRET_PROMPT))
      assertFalse(shown.includes(SECRET_KEY))
      deepStrictEqual((yield* openai.attempts).map(({ path }) => path), ["/v1/chat/completions"])
      const sent = yield* anthropic.attempts
      deepStrictEqual(sent.map(({ headers, path }) => [path, headers["x-api-key"]]), [["/v1/messages", "<redacted>"]])
    }).pipe(Effect.scoped))

  it.live("asks Anthropic alone with its key alone, and says who is left out", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const environment = { ANTHROPIC_API_KEY: SECRET_KEY, ANTHROPIC_BASE_URL: server.url }
      const { shown, tag } = yield* start([], environment)
      strictEqual(tag, "Success")
      assertInOrder(shown, [
        "Not asked: gpt-4o, as OPENAI_API_KEY is not set.",
        "Not asked: gpt-4o-mini, as OPENAI_API_KEY is not set.",
        "Chain     claude-haiku-4-5 (Anthropic)\n"
      ])
      deepStrictEqual((yield* server.attempts).map(({ model }) => model), ["claude-haiku-4-5"])
    }).pipe(Effect.scoped))

  it.live("refuses a model whose service has no key, when another one has", () =>
    Effect.gen(function*() {
      const claude = yield* start(["--model", "gpt-4o", "--model", "claude-x"], { OPENAI_API_KEY: SECRET_KEY })
      strictEqual(claude.tag, "UsageError")
      assertInclude(claude.said, "Cannot ask claude-x, as ANTHROPIC_API_KEY is not set.")
      strictEqual(claude.shown, "")
      const gpt = yield* start(["--model", "gpt-4o"], { ANTHROPIC_API_KEY: SECRET_KEY })
      strictEqual(gpt.tag, "UsageError")
      assertInclude(gpt.said, "Cannot ask gpt-4o, as OPENAI_API_KEY is not set.")
    }))

  it.live("plays models of both kinds without a key, and says how many attempts the last one has", () =>
    Effect.gen(function*() {
      const { shown, tag } = yield* start(["--model", "fault-bad-key", "--model", "claude-x"])
      strictEqual(tag, "Success")
      deepStrictEqual(attempts(shown), ["fault-bad-key ClientError (Authentication)", "claude-x Success"])
      const alone = yield* start(["--model", "fault-503"])
      strictEqual(alone.tag, "CallFailed")
      assertInclude(alone.shown, "backoff from 200 ms to 1 s, 5 attempts\n")
      deepStrictEqual(attempts(alone.shown), times(5, "fault-503 ServerError (Overloaded)"))
    }))

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
      const anthropic = yield* start([], { ANTHROPIC_BASE_URL: "https://llm.example.com" })
      strictEqual(anthropic.tag, "UsageError")
      assertInclude(anthropic.said, "ANTHROPIC_API_KEY is not set")
    }))

  it.live("says which setting cannot be used, and not its value", () =>
    Effect.gen(function*() {
      for (const key of ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"]) {
        const { said, tag } = yield* start([], { [key]: `${SECRET_KEY}\n` })
        strictEqual(tag, "UsageError")
        assertInclude(said, key)
        assertInclude(said, "apiKey")
        assertFalse(said.includes(SECRET_KEY))
      }
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
      for (const kept of ["npm_config_scene", "npm_config_stream", "npm_config_on_cut"]) {
        assertInclude((yield* start(["slow"], { [kept]: "true" })).said, "npm start -- --scene")
      }
      const { said, tag } = yield* start(["--on-cut", "ignore"])
      assertTrue(tag !== "Success")
      assertInclude(said, "fail, continue, hold, restart")
    }))

  it.live("shows a stream word by word, each before the next one is there", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("llama", Fault.stream({ content: "One two three.", after: 2, then: "stall" }))
      const terminal = TestTerminal.make(false)
      const environment = { OPENAI_BASE_URL: `${server.url}/v1` }
      const fiber = yield* Effect.fork(start(["--stream", "--model", "llama"], environment, terminal))
      yield* Effect.sync(terminal.written).pipe(
        Effect.repeat({ until: (written) => written.endsWith("  | One two"), schedule: Schedule.spaced("5 millis") })
      )
      yield* Fiber.interrupt(fiber)
      assertInOrder(terminal.written(), ["  | One two\n", "2 chunks", "Interrupted.\n"])
      yield* server.awaitClosed
    }).pipe(Effect.scoped))

  it.live("streams from the real services with a key, and shows neither key nor prompt", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const environment = { ANTHROPIC_API_KEY: SECRET_KEY, ANTHROPIC_BASE_URL: server.url }
      const { shown, tag } = yield* start(["--stream", SECRET_PROMPT], environment, TestTerminal.make(true))
      strictEqual(tag, "Success")
      assertInclude(shown, "This is claude-haiku-4-5, answering in the resilience demo.")
      assertInclude(shown, "8 chunks, the first after")
      assertInclude(shown, "as it came, above")
      assertFalse(shown.includes(SECRET_PROMPT))
      assertFalse(shown.includes(SECRET_KEY))
    }).pipe(Effect.scoped))

  it.live("does with a stream that breaks what the command line says, and streams then even unasked", () =>
    Effect.gen(function*() {
      const cut = (onCut: string) => start(["--model", "fault-stream-cut", "--model", "claude-x", "--on-cut", onCut])
      const { continued, failed, restarted } = yield* Effect.all(
        { failed: cut("fail"), continued: cut("continue"), restarted: cut("restart") },
        { concurrency: "unbounded" }
      )
      strictEqual(failed.tag, "CallFailed")
      assertInOrder(failed.shown, [
        "  | This is fault-stream-cut,\n",
        "No whole answer: what came, above, is a part\n  error        ServerError\n  reason       Truncated\n"
      ])
      strictEqual(continued.tag, "Success")
      assertInOrder(continued.shown, [
        "continued by demo fault-stream-cut\n",
        "continued by demo claude-x\n",
        "2 continuations"
      ])
      strictEqual(restarted.tag, "Success")
      assertInOrder(restarted.shown, ["taken back", "  | This is fault-stream-cut,\n", "2 restarts"])
    }))

  it.live("holds a stream back until it is whole, also where the scene would have it continued", () =>
    Effect.gen(function*() {
      const { shown, tag } = yield* start(["--scene", "stream-cut", "--on-cut", "hold"])
      strictEqual(tag, "Success")
      deepStrictEqual(attempts(shown), ["gpt-4o ServerError (Truncated)", "gpt-4o Success"])
      strictEqual(shown.match(/^ {2}\| .*$/gm)?.length, 1)
      assertInclude(shown, "  | When a stream is cut, what was said so far is kept, and the reader gets the rest.\n")
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
  /** For each scene its attempts, and what else is shown, in this order. */
  const expected: Readonly<
    Record<string, { readonly attempts: ReadonlyArray<string>; readonly shows?: ReadonlyArray<string> }>
  > = {
    "rate-limited": {
      attempts: [
        "gpt-4o RateLimited",
        "claude-haiku-4-5 RateLimited",
        "gpt-4o-mini RateLimited",
        "gpt-4o-mini Success"
      ]
    },
    "all-wait": {
      attempts: [
        "gpt-4o RateLimited",
        "claude-haiku-4-5 RateLimited",
        "gpt-4o-mini RateLimited",
        "claude-haiku-4-5 Success"
      ]
    },
    "outage": { attempts: [...times(3, "gpt-4o ServerError (Overloaded)"), "claude-haiku-4-5 Success"] },
    "flaky": { attempts: [...times(2, "gpt-4o ServerError (Overloaded)"), "gpt-4o Success"] },
    "slow": { attempts: ["gpt-4o Timeout (Attempt)", "claude-haiku-4-5 Success"] },
    "truncated": { attempts: [...times(2, "gpt-4o ServerError (Truncated)"), "gpt-4o Success"] },
    "bad-key": {
      attempts: ["gpt-4o ClientError (Authentication)", "claude-haiku-4-5 Success"],
      shows: ["circuit demo gpt-4o: Closed > Open (ClientError Authentication 401)", "denied by not retryable"]
    },
    "quota": {
      attempts: ["gpt-4o ClientError (QuotaExhausted)", "claude-haiku-4-5 Success"],
      shows: ["circuit demo gpt-4o: Closed > Open (ClientError QuotaExhausted 429)"]
    },
    "invalid-request": { attempts: ["gpt-4o ClientError (InvalidRequest)"] },
    "deadline": {
      attempts: ["gpt-4o Timeout (Attempt)", "claude-haiku-4-5 Timeout (Attempt)", "gpt-4o-mini Timeout (Deadline)"]
    },
    "all-down": {
      attempts: [
        ...times(3, "gpt-4o ServerError (Overloaded)"),
        ...times(3, "claude-haiku-4-5 ServerError (Connection)"),
        ...times(5, "gpt-4o-mini ServerError (BadGateway)")
      ],
      shows: ["3 attempts (5 at the last)"]
    },
    "breaker": {
      attempts: [
        ...times(3, "gpt-4o ServerError (Overloaded)"),
        "claude-haiku-4-5 Success",
        "gpt-4o ServerError (Overloaded)",
        "claude-haiku-4-5 Success",
        "claude-haiku-4-5 Success",
        "gpt-4o ServerError (Overloaded)",
        "claude-haiku-4-5 Success",
        "gpt-4o Success",
        "gpt-4o Success"
      ],
      shows: [
        "a circuit for each model, opened by 4 failures in a row for 2 s",
        "Call 1 of 6\n",
        "Call 2 of 6\n",
        "ServerError (Overloaded)",
        "circuit demo gpt-4o: Closed > Open (ServerError Overloaded 503)",
        "denied by circuit: the circuit of demo gpt-4o is not closed",
        "Call 3 of 6\n               denied by circuit",
        "Call 4 of 6, 2 s later\n               circuit demo gpt-4o: Open > HalfOpen\n",
        "circuit demo gpt-4o: HalfOpen > Open (ServerError Overloaded 503)",
        "Call 5 of 6, 2 s later\n               circuit demo gpt-4o: Open > HalfOpen\n",
        "Success",
        "circuit demo gpt-4o: HalfOpen > Closed\nCall 6 of 6\n",
        "6 of 6 calls answered, 4 by demo claude-haiku-4-5, 2 by demo gpt-4o\n",
        "4 fallbacks"
      ]
    },
    "budget": {
      attempts: [...times(5, "gpt-4o ServerError (Overloaded)"), "gpt-4o Success"],
      shows: [
        "a budget of 2 retries for each user, and 0.2 more for every call",
        "Call 1 of 3, by anna\n",
        "(backoff)",
        "(backoff)",
        "denied by budget",
        "no answer: ServerError (Overloaded)\nCall 2 of 3, by anna\n",
        "denied by budget",
        "no answer: ServerError (Overloaded)\nCall 3 of 3, by ben\n",
        "(backoff)",
        "Success",
        "1 of 3 calls answered, 1 by demo gpt-4o\n",
        "This is how the scene is meant to end"
      ]
    },
    "pause": {
      attempts: [
        "gpt-4o RateLimited",
        "claude-haiku-4-5 Success",
        "claude-haiku-4-5 RateLimited",
        "claude-haiku-4-5 Success",
        "claude-haiku-4-5 Success"
      ],
      shows: [
        "Call 1 of 3\n",
        "asks for a wait of 8 s",
        "Call 2 of 3, 1 s later\n               denied by pause: demo gpt-4o asked everyone to wait",
        "(Retry-After), then ask demo claude-haiku-4-5 again",
        "Call 3 of 3, 1 s later\n               denied by pause: demo gpt-4o asked everyone to wait",
        "(pause), as everyone was asked to, then ask demo claude-haiku-4-5\n",
        "3 of 3 calls answered"
      ]
    },
    "bulkhead": {
      attempts: ["gpt-4o Success", "claude-haiku-4-5 Success", "gpt-4o-mini Success", "gpt-4o-mini Success"],
      shows: [
        "1 call at a time at each provider",
        "Call 2 of 4\n               denied by bulkhead: as many calls as allowed are at demo gpt-4o",
        "Call 3 of 4\n               denied by bulkhead: as many calls as allowed are at demo gpt-4o",
        "denied by bulkhead: as many calls as allowed are at demo claude-haiku-4-5",
        "Call 4 of 4\n               denied by bulkhead",
        "at most (bulkhead), then ask demo gpt-4o-mini\n",
        "4 of 4 calls answered"
      ]
    },
    "stream-cut": {
      attempts: ["gpt-4o ServerError (Truncated)", "gpt-4o Success"],
      shows: [
        "on cut: continue",
        "  | When a stream is cut, what was said so far is\n",
        "11 chunks, the first after",
        "continued by demo gpt-4o\n  |  kept, and the reader gets the rest.\n",
        "Answer from demo gpt-4o\n  When a stream is cut, what was said so far is kept, and the reader gets the rest.\n",
        "0 fallbacks, 1 continuation, the first chunk after"
      ]
    },
    "stream-stall": {
      attempts: ["gpt-4o Timeout (Idle)", "claude-haiku-4-5 Success"],
      shows: [
        "idle for 1 s at most",
        "  | When a stream is cut, what was said so far\n",
        "continued by demo claude-haiku-4-5\n  |  is kept, and another model says the rest.\n",
        "Answer from demo gpt-4o and demo claude-haiku-4-5\n  When a stream is cut, what was said so far is kept, and"
      ]
    },
    "stream-slow": {
      attempts: ["gpt-4o Timeout (FirstToken)", "claude-haiku-4-5 Success"],
      shows: [
        "first token within 1 s, idle",
        "fallback to demo claude-haiku-4-5\n  | This is claude-haiku-4-5, answering in the resilience demo.\n",
        "Answer from demo claude-haiku-4-5, as it came, above\n",
        "1 fallback, the first chunk after"
      ]
    },
    "stream-restart": {
      attempts: ["gpt-4o ServerError (Overloaded)", "gpt-4o Success"],
      shows: [
        "on cut: restart",
        "  | This is the first answer, and\n",
        "begun anew by demo gpt-4o\n               taken back: forget what came so far, a new answer follows\n",
        "  | This is the second answer, and it is whole.\n",
        "Answer from demo gpt-4o\n  This is the second answer, and it is whole.\n",
        "0 fallbacks, 1 restart, the first chunk after"
      ]
    }
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
          deepStrictEqual(attempts(shown), expected[name]?.attempts)
          assertInOrder(shown, expected[name]?.shows ?? [])
          shown.split("\n").forEach((line) => assertTrue(line.length <= 100, line))
        }), { concurrency: "unbounded", discard: true }),
    20_000
  )

  const spawn = (...args: ReadonlyArray<string>) =>
    Effect.async<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>((resume) => {
      const child = execFile(
        process.execPath,
        ["--import", "tsx", "src/cli/main.ts", "ask", ...args],
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
