/** Tool calls in plain answers, in every format, and what clients that ask for JSON by a tool make of them. */
import { LanguageModel } from "@effect/ai"
import { AnthropicClient, AnthropicLanguageModel } from "@effect/ai-anthropic"
import { FetchHttpClient } from "@effect/platform"
import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Layer, Schema } from "effect"
import { Fault, FaultServer } from "effect-resilience/testing"
import type { Format } from "./eventStreams.js"
import { formats, post, read } from "./eventStreams.js"

const toolCall = { name: "weather", arguments: `{"city":"Paris"}` }

const ask = (server: FaultServer.Service, format: Format) =>
  Effect.promise(() => post(server, format, "m", {}).then((response) => response.json()))

/** The part of a plain answer that is a call, and what may come before it. */
const expected = {
  OpenAI: {
    of: (body: { readonly choices: unknown }) => body.choices,
    called: [{
      index: 0,
      message: {
        role: "assistant",
        content: null,
        refusal: null,
        tool_calls: [{ id: "call_1", type: "function", function: toolCall }]
      },
      logprobs: null,
      finish_reason: "tool_calls"
    }],
    reasoned: [{
      index: 0,
      message: { role: "assistant", content: "Yes.", refusal: null, reasoning_content: "Let me" },
      logprobs: null,
      finish_reason: "stop"
    }]
  },
  Responses: {
    of: (body: { readonly output: unknown }) => body.output,
    called: [{ id: "fc_1", type: "function_call", status: "completed", call_id: "call_1", ...toolCall }],
    reasoned: [
      { id: "rs_1", type: "reasoning", summary: [{ type: "summary_text", text: "Let me" }] },
      {
        id: "msg_1",
        type: "message",
        status: "completed",
        role: "assistant",
        content: [{ type: "output_text", text: "Yes.", annotations: [], logprobs: [] }]
      }
    ]
  },
  Anthropic: {
    of: (body: { readonly content: unknown; readonly stop_reason: unknown }) => [body.content, body.stop_reason],
    called: [
      [{ type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Paris" }, caller: { type: "direct" } }],
      "tool_use"
    ],
    reasoned: [
      [{ type: "thinking", thinking: "Let me", signature: "c2lnbmVk" }, {
        type: "text",
        text: "Yes.",
        citations: null
      }],
      "end_turn"
    ]
  }
}

describe.each(formats)("a plain answer in any format, here %s's,", (format) => {
  const { called, of, reasoned } = expected[format]

  it.scopedLive.each([Fault.ok({ toolCall }), Fault.stream({ toolCall, then: "cut" })])(
    "can be a tool call, by %o",
    (fault) =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", fault)
        deepStrictEqual(of(yield* ask(server, format)), called)
      })
  )

  it.scopedLive("says what a stream would have said, the reasoning too", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ reasoning: "Let me", content: "Yes." }))
      deepStrictEqual(of(yield* ask(server, format)), reasoned)
    }))

  it.scopedLive("is the same call when it is streamed", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.ok({ toolCall }), Fault.stream({ toolCall }))
      const first = yield* read(server, format, "m")
      deepStrictEqual(first.events, (yield* read(server, format, "m")).events)
    }))
})

describe("arguments", () => {
  it.scopedLive("that are no JSON stay a text where the format has a value", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.ok({ toolCall: { name: "weather", arguments: `{"city":` } }))
      const { content } = yield* ask(server, "Anthropic")
      deepStrictEqual(content[0].input, `{"city":`)
    }))

  it("are part of a fault's JSON", () => {
    const fault = Fault.ok({ toolCall })
    const json = JSON.stringify(Schema.encodeSync(Fault.Fault)(fault))
    deepStrictEqual(Schema.decodeUnknownSync(Fault.Fault)(JSON.parse(json)), fault)
  })
})

describe("the client of @effect/ai-anthropic", () => {
  it.scopedLive("gets its object from a tool call, which is how it asks for JSON", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.ok({ toolCall }))
      const model = AnthropicLanguageModel.layer({ model: "m" }).pipe(
        Layer.provide(AnthropicClient.layer({ apiUrl: server.url })),
        Layer.provide(FetchHttpClient.layer)
      )
      const schema = Schema.Struct({ city: Schema.String })
      const { value } = yield* Effect.provide(LanguageModel.generateObject({ prompt: "Hello", schema }), model)
      deepStrictEqual(value, { city: "Paris" })
    }))
})
