import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import { toChatCompletion } from "../../src/internal/anthropicResponse.js"
import { AnthropicStream } from "../../src/internal/anthropicStream.js"
import { contentOf, Ends, hasOutput, isChunk, type JsonChunk, type Said } from "../../src/internal/chunks.js"
import { Collector } from "../../src/internal/collector.js"
import { isObject, type JsonObject } from "../../src/internal/json.js"

const start = (usage: JsonObject = { input_tokens: 10, output_tokens: 1 }, more: JsonObject = {}): JsonObject => ({
  type: "message_start",
  message: {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "claude-sonnet-5",
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage,
    ...more
  }
})

const block = (index: number, content_block: JsonObject, ...deltas: ReadonlyArray<JsonObject>) => [
  { type: "content_block_start", index, content_block },
  ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
  { type: "content_block_stop", index }
]

const textBlock = (index: number, ...texts: ReadonlyArray<string>) =>
  block(index, { type: "text", text: "" }, ...texts.map((text) => ({ type: "text_delta", text })))

const json = (partial_json: string) => ({ type: "input_json_delta", partial_json })

const end = (stop_reason: string, usage: JsonObject = { output_tokens: 7 }, more: JsonObject = {}) => [
  { type: "message_delta", delta: { stop_reason, stop_sequence: null, ...more }, usage },
  { type: "message_stop" }
]

const read = (events: ReadonlyArray<unknown>): ReadonlyArray<Said> => {
  const stream = new AnthropicStream()
  return events.map((event) => stream.next(event))
}

const chunksOf = (events: ReadonlyArray<unknown>): ReadonlyArray<JsonChunk> =>
  read(events).flatMap((said) => typeof said === "string" ? [] : [said])

const deltasOf = (events: ReadonlyArray<unknown>) => chunksOf(events).map((chunk) => chunk.choices[0]?.delta)

const collect = (events: ReadonlyArray<unknown>): JsonObject => {
  const collector = new Collector()
  chunksOf(events).forEach((chunk) => collector.add(chunk))
  return collector.response
}

const messageOf = (events: ReadonlyArray<unknown>): JsonObject => {
  const { choices } = collect(events)
  const [choice] = Array.isArray(choices) ? choices : []
  assertTrue(isObject(choice) && isObject(choice["message"]))
  return choice["message"]
}

describe("AnthropicStream", () => {
  it("gives a text as chunks, from the role to the reason and the bill", () => {
    const top = { id: "msg_1", model: "claude-sonnet-5", object: "chat.completion.chunk" }
    const usage = (output_tokens: number) => ({
      input_tokens: 10,
      output_tokens,
      prompt_tokens: 10,
      completion_tokens: output_tokens,
      total_tokens: 10 + output_tokens,
      prompt_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 }
    })
    deepStrictEqual(read([start(), { type: "ping" }, ...textBlock(0, "Hel", "lo"), ...end("end_turn")]), [
      {
        ...top,
        choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }],
        stop_sequence: null,
        usage: usage(1)
      },
      "nothing",
      "nothing",
      { ...top, choices: [{ index: 0, delta: { content: "Hel" }, finish_reason: null }] },
      { ...top, choices: [{ index: 0, delta: { content: "lo" }, finish_reason: null }] },
      "nothing",
      {
        ...top,
        choices: [{ index: 0, delta: {}, finish_reason: "stop", native_finish_reason: "end_turn" }],
        stop_sequence: null,
        usage: usage(7)
      },
      "ended"
    ])
  })

  it("gives chunks as the rest of the library knows them", () => {
    const ends = new Ends()
    const chunks = chunksOf([start(), ...textBlock(0, "Hel", "lo"), ...end("end_turn")])
    assertTrue(chunks.every(isChunk))
    deepStrictEqual(chunks.map(hasOutput), [false, true, true, false])
    strictEqual(chunks.map(contentOf).join(""), "Hello")
    deepStrictEqual(
      chunks.map((chunk) => {
        ends.note(chunk)
        return ends.complete
      }),
      [false, false, false, true]
    )
  })

  it("gives thinking as reasoning, and at the end the blocks to send back", () => {
    deepStrictEqual(
      deltasOf([
        start(),
        ...block(
          0,
          { type: "thinking", thinking: "", signature: "" },
          { type: "thinking_delta", thinking: "Let me " },
          { type: "thinking_delta", thinking: "see." },
          { type: "signature_delta", signature: "EqQB" }
        ),
        ...block(1, { type: "redacted_thinking", data: "Emw" }),
        ...textBlock(2, "42"),
        ...end("end_turn")
      ]).slice(1),
      [
        { reasoning_content: "Let me " },
        { reasoning_content: "see." },
        { content: "42" },
        {
          content_blocks: [
            { type: "thinking", thinking: "Let me see.", signature: "EqQB" },
            { type: "redacted_thinking", data: "Emw" },
            { type: "text", text: "42" }
          ]
        }
      ]
    )
  })

  it("numbers tool calls among themselves, and streams their arguments", () => {
    const tool = (id: string, name: string) => ({ type: "tool_use", id, name, input: {} })
    deepStrictEqual(
      deltasOf([
        start(),
        ...textBlock(0, "I look."),
        ...block(1, tool("toolu_a", "weather"), json(""), json("{\"city\":"), json(" \"Bern\"}")),
        ...block(2, tool("toolu_b", "time"), json("")),
        ...end("tool_use")
      ]).slice(1),
      [
        { content: "I look." },
        { tool_calls: [{ index: 0, id: "toolu_a", type: "function", function: { name: "weather", arguments: "" } }] },
        { tool_calls: [{ index: 0, function: { arguments: "{\"city\":" } }] },
        { tool_calls: [{ index: 0, function: { arguments: " \"Bern\"}" } }] },
        { tool_calls: [{ index: 1, id: "toolu_b", type: "function", function: { name: "time", arguments: "" } }] },
        // A program parses the arguments, so there have to be some.
        { tool_calls: [{ index: 1, function: { arguments: "{}" } }] },
        {}
      ]
    )
  })

  it("takes a text or an input that comes whole at the start of its block", () => {
    deepStrictEqual(
      messageOf([
        start(),
        ...block(0, { type: "text", text: "Hello" }),
        ...block(1, { type: "tool_use", id: "toolu_a", name: "weather", input: { city: "Bern" } }),
        ...end("tool_use")
      ]),
      {
        role: "assistant",
        content: "Hello",
        tool_calls: [{
          id: "toolu_a",
          type: "function",
          function: { name: "weather", arguments: "{\"city\":\"Bern\"}" }
        }]
      }
    )
  })

  it("keeps the blocks of the server's tools, with their input, and citations", () => {
    const result = {
      type: "web_search_tool_result",
      tool_use_id: "srvtoolu_1",
      content: [{ url: "https://a.example" }]
    }
    deepStrictEqual(
      messageOf([
        start(),
        ...block(
          0,
          { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: {} },
          json("{\"query\":"),
          json("\"Bern\"}")
        ),
        ...block(1, result),
        ...block(
          2,
          { type: "text", text: "", citations: [] },
          { type: "citations_delta", citation: { url: "https://a.example" } },
          { type: "text_delta", text: "Sunny" },
          { type: "citations_delta", citation: { url: "https://b.example" } }
        ),
        ...end("end_turn")
      ]),
      {
        role: "assistant",
        content: "Sunny",
        content_blocks: [
          { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "Bern" } },
          result,
          { type: "text", text: "Sunny", citations: [{ url: "https://a.example" }, { url: "https://b.example" }] }
        ]
      }
    )
  })

  it("tells a refusal, and what is said about it", () => {
    const details = { type: "refusal", category: "cyber" }
    const [, last] = chunksOf([start(), ...end("refusal", { output_tokens: 1 }, { stop_details: details })])
    deepStrictEqual(last?.choices, [
      { index: 0, delta: {}, finish_reason: "content_filter", native_finish_reason: "refusal" }
    ])
    deepStrictEqual(last?.["stop_details"], details)
  })

  it("counts the cache to the prompt, and takes the last counts for those of the whole answer", () => {
    const { usage } = collect([
      start({ input_tokens: 10, cache_creation_input_tokens: 200, cache_read_input_tokens: 3000, output_tokens: 1 }),
      ...end("end_turn", {
        input_tokens: 12,
        cache_read_input_tokens: null,
        output_tokens: 9,
        output_tokens_details: { thinking_tokens: 4 }
      })
    ])
    assertTrue(isObject(usage))
    deepStrictEqual(
      [usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"], usage["completion_tokens_details"]],
      [3212, 9, 3221, { reasoning_tokens: 4 }]
    )
    deepStrictEqual(usage["prompt_tokens_details"], { cached_tokens: 3000, cache_write_tokens: 200 })
    strictEqual("usage" in collect([start({}), ...end("end_turn", {})]), false)
  })

  it("what is not known is no fault", () => {
    const events = [
      start(),
      { type: "surprise", index: 0 },
      ...block(0, { type: "surprise", text: "a" }, { type: "surprise_delta", text: "b" }, {
        type: "text_delta",
        text: ""
      }),
      ...block(1, { type: "text", text: "" }, { type: "surprise_delta", extra: 1 }),
      { type: "content_block_stop", index: 9 }
    ]
    assertTrue(read(events).slice(1).every((said) => said === "nothing"))
    deepStrictEqual(messageOf([...events, ...end("end_turn")])["content_blocks"], [
      { type: "surprise", text: "ab" },
      { type: "text", text: "", extra: 1 }
    ])
  })

  it("a known event without what it has to carry is malformed, and does no harm to the others", () => {
    const malformed = [
      undefined,
      null,
      "ping",
      [],
      {},
      { type: 1 },
      { type: "message_start" },
      { type: "content_block_start", index: 0 },
      { type: "content_block_start", content_block: { type: "text", text: "" } },
      { type: "content_block_start", index: 7, content_block: { type: "tool_use", id: "a" } },
      { type: "content_block_delta", index: 8, delta: { type: "text_delta", text: "a" } },
      { type: "content_block_delta", index: 0 },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta" } },
      { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: 1 } },
      { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: {} } },
      { type: "message_delta", usage: {} }
    ]
    const [before, after] = [[start(), textBlock(0, "Hello")[0], textBlock(0, "Hello")[1]], end("end_turn")]
    const said = read([...before, ...malformed, ...after])
    deepStrictEqual(said.slice(before.length, -after.length), malformed.map(() => "malformed"))
    deepStrictEqual(collect([...before, ...malformed, ...after]), collect([...before, ...after]))
  })

  it("a call that was cut is given as far as it came", () => {
    const message = messageOf([
      start(),
      ...block(0, { type: "thinking", thinking: "", signature: "" }),
      ...block(1, { type: "tool_use", id: "toolu_a", name: "weather", input: {} }, json("{\"city\":\"Be")),
      ...end("max_tokens")
    ])
    deepStrictEqual(message["tool_calls"], [
      { id: "toolu_a", type: "function", function: { name: "weather", arguments: "{\"city\":\"Be" } }
    ])
    deepStrictEqual(message["content_blocks"], [
      { type: "thinking", thinking: "", signature: "" },
      { type: "tool_use", id: "toolu_a", name: "weather", input: {} }
    ])
  })

  const object = fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue(), { maxKeys: 3 })
  const wholeBlock = fc.oneof(
    fc.record({ type: fc.constant("text"), text: fc.string() }),
    fc.record({ type: fc.constant("text"), text: fc.string(), citations: fc.array(object, { maxLength: 3 }) }),
    fc.record({ type: fc.constant("thinking"), thinking: fc.string(), signature: fc.string() }),
    fc.record({ type: fc.constant("redacted_thinking"), data: fc.string() }),
    fc.record({ type: fc.constant("tool_use"), id: fc.string(), name: fc.string({ minLength: 1 }), input: object }),
    fc.record({ type: fc.constant("server_tool_use"), id: fc.string(), name: fc.string(), input: object }),
    fc.record({ type: fc.constant("web_search_tool_result"), tool_use_id: fc.string(), content: fc.array(object) })
  )
  const message = fc.record({
    id: fc.string({ minLength: 1 }),
    type: fc.constant("message"),
    role: fc.constant("assistant"),
    model: fc.string({ minLength: 1 }),
    content: fc.array(wholeBlock, { maxLength: 5 }),
    stop_reason: fc.constantFrom("end_turn", "max_tokens", "tool_use", "refusal", "unheard_of"),
    stop_sequence: fc.constantFrom(null, "END"),
    usage: fc.record({
      input_tokens: fc.nat(),
      cache_read_input_tokens: fc.nat(),
      service_tier: fc.constant("standard"),
      output_tokens: fc.nat()
    })
  })

  it.prop(
    "the chunks of a streamed message say together what the whole message would",
    [message, fc.integer({ min: 1, max: 5 })],
    ([arbitrary, size]) => {
      const whole: typeof arbitrary = JSON.parse(JSON.stringify(arbitrary))
      const pieces = (text: string) => text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [""]
      const eventsOf = (one: typeof whole.content[number], index: number): ReadonlyArray<JsonObject> => {
        if ("thinking" in one) {
          return block(
            index,
            { ...one, thinking: "", signature: "" },
            ...pieces(one.thinking).map((thinking) => ({ type: "thinking_delta", thinking })),
            { type: "signature_delta", signature: one.signature }
          )
        }
        if ("input" in one) return block(index, { ...one, input: {} }, ...pieces(JSON.stringify(one.input)).map(json))
        if (!("text" in one)) return block(index, one)
        const citations = "citations" in one ? one.citations : []
        return block(
          index,
          "citations" in one ? { ...one, text: "", citations: [] } : { ...one, text: "" },
          ...citations.map((citation) => ({ type: "citations_delta", citation })),
          ...pieces(one.text).map((text) => ({ type: "text_delta", text }))
        )
      }
      const { content, stop_reason, stop_sequence, usage, ...rest } = whole
      const events = [
        start({ ...usage, output_tokens: 1 }, rest),
        ...content.flatMap(eventsOf),
        ...end(stop_reason, { output_tokens: usage.output_tokens }, { stop_sequence })
      ]
      deepStrictEqual(collect(events), toChatCompletion(whole))
    }
  )

  it.prop(
    "nothing that an event may hold breaks it",
    [fc.array(fc.tuple(fc.jsonValue(), fc.jsonValue()), { maxLength: 10 })],
    ([values]) => {
      const types = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta"
      ]
      const stream = new AnthropicStream()
      for (const [a, b] of values) {
        stream.next(a)
        for (const type of types) {
          stream.next({ type, index: 0, message: a, content_block: { type: "text", text: "" }, delta: a, usage: b })
          stream.next({
            type,
            index: 0,
            content_block: a,
            delta: { type: "input_json_delta", partial_json: a },
            usage: b
          })
        }
      }
      const said = stream.next(end("end_turn")[0])
      assertTrue(typeof said === "object" && said.choices[0]?.finish_reason === "stop")
    }
  )
})
