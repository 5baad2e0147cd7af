/** What an exporter of OpenTelemetry gets to see. */
import * as Metrics from "@effect/opentelemetry/Metrics"
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import * as Resource from "@effect/opentelemetry/Resource"
import { FetchHttpClient, HttpClient } from "@effect/platform"
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { SpanKind, SpanStatusCode } from "@opentelemetry/api"
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, HashMap, Layer, Logger, LogLevel, Metric, Redacted, Tracer } from "effect"
import { ChatProvider, Fallback, OpenAi, Resilience } from "effect-resilience"
import { Fault, FaultServer, ScriptedProvider } from "effect-resilience/testing"
import { inspect } from "node:util"
import { clientError, notStreamed, overloaded } from "./utils.js"

const KEY = "sk-canary-key"
const PROMPT = "canary prompt"
const ANSWER = "canary answer"
const request: ChatProvider.ChatRequest = {
  messages: [{ role: "user", content: PROMPT }],
  max_tokens: 100,
  temperature: 0.5,
  top_p: 0.9,
  stop: [PROMPT],
  user: PROMPT,
  seed: 7
}
const complete = ChatProvider.complete(request)

const byStart = ({ startTime: [a, b] }: ReadableSpan, { startTime: [c, d] }: ReadableSpan) => a - c || b - d

/** Runs the effect with an exporter, and gives the spans in the order they began. */
const traced = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const exporter = new InMemorySpanExporter()
    return yield* Effect.exit(effect).pipe(
      // The exporter forgets its spans when the SDK shuts down.
      Effect.map((exit) => ({ exit, spans: [...exporter.getFinishedSpans()].sort(byStart) })),
      Effect.provide(
        NodeSdk.layer(() => ({
          resource: { serviceName: "test" },
          spanProcessor: new SimpleSpanProcessor(exporter)
        }))
      )
    )
  })

const shown = (span: ReadableSpan, spans: ReadonlyArray<ReadableSpan>) => ({
  name: span.name,
  in: spans.find((other) => other.spanContext().spanId === span.parentSpanContext?.spanId)?.name,
  ok: span.status.code === SpanStatusCode.OK,
  attributes: span.attributes
})

const named = (spans: ReadonlyArray<ReadableSpan>, name: string): ReadonlyArray<ReadableSpan> =>
  spans.filter((span) => span.name === name)

const server = (models: Record<string, ReadonlyArray<Fault.Fault>>) =>
  Effect.gen(function*() {
    const server = yield* FaultServer.make()
    for (const [model, [first, ...rest]] of Object.entries(models)) {
      if (first !== undefined) {
        yield* server.script(model, first, ...rest)
      }
    }
    const layer = (model: string) =>
      OpenAi.layer({ apiKey: Redacted.make(KEY), baseUrl: `${server.url}/v1`, model }).pipe(
        Resilience.layer({ retry: { base: "5 millis", jitter: "none" } })
      )
    return { server, layer }
  })

describe("spans", () => {
  it.scopedLive("of a call with a retry and a fallback are one tree, and each request carries its attempt's", () =>
    Effect.gen(function*() {
      const { layer, server: faulty } = yield* server({
        big: [Fault.overloaded(), Fault.badKey],
        small: [Fault.ok({ content: ANSWER })]
      })
      const chain = layer("big").pipe(Fallback.orElse(layer("small")))
      const { spans } = yield* traced(Effect.withSpan(Effect.provide(complete, chain), "caller"))
      const address = { "server.address": "127.0.0.1", "server.port": Number(new URL(faulty.url).port) }
      const [call] = named(spans, "chat big")
      assertTrue(call !== undefined)
      strictEqual(call.kind, SpanKind.CLIENT)
      const { "gen_ai.response.finish_reasons": reasons, "gen_ai.response.id": id, ...attributes } = call.attributes
      deepStrictEqual([JSON.parse(String(reasons)), typeof id], [["stop"], "string"])
      const usage = Object.entries(attributes).filter(([key]) => key.startsWith("gen_ai.usage."))
      deepStrictEqual(usage.map(([key, value]) => [key, typeof value]), [
        ["gen_ai.usage.input_tokens", "number"],
        ["gen_ai.usage.output_tokens", "number"]
      ])
      deepStrictEqual([shown(call, spans).in, shown(call, spans).ok], ["caller", true])
      deepStrictEqual(
        Object.fromEntries(Object.entries(attributes).filter(([key]) => !key.startsWith("gen_ai.usage."))),
        {
          "gen_ai.operation.name": "chat",
          "gen_ai.provider.name": "openai",
          "gen_ai.request.model": "big",
          "gen_ai.request.max_tokens": 100,
          "gen_ai.request.temperature": 0.5,
          "gen_ai.request.top_p": 0.9,
          "gen_ai.request.seed": 7,
          "gen_ai.response.model": "small"
        }
      )
      // Besides the log lines, which Effect's own logger adds.
      deepStrictEqual(call.events.map(({ name }) => name).filter((name) => name.startsWith("resilience.")), [
        "resilience.wait",
        "resilience.denied",
        "resilience.fallback"
      ])
      const attempts = named(spans, "attempt")
      deepStrictEqual(attempts.map((span) => shown(span, spans)), [
        {
          name: "attempt",
          in: "chat big",
          ok: false,
          attributes: {
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "big",
            "http.response.status_code": 503,
            "resilience.request_id": "req_1",
            ...address,
            "error.type": "ServerError"
          }
        },
        {
          name: "attempt",
          in: "chat big",
          ok: false,
          attributes: {
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "big",
            "http.request.resend_count": 1,
            "http.response.status_code": 401,
            "resilience.request_id": "req_2",
            ...address,
            "error.type": "ClientError"
          }
        },
        {
          name: "attempt",
          in: "chat big",
          ok: true,
          attributes: {
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "small",
            "http.response.status_code": 200,
            "resilience.request_id": "req_3",
            ...address
          }
        }
      ])
      strictEqual(spans.length, 5)
      deepStrictEqual(
        (yield* faulty.attempts).map(({ headers }) => headers["traceparent"]),
        attempts.map((span) => `00-${span.spanContext().traceId}-${span.spanContext().spanId}-01`)
      )
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  const trees: ReadonlyArray<
    readonly [string, Effect.Effect<unknown, unknown>, ReadonlyArray<readonly [string, string | undefined, unknown]>]
  > = [
    ["a bare provider: a call and its attempt", Effect.provide(complete, ScriptedProvider.layer([ANSWER])), [
      ["chat", undefined, undefined],
      ["attempt", "chat", undefined]
    ]],
    [
      "a provider of the user's own with policies: an attempt for each",
      Effect.gen(function*() {
        let asked = 0
        const own = Layer.succeed(ChatProvider.ChatProvider, {
          provider: "own",
          model: "o",
          stream: notStreamed,
          complete: () =>
            Effect.suspend(() =>
              asked++ === 0 ? Effect.fail(overloaded()) : Effect.succeed(ScriptedProvider.answer(ANSWER))
            )
        })
        yield* Effect.provide(complete, Resilience.layer({ retry: { base: "1 millis" } })(own))
      }),
      [["chat o", undefined, undefined], ["attempt", "chat o", "ServerError"], ["attempt", "chat o", undefined]]
    ],
    [
      "a protected effect: none",
      Effect.flatMap(Resilience.make(), ({ protect }) => protect(Effect.succeed(ANSWER))),
      []
    ],
    [
      "a bare provider in a protected effect: a call of each request",
      Effect.flatMap(
        Resilience.make({ retry: { base: "1 millis" } }),
        ({ protect }) =>
          protect(Effect.provide(complete, ScriptedProvider.layer([clientError("NotFound")], { model: "p" })))
      ),
      [["chat p", undefined, "ClientError"], ["attempt", "chat p", "ClientError"]]
    ],
    [
      "policies around policies: one attempt for each request",
      Effect.provide(
        complete,
        ScriptedProvider.layer([ANSWER], { model: "n" }).pipe(Resilience.layer(), Resilience.layer())
      ),
      [["chat n", undefined, undefined], ["attempt", "chat n", undefined]]
    ]
  ]
  for (const [name, effect, expected] of trees) {
    it.live(name, () =>
      Effect.gen(function*() {
        const { spans } = yield* traced(effect)
        const tree = spans.map((span) => {
          const { attributes, in: parent, name } = shown(span, spans)
          return [name, parent, attributes["error.type"]] as const
        })
        deepStrictEqual(tree, expected)
      }))
  }

  it.scopedLive("an attempt that ran out of time ends then, as a Timeout", () =>
    Effect.gen(function*() {
      const { exit, spans } = yield* traced(
        Effect.provide(
          complete,
          ScriptedProvider.layer([Effect.uninterruptible(Effect.delay(Effect.succeed(ANSWER), "80 millis"))]).pipe(
            Resilience.layer({ attemptTimeout: "20 millis", retry: { maxAttempts: 1 } })
          )
        )
      )
      assertTrue(exit._tag === "Failure")
      deepStrictEqual(spans.map(({ attributes }) => attributes["error.type"]), ["Timeout", "Timeout"])
    }))

  it.scopedLive("an attempt that ran out of time around other policies ends then, too", () =>
    Effect.gen(function*() {
      const { spans } = yield* traced(
        Effect.provide(
          complete,
          ScriptedProvider.layer([Effect.never]).pipe(
            Resilience.layer(),
            Resilience.layer({ attemptTimeout: "20 millis", retry: { maxAttempts: 1 } })
          )
        )
      )
      deepStrictEqual(spans.map(({ name }) => name), ["chat", "attempt"])
      strictEqual(spans[0]?.attributes["error.type"], "Timeout")
    }))

  it.scopedLive("an interrupted call is no error", () =>
    Effect.gen(function*() {
      const call = Effect.provide(complete, ScriptedProvider.layer([Effect.never]).pipe(Resilience.layer()))
      const { spans } = yield* traced(Effect.timeoutOption(call, "20 millis"))
      deepStrictEqual(
        spans.map(({ attributes, status }) => [status.code, attributes["error.type"]]),
        [[SpanStatusCode.OK, undefined], [SpanStatusCode.OK, undefined]]
      )
    }))
})

describe("where nobody collects spans", () => {
  const traceparents = (use: <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const { layer, server: faulty } = yield* server({ m: [Fault.ok({ content: ANSWER })] })
      yield* use(Effect.provide(complete, layer("m")))
      return (yield* faulty.attempts).map(({ headers }) => headers["traceparent"])
    }).pipe(Effect.provide(FetchHttpClient.layer))

  const caller = Tracer.externalSpan({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" })
  const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

  it.scopedLive("none is made", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* traceparents((call) => call), [undefined])
    }))

  it.scopedLive("the trace a request came with goes on with it", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* traceparents(Effect.withParentSpan(caller)), [parent])
    }))

  const off: ReadonlyArray<readonly [string, <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>]> = [
    ["tracing", Effect.withTracerEnabled(false)],
    ["propagation", Effect.locally(HttpClient.currentTracerPropagation, false)]
  ]
  for (const [what, switchedOff] of off) {
    it.scopedLive(`unless ${what} is switched off`, () =>
      Effect.gen(function*() {
        deepStrictEqual(
          yield* traceparents((call) => switchedOff(Effect.withParentSpan(call, caller))),
          [undefined]
        )
      }))
  }
})

it.scopedLive("no prompt, answer or key is in any exported span, log or metric", () =>
  Effect.gen(function*() {
    const echo = { error: { message: `Invalid: ${PROMPT} ${KEY}`, type: "invalid", code: `${PROMPT} ${KEY}` } }
    const { layer } = yield* server({
      m: [
        Fault.status(500, { body: echo, headers: { "x-request-id": `${KEY} ${PROMPT}` } }),
        Fault.status(200, { body: `${PROMPT} ${KEY}` }),
        Fault.resetBeforeHeaders,
        Fault.status(400, { body: echo })
      ],
      n: [Fault.ok({ content: ANSWER })]
    })
    const logged: Array<unknown> = []
    const logger = Logger.make(({ annotations, cause, message }) => {
      logged.push(message, cause, HashMap.toEntries(annotations))
    })
    const call = Effect.provide(complete, layer("m"))
    const { spans } = yield* traced(
      Effect.all([Effect.withSpan(call, "caller"), Effect.provide(complete, layer("n"))], { mode: "validate" }).pipe(
        Effect.ignore,
        // A defect may quote anything.
        Effect.zipRight(Effect.exit(Effect.provide(complete, ScriptedProvider.layer([Effect.die(new Error(PROMPT))])))),
        Logger.withMinimumLogLevel(LogLevel.Debug),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
    )
    assertTrue(spans.length >= 8 && logged.length > 0)
    const metrics = (yield* Metric.snapshot).map(({ metricKey }) => [metricKey.name, metricKey.tags])
    const seen = [
      spans.map(({ attributes, events, name, status }) => ({ attributes, events, name, status })),
      logged,
      metrics
    ].flatMap((value) => [JSON.stringify(value), inspect(value, { depth: 20, showHidden: true })])
    for (const text of seen) {
      deepStrictEqual([KEY, PROMPT, ANSWER].filter((canary) => text.includes(canary)), [])
    }
  }).pipe(Effect.provide(FetchHttpClient.layer)))

it.scopedLive("metrics are exported under their names, with units", () =>
  Effect.gen(function*() {
    yield* Effect.provide(
      complete,
      ScriptedProvider.layer([overloaded(), ANSWER]).pipe(Resilience.layer({ retry: { base: "1 millis" } }))
    )
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
    yield* Layer.build(
      Layer.provide(
        Metrics.layer(() => reader),
        Resource.layer({ serviceName: "test" })
      )
    )
    yield* Effect.promise(() => reader.forceFlush())
    const exported = new Map(
      exporter.getMetrics().flatMap(({ scopeMetrics }) =>
        scopeMetrics.flatMap(({ metrics }) =>
          metrics.map(({ dataPointType, descriptor: { name, unit } }) => [name, [DataPointType[dataPointType], unit]])
        )
      )
    )
    deepStrictEqual(
      ["resilience.calls", "resilience.attempts", "resilience.retries", "resilience.retry.delay"].map((name) =>
        exported.get(name)
      ),
      [["SUM", "1"], ["SUM", "1"], ["SUM", "1"], ["HISTOGRAM", "s"]]
    )
    deepStrictEqual(exported.get("gen_ai.client.operation.duration"), ["HISTOGRAM", "s"])
  }))
