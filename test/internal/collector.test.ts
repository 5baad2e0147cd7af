import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import { isChunk, type JsonChunk } from "../../src/internal/chunks.js"
import { Collector } from "../../src/internal/collector.js"
import { isObject, type JsonObject } from "../../src/internal/json.js"

const collect = (chunks: ReadonlyArray<JsonObject>): JsonObject => {
  const collector = new Collector()
  for (const one of chunks) {
    assertTrue(isChunk(one))
    collector.add(one)
  }
  return collector.response
}

const choicesOf = (response: JsonObject): ReadonlyArray<JsonObject> => {
  assertTrue(Array.isArray(response["choices"]))
  return response["choices"].filter(isObject)
}

/** The message of deltas, each a chunk of its own. */
const messageOf = (...deltas: ReadonlyArray<JsonObject>): unknown =>
  choicesOf(collect(deltas.map((delta) => ({ choices: [{ index: 0, delta, finish_reason: null }] }))))[0]?.["message"]

const callPiece = (index: number | undefined, more: JsonObject): JsonObject => ({
  tool_calls: [{ ...(index === undefined ? {} : { index }), ...more }]
})

const call = (id: string, name: string, args: string): JsonObject => ({
  id,
  type: "function",
  function: { name, arguments: args }
})

describe("Collector", () => {
  it("gives the answer that OpenAI streams as one", () => {
    const top = {
      id: "chatcmpl-1",
      object: "chat.completion.chunk",
      created: 1_700_000_000,
      model: "gpt-4o-2024-08-06",
      service_tier: "default",
      system_fingerprint: "fp_1"
    }
    const logprob = (token: string) => ({ token, logprob: -0.1, bytes: null, top_logprobs: [] })
    const piece = (delta: JsonObject, logprobs: JsonObject | null, finish_reason: string | null = null) => ({
      ...top,
      choices: [{ index: 0, delta, logprobs, finish_reason }],
      usage: null
    })
    const usage = { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 }
    deepStrictEqual(
      collect([
        piece({ role: "assistant", content: "", refusal: null }, { content: [], refusal: null }),
        piece({ content: "Hel" }, { content: [logprob("Hel")], refusal: null }),
        piece({ content: "lo" }, { content: [logprob("lo")], refusal: null }),
        piece({}, null, "stop"),
        { ...top, choices: [], usage }
      ]),
      {
        ...top,
        object: "chat.completion",
        choices: [{
          index: 0,
          message: { role: "assistant", content: "Hello", refusal: null },
          logprobs: { content: [logprob("Hel"), logprob("lo")], refusal: null },
          finish_reason: "stop"
        }],
        usage
      }
    )
  })

  it("keeps what Groq and Azure add, and what an emptier chunk does not say again", () => {
    deepStrictEqual(
      collect([
        { id: "", model: "", created: 0, choices: [], prompt_filter_results: [{ prompt_index: 0 }] },
        { id: "c", model: "m", created: 5, choices: [{ index: 0, delta: { content: "a" } }], x_groq: { id: "req_1" } },
        { id: "c", model: "m", created: 5, choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
        {
          id: "",
          model: "",
          created: 0,
          choices: [{ index: 0, finish_reason: null, content_filter_results: { hate: { filtered: false } } }]
        }
      ]),
      {
        id: "c",
        object: "chat.completion",
        model: "m",
        created: 5,
        choices: [{
          index: 0,
          message: { role: "assistant", content: "a" },
          finish_reason: "stop",
          content_filter_results: { hate: { filtered: false } }
        }],
        prompt_filter_results: [{ prompt_index: 0 }],
        x_groq: { id: "req_1" }
      }
    )
  })

  it("joins the reasoning of DeepSeek", () => {
    deepStrictEqual(
      messageOf(
        { role: "assistant", content: null, reasoning_content: "" },
        { content: null, reasoning_content: "Let me " },
        { content: null, reasoning_content: "think." },
        { content: "42", reasoning_content: null }
      ),
      { role: "assistant", content: "42", reasoning_content: "Let me think." }
    )
  })

  it("joins the reasoning of OpenRouter, its details and annotations", () => {
    const detail = (text: string) => ({ type: "reasoning.text", text, index: 0 })
    deepStrictEqual(
      messageOf(
        { role: "assistant", content: "", reasoning: "Let ", reasoning_details: [detail("Let ")] },
        { role: "assistant", content: "", reasoning: "me.", reasoning_details: [detail("me.")] },
        { role: "assistant", content: "42", annotations: [{ url: "a" }] },
        { content: "!", annotations: [{ url: "b" }] }
      ),
      {
        role: "assistant",
        content: "42!",
        reasoning: "Let me.",
        reasoning_details: [detail("Let "), detail("me.")],
        annotations: [{ url: "a" }, { url: "b" }]
      }
    )
  })

  it("puts parallel tool calls together, and has no text then", () => {
    deepStrictEqual(
      messageOf(
        { role: "assistant", content: null },
        callPiece(0, call("call_a", "weather", "")),
        callPiece(0, { function: { arguments: "{\"city\":" } }),
        callPiece(1, call("call_b", "time", "")),
        callPiece(0, { function: { arguments: "\"Bern\"}" } }),
        callPiece(1, { id: null, type: null, function: { name: null, arguments: "{}" } })
      ),
      {
        role: "assistant",
        content: null,
        tool_calls: [call("call_a", "weather", "{\"city\":\"Bern\"}"), call("call_b", "time", "{}")]
      }
    )
  })

  it("gives tool calls in the order of their numbers", () => {
    deepStrictEqual(
      messageOf(callPiece(1, call("call_b", "time", "{}")), callPiece(0, call("call_a", "weather", "{}"))),
      {
        role: "assistant",
        content: null,
        tool_calls: [call("call_a", "weather", "{}"), call("call_b", "time", "{}")]
      }
    )
  })

  for (const index of [0, undefined]) {
    it(`tells whole tool calls apart that are all numbered ${index}, as Gemini and Ollama do`, () => {
      const calls = [call("call_a", "weather", "{\"city\":\"Bern\"}"), call("call_b", "weather", "{\"city\":\"Rome\"}")]
      const message = { role: "assistant", content: null, tool_calls: calls }
      deepStrictEqual(messageOf(...calls.map((one) => callPiece(index, one))), message)
      deepStrictEqual(messageOf({ tool_calls: calls.map((one) => ({ ...one, index })) }), message)
    })
  }

  it("takes pieces of one tool call for one, though each names another id or repeats the function", () => {
    deepStrictEqual(
      messageOf(
        callPiece(0, call("call_a", "weather", "{\"city\":")),
        callPiece(0, { id: "call_x", function: { arguments: "\"Be" } }),
        callPiece(0, { id: "call_a", function: { name: "weather", arguments: "rn" } }),
        callPiece(0, { function: { name: "weather", arguments: "\"}" } })
      ),
      { role: "assistant", content: null, tool_calls: [call("call_a", "weather", "{\"city\":\"Bern\"}")] }
    )
  })

  it("keeps what a tool call carries besides, as Gemini's signatures", () => {
    const signed = { ...call("call_a", "weather", "{}"), extra_content: { google: { thought_signature: "sig" } } }
    deepStrictEqual(messageOf(callPiece(0, signed)), { role: "assistant", content: null, tool_calls: [signed] })
  })

  it("puts a function call, a refusal and spoken words together", () => {
    deepStrictEqual(
      messageOf({ function_call: { name: "f", arguments: "{" } }, { function_call: { arguments: "}" } }),
      { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } }
    )
    deepStrictEqual(
      messageOf({ content: null, refusal: "I " }, { refusal: "cannot." }),
      { role: "assistant", content: null, refusal: "I cannot." }
    )
    deepStrictEqual(
      messageOf({ audio: { id: "a" } }, { audio: { transcript: "Hel" } }, {
        audio: { transcript: "lo", expires_at: 9 }
      }),
      { role: "assistant", content: null, audio: { id: "a", transcript: "Hello", expires_at: 9 } }
    )
  })

  it("an answer that says nothing has an empty text and no reason to end", () => {
    deepStrictEqual(choicesOf(collect([{ choices: [{ index: 0, delta: { tool_calls: [] }, finish_reason: "" }] }])), [
      { index: 0, message: { role: "assistant", content: "" }, finish_reason: null }
    ])
    deepStrictEqual(new Collector().response, { object: "chat.completion", choices: [] })
  })

  it("an unknown string is not joined, and a message sent beside the deltas is not taken for it", () => {
    const piece = (content: string, soFar: string): JsonChunk => ({
      choices: [{ index: 0, delta: { content, status: "typing" }, message: { role: "assistant", content: soFar } }]
    })
    deepStrictEqual(choicesOf(collect([piece("a", "a"), piece("b", "ab")]))[0]?.["message"], {
      role: "assistant",
      content: "ab",
      status: "typing"
    })
  })

  it("an answer that was read stays as it is when more comes", () => {
    const collector = new Collector()
    const add = (annotation: string) => collector.add({ choices: [{ delta: { annotations: [annotation] } }] })
    add("a")
    const read = collector.response
    const copy = structuredClone(read)
    add("b")
    deepStrictEqual(read, copy)
  })

  it.prop(
    "choices and their texts come together, however the pieces are mixed",
    [fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.string({ maxLength: 4 })), { minLength: 1 }), fc.boolean()],
    ([pieces, together]) => {
      const choices = pieces.map(([index, content]) => ({ index, delta: { content } }))
      const response = collect(together ? [{ choices }] : choices.map((one) => ({ choices: [one] })))
      const indexes = [...new Set(pieces.map(([index]) => index))].sort()
      deepStrictEqual(
        choicesOf(response),
        indexes.map((index) => ({
          index,
          message: {
            role: "assistant",
            content: pieces.filter(([other]) => other === index).map(([, content]) => content).join("")
          },
          finish_reason: null
        }))
      )
    }
  )

  it.prop(
    "nothing that a chunk may hold breaks it, and fields unknown here pass through",
    [fc.array(fc.jsonValue(), { maxLength: 5 })],
    ([values]) => {
      const names = ["role", "tool_calls", "function_call", "audio", "reasoning", "refusal", "__proto__", "constructor"]
      for (const value of values) {
        for (const name of names) {
          const delta: JsonObject = Object.fromEntries([[name, value]])
          collect([{ choices: [{ delta, logprobs: value }] }, { choices: [{ delta, logprobs: value }] }])
        }
        const response = collect([Object.fromEntries([["choices", [{ delta: { odd: value } }]], ["odd", value]])])
        deepStrictEqual(response["odd"], value)
        const message = choicesOf(response)[0]?.["message"]
        assertTrue(isObject(message))
        deepStrictEqual(message["odd"], value)
      }
    }
  )

  it("a hundred thousand pieces take the time of a hundred thousand pieces", () => {
    const collector = new Collector()
    for (let n = 0; n < 100_000; n++) {
      collector.add({
        choices: [{ index: 0, delta: { content: "x", ...callPiece(0, {}) }, logprobs: { content: [n] } }]
      })
    }
    const choice = choicesOf(collector.response)[0]
    assertTrue(isObject(choice?.["message"]) && isObject(choice["logprobs"]))
    strictEqual(String(choice["message"]["content"]).length, 100_000)
    assertTrue(Array.isArray(choice["logprobs"]["content"]) && choice["logprobs"]["content"].length === 100_000)
  })
})
