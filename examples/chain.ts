/** A chain of models, as one layer that the program does not know about. */
import { FetchHttpClient } from "@effect/platform"
import { Config, Effect, Layer } from "effect"
import { ChatProvider, Fallback, OpenAi } from "effect-resilience"

const apiKey = Config.redacted("OPENAI_API_KEY")

// Ask gpt-4o; when it gives up, gpt-4o-mini; 30 seconds for both together.
export const Chat = Fallback.layer(
  { deadline: "30 seconds" },
  OpenAi.layerConfig({ apiKey, model: "gpt-4o" }),
  OpenAi.layerConfig({ apiKey, model: "gpt-4o-mini" })
).pipe(Layer.provide(FetchHttpClient.layer))

export const haiku = Effect.gen(function*() {
  const response = yield* ChatProvider.complete({
    messages: [{ role: "user", content: "A haiku about patience" }]
  })
  return ChatProvider.text(response)
})

export const main = haiku.pipe(
  Effect.catchTag("ClientError", (error) => Effect.succeed(`Please check your request: ${error.reason}`)),
  Effect.provide(Chat)
)
