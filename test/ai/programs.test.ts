/**
 * Programs on `@effect/ai`, as its documentation writes them, against a provider that fails over real HTTP. Their code knows
 * nothing of this library: only the layer of the client does, by one line.
 */
import { Chat, EmbeddingModel, LanguageModel, Tool, Toolkit } from "@effect/ai"
import { AnthropicClient, AnthropicLanguageModel } from "@effect/ai-anthropic"
import { OpenAiClient, OpenAiEmbeddingModel, OpenAiLanguageModel } from "@effect/ai-openai"
import { FetchHttpClient } from "@effect/platform"
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, Either, Layer, Redacted, Schema, Stream } from "effect"
import { CallReport, ResilientHttpClient } from "effect-resilience"
import { LanguageModelFallback } from "effect-resilience/ai"
import { Fault, FaultServer } from "effect-resilience/testing"
import { inspect } from "node:util"
import { nameOf } from "../utils.js"

const options: ResilientHttpClient.Options = {
  retry: { base: "2 millis", jitter: "none" },
  attemptTimeout: "400 millis",
  idle: "200 millis"
}

const apiKey = Redacted.make("a-secret")

const openAi = ({ url }: FaultServer.Service) =>
  OpenAiClient.layer({ apiKey, apiUrl: `${url}/v1`, transformClient: ResilientHttpClient.unsafeMake(options) }).pipe(
    Layer.provide(FetchHttpClient.layer)
  )

const anthropic = ({ url }: FaultServer.Service) =>
  AnthropicClient.layer({ apiKey, apiUrl: url, transformClient: ResilientHttpClient.unsafeMake(options) }).pipe(
    Layer.provide(FetchHttpClient.layer)
  )

const providers: ReadonlyArray<
  readonly [string, (server: FaultServer.Service, model: string) => Layer.Layer<LanguageModel.LanguageModel>]
> = [
  ["openai", (server, model) => Layer.provide(OpenAiLanguageModel.layer({ model }), openAi(server))],
  ["anthropic", (server, model) => Layer.provide(AnthropicLanguageModel.layer({ model }), anthropic(server))]
]

const plain = LanguageModel.generateText({ prompt: "a-prompt" }).pipe(Effect.map((response) => response.text))

/** The text that the reader saw, with how it ended. */
const streamed = Effect.suspend(() => {
  let text = ""
  return LanguageModel.streamText({ prompt: "a-prompt" }).pipe(
    Stream.runForEach((part) =>
      Effect.sync(() => {
        text += part.type === "text-delta" ? part.delta : ""
      })
    ),
    Effect.either,
    Effect.map((end) => ({ text, end }))
  )
})

const nameIn = (error: unknown): string => {
  const ours = ResilientHttpClient.callError(error)
  return ours === undefined ? "none" : "reason" in ours ? `${ours._tag} ${ours.reason}` : nameOf(ours)
}

const server = (...faults: ReadonlyArray<Fault.Fault>) =>
  Effect.tap(FaultServer.make(), (server) => server.script("m", ...faults))

const asked = (server: FaultServer.Service) => Effect.map(server.attempts, (attempts) => attempts.length)

const well = Fault.ok({ content: "all is well" })

for (const [name, model] of providers) {
  describe(`a program on @effect/ai-${name}`, () => {
    const cured: ReadonlyArray<readonly [string, Fault.Fault]> = [
      ["429 with Retry-After", Fault.rateLimited({ retryAfter: "20 millis" })],
      ["529", Fault.status(529)],
      ["503", Fault.overloaded()],
      ["a reset connection", Fault.resetBeforeHeaders],
      ["no answer", Fault.silence],
      ["a body that stalls", Fault.stalledBody()],
      ["JSON that is cut", Fault.truncatedJson],
      ["a body that is cut", Fault.truncatedBody()],
      ["an error inside a 200", Fault.errorInside200()]
    ]
    for (const [what, fault] of cured) {
      it.scopedLive(`gets its answer after ${what}`, () =>
        Effect.gen(function*() {
          const faulty = yield* server(fault, well)
          const text = yield* plain.pipe(Effect.provide(model(faulty, "m")))
          deepStrictEqual([text, yield* asked(faulty)], ["all is well", 2])
          yield* faulty.awaitClosed
        }))
    }

    const beforeFirst: ReadonlyArray<readonly [string, Fault.Fault]> = [
      ["429 with Retry-After", Fault.rateLimited({ retryAfter: "20 millis" })],
      ["529", Fault.status(529)],
      ["a reset connection", Fault.resetBeforeHeaders],
      ["a stall before the first token", Fault.stream({ then: "stall" })],
      ["keep-alives alone", Fault.stream({ then: "pings", pingEvery: "20 millis" })],
      ["a cut before the first token", Fault.stream({ then: "cut" })],
      ["an end before the first token", Fault.stream({ then: "eof" })],
      ["an error event", Fault.stream({ then: "error" })],
      ["an error event as the live API nests it", Fault.stream({ then: "nested error" })],
      ["a finish that is an error", Fault.stream({ then: "finish error" })]
    ]
    for (const [what, fault] of beforeFirst) {
      it.scopedLive(`gets its whole stream after ${what}`, () =>
        Effect.gen(function*() {
          const faulty = yield* server(fault, well)
          const { end, text } = yield* streamed.pipe(Effect.provide(model(faulty, "m")))
          deepStrictEqual([text, Either.isRight(end), yield* asked(faulty)], ["all is well", true, 2])
          yield* faulty.awaitClosed
        }))
    }

    const afterFirst: ReadonlyArray<readonly [Fault.StreamEnd, string]> = [
      ["stall", "Timeout Idle"],
      ["cut", "ServerError Truncated"],
      ["eof", "ServerError Truncated"],
      ["error", "ServerError Overloaded"],
      ["nested error", "ServerError Overloaded"]
    ]
    for (const [then, expected] of afterFirst) {
      it.scopedLive(`knows that its stream was not whole: ${then} after the first token`, () =>
        Effect.gen(function*() {
          const faulty = yield* server(Fault.stream({ then, after: 2, content: "one two three" }))
          const { end, text } = yield* streamed.pipe(Effect.provide(model(faulty, "m")))
          deepStrictEqual([text, Either.isLeft(end) ? nameIn(end.left) : "whole"], ["one two", expected])
          strictEqual(yield* asked(faulty), 1)
          yield* faulty.awaitClosed
        }))
    }

    const incurable: ReadonlyArray<readonly [string, Fault.Fault, string]> = [
      ["a bad key", Fault.badKey, "ClientError Authentication"],
      ["an exhausted quota", Fault.quotaExhausted, "ClientError QuotaExhausted"],
      ["a prompt that is too long", Fault.contextTooLong, "ClientError ContextLengthExceeded"],
      [
        "an error that a gateway says in its own words",
        Fault.status(403, { body: `{"message":"Forbidden"}`, headers: { "content-type": "application/json" } }),
        "ClientError PermissionDenied"
      ]
    ]
    for (const [what, fault, expected] of incurable) {
      it.scopedLive(`asks once with ${what}, is told, and asks the next model if there is one`, () =>
        Effect.gen(function*() {
          const faulty = yield* server(fault)
          const failed = yield* Effect.flip(plain).pipe(Effect.provide(model(faulty, "m")))
          const { end } = yield* streamed.pipe(Effect.provide(model(faulty, "m")))
          deepStrictEqual(
            [failed, Either.isLeft(end) ? end.left : undefined].map(nameIn),
            [expected, expected]
          )
          strictEqual(yield* asked(faulty), 2)
          const chain = LanguageModelFallback.layer(model(faulty, "m"), model(faulty, "next"))
          strictEqual(yield* plain.pipe(Effect.provide(chain)), "This is next, answering in the resilience demo.")
          strictEqual(
            (yield* streamed.pipe(Effect.provide(chain))).text,
            "This is next, answering in the resilience demo."
          )
        }))
    }

    it.scopedLive("never takes an error inside a 200 for an answer, and asks the next model if there is one", () =>
      Effect.gen(function*() {
        const faulty = yield* server(Fault.errorInside200())
        const failed = yield* Effect.flip(plain).pipe(Effect.provide(model(faulty, "m")))
        const { end } = yield* streamed.pipe(Effect.provide(model(faulty, "m")))
        deepStrictEqual(
          [failed, Either.isLeft(end) ? end.left : undefined].map(nameIn),
          ["ServerError Internal", "ServerError Internal"]
        )
        const printed = inspect(failed, { depth: 12 }) + JSON.stringify(failed) + String(failed)
        assertTrue(!printed.includes("a-secret") && !printed.includes("a-prompt"), printed)
        const chain = LanguageModelFallback.layer(model(faulty, "m"), model(faulty, "next"))
        const text = "This is next, answering in the resilience demo."
        strictEqual(yield* plain.pipe(Effect.provide(chain)), text)
        strictEqual((yield* streamed.pipe(Effect.provide(chain))).text, text)
      }))

    for (const [what, fault] of [["a bad key", Fault.badKey], ["JSON that is cut", Fault.truncatedJson]] as const) {
      it.scopedLive(`fails with an error that holds no key and no prompt after ${what}, without a fallback, too`, () =>
        Effect.gen(function*() {
          const faulty = yield* server(fault)
          const failed = yield* Effect.flip(plain).pipe(Effect.provide(model(faulty, "m")))
          const { end } = yield* streamed.pipe(Effect.provide(model(faulty, "m")))
          for (const failure of [failed, Either.isLeft(end) ? end.left : undefined]) {
            const printed = inspect(failure, { depth: 12 }) + JSON.stringify(failure) + String(failure)
            assertTrue(!printed.includes("a-secret") && !printed.includes("a-prompt"), printed)
          }
        }))
    }

    it.scopedLive("fails, through a fallback, with an error that holds no key and no prompt", () =>
      Effect.gen(function*() {
        const faulty = yield* server(Fault.badKey)
        const chain = LanguageModelFallback.layer(model(faulty, "fault-reset"), model(faulty, "m"))
        const failed = yield* Effect.flip(plain).pipe(Effect.provide(chain))
        const cut = (yield* streamed.pipe(Effect.provide(chain))).end
        for (const failure of [failed, Either.isLeft(cut) ? cut.left : undefined]) {
          strictEqual(nameIn(failure), "ServerError Connection")
          const printed = inspect(failure, { depth: 12 }) + JSON.stringify(failure)
          assertTrue(!printed.includes("a-secret") && !printed.includes("a-prompt"), printed)
        }
      }))

    it.scopedLive("chats, calls its tools once, and gets objects", () =>
      Effect.gen(function*() {
        const faulty = yield* FaultServer.make()
        const layer = model(faulty, "m")
        yield* faulty.script("m", Fault.overloaded(), well, Fault.resetBeforeHeaders, well)
        const answers = yield* Effect.gen(function*() {
          const chat = yield* Chat.empty
          const first = yield* chat.generateText({ prompt: "Hello" })
          const second = yield* chat.generateText({ prompt: "Again" })
          return [first.text, second.text]
        }).pipe(Effect.provide(layer))
        deepStrictEqual([answers, yield* asked(faulty)], [["all is well", "all is well"], 4])

        const cities: Array<string> = []
        const toolkit = Toolkit.make(
          Tool.make("Weather", { parameters: { city: Schema.String }, success: Schema.String })
        )
        const call = Fault.ok({ toolCall: { name: "Weather", arguments: `{"city":"Bonn"}` } })
        yield* faulty.script("m", Fault.truncatedJson, call)
        const response = yield* LanguageModel.generateText({ prompt: "Weather?", toolkit }).pipe(
          Effect.provide([
            layer,
            toolkit.toLayer({
              Weather: ({ city }) =>
                Effect.sync(() => {
                  cities.push(city)
                  return "rain"
                })
            })
          ])
        )
        deepStrictEqual([cities, response.toolResults.map(({ result }) => result)], [["Bonn"], ["rain"]])

        const json = `{"name":"Ada"}`
        const object = name === "openai"
          ? Fault.ok({ content: json })
          : Fault.ok({ toolCall: { name: "contact", arguments: json } })
        yield* faulty.script("m", Fault.status(529), object)
        const { value } = yield* LanguageModel.generateObject({
          prompt: "Ada",
          schema: Schema.Struct({ name: Schema.String }),
          objectName: "contact"
        }).pipe(Effect.provide(LanguageModelFallback.layer(layer)))
        deepStrictEqual(value, { name: "Ada" })
      }))

    it.scopedLive("is reported with every attempt", () =>
      Effect.gen(function*() {
        const faulty = yield* server(Fault.overloaded(), well)
        const { reports } = yield* CallReport.collect(Effect.provide(plain, model(faulty, "m")))
        deepStrictEqual(
          reports.map(({ attempts }) => attempts.map(({ outcome, provider, status }) => [provider, status, outcome])),
          [[[faulty.url, 503, "ServerError"], [faulty.url, 200, "Success"]]]
        )
      }))
  })
}

it.scopedLive("embeddings go through the same client", () =>
  Effect.gen(function*() {
    const faulty = yield* server(Fault.rateLimited({ retryAfter: "20 millis" }), Fault.resetBeforeHeaders, Fault.ok())
    const vectors = yield* Effect.flatMap(
      EmbeddingModel.EmbeddingModel,
      (model) => model.embedMany(["rain", "snow"])
    ).pipe(
      Effect.provide(Layer.provide(OpenAiEmbeddingModel.layerBatched({ model: "m" }), openAi(faulty)))
    )
    deepStrictEqual([vectors.map(({ length }) => length), yield* asked(faulty)], [[8, 8], 3])
  }))
