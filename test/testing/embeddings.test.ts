/** Embeddings of the FaultServer, in both encodings, and the client of `@effect/ai-openai` as a check of them. */
import { EmbeddingModel } from "@effect/ai"
import { OpenAiClient, OpenAiEmbeddingModel } from "@effect/ai-openai"
import { FetchHttpClient } from "@effect/platform"
import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, deepStrictEqual, notDeepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, Layer } from "effect"
import { Fault, FaultServer } from "effect-resilience/testing"

const ask = (server: FaultServer.Service, body: object) =>
  Effect.promise(async (signal) => {
    const response = await fetch(`${server.url}/v1/embeddings`, {
      method: "POST",
      body: JSON.stringify({ model: "m", ...body }),
      signal
    })
    return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) }
  })

const vectors = (server: FaultServer.Service, body: object): Effect.Effect<ReadonlyArray<ReadonlyArray<number>>> =>
  Effect.map(ask(server, body), (seen) => seen.body.data.map((item: { readonly embedding: unknown }) => item.embedding))

describe("FaultServer asked for embeddings", () => {
  it.scopedLive("answers with a vector for each text, in order, and what they cost", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const { body, headers, status } = yield* ask(server, { input: ["one two", "three"] })
      strictEqual(status, 200)
      strictEqual(headers.get("x-request-id"), "req_1")
      const { data, ...rest } = body
      deepStrictEqual(rest, { object: "list", model: "m", usage: { prompt_tokens: 3, total_tokens: 3 } })
      deepStrictEqual(
        data.map(({ embedding, ...item }: { readonly embedding: ReadonlyArray<number> }) => [item, embedding.length]),
        [[{ object: "embedding", index: 0 }, 8], [{ object: "embedding", index: 1 }, 8]]
      )
    }))

  it.scopedLive("gives the same text the same vector of length 1, another text another one", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const [first = [], second, third] = yield* vectors(server, { input: ["same", "other", "same"] })
      const alone = yield* vectors(server, { model: "another", input: "same" })
      deepStrictEqual(first, third)
      deepStrictEqual([first], alone)
      notDeepStrictEqual(first, second)
      assertTrue(Math.abs(Math.hypot(...first) - 1) < 1e-6)
    }))

  it.scopedLive("sends the same numbers as base64, little-endian, when asked for it", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const input = ["one two", "three"]
      const floats = yield* vectors(server, { input, encoding_format: "float" })
      const { body } = yield* ask(server, { input, encoding_format: "base64" })
      const decoded = body.data.map(({ embedding }: { readonly embedding: string }) => {
        const bytes = Uint8Array.from(atob(embedding), (character) => character.charCodeAt(0))
        const view = new DataView(bytes.buffer)
        return Array.from({ length: bytes.length / 4 }, (_, nth) => view.getFloat32(nth * 4, true))
      })
      deepStrictEqual(decoded, floats)
    }))

  it.scopedLive("gives as many dimensions as wanted, and takes tokens for texts", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const lengths = (body: object) => Effect.map(vectors(server, body), (all) => all.map((vector) => vector.length))
      deepStrictEqual(yield* lengths({ input: "one", dimensions: 3 }), [3])
      deepStrictEqual(yield* lengths({ input: "one", dimensions: 3072 }), [3072])
      deepStrictEqual(yield* lengths({ input: [1, 2, 3] }), [8])
      deepStrictEqual(yield* lengths({ input: [[1, 2, 3], [4]] }), [8, 8])
      strictEqual((yield* ask(server, { input: [[1, 2, 3], [4]] })).body.usage.prompt_tokens, 4)
    }))

  const refused: ReadonlyArray<readonly [object, string]> = [
    [{}, "Missing required parameter: 'input'."],
    [{ input: [] }, "'input'"],
    [{ input: [1, "two"] }, "'input'"],
    [{ input: Array.from({ length: 2049 }, () => "x") }, "'input'"],
    [{ input: "x", dimensions: 0 }, "'dimensions'"],
    [{ input: "x", dimensions: 3073 }, "'dimensions'"],
    [{ input: "x", dimensions: 1.5 }, "'dimensions'"],
    [{ input: "x", encoding_format: "hex" }, "'encoding_format'"]
  ]
  it.scopedLive("refuses what OpenAI refuses", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      for (const [body, message] of refused) {
        const seen = yield* ask(server, body)
        strictEqual(seen.status, 400)
        assertInclude(seen.body.error.message, message)
      }
    }))

  it.scopedLive("meets the faults of plain answers, and none of a stream's", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script(
        "m",
        Fault.rateLimited(),
        Fault.contextTooLong,
        Fault.errorInside200(),
        Fault.ok({ usage: { promptTokens: 5, completionTokens: 0 } }),
        Fault.stream({ then: "cut" })
      )
      const seen = Effect.map(ask(server, { input: "one", stream: true }), ({ body, headers, status }) => [
        status,
        headers.get("content-type"),
        body.error?.type ?? body.usage.prompt_tokens
      ])
      const type = "application/json"
      deepStrictEqual(yield* seen, [429, type, "requests"])
      deepStrictEqual(yield* seen, [400, type, "invalid_request_error"])
      deepStrictEqual(yield* seen, [200, type, "server_error"])
      deepStrictEqual(yield* seen, [200, type, 5])
      deepStrictEqual(yield* seen, [200, type, 1])
    }))

  it.scopedLive("is understood by the client of @effect/ai-openai", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const model = OpenAiEmbeddingModel.layerBatched({ model: "m" }).pipe(
        Layer.provide(OpenAiClient.layer({ apiUrl: `${server.url}/v1` })),
        Layer.provide(FetchHttpClient.layer)
      )
      const embedded = yield* Effect.provide(
        Effect.flatMap(EmbeddingModel.EmbeddingModel, ({ embedMany }) => embedMany(["one", "two"])),
        model
      )
      deepStrictEqual(embedded, yield* vectors(server, { input: ["one", "two"] }))
    }))
})
