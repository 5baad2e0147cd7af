/** A chain of models, as one layer that the program does not know about. */
import { FetchHttpClient } from "@effect/platform"
import { Config, Effect, Layer } from "effect"
import { Anthropic, ChatProvider, Fallback, OpenAi } from "effect-resilience"

// Ask gpt-4o; when it gives up, Claude; 30 seconds for both together.
export const Chat = Fallback.layer(
  { deadline: "30 seconds" },
  OpenAi.layerConfig({ apiKey: Config.redacted("OPENAI_API_KEY"), model: "gpt-4o" }),
  Anthropic.layerConfig({ apiKey: Config.redacted("ANTHROPIC_API_KEY"), model: "claude-haiku-4-5" })
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
