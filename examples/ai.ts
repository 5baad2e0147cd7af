/** Programs on `@effect/ai`, resilient by one line in the layer of their client. */
import { Chat, EmbeddingModel, LanguageModel, Tool, Toolkit } from "@effect/ai"
import { AnthropicClient, AnthropicLanguageModel } from "@effect/ai-anthropic"
import { OpenAiClient, OpenAiEmbeddingModel, OpenAiLanguageModel } from "@effect/ai-openai"
import { FetchHttpClient } from "@effect/platform"
import { Config, Console, Effect, Layer, Schema, Stream } from "effect"
import { ResilientHttpClient } from "effect-resilience"
import { LanguageModelFallback } from "effect-resilience/ai"

const OpenAi = OpenAiClient.layerConfig({
  apiKey: Config.redacted("OPENAI_API_KEY"),
  apiUrl: Config.string("OPENAI_BASE_URL").pipe(Config.withDefault("https://api.openai.com/v1")),
  transformClient: ResilientHttpClient.unsafeMake()
}).pipe(Layer.provide(FetchHttpClient.layer))

const Anthropic = AnthropicClient.layerConfig({
  apiKey: Config.redacted("ANTHROPIC_API_KEY"),
  apiUrl: Config.string("ANTHROPIC_BASE_URL").pipe(Config.withDefault("https://api.anthropic.com")),
  transformClient: ResilientHttpClient.unsafeMake()
}).pipe(Layer.provide(FetchHttpClient.layer))

export const Gpt = OpenAiLanguageModel.model("gpt-4o").pipe(Layer.provide(OpenAi))

export const Claude = AnthropicLanguageModel.model("claude-sonnet-4-20250514").pipe(Layer.provide(Anthropic))

// Asked in this order, behind one LanguageModel.
export const Model = LanguageModelFallback.layer({ deadline: "30 seconds" }, Gpt, Claude)

export const Embeddings = OpenAiEmbeddingModel.layerBatched({ model: "text-embedding-3-small" }).pipe(
  Layer.provide(OpenAi)
)

export const joke = LanguageModel.generateText({ prompt: "Tell me a dad joke" }).pipe(
  Effect.map((response) => response.text)
)

export const story = LanguageModel.streamText({ prompt: "Tell me a story" }).pipe(
  Stream.runForEach((part) => part.type === "text-delta" ? Console.log(part.delta) : Effect.void)
)

const Contact = Schema.Struct({ name: Schema.String, email: Schema.String })

export const contact = LanguageModel.generateObject({
  prompt: "Ada Lovelace, ada@example.com",
  schema: Contact,
  objectName: "contact"
}).pipe(Effect.map((response) => response.value))

const Weather = Tool.make("Weather", {
  description: "The weather in a city",
  parameters: { city: Schema.String },
  success: Schema.String
})

const Tools = Toolkit.make(Weather)

export const ToolsLive = Tools.toLayer({ Weather: ({ city }) => Effect.succeed(`rain in ${city}`) })

export const weather = LanguageModel.generateText({ prompt: "What is the weather in Bonn?", toolkit: Tools }).pipe(
  Effect.map((response) => response.toolResults.map(({ result }) => result))
)

export const conversation = Effect.gen(function*() {
  const chat = yield* Chat.fromPrompt([{ role: "system", content: "You are terse." }])
  yield* chat.generateText({ prompt: "Who was Ada Lovelace?" })
  const response = yield* chat.generateText({ prompt: "And her father?" })
  return response.text
})

export const distance = Effect.gen(function*() {
  const model = yield* EmbeddingModel.EmbeddingModel
  const [first = [], second = []] = yield* model.embedMany(["rain", "snow"])
  return Math.hypot(...first.map((value, index) => value - (second[index] ?? 0)))
})
