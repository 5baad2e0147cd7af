/**
 * The plumbing between `node:http` and Effect: a port and its connections as a scoped resource, each request as a fiber.
 *
 * A fiber is interrupted when its connection goes, so nothing waits for a client that left. Closing destroys every
 * connection and not only the idle ones: a server of faults has requests that never end, and would wait for them.
 */
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import type * as Net from "node:net"

export const host = "127.0.0.1"

export interface HttpServer {
  readonly port: number
  /** Connections that a request came over. Clients open spare ones ahead (Node's `fetch` does); these do not count. */
  readonly openSockets: () => number
}

export const listen = (options: {
  readonly port: number
  readonly keepAlive: boolean
  readonly handle: (request: Http.IncomingMessage, response: Http.ServerResponse) => Effect.Effect<void>
  /** Called after a connection was closed. */
  readonly onClosed: () => void
  /** Called before the connections are destroyed, since the scope is closing. */
  readonly onClosing: () => void
}): Effect.Effect<HttpServer, Error, Scope.Scope> =>
  Effect.gen(function*() {
    const run = yield* FiberSet.makeRuntime<never>()
    const sockets = new Set<Net.Socket>()
    const used = new Set<Net.Socket>()

    const server = Http.createServer((request, response) => {
      used.add(request.socket)
      if (!options.keepAlive) {
        response.setHeader("connection", "close")
      }
      const fiber = run(options.handle(request, response))
      response.once("close", () => fiber.unsafeInterruptAsFork(FiberId.none))
    })

    server.on("connection", (socket) => {
      sockets.add(socket)
      socket.once("close", () => {
        sockets.delete(socket)
        used.delete(socket)
        options.onClosed()
      })
    })

    const open = Effect.async<number, Error>((resume) => {
      const failed = (error: Error) => resume(Effect.fail(error))
      server.once("error", failed)
      server.listen({ host, port: options.port }, () => {
        server.off("error", failed)
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : options.port))
      })
    })

    const close = Effect.async<void>((resume) => {
      options.onClosing()
      server.close(() => resume(Effect.void))
      sockets.forEach((socket) => socket.destroy())
    })

    const port = yield* Effect.acquireRelease(open, () => close)
    return { port, openSockets: () => used.size }
  })
