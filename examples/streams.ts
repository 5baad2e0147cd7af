/** An answer as it comes, and what is done when it breaks. */
import { FetchHttpClient } from "@effect/platform"
import { Config, Console, Effect, Layer, Ref, Stream } from "effect"
import { Anthropic, ChatProvider, Fallback, OpenAi, Resilience } from "effect-resilience"

// 10 seconds to the first words. What breaks after them is gone on with, by the same model or the next.
export const Chat = Fallback.layer(
  { deadline: "10 seconds", onCut: "continue" },
  OpenAi.layerConfig({ apiKey: Config.redacted("OPENAI_API_KEY"), model: "gpt-4o" }).pipe(
    Resilience.layer({ firstToken: "4 seconds", idle: "10 seconds" })
  ),
  Anthropic.layerConfig({ apiKey: Config.redacted("ANTHROPIC_API_KEY"), model: "claude-haiku-4-5" })
).pipe(Layer.provide(FetchHttpClient.layer))

const request: ChatProvider.ChatRequest = { messages: [{ role: "user", content: "A story about patience" }] }

// It ends well only if the provider said that the answer is whole; else it fails with a typed error.
export const told = ChatProvider.stream(request).pipe(
  Stream.map(ChatProvider.deltaText),
  Stream.runForEach((words) => Console.log(words)),
  Effect.catchTag("Timeout", (error) => Console.error(`The rest did not come: ${error.scope}`)),
  Effect.provide(Chat)
)

// For a page that can take back what it showed.
export const shown = Effect.gen(function*() {
  const page = yield* Ref.make("")
  yield* ChatProvider.streamWithRestarts(request).pipe(
    Stream.runForEach((event) =>
      event instanceof ChatProvider.Restarted
        ? Ref.set(page, "")
        : Ref.update(page, (text) => text + ChatProvider.deltaText(event))
    )
  )
  return yield* Ref.get(page)
}).pipe(Effect.provide(Chat))
