/** What becomes of the connection that a stream came over: one that costs nothing to keep is there for the next. */
import { FetchHttpClient, type HttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { strictEqual } from "@effect/vitest/utils"
import { Effect, Layer, Queue, Stream } from "effect"
import { Anthropic, ChatProvider, OpenAi } from "effect-resilience"
import type { ServerResponse } from "node:http"
import { createServer } from "node:http"

const data = (value: unknown): string => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`

const openai = [
  { choices: [{ index: 0, delta: { content: "Hello" }, finish_reason: null }] },
  { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
  "[DONE]"
].map(data).join("")

const anthropic = [
  { type: "message_start", message: { id: "m", model: "m", role: "assistant", content: [], usage: {} } },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hello" } },
  { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 1 } },
  { type: "message_stop" }
].map(data).join("")

/** A server that says all this and then does as the test likes with the response, and what it saw of connections. */
const serving = (body: string, after: (response: ServerResponse) => void) =>
  Effect.gen(function*() {
    const opened: Array<number> = []
    const closed = yield* Queue.unbounded<void>()
    const server = createServer((request, response) => {
      request.resume().on("end", () => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(body, () => after(response))
      })
    })
    server.on("connection", (socket) => {
      opened.push(opened.length)
      socket.on("close", () => Queue.unsafeOffer(closed, undefined))
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    )
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    return { url: `http://127.0.0.1:${port}`, opened, closed }
  })

type ProviderLayer = (url: string) => Layer.Layer<ChatProvider.ChatProvider, never, HttpClient.HttpClient>

const protocols: ReadonlyArray<readonly [string, string, ProviderLayer]> = [
  ["OpenAI", openai, (url) => OpenAi.layer({ baseUrl: `${url}/v1`, model: "m" })],
  ["Anthropic", anthropic, (url) => Anthropic.layer({ baseUrl: url, model: "m" })]
]

const clients: ReadonlyArray<readonly [string, Layer.Layer<HttpClient.HttpClient>]> = [
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici]
]

const chunks = ChatProvider.stream({ messages: [{ role: "user", content: "Hello" }] })

const read = chunks.pipe(ChatProvider.collect, Effect.map(ChatProvider.text))

/** The end of the response, in a segment of its own. */
const soon = (response: ServerResponse) => {
  setTimeout(() => response.end(), 5)
}

for (const [protocol, body, provider] of protocols) {
  describe.each(clients)(`${protocol} over %s`, (_client, client) => {
    it.scopedLive("streams that are read to their end share a connection", () =>
      Effect.gen(function*() {
        const { opened, url } = yield* serving(body, soon)
        yield* Effect.gen(function*() {
          for (let i = 0; i < 5; i++) {
            strictEqual(yield* read, "Hello")
            // As soon as a user may ask again.
            yield* Effect.sleep("20 millis")
          }
        }).pipe(Effect.provide(provider(url).pipe(Layer.provide(client))))
        strictEqual(opened.length, 1)
      }))

    it.scopedLive("a server that says no more, and does not end, keeps nobody waiting, nor its connection", () =>
      Effect.gen(function*() {
        const { closed, url } = yield* serving(body, () => {})
        yield* Effect.gen(function*() {
          strictEqual(yield* read, "Hello")
          strictEqual(yield* Queue.size(closed), 0)
          yield* Queue.take(closed)
        }).pipe(Effect.provide(provider(url).pipe(Layer.provide(client))))
      }))

    it.scopedLive("a reader who stops early closes it at once", () =>
      Effect.gen(function*() {
        const { closed, url } = yield* serving(body.slice(0, -20), () => {})
        yield* Effect.gen(function*() {
          yield* Stream.runDrain(Stream.take(chunks, 1))
          yield* Effect.timeout(Queue.take(closed), "500 millis")
        }).pipe(Effect.provide(provider(url).pipe(Layer.provide(client))))
      }))
  })
}
