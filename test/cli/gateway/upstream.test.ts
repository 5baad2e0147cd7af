import * as Cookies from "@effect/platform/Cookies"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { describe, it } from "@effect/vitest"
import { assertInclude, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Chunk, Deferred, Effect, Fiber, Stream } from "effect"
import * as Http from "node:http"
import { inspect } from "node:util"
import * as Upstream from "../../../src/cli/gateway/upstream.js"

type Listener = (request: Http.IncomingMessage, response: Http.ServerResponse) => void

/** The URL of a server that lives as long as the test. */
const serving = (listener: Listener) =>
  Effect.acquireRelease(
    Effect.async<Http.Server>((resume) => {
      const server = Http.createServer(listener).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  ).pipe(Effect.map((server) => {
    const address = server.address()
    return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  }))

const echo: Listener = (request, response) => {
  const pieces: Array<Buffer> = []
  request.on("data", (piece: Buffer) => pieces.push(piece))
  request.on("end", () => {
    response.writeHead(200, { "content-type": "application/json", "set-cookie": ["a=1", "b=2"], "x-secret": "hush" })
    response.end(JSON.stringify({ method: request.method, url: request.url, body: Buffer.concat(pieces).toString() }))
  })
}

const post = (url: string) =>
  HttpClientRequest.post(url).pipe(HttpClientRequest.bodyText("{\"a\":1}", "application/json"), HttpClient.execute)

const text = "{\"method\":\"POST\",\"url\":\"/v1?x=1\",\"body\":\"{\\\"a\\\":1}\"}"

describe("the client that asks the providers", () => {
  it.scopedLive("sends bytes, and reads status, headers, cookies and body", () =>
    Effect.gen(function*() {
      const response = yield* post(`${yield* serving(echo)}/v1?x=1#here`)
      strictEqual(response.status, 200)
      strictEqual(response.headers["content-type"], "application/json")
      deepStrictEqual(Cookies.toRecord(response.cookies), { a: "1", b: "2" })
      deepStrictEqual(yield* response.json, { method: "POST", url: "/v1?x=1", body: "{\"a\":1}" })
    }).pipe(Effect.provide(Upstream.layer)))

  it.scopedLive("reads a text as often as it is asked for", () =>
    Effect.gen(function*() {
      const response = yield* post(`${yield* serving(echo)}/v1?x=1`)
      deepStrictEqual(yield* Effect.all([response.text, response.text]), [text, text])
    }).pipe(Effect.provide(Upstream.layer)))

  it.scopedLive("reads a body as bytes, and as a stream of them", () =>
    Effect.gen(function*() {
      const url = `${yield* serving(echo)}/v1?x=1`
      const bytes = yield* Effect.flatMap(post(url), ({ arrayBuffer }) => arrayBuffer)
      strictEqual(Buffer.from(bytes).toString(), text)
      const pieces = yield* Effect.flatMap(post(url), ({ stream }) => Stream.runCollect(stream))
      strictEqual(Buffer.concat(Chunk.toReadonlyArray(pieces)).toString(), text)
    }).pipe(Effect.provide(Upstream.layer)))

  it.scopedLive("shows neither headers nor body of a response to whoever looks into it", () =>
    Effect.gen(function*() {
      const response = yield* post(yield* serving(echo))
      yield* response.text
      for (const shown of [inspect(response, { depth: 9 }), JSON.stringify(response)]) {
        assertInclude(shown, "200")
        strictEqual(/hush|\\"a\\"/.test(shown), false, shown)
      }
    }).pipe(Effect.provide(Upstream.layer)))

  it.scopedLive("closes the connection of a body that nobody waits for any more", () =>
    Effect.gen(function*() {
      const closed = yield* Deferred.make<void>()
      const url = yield* serving((_, response) => {
        response.writeHead(200, { "content-length": 100 }).write("begun")
        response.on("close", () => Deferred.unsafeDone(closed, Effect.void))
      })
      const response = yield* post(url)
      const reading = yield* Effect.fork(response.text)
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(reading)
      yield* Deferred.await(closed)
    }).pipe(Effect.provide(Upstream.layer)))

  it.scopedLive("closes the connection of a body that nobody has begun to read", () =>
    Effect.gen(function*() {
      const answered = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const url = yield* serving((_, response) => {
        response.writeHead(200, { "content-length": 100 }).write("begun")
        response.on("close", () => Deferred.unsafeDone(closed, Effect.void))
      })
      const asking = yield* Effect.fork(
        post(url).pipe(Effect.zipLeft(Deferred.succeed(answered, undefined)), Effect.zipRight(Effect.never))
      )
      yield* Deferred.await(answered)
      yield* Fiber.interrupt(asking)
      yield* Deferred.await(closed)
    }).pipe(Effect.provide(Upstream.layer)))

  it.scopedLive("closes the connection of a request that nobody waits for any more", () =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const url = yield* serving((_, response) => {
        Deferred.unsafeDone(asked, Effect.void)
        response.on("close", () => Deferred.unsafeDone(closed, Effect.void))
      })
      const asking = yield* Effect.fork(post(url))
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(asking)
      yield* Deferred.await(closed)
    }).pipe(Effect.provide(Upstream.layer)))

  it.scopedLive("fails where the connection breaks, before and in the body", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(post("http://127.0.0.1:1"))
      deepStrictEqual([refused._tag, refused.reason], ["RequestError", "Transport"])
      const url = yield* serving((_, response) => {
        response.writeHead(200, { "content-length": 100 }).write("begun", () => response.destroy())
      })
      const cut = yield* Effect.flip(Effect.flatMap(post(url), ({ text }) => text))
      deepStrictEqual([cut._tag, cut.reason], ["ResponseError", "Decode"])
    }).pipe(Effect.provide(Upstream.layer)))

  it.scopedLive("fails to read what broke before it was read", () =>
    Effect.gen(function*() {
      const url = yield* serving((_, response) => {
        response.writeHead(200, { "content-length": 100 }).write("begun", () => setImmediate(() => response.destroy()))
      })
      const { stream } = yield* post(url)
      yield* Effect.sleep("50 millis")
      const broken = yield* Effect.flip(Stream.runDrain(stream))
      deepStrictEqual([broken._tag, broken.reason], ["ResponseError", "Decode"])
    }).pipe(Effect.provide(Upstream.layer)))

  it.scopedLive("sends nothing of a body that is not made of bytes", () =>
    Effect.gen(function*() {
      const request = HttpClientRequest.post("http://127.0.0.1:1").pipe(
        HttpClientRequest.setBody(HttpBody.stream(Stream.empty))
      )
      const { _tag, reason } = yield* Effect.flip(HttpClient.execute(request))
      deepStrictEqual([_tag, reason], ["RequestError", "Encode"])
    }).pipe(Effect.provide(Upstream.layer)))
})
