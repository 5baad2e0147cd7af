/** The Responses format of the FaultServer, and the client of `@effect/ai-openai` as a check of it. */
import { LanguageModel, Tool, Toolkit } from "@effect/ai"
import { Generated, OpenAiClient, OpenAiLanguageModel } from "@effect/ai-openai"
import { FetchHttpClient } from "@effect/platform"
import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Chunk, Effect, Layer, Schema, Stream } from "effect"
import { ProviderError } from "effect-resilience"
import { Fault, FaultServer } from "effect-resilience/testing"
import { post, read } from "./eventStreams.js"

const toolCall = { name: "weather", arguments: `{"city":"Paris"}` }

const ask = (server: FaultServer.Service, body: unknown) =>
  Effect.promise(async (signal) => {
    const response = await fetch(`${server.url}/v1/responses`, { method: "POST", body: JSON.stringify(body), signal })
    return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) }
  })

const asking = (model: string) => ({ model, input: "the secret prompt" })

/** The events of a stream, without the numbers that it must have counted right. */
const events = (server: FaultServer.Service, model = "m") =>
  Effect.map(read(server, "Responses", model), ({ text }) =>
    text.trimEnd().split("\n\n").map((frame, place) => {
      const { sequence_number, ...event } = JSON.parse(frame.replace(/^event: .*\ndata: /, ""))
      strictEqual(sequence_number, place)
      return event
    }))

describe("FaultServer in the Responses format", () => {
  it.scopedLive("answers well, with the content and the usage it was given", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.ok({ content: "é", usage: { promptTokens: 3, completionTokens: 4 } }))
      const { body, headers, status } = yield* ask(server, asking("m"))
      strictEqual(status, 200)
      strictEqual(headers.get("x-request-id"), "req_1")
      assertTrue(/^\d+$/.test(headers.get("openai-processing-ms") ?? ""))
      assertTrue(Math.abs(body.created_at - Date.now() / 1000) < 60)
      const { id, model, object, output, status: state, usage } = body
      deepStrictEqual({ id, model, object, output, state, usage }, {
        id: "resp_1",
        model: "m",
        object: "response",
        output: [{
          id: "msg_1",
          type: "message",
          status: "completed",
          role: "assistant",
          content: [{ type: "output_text", text: "é", annotations: [], logprobs: [] }]
        }],
        state: "completed",
        usage: {
          input_tokens: 3,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens: 4,
          output_tokens_details: { reasoning_tokens: 0 },
          total_tokens: 7
        }
      })
    }))

  it.scopedLive("takes a text or a list as the input, and refuses what OpenAI refuses", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make({ maxBodyBytes: 200 })
      strictEqual((yield* ask(server, { model: "m", input: [{ role: "user", content: "Hi" }] })).status, 200)
      const cases: ReadonlyArray<readonly [unknown, number, string | null, string]> = [
        [[], 400, null, "JSON"],
        [{ input: "Hi" }, 400, "missing_required_parameter", "'model'"],
        [{ model: "", input: "Hi" }, 400, "invalid_value", "'model'"],
        [{ model: "m" }, 400, "missing_required_parameter", "'input'"],
        [{ model: "m", input: 1 }, 400, "invalid_value", "'input'"],
        [asking("fault-nonsense"), 404, "model_not_found", "fault-slow-<time>"],
        ["x".repeat(200), 413, "request_too_large", "too large"]
      ]
      for (const [sent, status, code, message] of cases) {
        const seen = yield* ask(server, sent)
        strictEqual(seen.status, status)
        strictEqual(seen.body.error.code, code)
        strictEqual(seen.body.error.type, "invalid_request_error")
        assertInclude(seen.body.error.message, message)
      }
    }))

  const statuses: ReadonlyArray<readonly [string, Fault.Fault, number, string, string | null]> = [
    ["a rate limit", Fault.rateLimited(), 429, "rate_limit_exceeded", null],
    ["overload", Fault.overloaded(), 503, "server_is_overloaded", null],
    ["a spent quota", Fault.quotaExhausted, 429, "insufficient_quota", null],
    ["a bad key", Fault.badKey, 401, "invalid_api_key", null],
    ["a context that is too long", Fault.contextTooLong, 400, "context_length_exceeded", "input"],
    ["filtered content", Fault.contentFiltered, 400, "content_filter", "prompt"]
  ]
  it.scopedLive.each(statuses)(
    "says with its status what OpenAI's other APIs say: %s",
    ([_, fault, status, code, param]) =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", fault)
        const seen = yield* ask(server, asking("m"))
        deepStrictEqual([seen.status, seen.body.error.code, seen.body.error.param], [status, code, param])
      })
  )

  const inside: ReadonlyArray<readonly [string, Fault.Fault, string, string]> = [
    ["an internal error", Fault.errorInside200(), "server_error", "ServerError"],
    ["overload", Fault.errorInside200({ as: 503 }), "server_error", "ServerError"],
    ["a rate limit", Fault.errorInside200({ as: 429 }), "rate_limit_exceeded", "RateLimited"],
    ["a spent quota", Fault.status(200, { error: "quota-exhausted" }), "insufficient_quota", "ClientError"],
    [
      "a context that is too long",
      Fault.status(200, { error: "context-too-long" }),
      "context_length_exceeded",
      "ClientError"
    ],
    ["filtered content", Fault.status(200, { error: "content-filtered" }), "invalid_prompt", "ClientError"]
  ]
  it.scopedLive.each(inside)(
    "says inside a 200 that the response failed: %s",
    ([_, fault, code, tag]) =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", fault)
        const { body, status } = yield* ask(server, asking("m"))
        deepStrictEqual([status, body.object, body.status, body.error.code], [200, "response", "failed", code])
        strictEqual(ProviderError.fromInBand(body, { headers: {}, now: 0 })?._tag, tag)
      })
  )

  it.scopedLive("sends the error alone inside a 200 where a response has no code for it", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.errorInside200({ as: 401 }))
      const { body, status } = yield* ask(server, asking("m"))
      deepStrictEqual([status, Object.keys(body), body.error.code], [200, ["error"], "invalid_api_key"])
    }))
})

describe("a stream in the Responses format", () => {
  const at = { item_id: "msg_1", output_index: 0, content_index: 0 }
  const part = (text: string) => ({ type: "output_text", text, annotations: [], logprobs: [] })
  const message = (status: string, content: ReadonlyArray<object>) => ({
    id: "msg_1",
    type: "message",
    status,
    role: "assistant",
    content
  })

  it.scopedLive("is numbered events from a response that is created to the same one completed", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.ok({ content: "One two", usage: { promptTokens: 3, completionTokens: 4 } }))
      const [created, begun, ...rest] = yield* events(server)
      const completed = rest.pop()
      deepStrictEqual([created.type, begun.type, completed.type], [
        "response.created",
        "response.in_progress",
        "response.completed"
      ])
      deepStrictEqual(begun.response, created.response)
      const item = message("completed", [part("One two")])
      const { body } = yield* ask(server, asking("m"))
      deepStrictEqual(completed.response, {
        ...created.response,
        status: "completed",
        output: [item],
        usage: { ...body.usage }
      })
      deepStrictEqual(rest, [
        { type: "response.output_item.added", output_index: 0, item: message("in_progress", []) },
        { type: "response.content_part.added", ...at, part: part("") },
        { type: "response.output_text.delta", ...at, delta: "One", logprobs: [] },
        { type: "response.output_text.delta", ...at, delta: " two", logprobs: [] },
        { type: "response.output_text.done", ...at, text: "One two", logprobs: [] },
        { type: "response.content_part.done", ...at, part: part("One two") },
        { type: "response.output_item.done", output_index: 0, item }
      ])
    }))

  it.scopedLive("completes with the reasoning and the call that it told", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ reasoning: "Let me", toolCall }))
      const streamed = yield* events(server)
      const done = streamed.filter(({ type }) => type === "response.output_item.done").map(({ item }) => item)
      deepStrictEqual(streamed.at(-1).response.output, done)
      deepStrictEqual(done, [
        { id: "rs_1", type: "reasoning", summary: [{ type: "summary_text", text: "Let me" }] },
        { id: "fc_1", type: "function_call", status: "completed", call_id: "call_1", ...toolCall }
      ])
    }))

  const failures: ReadonlyArray<readonly [Fault.StreamError, string, string]> = [
    ["overloaded", "server_error", "ServerError"],
    ["rate-limited", "rate_limit_exceeded", "RateLimited"],
    ["server-error", "server_error", "ServerError"],
    ["content-filtered", "invalid_prompt", "ClientError"]
  ]
  it.scopedLive.each(failures)(
    "can end with a response that failed: %s",
    ([error, code, tag]) =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.stream({ after: 1, then: "finish error", error }))
        const last = (yield* events(server)).at(-1)
        deepStrictEqual([last.type, last.response.status, last.response.error.code], [
          "response.failed",
          "failed",
          code
        ])
        strictEqual(ProviderError.fromInBand(last, { headers: {}, now: 0 })?._tag, tag)
      })
  )

  it.scopedLive("ends with an event that is an error, also where a response has no code for it", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script(
        "m",
        Fault.stream({ after: 1, then: "error" }),
        Fault.stream({ after: 1, then: "finish error", error: "invalid-request" }),
        Fault.stream({ after: 1, then: "nested error" })
      )
      deepStrictEqual((yield* events(server)).at(-1), {
        type: "error",
        code: "server_is_overloaded",
        message: "The engine is currently overloaded, please try again later.",
        param: null
      })
      const invalid = (yield* events(server)).at(-1)
      deepStrictEqual([invalid.type, invalid.code], ["error", "invalid_request_error"])
      strictEqual(ProviderError.fromInBand(invalid, { headers: {}, now: 0 })?._tag, "ClientError")
      const nested = (yield* events(server)).at(-1)
      deepStrictEqual([nested.type, nested.error.code], ["error", "server_is_overloaded"])
      strictEqual(ProviderError.fromInBand(nested, { headers: {}, now: 0 })?._tag, "ServerError")
    }))

  it.scopedLive("counts its keep-alives as events", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ firstAfter: "100 millis", pings: true, pingEvery: "5 millis" }))
      const kept = (yield* events(server)).filter(({ type }) => type === "keepalive")
      assertTrue(kept.length > 1 && kept.every((event) => Object.keys(event).length === 1))
    }))
})

describe("the client of @effect/ai-openai", () => {
  const model = (server: FaultServer.Service) =>
    OpenAiLanguageModel.layer({ model: "m" }).pipe(
      Layer.provide(OpenAiClient.layer({ apiUrl: `${server.url}/v1` })),
      Layer.provide(FetchHttpClient.layer)
    )

  /** Both what the server answers and what it fails with. */
  const answers: ReadonlyArray<readonly [string, Fault.Behaviour]> = [
    ["a text", Fault.ok()],
    ["an empty text", Fault.ok({ content: "" })],
    ["a call of a tool", Fault.ok({ toolCall })],
    ["reasoning", Fault.stream({ reasoning: "Let me" })],
    ["reasoning and a call of a tool", Fault.stream({ reasoning: "Let me", toolCall })],
    ...(["overloaded", "rate-limited", "server-error", "invalid-request", "content-filtered"] as const).flatMap(
      (error) =>
        (["error", "finish error"] as const).map((then) =>
          [`${then}: ${error}`, Fault.stream({ after: 1, then, error })] as const
        )
    )
  ]
  it.scopedLive.each(answers)("can decode every event and every answer: %s", ([_, fault]) =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", fault)
      const { text } = yield* read(server, "Responses", "m")
      for (const frame of text.trimEnd().split("\n\n")) {
        yield* Schema.decodeUnknown(Schema.parseJson(OpenAiClient.ResponseStreamEvent))(
          frame.replace(/^[^]*?data: /, "")
        )
      }
      const plain = yield* Effect.promise(() => post(server, "Responses", "m", {}).then((response) => response.json()))
      yield* Schema.decodeUnknown(Generated.Response)(plain)
    }))

  it.scopedLive("gives a text and an object", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.ok({ content: "Hi" }), Fault.ok({ content: toolCall.arguments }))
      yield* Effect.gen(function*() {
        const { text, usage } = yield* LanguageModel.generateText({ prompt: "Hello" })
        deepStrictEqual([text, usage.inputTokens, usage.outputTokens], ["Hi", 8, 1])
        const schema = Schema.Struct({ city: Schema.String })
        const { value } = yield* LanguageModel.generateObject({ prompt: "Hello", schema })
        deepStrictEqual(value, { city: "Paris" })
      }).pipe(Effect.provide(model(server)))
    }))

  it.scopedLive("calls a tool, in plain and in a stream", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.ok({ toolCall }))
      const weather = Tool.make("weather", {
        parameters: { city: Schema.String },
        success: Schema.String
      })
      const toolkit = Toolkit.make(weather)
      yield* Effect.gen(function*() {
        const { toolResults } = yield* LanguageModel.generateText({ prompt: "Hello", toolkit })
        deepStrictEqual(toolResults.map(({ result }) => result), ["Rain in Paris"])
        const parts = yield* Stream.runCollect(LanguageModel.streamText({ prompt: "Hello", toolkit }))
        const called = Chunk.toReadonlyArray(parts).flatMap((part) => part.type === "tool-call" ? [part.params] : [])
        deepStrictEqual(called, [{ city: "Paris" }])
      }).pipe(
        Effect.provide(
          Layer.merge(model(server), toolkit.toLayer({ weather: ({ city }) => Effect.succeed(`Rain in ${city}`) }))
        )
      )
    }))

  it.scopedLive("streams reasoning and text, and passes over keep-alives", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script(
        "m",
        Fault.stream({ content: "One two.", reasoning: "Let me", firstAfter: "50 millis", pings: true, pingEvery: 5 })
      )
      const parts = yield* LanguageModel.streamText({ prompt: "Hello" }).pipe(
        Stream.runCollect,
        Effect.provide(model(server))
      )
      const said = Chunk.toReadonlyArray(parts).flatMap((part) =>
        part.type === "reasoning-delta" || part.type === "text-delta" ? [part.delta] : []
      )
      deepStrictEqual(said, ["Let", " me", "One", " two."])
      strictEqual(Chunk.toReadonlyArray(parts).at(-1)?.type, "finish")
    }))
})
