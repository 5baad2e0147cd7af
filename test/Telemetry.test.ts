import { describe, it } from "@effect/vitest"
import { assertFalse, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import {
  Duration,
  Effect,
  Fiber,
  HashMap,
  Logger,
  LogLevel,
  Metric,
  MetricState,
  Option,
  Random,
  TestClock
} from "effect"
import { CallReport, ChatProvider, Deadline, Fallback, Resilience, Telemetry } from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { circuitTransitioned } from "../src/runtime/metrics.js"
import { denied, waiting } from "../src/runtime/recorder.js"
import { clientError, overloaded, rateLimited, simulate } from "./utils.js"

const PROMPT = "a prompt that must stay private"
const ANSWER = "an answer that must stay private"
const request: ChatProvider.ChatRequest = { model: "m", messages: [{ role: "user", content: PROMPT }] }
const complete = ChatProvider.complete(request)
const plain = { base: "1 second", jitter: "none" } as const

/** The state of a metric in words: a count, a gauge's value, or count and sum of a histogram. */
const valueOf = (state: MetricState.MetricState.Untyped): string | number => {
  if (MetricState.isCounterState(state)) {
    return Number(state.count)
  }
  if (MetricState.isGaugeState(state)) {
    return Number(state.value)
  }
  return MetricState.isHistogramState(state) ? `${state.count} in ${state.sum}` : "other"
}

/** Every metric of one provider, or of one circuit, as `name{values of further tags}`. A provider's name is one test's. */
const metricsOf = (name: string): Effect.Effect<Record<string, string | number>> =>
  Effect.map(Metric.snapshot, (pairs) =>
    Object.fromEntries(
      pairs.flatMap(({ metricKey, metricState }) =>
        metricKey.tags.some(({ value }) => value === name)
          ? [[
            `${metricKey.name}{${
              metricKey.tags.filter(({ key }) => !/^(unit|.*provider.*|.*model|.*operation.*|circuit)$/.test(key))
                .map(({ value }) => value).join(",")
            }}`,
            valueOf(metricState)
          ]]
          : []
      )
    ))

const asked = (
  provider: string,
  steps: ReadonlyArray<ScriptedProvider.Step>,
  options: Resilience.Options = {}
) => ScriptedProvider.layer(steps, { provider }).pipe(Resilience.layer({ retry: plain, ...options }))

describe("metrics", () => {
  it.effect("a call that succeeds at once is one first try, one attempt and one duration", () =>
    Effect.gen(function*() {
      const slow = Effect.delay(Effect.succeed(ANSWER), "3 seconds")
      yield* simulate(Effect.provide(complete, asked("at-once", [slow])))
      deepStrictEqual(yield* metricsOf("at-once"), {
        "resilience.calls{first_try}": 1,
        "resilience.attempts{Success}": 1,
        "gen_ai.client.operation.duration{}": "1 in 3"
      })
    }))

  it.effect("a call that a retry saved says what made the retry, and how long was waited", () =>
    Effect.gen(function*() {
      const layer = asked("saved", [overloaded(), rateLimited("5 seconds"), ANSWER])
      yield* simulate(Effect.provide(complete, layer))
      deepStrictEqual(yield* metricsOf("saved"), {
        "resilience.calls{after_retry}": 1,
        "resilience.attempts{ServerError}": 1,
        "resilience.attempts{RateLimited}": 1,
        "resilience.attempts{Success}": 1,
        "resilience.retries{ServerError}": 1,
        "resilience.retries{RateLimited}": 1,
        "resilience.retry.delay{}": "2 in 6",
        "gen_ai.client.operation.duration{}": "1 in 6"
      })
    }))

  it.effect("a call that another provider answered is the first one's, its attempts are each one's own", () =>
    Effect.gen(function*() {
      const chain = asked("primary", [clientError("NotFound")]).pipe(Fallback.orElse(asked("backup", [ANSWER])))
      yield* simulate(Effect.provide(complete, chain))
      deepStrictEqual(yield* metricsOf("primary"), {
        "resilience.attempts{ClientError}": 1,
        "resilience.retry.denied{not retryable}": 1,
        "resilience.calls{after_fallback}": 1,
        "gen_ai.client.operation.duration{}": "1 in 0"
      })
      deepStrictEqual(yield* metricsOf("backup"), { "resilience.attempts{Success}": 1 })
    }))

  it.effect("a call that failed says what stopped it, and its duration with what error", () =>
    Effect.gen(function*() {
      const layer = asked("failing", [overloaded(), overloaded()], { retry: { ...plain, maxAttempts: 2 } })
      yield* simulate(Effect.exit(Effect.provide(complete, layer)))
      deepStrictEqual(yield* metricsOf("failing"), {
        "resilience.calls{failed}": 1,
        "resilience.attempts{ServerError}": 2,
        "resilience.retries{ServerError}": 1,
        "resilience.retry.delay{}": "1 in 1",
        "resilience.retry.denied{attempts}": 1,
        "gen_ai.client.operation.duration{ServerError}": "1 in 1"
      })
    }))

  it.effect("an interrupted call is no failure: only its attempt is counted, as Interrupted", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.provide(complete, asked("interrupted", [Effect.never])))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      deepStrictEqual(yield* metricsOf("interrupted"), { "resilience.attempts{Interrupted}": 1 })
    }))

  it.effect("a call that its deadline ended is one, whoever set the deadline", () =>
    Effect.gen(function*() {
      const call = Effect.provide(complete, asked("too-late", [Effect.never]))
      yield* simulate(Effect.exit(Deadline.within(call, "10 seconds")))
      deepStrictEqual(yield* metricsOf("too-late"), {
        "resilience.calls{failed}": 1,
        "resilience.attempts{Timeout}": 1,
        "gen_ai.client.operation.duration{Timeout}": "1 in 10"
      })
    }))

  it.effect("a protected effect counts under its target, and is no chat", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ retry: plain })
      yield* protect(Effect.succeed(ANSWER), { provider: "own-effect", model: "m" })
      deepStrictEqual(yield* metricsOf("own-effect"), {
        "resilience.attempts{Success}": 1,
        "resilience.calls{first_try}": 1
      })
    }))

  it.effect("a bare provider inside a protected effect names itself, and is a chat", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ retry: plain })
      yield* protect(Effect.provide(complete, ScriptedProvider.layer([ANSWER], { provider: "inside" })))
      deepStrictEqual(yield* metricsOf("inside"), {
        "resilience.attempts{Success}": 1,
        "gen_ai.client.operation.duration{}": "1 in 0",
        "resilience.calls{first_try}": 1
      })
    }))

  it.effect("answered requests to one provider in a call are no retries", () =>
    Effect.gen(function*() {
      const thrice = Effect.all([complete, complete, complete])
      const { protect } = yield* Resilience.make()
      yield* protect(Effect.provide(thrice, ScriptedProvider.layer([ANSWER, ANSWER, ANSWER], { provider: "thrice" })))
      const metrics = yield* metricsOf("thrice")
      deepStrictEqual([metrics["resilience.calls{first_try}"], metrics["resilience.attempts{Success}"]], [1, 3])
      assertFalse(Object.keys(metrics).some((name) => name.startsWith("resilience.retries")))
    }))

  it.effect("a call that is collected within a call is not counted twice", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make()
      yield* protect(CallReport.collect(Effect.provide(complete, asked("collected", [ANSWER]))), {
        provider: "collected",
        model: "m"
      })
      const metrics = yield* metricsOf("collected")
      deepStrictEqual([metrics["resilience.calls{first_try}"], metrics["resilience.attempts{Success}"]], [1, 1])
    }))

  it.effect("tags of the user's own come along", () =>
    Effect.gen(function*() {
      yield* Effect.provide(complete, asked("tagged", [ANSWER])).pipe(Effect.tagMetrics("feature", "search"))
      strictEqual((yield* metricsOf("tagged"))["resilience.calls{first_try,search}"], 1)
    }))

  it.effect("are read as any metric of Effect's, by their tags in the documented order", () =>
    Effect.gen(function*() {
      yield* Effect.provide(complete, asked("readable", [ANSWER]))
      const { count } = yield* Metric.value(
        Telemetry.calls.pipe(
          Metric.tagged("provider", "readable"),
          Metric.tagged("model", "m"),
          Metric.tagged("outcome", "first_try")
        )
      )
      strictEqual(count, 1)
    }))

  it.effect("a wait that is no retry's is not among the delays, and every denial is counted by its reason", () =>
    Effect.gen(function*() {
      const target = { provider: "busy", model: "m" }
      const { protect } = yield* Resilience.make()
      const by: ReadonlyArray<CallReport.DeniedBy> = ["bulkhead", "circuit", "pause", "budget"]
      yield* protect(Effect.gen(function*() {
        yield* waiting(Duration.seconds(1), "bulkhead", target)
        yield* waiting(Duration.seconds(1), "pause", target)
        yield* Effect.forEach(by, (reason) => denied(reason, target))
      }))
      deepStrictEqual(
        yield* metricsOf("busy"),
        Object.fromEntries(by.map((reason) => [`resilience.retry.denied{${reason}}`, 1]))
      )
    }))

  it.effect("a circuit's state is its last, and its transitions are counted", () =>
    Effect.gen(function*() {
      yield* circuitTransitioned("c", "Closed", "Open")
      strictEqual((yield* metricsOf("c"))["resilience.circuit.state{}"], 2)
      yield* circuitTransitioned("c", "Open", "HalfOpen")
      strictEqual((yield* metricsOf("c"))["resilience.circuit.state{}"], 1)
      yield* circuitTransitioned("c", "HalfOpen", "Isolated")
      strictEqual((yield* metricsOf("c"))["resilience.circuit.state{}"], 3)
      yield* circuitTransitioned("c", "Isolated", "Closed")
      deepStrictEqual(yield* metricsOf("c"), {
        "resilience.circuit.state{}": 0,
        "resilience.circuit.transitions{closed,open}": 1,
        "resilience.circuit.transitions{open,half_open}": 1,
        "resilience.circuit.transitions{half_open,isolated}": 1,
        "resilience.circuit.transitions{isolated,closed}": 1
      })
    }))
})

interface Line {
  readonly level: string
  readonly message: unknown
  readonly annotations: Record<string, unknown>
}

/** The lines an effect logs at this level or above. */
const linesOf = (effect: Effect.Effect<unknown, unknown>, level = LogLevel.Debug) =>
  Effect.gen(function*() {
    const lines: Array<Line> = []
    const logger = Logger.make(({ annotations, logLevel, message }) => {
      const [text] = Array.isArray(message) ? message : [message]
      lines.push({
        level: logLevel.label,
        message: text,
        annotations: Object.fromEntries(HashMap.toEntries(annotations))
      })
    })
    yield* simulate(Effect.exit(effect)).pipe(
      Logger.withMinimumLogLevel(level),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger))
    )
    return lines
  })

describe("logs", () => {
  it.effect("tell every attempt once: a warning for a failure, that says what became of it, and a debug line", () =>
    Effect.gen(function*() {
      const chain = asked("openai", [rateLimited("2 seconds"), clientError("NotFound")]).pipe(
        Fallback.orElse(ScriptedProvider.layer([ANSWER], { provider: "groq" }))
      )
      deepStrictEqual(yield* linesOf(Effect.provide(complete, chain)), [
        {
          level: "WARN",
          message: Telemetry.attemptFailed,
          annotations: {
            provider: "openai",
            model: "m",
            attempt: 1,
            outcome: "RateLimited",
            status: 429,
            waitedMs: 0,
            durationMs: 0,
            retryInMs: 2000
          }
        },
        {
          level: "WARN",
          message: Telemetry.attemptFailed,
          annotations: {
            provider: "openai",
            model: "m",
            attempt: 2,
            outcome: "ClientError",
            reason: "NotFound",
            waitedMs: 2000,
            durationMs: 0,
            deniedBy: "not retryable"
          }
        },
        {
          level: "DEBUG",
          message: Telemetry.attemptSucceeded,
          annotations: { provider: "groq", model: "m", attempt: 3, outcome: "Success", waitedMs: 0, durationMs: 0 }
        }
      ])
    }).pipe(Effect.withRandom(Random.fixed([0]))))

  it.effect("a bare provider's failure in a chain says who comes next", () =>
    Effect.gen(function*() {
      const chain = ScriptedProvider.layer([overloaded()], { provider: "first" }).pipe(
        Fallback.orElse(ScriptedProvider.layer([ANSWER], { provider: "second" }))
      )
      const [line] = yield* linesOf(Effect.provide(complete, chain), LogLevel.Info)
      strictEqual(line?.annotations["fallbackTo"], "second m")
    }))

  it.effect("of the last attempt come before the call's end, even when nothing was decided", () =>
    Effect.gen(function*() {
      const lines = yield* linesOf(Effect.provide(complete, ScriptedProvider.layer([overloaded()])))
      deepStrictEqual(lines.map(({ message }) => message), [Telemetry.attemptFailed])
    }))

  it.effect("an interrupted attempt is no warning", () =>
    Effect.gen(function*() {
      const interrupted = Effect.timeoutOption(
        Effect.provide(complete, ScriptedProvider.layer([Effect.never])),
        "1 second"
      )
      const lines = yield* linesOf(interrupted)
      deepStrictEqual(lines.map(({ level, message }) => [level, message]), [["DEBUG", Telemetry.attemptInterrupted]])
    }))

  it.effect("name the span they belong to, where there is one", () =>
    Effect.gen(function*() {
      const span = yield* Effect.makeSpan("caller")
      const layer = ScriptedProvider.layer([overloaded()])
      const [line] = yield* linesOf(Effect.withParentSpan(Effect.provide(complete, layer), span))
      deepStrictEqual([line?.annotations["traceId"], line?.annotations["spanId"]], [span.traceId, span.spanId])
    }))

  it.effect("hold neither prompt nor answer nor the provider's own text", () =>
    Effect.gen(function*() {
      const layer = asked("private", [overloaded(), Effect.die(new Error(PROMPT))])
      const lines = yield* linesOf(Effect.provide(complete, layer))
      strictEqual(lines.length, 2)
      const text = JSON.stringify(lines)
      assertFalse(text.includes(PROMPT) || text.includes(ANSWER))
    }))
})

it.effect("every metric in the registry has the tags its documentation says, in their order", () =>
  Effect.gen(function*() {
    yield* Effect.provide(complete, asked("documented", [ANSWER]))
    const documented: Record<string, ReadonlyArray<string>> = Telemetry.tags
    const ours = (yield* Metric.snapshot).filter(({ metricKey }) => /^(resilience|gen_ai)\./.test(metricKey.name))
    assertTrue(ours.length > 0)
    for (const { metricKey } of ours) {
      const keys = metricKey.tags.map(({ key }) => key).filter((key) => key !== "feature")
      const expected = (documented[metricKey.name] ?? []).filter((key) => key !== "error.type" || keys.includes(key))
      deepStrictEqual([metricKey.name, keys], [metricKey.name, expected])
      assertTrue(Option.isSome(metricKey.description))
    }
  }))

// Last, since the registry forgets nothing.
it.effect("models beyond the thousandth are counted together, and known ones go on as they were", () =>
  Effect.gen(function*() {
    const { protect } = yield* Resilience.make()
    yield* protect(Effect.void, { provider: "many", model: "first" })
    for (let i = 0; i < 1500; i++) {
      yield* protect(Effect.void, { provider: "many", model: `made-up-${i}` })
    }
    yield* protect(Effect.void, { provider: "many", model: "first" })
    const models = new Map(
      (yield* Metric.snapshot).flatMap(({ metricKey, metricState }) => {
        const tag = (key: string) => metricKey.tags.find((label) => label.key === key)?.value
        return metricKey.name === "resilience.calls" && tag("provider") === "many"
          ? [[tag("model"), valueOf(metricState)] as const]
          : []
      })
    )
    assertTrue(models.size <= 1001)
    strictEqual(models.get("first"), 2)
    assertTrue(Number(models.get("_OTHER")) >= 500)
  }))
