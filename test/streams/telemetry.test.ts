import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Duration, Effect, Exit, FiberRef, Metric, Scope, Stream } from "effect"
import { CallReport, ChatProvider, Fallback, Resilience, Telemetry } from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { overloaded } from "../utils.js"
import { read, request, scripted, texts } from "./reading.js"

const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }

const answer: ReadonlyArray<ChatProvider.ChatChunk> = [
  { id: "chat_1", model: "m-2026", choices: [{ index: 0, delta: { content: "canary answer" }, finish_reason: null }] },
  { id: "chat_1", model: "m-2026", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
  { id: "chat_1", model: "m-2026", choices: [], usage }
]

describe("a report of a stream", () => {
  it.effect("has the time to the first chunk, and what each attempt delivered", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", overloaded(), texts(["one ", "two "], 2000, overloaded()), "three")
      const layer = Fallback.layer(
        { onCut: "continue" },
        provider.layer.pipe(Resilience.layer({ retry: { jitter: "none" } }))
      )
      const { report } = yield* read(layer)
      deepStrictEqual(report.attempts.map(({ chunks, outcome }) => [outcome, chunks]), [
        ["ServerError", 0],
        ["ServerError", 2],
        ["Success", 1]
      ])
      deepStrictEqual(
        report.attempts.map(({ timeToFirstChunk }) => timeToFirstChunk && Duration.toMillis(timeToFirstChunk)),
        [undefined, 2000, 0]
      )
      strictEqual(report.timeToFirstChunk && Duration.toMillis(report.timeToFirstChunk), 3000)
      deepStrictEqual([report.outcome, report.continuations, report.answeredBy?.provider], ["Success", 1, "a"])
    }))

  it.effect("there is none of a stream that is never read", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a")
      const stream = Stream.provideLayer(ChatProvider.stream(request), Fallback.layer(provider.layer))
      const { reports } = yield* CallReport.collect(Effect.succeed(stream))
      deepStrictEqual(reports, [])
      deepStrictEqual(yield* provider.asked, [])
    }))

  it.effect("the same stream run twice is two calls", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", "first", "second")
      const stream = ChatProvider.stream(request).pipe(Stream.map(ChatProvider.deltaText), Stream.runFold("", add))
      const both = Effect.zip(stream, stream)
      deepStrictEqual(yield* Effect.provide(both, Fallback.layer(provider.layer)), ["first", "second"])
    }))
})

describe("the end of a stream that nobody reads on", () => {
  it.scoped("is told where the stream was begun, wherever it is closed", () =>
    Effect.gen(function*() {
      const place = yield* FiberRef.make("where it is closed")
      const told: Array<string> = []
      const provider = yield* scripted("a", texts(["one ", "two "], 0, overloaded()))
      const scope = yield* Scope.make()
      yield* Stream.toPull(ChatProvider.stream(request)).pipe(
        Effect.flatten,
        CallReport.observe((event) =>
          event._tag === "CallEnded"
            ? Effect.map(FiberRef.get(place), (name) => {
              told.push(name)
            })
            : Effect.void
        ),
        Effect.locally(place, "where it was begun"),
        Effect.provide(Fallback.layer(provider.layer)),
        Scope.extend(scope)
      )
      deepStrictEqual(told, [])
      yield* Scope.close(scope, Exit.void)
      deepStrictEqual(told, ["where it was begun"])
      strictEqual(yield* FiberRef.get(place), "where it is closed")
    }))
})

const add = (text: string, more: string) => text + more

describe("telemetry of a stream", () => {
  it.effect("the metric of the time to the first chunk is fed once a call", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("first-chunk", texts(["one ", "two"], 3000))
      yield* read(Fallback.layer(provider.layer))
      const state = yield* Telemetry.timeToFirstChunk.pipe(
        Metric.tagged("gen_ai.operation.name", "chat"),
        Metric.tagged("gen_ai.provider.name", "first-chunk"),
        Metric.tagged("gen_ai.request.model", "m"),
        Metric.value
      )
      deepStrictEqual([state.count, state.sum], [1, 3])
    }))

  it.live("its span has usage and finish reason, and no word of the answer", () =>
    Effect.gen(function*() {
      const exporter = new InMemorySpanExporter()
      const provider = ScriptedProvider.layer([texts(["canary "], 0, overloaded()), Stream.fromIterable(answer)], {
        provider: "a",
        model: "m"
      })
      const spans = yield* Stream.runDrain(ChatProvider.stream(request)).pipe(
        Effect.provide(Fallback.layer({ onCut: "continue" }, provider)),
        Effect.map(() => exporter.getFinishedSpans()),
        Effect.provide(
          NodeSdk.layer(() => ({
            resource: { serviceName: "test" },
            spanProcessor: new SimpleSpanProcessor(exporter)
          }))
        )
      )
      deepStrictEqual(spans.map(({ name }) => name).sort(), ["attempt", "attempt", "chat m"])
      const chat = spans.find(({ name }) => name === "chat m")
      assertTrue(chat !== undefined)
      const { attributes } = chat
      strictEqual(attributes["gen_ai.response.id"], "chat_1")
      strictEqual(attributes["gen_ai.response.model"], "m-2026")
      strictEqual(attributes["gen_ai.usage.output_tokens"], 3)
      deepStrictEqual(JSON.parse(String(attributes["gen_ai.response.finish_reasons"])), ["stop"])
      strictEqual(typeof attributes["gen_ai.response.time_to_first_chunk"], "number")
      assertTrue(chat.events.some(({ name }) => name === "resilience.resumed"))
      strictEqual(
        JSON.stringify(spans.map(({ attributes, events, status }) => [attributes, events, status]))
          .includes("canary"),
        false
      )
    }))
})
