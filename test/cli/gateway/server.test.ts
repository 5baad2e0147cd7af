import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, it } from "@effect/vitest"
import { assertFalse, assertInclude, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import type { Scope } from "effect"
import { Deferred, Duration, Effect, Exit, Fiber, Scope as ScopeOf, Stream } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import * as Server from "../../../src/cli/gateway/server.js"

/** An app whose answers come when the test says so. */
const makeApp = Effect.gen(function*() {
  const asked = yield* Deferred.make<void>()
  const answer = yield* Deferred.make<void>()
  const interrupted = yield* Deferred.make<void>()
  const later = Deferred.await(answer).pipe(Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined)))
  const app = Effect.gen(function*() {
    const { url } = yield* HttpServerRequest.HttpServerRequest
    switch (url) {
      case "/now":
        return HttpServerResponse.text("now")
      case "/stream":
        return HttpServerResponse.stream(
          Stream.make("first ").pipe(
            Stream.concat(Stream.fromEffect(Effect.as(later, "last"))),
            Stream.encodeText
          )
        )
      default:
        yield* Deferred.succeed(asked, undefined)
        yield* later
        return HttpServerResponse.text("later")
    }
  })
  return { app, asked, answer, interrupted }
})

const options = { host: "127.0.0.1", port: 0, drain: Effect.void, grace: Duration.minutes(1), hurry: Effect.never }

/** A server, and how to stop it: that ends when the server has. */
const start = <R>(app: Parameters<typeof Server.serve<R>>[0], own: Partial<Server.Options> = {}) =>
  Effect.gen(function*() {
    const scope = yield* ScopeOf.make()
    const address = yield* Server.serve(app, { ...options, ...own }).pipe(ScopeOf.extend(scope))
    const stop = ScopeOf.close(scope, Exit.void)
    yield* Effect.addFinalizer(() => stop)
    return { ...address, stop }
  })

interface Answer {
  readonly status: number | undefined
  readonly connection: string | undefined
  readonly text: string
}

/** Asks over a connection that would be kept, and ends with the answer, or with the code of the error. */
const get = (port: number, path: string, agent: Http.Agent, onData = () => {}): Effect.Effect<Answer, string> =>
  Effect.async((resume) => {
    const request = Http.get({ host: "127.0.0.1", port, path, agent }, (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (data: string) => {
        text += data
        onData()
      })
      response.on("error", (error: NodeJS.ErrnoException) => resume(Effect.fail(error.code ?? error.message)))
      response.on(
        "end",
        () => resume(Effect.succeed({ status: response.statusCode, connection: response.headers.connection, text }))
      )
    })
    request.on("error", (error: NodeJS.ErrnoException) => resume(Effect.fail(error.code ?? error.message)))
    return Effect.sync(() => request.destroy())
  })

const keepingAgent: Effect.Effect<Http.Agent, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => new Http.Agent({ keepAlive: true })),
  (agent) => Effect.sync(() => agent.destroy())
)

/** All that comes back for these bytes, until the server ends the connection. */
const exchange = (port: number, sent: string): Effect.Effect<string> =>
  Effect.async((resume) => {
    const socket = Net.connect(port, "127.0.0.1", () => socket.write(sent))
    let received = ""
    socket.on("data", (data) => {
      received += data.toString()
    })
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(received)))
    return Effect.sync(() => socket.destroy())
  })

describe("the server", () => {
  it.live("ends a request whose client goes away while its answer is on the way", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<void>()
      const app = Effect.as(
        Effect.addFinalizer(() => Deferred.succeed(ended, undefined)),
        // More than a connection holds that nobody reads.
        HttpServerResponse.uint8Array(new Uint8Array(64 * 1024 * 1024))
      )
      const { port, stop } = yield* start(app)
      const socket = Net.connect(port, "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
      socket.once("data", () => socket.destroy())
      yield* Deferred.await(ended)
      yield* stop
    }).pipe(Effect.scoped))

  it.live("gives a request that runs its answer when it stops, and takes no new one", () =>
    Effect.gen(function*() {
      const { answer, app, asked } = yield* makeApp
      const agent = yield* keepingAgent
      const drained: Array<string> = []
      const { port, stop } = yield* start(app, { drain: Effect.sync(() => drained.push("drained")) })
      const running = yield* Effect.fork(get(port, "/later", agent))
      yield* Deferred.await(asked)
      const stopping = yield* Effect.fork(stop)
      strictEqual(
        yield* get(port, "/now", agent).pipe(Effect.flip, Effect.retry({ times: 100, while: () => true })),
        "ECONNREFUSED"
      )
      deepStrictEqual(drained, ["drained"])
      yield* Deferred.succeed(answer, undefined)
      deepStrictEqual(yield* running, { status: 200, connection: "close", text: "later" })
      yield* Fiber.join(stopping)
    }).pipe(Effect.scoped))

  it.live("is not held up by connections that clients keep, idle ones and those of streams that had begun", () =>
    Effect.gen(function*() {
      const { answer, app } = yield* makeApp
      const agent = yield* keepingAgent
      const { port, stop } = yield* start(app)
      strictEqual((yield* get(port, "/now", agent)).connection, "keep-alive")
      const begun = yield* Deferred.make<void>()
      const running = yield* Effect.fork(
        get(port, "/stream", agent, () => Deferred.unsafeDone(begun, Effect.void))
      )
      yield* Deferred.await(begun)
      yield* get(port, "/now", agent)
      const stopping = yield* Effect.fork(stop)
      yield* Deferred.succeed(answer, undefined)
      strictEqual((yield* running).text, "first last")
      const [took] = yield* Effect.timed(Fiber.join(stopping))
      assertTrue(Duration.lessThan(took, "2 seconds"))
    }).pipe(Effect.scoped))

  it.live("cuts what outlasts the grace period, and ends when its handlers have", () =>
    Effect.gen(function*() {
      const { app, asked, interrupted } = yield* makeApp
      const agent = yield* keepingAgent
      const { port, stop } = yield* start(app, { grace: Duration.millis(50) })
      const running = yield* Effect.fork(Effect.flip(get(port, "/later", agent)))
      yield* Deferred.await(asked)
      yield* stop
      assertTrue(yield* Deferred.isDone(interrupted))
      strictEqual(yield* running, "ECONNRESET")
    }).pipe(Effect.scoped))

  it.live("cuts at once when it is hurried", () =>
    Effect.gen(function*() {
      const { app, asked, interrupted } = yield* makeApp
      const agent = yield* keepingAgent
      const { port, stop } = yield* start(app, { hurry: Effect.void })
      const running = yield* Effect.fork(Effect.flip(get(port, "/later", agent)))
      yield* Deferred.await(asked)
      yield* stop
      assertTrue(yield* Deferred.isDone(interrupted))
      strictEqual(yield* running, "ECONNRESET")
    }).pipe(Effect.scoped))

  it.live("interrupts the handler of a client that goes away, before its answer or in the middle", () =>
    Effect.forEach(["/later", "/stream"], (path) =>
      Effect.gen(function*() {
        const { app, asked, interrupted } = yield* makeApp
        const agent = yield* keepingAgent
        const { port } = yield* start(app)
        const running = yield* Effect.fork(get(port, path, agent, () => Deferred.unsafeDone(asked, Effect.void)))
        yield* Deferred.await(asked)
        yield* Fiber.interrupt(running)
        yield* Deferred.await(interrupted)
      }).pipe(Effect.scoped)))

  it.live("is done with an answer whose connection is lost just then", () =>
    Effect.gen(function*() {
      const app = Effect.gen(function*() {
        NodeHttpServerRequest.toServerResponse(yield* HttpServerRequest.HttpServerRequest).socket?.destroy()
        return HttpServerResponse.text("too late")
      })
      const agent = yield* keepingAgent
      const { port, stop } = yield* start(app, { grace: Duration.millis(50) })
      strictEqual(yield* Effect.flip(get(port, "/now", agent)), "ECONNRESET")
      const [took] = yield* Effect.timed(Effect.timeoutOption(Effect.disconnect(stop), "2 seconds"))
      assertTrue(Duration.lessThan(took, "2 seconds"))
    }).pipe(Effect.scoped))

  it.live("waits for slow headers and for slow bodies only so long", () =>
    Effect.gen(function*() {
      const { app } = yield* makeApp
      const { port } = yield* start(app, { patience: { headers: 100, request: 200 } })
      const [headers, body] = yield* Effect.all([
        exchange(port, "POST /now HTTP/1.1\r\nhost: 127.0.0.1\r\n"),
        exchange(port, "POST /later HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 10\r\n\r\nhalf ")
      ], { concurrency: 2 })
      assertInclude(headers, "HTTP/1.1 408 Request Timeout")
      assertFalse(body.includes("200 OK"))
    }).pipe(Effect.scoped))

  it.live("serves a request that offers to upgrade as one that does not", () =>
    Effect.gen(function*() {
      const { app } = yield* makeApp
      const { port } = yield* start(app)
      const offer = ["connection: upgrade, http2-settings, close", "upgrade: h2c", "http2-settings: AAMAAABk"]
      const received = yield* exchange(port, `GET /now HTTP/1.1\r\nhost: 127.0.0.1\r\n${offer.join("\r\n")}\r\n\r\n`)
      assertInclude(received, "HTTP/1.1 200 OK")
      assertTrue(received.endsWith("now"))
    }).pipe(Effect.scoped))

  it.live("says in one line why it cannot listen", () =>
    Effect.gen(function*() {
      const { app } = yield* makeApp
      const { port } = yield* start(app)
      const taken = yield* Effect.flip(start(app, { port }))
      strictEqual(
        taken.message,
        `Cannot listen on 127.0.0.1:${port}: another program listens there. Choose another port with --port.`
      )
      const elsewhere = yield* Effect.flip(start(app, { host: "192.0.2.1" }))
      strictEqual(elsewhere.message, "Cannot listen on 192.0.2.1:0: this machine has no such address.")
    }).pipe(Effect.scoped))

  it("writes an address of IPv6 as URLs do", () => {
    strictEqual(Server.urlOf({ host: "::1", port: 8080 }), "http://[::1]:8080")
  })
})
