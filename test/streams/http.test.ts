/** What goes over the wire for a stream, and what is made of unusual answers, with a real server that says just that. */
import { FetchHttpClient } from "@effect/platform"
import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, Either, Layer, Stream } from "effect"
import { Anthropic, ChatProvider, Fallback, OpenAi, Resilience } from "effect-resilience"
import { createServer } from "node:http"
import { nameOf } from "../utils.js"

interface Answer {
  readonly status?: number
  readonly type?: string
  readonly body: string
}

/** A server that gives these answers in turn, and what it was asked. */
const serving = (...answers: ReadonlyArray<Answer>) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly asked: Array<Record<string, unknown>>; readonly close: () => void }>(
      (resume) => {
        const asked: Array<Record<string, unknown>> = []
        const server = createServer((request, response) => {
          let body = ""
          request.on("data", (piece) => {
            body += piece
          })
          request.on("end", () => {
            const answer = answers[asked.length]
            asked.push(JSON.parse(body))
            response.writeHead(answer?.status ?? 200, { "content-type": answer?.type ?? "text/event-stream" })
            response.end(answer?.body)
          })
        })
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, asked, close: () => server.close() }))
        })
      }
    ),
    ({ close }) => Effect.sync(close)
  )

const request: ChatProvider.ChatRequest = { model: "m", messages: [{ role: "user", content: "Hello" }] }

const frames = (...values: ReadonlyArray<unknown>): string =>
  values.map((value) => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`).join("")

const says = (content: string, finish: string | null = null) => ({
  choices: [{ index: 0, delta: { content }, finish_reason: finish }]
})

const cutAfter = (content: string): Answer => ({ body: frames(says(content)) })

const read = (layer: Layer.Layer<ChatProvider.ChatProvider>, asked: ChatProvider.ChatRequest = request) =>
  ChatProvider.stream(asked).pipe(
    ChatProvider.collect,
    Effect.either,
    Effect.map(Either.match({ onLeft: nameOf, onRight: ChatProvider.text })),
    Effect.provide(layer)
  )

const openai = (url: string, options: OpenAi.Options = {}) =>
  OpenAi.layer({ baseUrl: `${url}/v1`, ...options }).pipe(Layer.provide(FetchHttpClient.layer))

describe("a request for a stream", () => {
  it.scopedLive("asks for the usage, unless the program says otherwise", () =>
    Effect.gen(function*() {
      const whole = { body: frames(says("Hi", "stop"), "[DONE]") }
      const server = yield* serving(whole, whole)
      yield* read(openai(server.url))
      yield* read(openai(server.url), { ...request, stream_options: { include_usage: false } })
      deepStrictEqual(server.asked.map(({ stream, stream_options: options }) => [stream, options]), [
        [true, { include_usage: true }],
        [true, { include_usage: false }]
      ])
    }))

  it.scopedLive("for the rest of an answer begins it, where the server goes on from there", () =>
    Effect.gen(function*() {
      for (const prefill of [true, false]) {
        const server = yield* serving(cutAfter("Once upon "), { body: frames(says("a time", "stop")) })
        const chain = Fallback.layer({ onCut: "continue" }, openai(server.url, { prefill }))
        strictEqual(yield* read(chain), "Once upon a time")
        const roles = [server.asked[1]?.messages].flat().map((message) => Object(message).role)
        deepStrictEqual(roles, prefill ? ["user", "assistant"] : ["user", "assistant", "user"])
      }
    }))

  it.scopedLive("to Anthropic is streamed, too", () =>
    Effect.gen(function*() {
      const server = yield* serving({ body: "" })
      const layer = Anthropic.layer({ baseUrl: server.url }).pipe(Layer.provide(FetchHttpClient.layer))
      strictEqual(yield* read(layer), "ServerError")
      strictEqual(server.asked[0]?.stream, true)
    }))
})

describe("an answer to a request for a stream", () => {
  const cases: ReadonlyArray<readonly [promise: string, answer: Answer, seen: string]> = [
    [
      "that is whole, from a server that cannot stream, is one chunk",
      {
        type: "application/json",
        body: JSON.stringify({ choices: [{ index: 0, message: { content: "Hi" }, finish_reason: "stop" }] })
      },
      "Hi"
    ],
    [
      "that is an error inside a 200 is that error",
      { type: "application/json", body: JSON.stringify({ error: { code: 401, message: "bad key" } }) },
      "ClientError"
    ],
    ["that is empty is cut", { body: "" }, "ServerError"],
    ["whose type is not said is read as events", { type: "text/plain", body: frames(says("Hi", "stop")) }, "Hi"],
    ["that ends with [DONE] alone is whole", { body: frames(says("Hi"), "[DONE]") }, "Hi"],
    ["whose last event has no end of its own is whole", { body: frames(says("Hi", "stop")).trimEnd() }, "Hi"],
    [
      "whose first frame has no choices, as Azure's, is read on",
      { body: frames({ choices: [], prompt_filter_results: [] }, says("Hi", "stop"), "[DONE]") },
      "Hi"
    ],
    [
      "that reports an error after its end is whole all the same",
      { body: frames(says("Hi", "stop"), { error: { message: "late", code: 500 } }) },
      "Hi"
    ],
    [
      "of several choices is whole when all of them have ended",
      { body: frames({ choices: [{ index: 1, delta: { content: "x" } }] }, says("Hi", "stop")) },
      "ServerError"
    ],
    [
      "with comments and fields of its own between the frames is read",
      { body: `: keep-alive\n\nretry: 1000\nid: 7\n${frames(says("Hi", "stop"))}` },
      "Hi"
    ],
    ["that is a page of HTML is an error", { type: "text/html", body: "<html>Bad gateway</html>" }, "ServerError"]
  ]
  for (const [promise, answer, seen] of cases) {
    it.scopedLive(promise, () =>
      Effect.gen(function*() {
        const server = yield* serving(answer)
        strictEqual(yield* read(openai(server.url)), seen)
      }))
  }

  it.scopedLive("gives the usage, which comes after the end", () =>
    Effect.gen(function*() {
      const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
      const server = yield* serving({ body: frames(says("Hi", "stop"), { choices: [], usage }, "[DONE]") })
      const response = yield* ChatProvider.stream(request).pipe(
        ChatProvider.collect,
        Effect.provide(openai(server.url))
      )
      deepStrictEqual(response.usage, usage)
    }))

  it.scopedLive("delivers what came before an error in the same packet", () =>
    Effect.gen(function*() {
      const server = yield* serving({
        body: frames(says("Hi "), says("there"), { error: { message: "x", code: 500 } })
      })
      let text = ""
      const end = yield* ChatProvider.stream(request).pipe(
        Stream.runForEach((chunk) =>
          Effect.sync(() => {
            text += ChatProvider.deltaText(chunk)
          })
        ),
        Effect.either,
        Effect.provide(openai(server.url).pipe(Resilience.layer()))
      )
      deepStrictEqual([text, Either.isLeft(end) ? nameOf(end.left) : "whole"], ["Hi there", "ServerError"])
    }))
})

describe("an error inside a stream", () => {
  const shapes: ReadonlyArray<readonly [name: string, frame: unknown, error: string]> = [
    ["OpenAI's", { error: { message: "x", type: "server_error", code: "server_error" } }, "ServerError"],
    ["OpenAI's, rate limited", { error: { message: "x", type: "rate_limit_error", code: null } }, "RateLimited"],
    ["a quota's", { error: { message: "x", code: "insufficient_quota" } }, "ClientError"],
    ["one with a status for its code", { error: { message: "x", code: 503 } }, "ServerError"],
    ["one that is a text", { error: "the model crashed" }, "ServerError"],
    [
      "OpenRouter's, in a choice",
      { choices: [{ index: 0, delta: { content: "" }, finish_reason: "error", error: { code: 502, message: "x" } }] },
      "ServerError"
    ],
    ["Anthropic's", { type: "error", error: { type: "overloaded_error", message: "x" } }, "ServerError"],
    ["the Responses API's", { type: "response.failed", response: { error: { code: "server_error" } } }, "ServerError"],
    ["Google's", [{ error: { code: 429, status: "RESOURCE_EXHAUSTED", message: "x" } }], "RateLimited"],
    ["vLLM's", { object: "error", message: "x", type: "BadRequestError", code: 400 }, "ClientError"],
    ["Bedrock's", { throttlingException: { message: "x" } }, "RateLimited"]
  ]
  for (const [name, frame, error] of shapes) {
    it.scopedLive(`is that error, before the first output and after it: ${name}`, () =>
      Effect.gen(function*() {
        const server = yield* serving({ body: frames(frame) }, { body: frames(says("Hi"), frame) })
        deepStrictEqual([yield* read(openai(server.url)), yield* read(openai(server.url))], [error, error])
      }))
  }
})
