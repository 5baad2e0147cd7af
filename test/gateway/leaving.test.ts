/**
 * Clients that go away, or stay and do not read.
 *
 * Whoever leaves takes along all that was done for it: the request upstream, the wait for a next one, its place among the
 * requests of its key. Whoever does not read is waited for, and what is sent to it waits upstream and not in memory.
 */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { Fault, type FaultServer } from "effect-resilience/testing"
import * as Http from "node:http"
import * as Net from "node:net"
import type { Serving } from "./serving.js"
import { chat, CLIENT_KEY, messages, open, post, serve } from "./serving.js"

const authorization = `Bearer ${CLIENT_KEY}`

/** One place, so that one that is not given back is missed; and waits that are longer than the tests. */
const narrow = {
  auth: { keys: [{ name: "web", key: CLIENT_KEY, maxConcurrent: 1 }] },
  models: {
    m: { chain: ["first/a"], policy: "slow" },
    claude: { chain: ["claude/a"], policy: "slow" },
    fine: { chain: ["second/b"] }
  },
  policies: { slow: { retry: { maxAttempts: 2, base: "1 minute", jitter: "none" }, firstToken: "1 minute" } }
}

const chats = "/v1/chat/completions"

const plain: ReadonlyArray<readonly [what: string, path: string, body: object]> = [
  ["a chat", chats, { model: "m", messages }],
  ["a chat of Anthropic's", chats, { model: "claude", messages }],
  ["embeddings", "/v1/embeddings", { model: "m", input: "one" }],
  ["a response", "/v1/responses", { model: "m", input: "Count." }]
]

const streamed: ReadonlyArray<readonly [what: string, path: string, body: object]> = [
  ["a chat as a stream", chats, { model: "m", messages, stream: true }],
  ["a chat of Anthropic's as a stream", chats, { model: "claude", messages, stream: true }],
  ["a response as a stream", "/v1/responses", { model: "m", input: "Count.", stream: true }]
]

/** The one place of the key is free: at once, but for the time that news of a connection takes. */
const placeIsFree = (serving: Serving) =>
  chat(serving, { authorization }, { model: "fine" }).pipe(
    Effect.repeat({ until: ({ status }) => status !== 429 }),
    Effect.timeout("2 seconds"),
    Effect.orDie,
    Effect.map(({ status }) => strictEqual(status, 200))
  )

/** How the requests to the model that the client asked for have ended. */
const endsOf = ({ upstream }: Serving) =>
  Effect.gen(function*() {
    yield* Effect.orDie(Effect.timeout(upstream.awaitClosed, "2 seconds"))
    return (yield* upstream.attempts).filter(({ model }) => model === "a").map(({ end }) => end?.how)
  })

const asked = ({ model }: FaultServer.Attempt) => model === "a"

/** Leaves when the provider was asked, and did what it does. */
const leaving = (
  fault: Fault.Fault,
  until: (attempt: FaultServer.Attempt) => boolean,
  path: string,
  body: object
) =>
  Effect.gen(function*() {
    const serving = yield* serve(narrow)
    yield* serving.upstream.script("a", fault, Fault.ok())
    const client = yield* Effect.fork(post(serving, path, body, { authorization }))
    yield* serving.upstream.awaitAttempt(until)
    strictEqual((yield* chat(serving, { authorization }, { model: "fine" })).status, 429)
    yield* Fiber.interrupt(client)
    yield* placeIsFree(serving)
    return yield* endsOf(serving)
  })

describe("a client that leaves", () => {
  for (const [what, path, body] of [...plain, ...streamed]) {
    it.scopedLive(`while ${what} is waited for cancels it upstream, and gives its place back`, () =>
      Effect.map(leaving(Fault.silence, asked, path, body), (ends) => deepStrictEqual(ends, ["closed by client"])))

    it.scopedLive(`while ${what} is to be asked for again has nothing asked any more`, () =>
      Effect.map(
        leaving(Fault.status(500), (attempt) => asked(attempt) && attempt.end !== undefined, path, body),
        (ends) => deepStrictEqual(ends, ["answered"])
      ))
  }

  for (const [what, path, body] of streamed) {
    const silences: ReadonlyArray<readonly [string, Fault.StreamEnd]> = [["silent", "stall"], ["pinging", "pings"]]
    for (const [how, then] of silences) {
      it.scopedLive(`before the first word of ${what}, which is ${how}, cancels it upstream`, () =>
        Effect.map(
          leaving(Fault.stream({ then }), (attempt) => asked(attempt) && attempt.fault !== undefined, path, body),
          (ends) => deepStrictEqual(ends, ["closed by client"])
        ))
    }

    it.scopedLive(`in the middle of ${what} cancels it upstream, whether it is silent or speaks`, () =>
      Effect.forEach([
        Fault.stream({ after: 2, then: "stall" }),
        Fault.stream({ content: "word ".repeat(10_000), every: "5 millis" })
      ], (fault) =>
        Effect.gen(function*() {
          const serving = yield* serve(narrow)
          yield* serving.upstream.script("a", fault)
          const scope = yield* Scope.make()
          const response = yield* open(serving, path, body, { authorization }).pipe(Scope.extend(scope))
          yield* Effect.async<void>((resume) => void response.once("data", () => resume(Effect.void)))
          strictEqual((yield* chat(serving, { authorization }, { model: "fine" })).status, 429)
          yield* Scope.close(scope, Exit.void)
          yield* placeIsFree(serving)
          deepStrictEqual(yield* endsOf(serving), ["closed by client"])
        })))
  }

  it.scopedLive("before it has read a long answer gives its place back", () =>
    Effect.gen(function*() {
      const serving = yield* serve(narrow)
      yield* serving.upstream.script("a", Fault.ok({ content: "x".repeat(12_000_000) }))
      for (const [path, body] of [[chats, { messages }], ["/v1/responses", { input: "Count." }]] as const) {
        const scope = yield* Scope.make()
        const response = yield* open(serving, path, { model: "m", ...body }, { authorization }).pipe(
          Scope.extend(scope)
        )
        strictEqual(response.statusCode, 200)
        yield* Scope.close(scope, Exit.void)
        yield* placeIsFree(serving)
      }
    }), 15_000)

  it.scopedLive("in the middle of its own request gives its place back", () =>
    Effect.gen(function*() {
      const serving = yield* serve(narrow)
      for (const length of ["content-length: 100000", "transfer-encoding: chunked"]) {
        const socket = Net.connect(serving.port, "127.0.0.1")
        const head = ["host: 127.0.0.1", `authorization: ${authorization}`, "content-type: application/json", length]
        socket.write(`POST ${chats} HTTP/1.1\r\n${head.join("\r\n")}\r\n\r\n`)
        // Its place is taken, for it is the client's own fault that it is slow.
        yield* chat(serving, { authorization }, { model: "fine" }).pipe(
          Effect.repeat({ until: ({ status }) => status === 429 })
        )
        socket.destroy()
        yield* placeIsFree(serving)
      }
    }))
})

const chunk = (path: string) => {
  const content = "x".repeat(16_000)
  return path === chats
    ? `data: ${JSON.stringify({ object: "chat.completion.chunk", choices: [{ index: 0, delta: { content } }] })}\n\n`
    : `event: response.output_text.delta\ndata: ${
      JSON.stringify({ type: "response.output_text.delta", delta: content })
    }\n\n`
}

/** A provider that talks without end, as fast as it is read. */
const flood = Effect.gen(function*() {
  let sent = 0
  const closed = yield* Deferred.make<void>()
  const server = Http.createServer((request, response) => {
    request.resume()
    const event = chunk(request.url ?? "")
    response.writeHead(200, { "content-type": "text/event-stream" })
    const write = () => {
      do {
        sent += event.length
      } while (response.write(event))
    }
    response.on("drain", write)
    response.once("close", () => Deferred.unsafeDone(closed, Effect.void))
    write()
  })
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () => Effect.sync(() => server.close().closeAllConnections())
  )
  const address = server.address()
  const port = typeof address === "object" ? address?.port : undefined
  return { url: `http://127.0.0.1:${port}`, sent: Effect.sync(() => sent), closed: Deferred.await(closed) }
})

/** In bytes: what the sockets on the way hold, and far less than what is sent in the time. */
const LIMIT = 20_000_000

describe("a client that does not read", () => {
  const floods = streamed.filter(([what]) => !what.includes("Anthropic"))
  for (const [what, path, body] of floods) {
    it.scopedLive(`${what} holds up the provider, and not its words in memory`, () =>
      Effect.gen(function*() {
        const upstream = yield* flood
        const serving = yield* serve(narrow, upstream.url)
        const scope = yield* Scope.make()
        const response = yield* open(serving, path, body, { authorization }).pipe(Scope.extend(scope))
        strictEqual(response.statusCode, 200)
        /** How much it had sent when it stopped for so long that it will not go on. */
        const heldUp = Effect.zip(upstream.sent, Effect.delay(upstream.sent, "300 millis")).pipe(
          Effect.repeat({ until: ([before, after]) => before === after || after > 10 * LIMIT }),
          Effect.map(([, after]) => after)
        )
        const first = yield* heldUp
        console.log("FIRST", first)
        assertTrue(first < LIMIT, `${first} bytes were sent, and none was read`)
        // It goes on as far as it is read.
        let read = 0
        yield* Effect.async<void>((resume) => {
          response.on("data", (data: Buffer) => {
            read += data.length
            if (read > 2_000_000) {
              response.pause()
              resume(Effect.void)
            }
          })
        })
        const second = (yield* heldUp) - read
        assertTrue(second < LIMIT, `${second} bytes more were sent than read`)
        yield* Scope.close(scope, Exit.void)
        yield* upstream.closed
      }), 15_000)
  }
})
