/** Readers of a fallback's stream that leave before its end, over real HTTP. */
import { LanguageModel, Tool, Toolkit } from "@effect/ai"
import { AnthropicClient, AnthropicLanguageModel } from "@effect/ai-anthropic"
import { OpenAiClient, OpenAiLanguageModel } from "@effect/ai-openai"
import { FetchHttpClient } from "@effect/platform"
import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, Layer, Logger, LogLevel, Redacted, Schema, Stream } from "effect"
import { ResilientHttpClient } from "effect-resilience"
import { LanguageModelFallback } from "effect-resilience/ai"
import { Fault, FaultServer } from "effect-resilience/testing"

const apiKey = Redacted.make("a-secret")

/** One slot each, so that one that is not given back is missed. */
const clientOptions = () => ({
  apiKey,
  transformClient: ResilientHttpClient.unsafeMake({
    maxConcurrent: 1,
    attemptTimeout: "1 second",
    circuitBreaker: false,
    retry: { base: "10 millis" }
  })
})

/** `first`, which fails, before `second`. */
const chain = ({ url }: FaultServer.Service) =>
  LanguageModelFallback.layer(
    OpenAiLanguageModel.layer({ model: "first" }).pipe(
      Layer.provide(OpenAiClient.layer({ ...clientOptions(), apiUrl: `${url}/v1` }))
    ),
    AnthropicLanguageModel.layer({ model: "second" }).pipe(
      Layer.provide(AnthropicClient.layer({ ...clientOptions(), apiUrl: url }))
    )
  ).pipe(Layer.provide(FetchHttpClient.layer))

const toolkit = Toolkit.make(Tool.make("Weather", { parameters: { city: Schema.String }, success: Schema.String }))

const handled = Effect.provide(toolkit, toolkit.toLayer({ Weather: () => Effect.succeed("rain") }))

const slow = Fault.stream({ then: "end", after: 9, every: "5 millis", content: "one two three four five six seven" })

const stages: ReadonlyArray<readonly [string, Fault.Fault, Fault.Fault]> = [
  ["the first model is silent", Fault.silence, Fault.ok()],
  ["the first model has said nothing yet", Fault.stream({ then: "stall" }), Fault.ok()],
  ["the first model is to be asked again", Fault.overloaded(), Fault.ok()],
  ["the second model is silent", Fault.badKey, Fault.silence],
  ["the second model has said nothing yet", Fault.badKey, Fault.stream({ then: "pings", pingEvery: "5 millis" })],
  ["the second model speaks", Fault.badKey, slow],
  ["the second model hangs", Fault.badKey, Fault.stream({ then: "stall", after: 2 })]
]

describe("a reader who leaves leaves nothing behind", () => {
  for (const [stage, first, second] of stages) {
    it.scopedLive(`while ${stage}`, () =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        const tools = yield* handled
        yield* Effect.gen(function*() {
          for (const delay of [0, 1, 2, 4, 8, 12, 16, 24, 32, 48]) {
            for (const options of [{ prompt: "Hello" }, { prompt: "Hello", toolkit: tools }]) {
              yield* server.script("first", first)
              yield* server.script("second", second)
              const reader = yield* Effect.fork(Stream.runDrain(LanguageModel.streamText(options)))
              yield* Effect.sleep(delay)
              yield* Fiber.interrupt(reader)
              yield* server.awaitClosed
            }
          }
          // Whoever comes next finds both as they were.
          yield* server.script("first", Fault.badKey)
          yield* server.script("second", Fault.ok({ content: "all is well" }))
          deepStrictEqual((yield* LanguageModel.generateText({ prompt: "Hello" })).text, "all is well")
          deepStrictEqual((yield* server.attempts).slice(-2).map(({ model }) => model), ["first", "second"])
        }).pipe(Effect.provide(chain(server)))
        yield* server.awaitClosed
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None)), 30_000)
  }
})
