/** A fallback of one model answers with the very parts that the model alone answers with. */
import { LanguageModel, Response, Tool, Toolkit } from "@effect/ai"
import { OpenAiTool } from "@effect/ai-openai"
import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Arbitrary, Chunk, DateTime, Effect, FastCheck, type Layer, ParseResult, Schema, Stream } from "effect"
import { LanguageModelFallback } from "effect-resilience/ai"
import type { Part, StreamPart } from "./scriptedModel.js"
import { finish, scripted } from "./scriptedModel.js"

/** Can be read, and never written back. */
const Key = Schema.transformOrFail(Schema.String, Schema.String, {
  strict: true,
  decode: (text) => ParseResult.succeed(text.trim()),
  encode: (text, _, ast) => ParseResult.fail(new ParseResult.Forbidden(ast, text))
})

const Weather = Tool.make("Weather", {
  parameters: { city: Schema.Trim, days: Schema.NumberFromString },
  success: Schema.Struct({ at: Schema.DateTimeUtc, sky: Schema.Trim }),
  failure: Schema.Struct({ reason: Schema.String })
})

const Login = Tool.make("Login", { parameters: { user: Schema.String, key: Key }, success: Schema.String })

const toolkit = Toolkit.make(Weather, Login)

const handled = Effect.provide(
  toolkit,
  toolkit.toLayer({
    Weather: ({ city, days }) => Effect.succeed({ at: DateTime.unsafeMake(days * 1e9), sky: city }),
    Login: ({ key, user }) => Effect.succeed(`${user} ${key}`)
  })
)

const metadata = { mine: { itemId: "item_1", list: [1, { a: null }] }, other: undefined }

const called: ReadonlyArray<readonly [string, Part & StreamPart]> = [
  ["a tool call", {
    type: "tool-call",
    id: "1",
    name: "Weather",
    params: { city: " Bonn ", days: "007" },
    providerName: "weather",
    metadata
  }],
  ["a tool call with less than it may hold", {
    type: "tool-call",
    id: "1",
    name: "Weather",
    params: { city: "Bonn", days: "1" }
  }],
  ["a tool call that can only be read", {
    type: "tool-call",
    id: "1",
    name: "Login",
    params: { user: "Ada", key: " k " }
  }],
  ["a tool call that the provider runs", {
    type: "tool-call",
    id: "1",
    name: "Login",
    params: { user: "Ada", key: " k " },
    providerExecuted: true
  }],
  ["a tool result", {
    type: "tool-result",
    id: "1",
    name: "Weather",
    isFailure: false,
    result: { at: "2024-01-01T02:00:00+02:00", sky: " blue " },
    providerName: "weather",
    providerExecuted: true,
    metadata
  }],
  ["a tool result that is a failure", {
    type: "tool-result",
    id: "1",
    name: "Weather",
    isFailure: true,
    result: { reason: "no such city" }
  }],
  ["a file", { type: "file", mediaType: "image/png", data: "AQIDBAU=", metadata }],
  ["a document", {
    type: "source",
    sourceType: "document",
    id: "1",
    mediaType: "text/plain",
    title: "t",
    fileName: "f.txt",
    metadata
  }],
  ["a document without a name", {
    type: "source",
    sourceType: "document",
    id: "1",
    mediaType: "text/plain",
    title: ""
  }],
  ["a page", { type: "source", sourceType: "url", id: "1", url: "https://example.com/ä?q=1#x", title: "t", metadata }],
  ["metadata", {
    type: "response-metadata",
    id: "r",
    modelId: "m",
    timestamp: "2024-01-01T02:00:00.123+02:00",
    metadata
  }],
  ["metadata without any", { type: "response-metadata" }]
]

const plain: ReadonlyArray<readonly [string, Part]> = [
  ...called,
  ["a text", { type: "text", text: " a\n", metadata }],
  ["a thought", { type: "reasoning", text: "", metadata }],
  ["a finish", {
    type: "finish",
    reason: "length",
    usage: { inputTokens: 1, outputTokens: undefined, totalTokens: 2, reasoningTokens: 3, cachedInputTokens: 0 },
    metadata
  }]
]

const streamed: ReadonlyArray<readonly [string, StreamPart]> = [
  ...called,
  ["the start of a text", { type: "text-start", id: "1", metadata }],
  ["a piece of a text", { type: "text-delta", id: "1", delta: "a", metadata }],
  ["the end of a text", { type: "text-end", id: "1", metadata }],
  ["the start of a thought", { type: "reasoning-start", id: "1", metadata }],
  ["a piece of a thought", { type: "reasoning-delta", id: "1", delta: "a", metadata }],
  ["the end of a thought", { type: "reasoning-end", id: "1", metadata }],
  ["the start of a call", {
    type: "tool-params-start",
    id: "1",
    name: "Weather",
    providerName: "weather",
    providerExecuted: true,
    metadata
  }],
  ["a piece of a call", { type: "tool-params-delta", id: "1", delta: "{", metadata }],
  ["the end of a call", { type: "tool-params-end", id: "1", metadata }],
  ["an error", { type: "error", error: new Error("what"), metadata }]
]

const said = { type: "text-delta", id: "0", delta: "so" } as const

/** What a program sees of these parts: the parts with results of tools, and what the next prompt holds of them. */
const seenPlain = (parts: ReadonlyArray<Part>, disableToolCallResolution: boolean) =>
  Effect.flatMap(
    handled,
    (toolkit) => LanguageModel.generateText({ prompt: "Hello", toolkit, disableToolCallResolution })
  ).pipe(Effect.map(({ content }) => content), inBoth({ answers: [[...parts]] }))

const seenStreamed = (parts: ReadonlyArray<StreamPart>, disableToolCallResolution: boolean) =>
  Effect.flatMap(
    handled,
    (toolkit) => Stream.runCollect(LanguageModel.streamText({ prompt: "Hello", toolkit, disableToolCallResolution }))
  ).pipe(
    Effect.map(Chunk.toReadonlyArray),
    inBoth({ streams: [parts] })
  )

const inBoth =
  (script: Parameters<typeof scripted>[0]) => <A, E>(program: Effect.Effect<A, E, LanguageModel.LanguageModel>) =>
    Effect.all({
      bare: Effect.provide(program, scripted(script).layer),
      through: Effect.provide(program, LanguageModelFallback.layer(scripted(script).layer)),
      nested: Effect.provide(
        program,
        LanguageModelFallback.layer(LanguageModelFallback.layer(scripted(script).layer))
      )
    })

describe("the parts of an answer pass through as they are", () => {
  for (const [what, part] of plain) {
    it.effect(`${what}, plain`, () =>
      Effect.gen(function*() {
        for (const disabled of [true, false]) {
          const { bare, nested, through } = yield* seenPlain([part], disabled)
          deepStrictEqual(through, bare)
          deepStrictEqual(nested, bare)
        }
      }))
  }

  for (const [what, part] of streamed) {
    it.effect(`${what}, streamed`, () =>
      Effect.gen(function*() {
        for (const disabled of [true, false]) {
          const { bare, nested, through } = yield* seenStreamed([said, part, finish], disabled)
          deepStrictEqual(through, bare)
          deepStrictEqual(nested, bare)
        }
      }))
  }

  // The one-way schema of the other tool has nothing to make encoded parts from.
  const invertible = Toolkit.make(Weather)
  const anyPlain = FastCheck.array(Arbitrary.make(Response.Part(invertible)), { maxLength: 5 })
  const anyStreamed = FastCheck.array(Arbitrary.make(Response.StreamPart(invertible)), { maxLength: 5 })

  it.effect("whatever they are, plain", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(anyPlain, (parts) =>
          Effect.runPromise(Effect.gen(function*() {
            const encoded = yield* Schema.encode(Schema.Array(Response.Part(invertible)))(parts)
            const { bare, nested, through } = yield* seenPlain(encoded, true)
            deepStrictEqual(through, bare)
            deepStrictEqual(nested, bare)
          }))),
        { numRuns: 50 }
      )
    ))

  it.effect("whatever they are, streamed", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(anyStreamed, (parts) =>
          Effect.runPromise(Effect.gen(function*() {
            const encoded = yield* Schema.encode(Schema.Array(Response.StreamPart(invertible)))(parts)
            const { bare, nested, through } = yield* seenStreamed([said, ...encoded, finish], true)
            deepStrictEqual(through, bare)
            deepStrictEqual(nested, bare)
          }))),
        { numRuns: 50 }
      )
    ))
})

class Forecast extends Schema.TaggedRequest<Forecast>("test/Forecast")("Forecast", {
  success: Schema.String,
  failure: Schema.Never,
  payload: { city: Schema.String, when: Schema.DateTimeUtc, key: Key }
}, { description: "The weather of tomorrow" }) {}

class Place extends Schema.Class<Place>("test/Place")({ name: Schema.NonEmptyString }) {}

it.effect("a model is shown the tools as they are", () =>
  Effect.gen(function*() {
    const tools = Toolkit.make(
      Weather,
      Login,
      Tool.make("Nothing"),
      Tool.make("Where", {
        description: "Where it is",
        parameters: {
          place: Place,
          near: Schema.optional(Schema.Array(Place)),
          at: Schema.Date.annotations({ title: "When" })
        }
      }).annotate(Tool.Readonly, true),
      Tool.fromTaggedRequest(Forecast),
      OpenAiTool.WebSearch({ search_context_size: "low" })
    )
    const shown = (
      wrap: (layer: Layer.Layer<LanguageModel.LanguageModel>) => Layer.Layer<LanguageModel.LanguageModel>
    ) => {
      const model = scripted({})
      return LanguageModel.generateText({
        prompt: "Hello",
        toolkit: { tools: tools.tools, handle: () => Effect.dieMessage("no") },
        disableToolCallResolution: true
      }).pipe(
        Effect.provide(wrap(model.layer)),
        Effect.map(() =>
          model.seen.prompts.flatMap(({ tools }) => tools).map((tool) => {
            const { parametersSchema, ...rest } = tool
            return {
              ...rest,
              description: tool.description ?? Tool.getDescriptionFromSchemaAst(parametersSchema.ast),
              json: Tool.getJsonSchemaFromSchemaAst(parametersSchema.ast),
              kind: [Tool.isUserDefined(tool), Tool.isProviderDefined(tool)]
            }
          })
        )
      )
    }
    const bare = yield* shown((layer) => layer)
    strictEqual(bare.length, 6)
    deepStrictEqual(yield* shown((layer) => LanguageModelFallback.layer(layer)), bare)
    deepStrictEqual(yield* shown((layer) => LanguageModelFallback.layer(LanguageModelFallback.layer(layer))), bare)
  }))
