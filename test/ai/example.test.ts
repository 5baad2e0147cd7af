/** The programs of examples/ai.ts, run as they are against a provider that fails over real HTTP. */
import { it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Effect, Layer } from "effect"
import { Fault, FaultServer } from "effect-resilience/testing"
import * as example from "../../examples/ai.js"

/** Where the layers of the example find their server. */
const at = (server: FaultServer.Service) =>
  Layer.setConfigProvider(ConfigProvider.fromMap(
    new Map([
      ["OPENAI_API_KEY", "a-key"],
      ["OPENAI_BASE_URL", `${server.url}/v1`],
      ["ANTHROPIC_API_KEY", "a-key"],
      ["ANTHROPIC_BASE_URL", server.url]
    ])
  ))

const gpt = "gpt-4o"
const claude = "claude-sonnet-4-20250514"
const soon = Fault.rateLimited({ retryAfter: "20 millis" })

it.scopedLive("one model, with one line", () =>
  Effect.gen(function*() {
    const server = yield* FaultServer.make()
    yield* server.script(gpt, soon, Fault.ok({ content: "Why did the scarecrow win a prize?" }))
    yield* server.script(claude, soon)
    const Model = example.Gpt.pipe(Layer.provide(at(server)))
    strictEqual(yield* example.joke.pipe(Effect.provide(Model)), "Why did the scarecrow win a prize?")
    yield* example.story.pipe(Effect.provide(Model))
    assertTrue((yield* example.conversation.pipe(Effect.provide(Model))).length > 0)
    yield* server.script(claude, soon, Fault.ok({ content: "Because he was outstanding." }))
    strictEqual(
      yield* example.joke.pipe(Effect.provide(example.Claude.pipe(Layer.provide(at(server))))),
      "Because he was outstanding."
    )
  }))

it.scopedLive("two models behind one, and what is built on it", () =>
  Effect.gen(function*() {
    const server = yield* FaultServer.make()
    const Model = example.Model.pipe(Layer.provide(at(server)))
    const json = { name: "Ada Lovelace", email: "ada@example.com" }
    yield* server.script(gpt, Fault.quotaExhausted)
    yield* server.script(
      claude,
      Fault.ok({ content: "a joke" }),
      Fault.ok({ toolCall: { name: "contact", arguments: JSON.stringify(json) } }),
      Fault.ok({ toolCall: { name: "Weather", arguments: JSON.stringify({ city: "Bonn" }) } })
    )
    yield* Effect.gen(function*() {
      strictEqual(yield* example.joke, "a joke")
      deepStrictEqual(yield* example.contact, json)
      deepStrictEqual(yield* example.weather, ["rain in Bonn"])
    }).pipe(Effect.provide([Model, example.ToolsLive]))
  }))

it.scopedLive("embeddings", () =>
  Effect.gen(function*() {
    const server = yield* FaultServer.make()
    yield* server.script("text-embedding-3-small", soon, Fault.ok())
    const Embeddings = example.Embeddings.pipe(Layer.provide(at(server)))
    assertTrue((yield* example.distance.pipe(Effect.provide(Embeddings))) > 0)
  }))
