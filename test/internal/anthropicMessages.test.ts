import { describe, it } from "@effect/vitest"
import { assertFalse, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import { toMessages, unsupportedFields } from "../../src/internal/anthropicRequest.js"
import { toChatCompletion } from "../../src/internal/anthropicResponse.js"
import { isObject, type JsonObject } from "../../src/internal/json.js"

const hello = [{ role: "user", content: "Hello" }]

const translate = (request: JsonObject): { readonly body: JsonObject; readonly dropped: ReadonlyArray<string> } => {
  const translated = toMessages({ messages: hello, ...request }, "claude")
  assertTrue(translated._tag === "Translated", translated._tag === "Untranslatable" ? translated.why : "")
  const { body, dropped } = translated
  return { body, dropped }
}

const bodyOf = (request: JsonObject): JsonObject => translate(request).body

const messagesOf = (...messages: ReadonlyArray<unknown>): unknown => bodyOf({ messages })["messages"]

const whyNot = (...messages: ReadonlyArray<unknown>): string => {
  const translated = toMessages({ messages }, "claude")
  return translated._tag === "Untranslatable" ? translated.why : "translated"
}

const text = (value: string, more: JsonObject = {}) => ({ type: "text", text: value, ...more })

const call = (id: string, args = "{}") => ({ id, type: "function", function: { name: "weather", arguments: args } })

const ephemeral = { cache_control: { type: "ephemeral" } }

describe("toMessages", () => {
  it("writes the smallest request, with the max_tokens that Messages requires", () => {
    deepStrictEqual(translate({}), {
      body: { model: "claude", max_tokens: 4096, messages: [{ role: "user", content: [text("Hello")] }] },
      dropped: []
    })
  })

  it("gathers system and developer messages, wherever they stand", () => {
    deepStrictEqual(
      bodyOf({
        messages: [
          { role: "system", content: "Be brief." },
          { role: "user", content: "Hello" },
          { role: "developer", content: [text("Be kind.", ephemeral)] }
        ]
      }),
      {
        model: "claude",
        max_tokens: 4096,
        system: [text("Be brief."), text("Be kind.", ephemeral)],
        messages: [{ role: "user", content: [text("Hello")] }]
      }
    )
  })

  it("joins neighbours of one role, and what blank messages leave behind", () => {
    deepStrictEqual(
      messagesOf(
        { role: "user", content: "One" },
        { role: "user", content: [text("Two"), text("  \n")] },
        { role: "assistant", content: "" },
        { role: "user", content: "Three" },
        { role: "assistant", content: "Four" }
      ),
      [
        { role: "user", content: [text("One"), text("Two"), text("Three")] },
        { role: "assistant", content: [text("Four")] }
      ]
    )
  })

  it("puts images where Messages wants them: data inline, addresses as addresses", () => {
    const image = (url: unknown, more: JsonObject = {}) => ({ type: "image_url", image_url: url, ...more })
    deepStrictEqual(
      messagesOf({
        role: "user",
        content: [
          image({ url: "data:image/png;base64,aGk=" }, ephemeral),
          image({ url: "data:image/jpg;base64,aGk=" }),
          image("https://example.com/cat.png")
        ]
      }),
      [{
        role: "user",
        content: [
          { type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" }, ...ephemeral },
          { type: "image", source: { type: "base64", media_type: "image/jpeg", data: "aGk=" } },
          { type: "image", source: { type: "url", url: "https://example.com/cat.png" } }
        ]
      }]
    )
    strictEqual(
      whyNot({ role: "user", content: [image({ url: "data:image/svg+xml,%3Csvg/%3E" })] }),
      "an image is neither a URL nor base64 data"
    )
  })

  it("sends a file as a document", () => {
    deepStrictEqual(
      messagesOf({
        role: "user",
        content: [{ type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,aGk=" } }]
      }),
      [{
        role: "user",
        content: [{
          type: "document",
          source: { type: "base64", media_type: "application/pdf", data: "aGk=" },
          title: "a.pdf"
        }]
      }]
    )
  })

  it("describes tools, with the guarantees they were given", () => {
    const parameters = { type: "object", properties: { city: { type: "string" } } }
    const web = { type: "web_search_20250305", name: "web_search" }
    deepStrictEqual(
      bodyOf({
        tools: [
          { type: "function", function: { name: "weather", description: "of a city", parameters, strict: true } },
          { type: "function", function: { name: "now" }, ...ephemeral },
          web
        ]
      })["tools"],
      [
        { name: "weather", description: "of a city", input_schema: parameters, strict: true },
        { name: "now", input_schema: { type: "object" }, ...ephemeral },
        web
      ]
    )
  })

  it("translates the choice of a tool", () => {
    const tools = [{ type: "function", function: { name: "weather" } }]
    const choice = (request: JsonObject) => bodyOf({ tools, ...request })["tool_choice"]
    deepStrictEqual(
      ["auto", "none", "required", { type: "function", function: { name: "weather" } }, { type: "any" }, undefined].map(
        (tool_choice) => choice({ tool_choice })
      ),
      [
        { type: "auto" },
        { type: "none" },
        { type: "any" },
        { type: "tool", name: "weather" },
        { type: "any" },
        undefined
      ]
    )
    const one = { parallel_tool_calls: false }
    deepStrictEqual(choice(one), { type: "auto", disable_parallel_tool_use: true })
    deepStrictEqual(choice({ ...one, tool_choice: "required" }), { type: "any", disable_parallel_tool_use: true })
    deepStrictEqual(choice({ ...one, tool_choice: "none" }), { type: "none" })
    // Without tools there is nothing to choose from, and Messages would refuse the request.
    deepStrictEqual(translate({ tool_choice: "auto" }).dropped, ["tool_choice"])
    strictEqual(choice({ tools: [], ...one }), undefined)
  })

  it("sends calls and results of tools as blocks, the results in the user's turn", () => {
    deepStrictEqual(
      messagesOf(
        { role: "user", content: "Weather?" },
        {
          role: "assistant",
          content: "Let me see.",
          tool_calls: [call("call_1", `{"city":"Bern"}`), call("call_2", "")]
        },
        { role: "tool", tool_call_id: "call_1", content: "Sunny" },
        { role: "tool", tool_call_id: "call_2", content: [text("Rain")], is_error: true, ...ephemeral },
        { role: "user", content: "Well?" }
      ),
      [
        { role: "user", content: [text("Weather?")] },
        {
          role: "assistant",
          content: [
            text("Let me see."),
            { type: "tool_use", id: "call_1", name: "weather", input: { city: "Bern" } },
            { type: "tool_use", id: "call_2", name: "weather", input: {} }
          ]
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "call_1", content: [text("Sunny")] },
            { type: "tool_result", tool_use_id: "call_2", content: [text("Rain")], is_error: true, ...ephemeral },
            text("Well?")
          ]
        }
      ]
    )
  })

  it("respells ids of other providers, the call's and the result's alike", () => {
    deepStrictEqual(
      messagesOf(
        { role: "user", content: "Hello" },
        { role: "assistant", tool_calls: [call("functions.weather:0")] },
        { role: "tool", tool_call_id: "functions.weather:0", content: "Sunny" }
      ),
      [
        { role: "user", content: [text("Hello")] },
        {
          role: "assistant",
          content: [{ type: "tool_use", id: "functions_2e_weather_3a_0", name: "weather", input: {} }]
        },
        {
          role: "user",
          content: [{ type: "tool_result", tool_use_id: "functions_2e_weather_3a_0", content: [text("Sunny")] }]
        }
      ]
    )
  })

  it("keeps a refusal's words, and takes the white space off a prefill", () => {
    deepStrictEqual(
      messagesOf(
        ...hello,
        { role: "assistant", content: null, refusal: "No." },
        ...hello,
        { role: "assistant", content: "The answer is \n" }
      ),
      [
        { role: "user", content: [text("Hello")] },
        { role: "assistant", content: [text("No.")] },
        { role: "user", content: [text("Hello")] },
        { role: "assistant", content: [text("The answer is")] }
      ]
    )
  })

  it("says what cannot be written, and quotes nothing", () => {
    const assistant = (...tool_calls: ReadonlyArray<unknown>) => whyNot({ role: "assistant", tool_calls })
    deepStrictEqual([
      assistant(call("c", "{secret")),
      assistant(call("c", "[1]")),
      assistant({ type: "function", function: { name: "secret", arguments: "{}" } }),
      assistant({ id: "c", type: "custom", custom: { name: "secret", input: "" } }),
      whyNot({ role: "tool", content: "secret" }),
      whyNot({ role: "secret", content: "secret" }),
      whyNot("secret"),
      whyNot({ role: "user", content: ["secret"] }),
      whyNot({ role: "system", content: "secret" }),
      whyNot()
    ], [
      "the arguments of a tool call are not a JSON object",
      "the arguments of a tool call are not a JSON object",
      "a tool call has no id or names no function",
      "a tool call has no id or names no function",
      "the result of a tool has no tool_call_id",
      "a message has a role that is not known",
      "a message is not an object",
      "a part of a message is not an object",
      "there is no message to answer",
      "there is no message to answer"
    ])
  })

  it("translates limits, stops, temperature, user and tier", () => {
    const field = (name: string, ...requests: ReadonlyArray<JsonObject>) =>
      requests.map((request) => bodyOf(request)[name])
    deepStrictEqual(
      field(
        "max_tokens",
        { max_tokens: 7 },
        { max_tokens: 7, max_completion_tokens: 8 },
        { max_tokens: null },
        { thinking: { type: "enabled", budget_tokens: 10_000 } }
      ),
      [7, 8, 4096, 14_096]
    )
    deepStrictEqual(
      field("stop_sequences", { stop: "a" }, { stop: ["a", "b"] }, { stop: null }, { stop_sequences: ["c"] }),
      [["a"], ["a", "b"], undefined, ["c"]]
    )
    deepStrictEqual(field("temperature", { temperature: 0.3 }, { temperature: 1.5 }, {}), [0.3, 1, undefined])
    deepStrictEqual(
      field("metadata", { user: "u" }, { safety_identifier: "s" }, {
        metadata: { user_id: "m", team: "t" },
        user: "u"
      }),
      [{ user_id: "u" }, { user_id: "s" }, { user_id: "m" }]
    )
    deepStrictEqual(
      field("service_tier", { service_tier: "auto" }, { service_tier: "default" }, { service_tier: "flex" }),
      ["auto", "standard_only", undefined]
    )
  })

  it("passes what is Anthropic's own, and nulls as if they were not there", () => {
    const own = { thinking: { type: "adaptive" }, top_k: 5, top_p: 0.9, output_config: { effort: "low" } }
    deepStrictEqual(translate({ ...own, container: null, seed: null }), {
      body: {
        model: "claude",
        max_tokens: 4096,
        messages: [{ role: "user", content: [text("Hello")] }],
        ...own
      },
      dropped: []
    })
  })

  it("lists what it leaves out or brings into range, and no defaults written out", () => {
    const { body, dropped } = translate({
      seed: 0,
      logit_bias: { 1: 2 },
      frequency_penalty: 0.5,
      presence_penalty: 0,
      store: false,
      stream: true,
      stream_options: { include_usage: true },
      n: 1,
      logprobs: false,
      top_logprobs: 0,
      modalities: ["text"],
      response_format: { type: "text" },
      temperature: 2,
      service_tier: "flex",
      metadata: { team: "t" },
      reasoning_effort: "high",
      guided_json: {},
      constructor: 1,
      messages: [{
        role: "user",
        name: "ann",
        content: [{ type: "image_url", image_url: { url: "https://e.org/a.png", detail: "high" } }]
      }]
    })
    deepStrictEqual(
      new Set(dropped),
      new Set([
        "seed",
        "logit_bias",
        "frequency_penalty",
        "temperature",
        "service_tier",
        "metadata",
        "reasoning_effort",
        "guided_json",
        "constructor",
        "messages.name",
        "image_url.detail"
      ])
    )
    deepStrictEqual(Object.keys(body).sort(), ["max_tokens", "messages", "model", "temperature"])
  })
})

describe("unsupportedFields", () => {
  const unsupported: ReadonlyArray<readonly [string, JsonObject]> = [
    ["response_format", { response_format: { type: "json_object" } }],
    ["response_format", { response_format: { type: "json_schema", json_schema: { name: "a", schema: {} } } }],
    ["n", { n: 2 }],
    ["logprobs", { logprobs: true }],
    ["top_logprobs", { top_logprobs: 3 }],
    ["modalities", { modalities: ["text", "audio"] }],
    ["web_search_options", { web_search_options: {} }],
    ["functions", { functions: [{ name: "weather" }] }],
    ["stop", { stop: "\n" }],
    ["stop", { stop: ["END", " "] }],
    ["tools", { tools: [{ type: "custom", custom: { name: "grep" } }] }],
    ["tool_choice", {
      tools: [{ type: "function", function: { name: "a" } }],
      tool_choice: { type: "allowed_tools", allowed_tools: { mode: "auto", tools: [] } }
    }],
    ["input_audio", { messages: [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }] }],
    ["file", { messages: [{ role: "user", content: [{ type: "file", file: { file_id: "file-1" } }] }] }],
    ["function_call", { messages: [{ role: "function", name: "weather", content: "Sunny" }] }]
  ]
  for (const [name, request] of unsupported) {
    it(`names ${name} when it is asked for: ${JSON.stringify(request)}`, () => {
      deepStrictEqual(unsupportedFields({ messages: hello, ...request }), [name])
    })
  }

  it("names nothing that asks for what is given anyway", () => {
    deepStrictEqual(
      unsupportedFields({
        messages: [...hello, { role: "assistant", content: "Hi", function_call: null }, ...hello],
        response_format: { type: "text" },
        n: 1,
        logprobs: false,
        top_logprobs: 0,
        modalities: ["text"],
        functions: [],
        stop: ["END"],
        tools: [{ type: "function", function: { name: "a" } }],
        tool_choice: "required"
      }),
      []
    )
  })
})

const message = (content: ReadonlyArray<unknown>, more: JsonObject = {}) => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "claude",
  content,
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 10, cache_creation_input_tokens: 200, cache_read_input_tokens: 3000, output_tokens: 4 },
  ...more
})

const choiceOf = (body: unknown): JsonObject => {
  const response = toChatCompletion(body)
  const [choice] = Array.isArray(response?.["choices"]) ? response["choices"] : []
  assertTrue(isObject(choice))
  return choice
}

describe("toChatCompletion", () => {
  it("gives text, reason and bill where Chat Completions has them, and keeps the rest", () => {
    deepStrictEqual(
      toChatCompletion(message([text("Hel", { citations: null }), text("lo")], {
        stop_reason: "stop_sequence",
        stop_sequence: "END"
      })),
      {
        id: "msg_1",
        object: "chat.completion",
        model: "claude",
        stop_sequence: "END",
        choices: [{
          index: 0,
          message: { role: "assistant", content: "Hello" },
          finish_reason: "stop",
          native_finish_reason: "stop_sequence"
        }],
        usage: {
          input_tokens: 10,
          cache_creation_input_tokens: 200,
          cache_read_input_tokens: 3000,
          output_tokens: 4,
          prompt_tokens: 3210,
          completion_tokens: 4,
          total_tokens: 3214,
          prompt_tokens_details: { cached_tokens: 3000, cache_write_tokens: 200 }
        }
      }
    )
  })

  it("counts thinking as reasoning, and counts nothing where nothing was counted", () => {
    const usage = (value: unknown) => toChatCompletion(message([], { usage: value }))?.["usage"]
    const counted = usage({ input_tokens: 1, output_tokens: 9, output_tokens_details: { thinking_tokens: 7 } })
    assertTrue(isObject(counted))
    deepStrictEqual(counted["completion_tokens_details"], { reasoning_tokens: 7 })
    strictEqual(counted["prompt_tokens"], 1)
    deepStrictEqual([usage(undefined), usage(null), usage({})], [undefined, undefined, undefined])
  })

  it("translates every reason to stop", () => {
    const reasons = [
      "end_turn",
      "stop_sequence",
      "pause_turn",
      "max_tokens",
      "model_context_window_exceeded",
      "tool_use",
      "refusal",
      "constructor"
    ]
    deepStrictEqual(reasons.map((stop_reason) => choiceOf(message([], { stop_reason }))["finish_reason"]), [
      "stop",
      "stop",
      "stop",
      "length",
      "length",
      "tool_calls",
      "content_filter",
      "constructor"
    ])
  })

  it("gives tool calls as functions with JSON arguments", () => {
    deepStrictEqual(
      choiceOf(message([{ type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Bern" } }], {
        stop_reason: "tool_use"
      }))["message"],
      {
        role: "assistant",
        content: null,
        tool_calls: [{
          id: "toolu_1",
          type: "function",
          function: { name: "weather", arguments: `{"city":"Bern"}` }
        }]
      }
    )
  })

  it("shows thinking, and sends it back as it came", () => {
    const content = [
      { type: "thinking", thinking: "Hm.", signature: "sig" },
      text("\n\n"),
      { type: "tool_use", id: "toolu_1", name: "weather", input: {} }
    ]
    const answer = choiceOf(message(content))["message"]
    assertTrue(isObject(answer))
    strictEqual(answer["reasoning_content"], "Hm.")
    deepStrictEqual(
      messagesOf(...hello, answer, { role: "tool", tool_call_id: "toolu_1", content: "Sunny" }),
      [
        { role: "user", content: [text("Hello")] },
        // Without the blank text, which Anthropic sends and does not take back.
        { role: "assistant", content: [content[0], content[2]] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: [text("Sunny")] }] }
      ]
    )
  })

  it("knows what is no message", () => {
    const bodies = [
      undefined,
      null,
      "text",
      [],
      {},
      { choices: [] },
      { ...message([]), type: "completion" },
      { ...message([]), content: "text" },
      message([1]),
      message([{}]),
      message([{ type: "text" }]),
      message([{ type: "tool_use", name: "weather" }])
    ]
    deepStrictEqual(bodies.map(toChatCompletion), bodies.map(() => undefined))
  })
})

describe("properties", () => {
  const word = fc.stringMatching(/^[a-z]{1,8}$/)
  const id = fc.stringMatching(/^[A-Za-z0-9_.:-]{1,12}$/)
  const plain = fc.record({
    role: fc.constantFrom("system", "developer", "user", "assistant"),
    content: fc.oneof(word, fc.array(word.map((value) => text(value)), { maxLength: 3 }))
  })
  const toolTurn = fc.uniqueArray(id, { minLength: 1, maxLength: 3 }).map((ids) => [
    { role: "assistant", content: null, tool_calls: ids.map((one) => call(one)) },
    ...ids.map((one) => ({ role: "tool", tool_call_id: one, content: `result of ${one}` }))
  ])
  const messages = fc.array(fc.oneof(plain.map((one) => [one]), toolTurn), { maxLength: 8 })
    .map((turns) => [...turns.flat(), { role: "user", content: "last" }])

  const list = (value: unknown): ReadonlyArray<JsonObject> => Array.isArray(value) ? value.filter(isObject) : []

  it.prop("no text is lost, in its order, and roles alternate", [messages], ([messages]) => {
    const texts = (of: (role: string) => boolean) =>
      messages.filter(({ role }) => of(role)).flatMap(({ content }) =>
        typeof content === "string" ? [content] : (content ?? []).map((part) => part.text)
      )
    const body = bodyOf({ messages })
    const blocks = (value: JsonObject): ReadonlyArray<unknown> =>
      list(value["content"]).flatMap((block) => block["type"] === "tool_result" ? blocks(block) : [block["text"]])
        .filter((value) => value !== undefined)
    const isSystem = (role: string) => role === "system" || role === "developer"
    deepStrictEqual(list(body["system"]).map((block) => block["text"]), texts(isSystem))
    deepStrictEqual(list(body["messages"]).flatMap(blocks), texts((role) => !isSystem(role)))
    const roles = list(body["messages"]).map((turn) => turn["role"])
    assertTrue(roles.every((role, index) => role !== roles[index + 1]))
  })

  it.prop(
    "every result names its call, in the letters Messages allows, and calls stay apart",
    [messages],
    ([messages]) => {
      const blocks = list(bodyOf({ messages })["messages"]).flatMap((turn) => list(turn["content"]))
      const used = blocks.flatMap((block) => block["type"] === "tool_use" ? [String(block["id"])] : [])
      const answered = blocks.flatMap((block) => block["type"] === "tool_result" ? [String(block["tool_use_id"])] : [])
      deepStrictEqual(used, answered)
      assertFalse(used.some((one) => !/^[A-Za-z0-9_-]+$/.test(one)))
      const asked = messages.flatMap((message) => "tool_calls" in message ? message.tool_calls : [])
      strictEqual(new Set(used).size, new Set(asked.map((one) => one.id)).size)
      // Ids that are allowed are not touched.
      asked.forEach((one, index) => assertTrue(/[.:]/.test(one.id) || one.id === used[index]))
    }
  )

  const block = fc.oneof(
    word.map((value) => text(value)),
    fc.record({
      type: fc.constant("tool_use"),
      id: fc.stringMatching(/^toolu_[a-z0-9]{4}$/),
      name: word,
      input: fc.dictionary(word, fc.jsonValue())
    })
  )
  it.prop("an answer sent back is the answer that came", [fc.array(block, { minLength: 1 })], ([blocks]) => {
    const answer = choiceOf(message(blocks))["message"]
    const [, turn] = list(messagesOf(...hello, answer, ...hello))
    const sent = list(turn?.["content"])
    const said = (of: ReadonlyArray<JsonObject>) => of.map((one) => one["text"] ?? "").join("")
    const calls = (of: ReadonlyArray<JsonObject>) => of.filter((one) => one["type"] === "tool_use")
    strictEqual(said(sent), said(blocks))
    deepStrictEqual(JSON.stringify(calls(sent)), JSON.stringify(calls(blocks)))
  })

  it.prop(
    "nothing that a request or an answer may hold breaks the translation",
    [fc.jsonValue(), fc.jsonValue()],
    ([a, b]) => {
      for (const key of ["messages", "tools", "stop", "tool_choice", "metadata", "response_format", "service_tier"]) {
        unsupportedFields({ messages: hello, [key]: a })
        toMessages({ messages: hello, [key]: a }, "claude")
      }
      toMessages(
        { messages: [{ role: "user", content: a }, { role: "assistant", content: [a], tool_calls: b }] },
        "claude"
      )
      toChatCompletion(message([a, b]))
      toChatCompletion(a)
    }
  )
})
