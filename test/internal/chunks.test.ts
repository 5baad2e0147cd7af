import { describe, it } from "@effect/vitest"
import { assertFalse, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import {
  beganToolCall,
  contentOf,
  Ends,
  hasOutput,
  hasUsage,
  isChunk,
  type JsonChoice,
  type JsonChunk
} from "../../src/internal/chunks.js"

const chunk = (...choices: ReadonlyArray<JsonChoice>): JsonChunk => ({ id: "c", choices })

const delta = (delta: JsonChoice["delta"] & {}, index = 0): JsonChoice => ({ index, delta, finish_reason: null })

const end = (finish_reason: string, index = 0): JsonChoice => ({ index, delta: {}, finish_reason })

describe("isChunk", () => {
  const chunks: Record<string, unknown> = {
    "OpenAI's first": {
      id: "chatcmpl-1",
      object: "chat.completion.chunk",
      created: 1,
      model: "gpt-4o",
      choices: [{
        index: 0,
        delta: { role: "assistant", content: "", refusal: null },
        logprobs: null,
        finish_reason: null
      }]
    },
    "OpenAI's last": { id: "chatcmpl-1", choices: [], usage: { prompt_tokens: 1, completion_tokens: 2 } },
    "Azure's notes on the prompt": { id: "", model: "", choices: [], prompt_filter_results: [] },
    "Azure's notes on the answer": {
      id: "",
      choices: [{ index: 0, finish_reason: null, content_filter_offsets: { start_offset: 1 } }]
    },
    "a tool call of vLLM": {
      choices: [{ index: 0, delta: { content: null, tool_calls: [{ index: 0, function: { arguments: "{" } }] } }]
    },
    "a choice without a number": { choices: [{ delta: { content: "a" } }] },
    "no delta": { choices: [{ index: 0, delta: null, finish_reason: "stop" }] }
  }
  for (const [name, value] of Object.entries(chunks)) it(`knows ${name}`, () => assertTrue(isChunk(value)))

  const others: ReadonlyArray<unknown> = [
    undefined,
    null,
    [],
    "text",
    1,
    {},
    { choices: null },
    { choices: {} },
    { choices: [null] },
    { choices: ["text"] },
    { choices: [{ index: "0", delta: {} }] },
    { choices: [{ delta: "text" }] },
    { choices: [{ delta: [] }] },
    { choices: [{ delta: { content: 1 } }] },
    { choices: [{ delta: { content: { text: "a" } } }] },
    { choices: [{ delta: {}, finish_reason: true }] },
    { choices: [{ delta: { content: "a" } }, { delta: 1 }] },
    { error: { message: "overloaded" } }
  ]
  for (const value of others) it(`${JSON.stringify(value)} is none`, () => assertFalse(isChunk(value)))
})

describe("hasOutput", () => {
  const said: Record<string, JsonChoice["delta"] & {}> = {
    "text": { content: "a" },
    "a space": { content: " " },
    "DeepSeek's reasoning": { content: null, reasoning_content: "Hm" },
    "Groq's reasoning": { reasoning: "Hm" },
    "OpenRouter's hidden reasoning": {
      content: "",
      reasoning: null,
      reasoning_details: [{ type: "reasoning.encrypted", data: "x" }]
    },
    "Ollama's thinking": { content: "", thinking: "Hm" },
    "a tool call": { tool_calls: [{ index: 0, id: "call_1", function: { name: "f", arguments: "" } }] },
    "a function call": { function_call: { name: "f" } },
    "a refusal": { content: null, refusal: "I" },
    "audio": { audio: { id: "audio_1" } },
    "a picture": { images: [{ type: "image_url" }] }
  }
  for (const [name, value] of Object.entries(said)) {
    it(`counts ${name}, in any choice`, () => {
      assertTrue(hasOutput(chunk(delta(value))))
      assertTrue(hasOutput(chunk(delta({ content: "" }), delta(value, 1))))
    })
  }

  const silent: Record<string, JsonChunk> = {
    "a role": chunk(delta({ role: "assistant", content: "", refusal: null, reasoning_content: null })),
    "an empty delta": chunk(delta({})),
    "no delta": chunk({ index: 0, delta: null }, { index: 1 }),
    "empty lists": chunk(delta({ tool_calls: [], reasoning_details: [], audio: {}, function_call: null })),
    "an end": chunk(end("stop")),
    "the usage": { choices: [], usage: { completion_tokens: 3 } }
  }
  for (const [name, value] of Object.entries(silent)) {
    it(`does not count ${name}`, () => assertFalse(hasOutput(value)))
  }
})

describe("what a chunk says", () => {
  it("tells parts of tool calls from other output", () => {
    assertTrue(beganToolCall(chunk(delta({ tool_calls: [{ index: 0, function: { arguments: "{" } }] }))))
    assertTrue(beganToolCall(chunk(delta({ function_call: { arguments: "{" } }))))
    assertFalse(beganToolCall(chunk(delta({ content: "a", tool_calls: [] }))))
  })

  it("gives the text of the first choice only", () => {
    strictEqual(contentOf(chunk(delta({ content: "b" }, 1), delta({ content: "a" }))), "a")
    strictEqual(contentOf(chunk({ delta: { content: "a" } }, { delta: { content: "b" } })), "a")
    strictEqual(contentOf(chunk(delta({ content: null }))), "")
    strictEqual(contentOf(chunk({ index: 0 })), "")
    strictEqual(contentOf(chunk()), "")
  })

  it("knows whether there is a usage", () => {
    assertTrue(hasUsage({ choices: [], usage: {} }))
    assertFalse(hasUsage({ choices: [], usage: null }))
    assertFalse(hasUsage({ choices: [] }))
  })
})

describe("Ends", () => {
  const complete = (ends: Ends, ...chunks: ReadonlyArray<JsonChunk>): ReadonlyArray<boolean> =>
    chunks.map((one) => {
      ends.note(one)
      return ends.complete
    })

  it("an answer has not ended before it began", () => assertFalse(new Ends().complete))

  it("one choice ends with its reason, and stays ended when more chunks come", () => {
    deepStrictEqual(
      complete(
        new Ends(),
        chunk(delta({ role: "assistant" })),
        chunk(delta({ content: "a" })),
        chunk(end("stop")),
        chunk(delta({ content: "" })),
        chunk()
      ),
      [false, false, true, true, true]
    )
  })

  it("an empty reason is none", () => {
    deepStrictEqual(complete(new Ends(), chunk(end("")), chunk(end("stop"))), [false, true])
  })

  it("several choices have ended when each has", () => {
    deepStrictEqual(
      complete(
        new Ends(3),
        chunk(end("stop")),
        chunk(delta({ content: "b" }, 1), end("length", 2)),
        chunk(end("stop", 1))
      ),
      [false, false, true]
    )
  })

  it("a choice that was not asked for has to end too", () => {
    deepStrictEqual(complete(new Ends(), chunk(end("stop"), delta({}, 1)), chunk(end("stop", 1))), [false, true])
  })

  it.prop(
    "choices have ended when each has, whatever the order",
    [fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 })],
    ([order]) => {
      const ends = complete(new Ends(5), ...order.map((index) => chunk(end("stop", index))))
      deepStrictEqual(ends, [false, false, false, false, true])
    }
  )
})
