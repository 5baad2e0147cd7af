/**
 * A Node server for an HTTP app, which is patient with nobody while requests come in, and with everybody when it stops.
 *
 * A client that sends its request byte by byte costs a connection for as long as it likes, so there is a limit for the
 * headers and one for the whole request. There is none for the answer: how long a model may take is for the policies.
 *
 * To stop is: to say so (`drain`), to accept no more connections, to let what runs end within the grace period, and to cut
 * what is left. A connection that is kept open for a next request would hold that up, so each is closed with its answer.
 *
 * Upgrades are left alone on purpose. Node then serves such a request as if it had not asked, which is what clients
 * expect that offer HTTP/2 with every request, as Java's does.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as HttpApp from "@effect/platform/HttpApp"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"

/** Where a server listens, as it can be written into a URL. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** The address cannot be listened on. The message is for whoever chose it. */
export class ListenError extends Data.TaggedError("ListenError")<{ readonly message: string }> {}

/** How a server is made. */
export interface Options extends Address {
  /** Run when the server is about to stop, before anything else. */
  readonly drain: Effect.Effect<void>
  /** How long requests that run have to end, once the server is about to stop. */
  readonly grace: Duration.Duration
  /** Ends the grace period early. */
  readonly hurry: Effect.Effect<void>
  /** How many milliseconds a client may take to send the headers, and the whole request. */
  readonly patience?: { readonly headers: number; readonly request: number }
}

/** Longer than load balancers keep an idle connection, most often 60 seconds: else they send a request into its end. */
const KEEP_ALIVE = 65_000

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there. Choose another port with --port",
  EACCES: "that takes rights this program does not have",
  EADDRNOTAVAIL: "this machine has no such address",
  ENOTFOUND: "there is no host of that name"
}

const authority = ({ host, port }: Address): string => host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

/** `http://127.0.0.1:8080`. */
export const urlOf = (address: Address): string => `http://${authority(address)}`

const listen = (server: Http.Server, address: Address): Effect.Effect<Address, ListenError> =>
  Effect.async((resume) => {
    const refused = (error: NodeJS.ErrnoException) => {
      const code = error.code ?? error.message
      resume(new ListenError({ message: `Cannot listen on ${authority(address)}: ${reasons[code] ?? code}.` }))
    }
    server.once("error", refused)
    server.listen(address, () => {
      server.off("error", refused)
      const bound = server.address()
      resume(Effect.succeed(typeof bound === "object" && bound !== null ? { ...address, port: bound.port } : address))
    })
  })

/**
 * An answer that calls back when it has ended, and when it never will, since its connection is lost just then. By itself
 * Node calls back in the first case alone, and whoever waits for it, with all that a request holds, would wait for ever.
 */
class Answer extends Http.ServerResponse {
  override end(...args: ReadonlyArray<unknown>): this {
    const [body] = args
    const done = args.at(-1)
    if (typeof done === "function") {
      // Which follows in either case, unless it has been.
      if (this.closed) {
        setImmediate(() => void done())
      } else {
        this.once("close", () => void done())
      }
    }
    return super.end(body === done ? undefined : body)
  }
}

/** The answers under way, each of which closes its connection once the server stops. */
const closingConnections = (server: Http.Server) => {
  const underWay = new Set<Http.ServerResponse>()
  let isStopping = false
  server.prependListener("request", (_, response: Http.ServerResponse) => {
    underWay.add(response)
    response.shouldKeepAlive &&= !isStopping
    response.once("close", () => {
      underWay.delete(response)
      if (isStopping) {
        // Only then is its connection an idle one.
        setImmediate(() => server.closeIdleConnections())
      }
    })
  })
  return {
    /** How many answers are still under way. */
    begin: (): number => {
      isStopping = true
      underWay.forEach((response) => {
        response.shouldKeepAlive = false
      })
      return underWay.size
    }
  }
}

/** Serves the app for as long as the scope is open, which closes when the server has stopped. */
export const serve = <R>(
  app: HttpApp.Default<never, R>,
  options: Options
): Effect.Effect<
  Address,
  ListenError,
  Scope.Scope | Exclude<R, HttpServerRequest.HttpServerRequest | Scope.Scope>
> =>
  Effect.gen(function*() {
    const { headers, request } = options.patience ?? { headers: 10_000, request: 30_000 }
    const server = Http.createServer({
      ServerResponse: Answer,
      headersTimeout: headers,
      requestTimeout: request,
      keepAliveTimeout: KEEP_ALIVE,
      // By default the limits are looked at every 30 seconds only.
      connectionsCheckingInterval: headers / 5
    })
    const connections = closingConnections(server)
    // What is cut is interrupted, and has until the end of this scope to put things in order.
    const handlers = yield* FiberSet.make()
    const handler = yield* NodeHttpServer.makeHandler(
      Effect.withFiberRuntime<HttpServerResponse.HttpServerResponse, never, R | HttpServerRequest.HttpServerRequest>(
        (fiber) => {
          FiberSet.unsafeAdd(handlers, fiber)
          return app
        }
      ).pipe(
        // Which a handled app is not by itself, so a client that goes away would cancel nothing.
        Effect.interruptible
      )
    )
    server.on("request", handler)

    const stop = Effect.gen(function*() {
      yield* options.drain
      const closed = Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
      })
      const count = connections.begin()
      yield* Effect.logInfo("stopping").pipe(
        Effect.annotateLogs({ requestsUnderWay: count, graceMs: Duration.toMillis(options.grace) })
      )
      // In a fiber of its own, since this one may be at its end, and whatever it waits for would be interrupted at once.
      const waiting = yield* closed.pipe(
        Effect.raceFirst(Effect.sleep(options.grace)),
        Effect.raceFirst(options.hurry),
        Effect.interruptible,
        Effect.forkDaemon
      )
      yield* Fiber.await(waiting)
      server.closeAllConnections()
    })

    const address = yield* Effect.acquireRelease(listen(server, options), () => stop)
    const runFork = Runtime.runFork(yield* Effect.runtime())
    // Such as too many open files: the connection is lost, the server is not.
    server.on("error", (error) => runFork(Effect.logError("cannot accept a connection", error)))
    return address
  })
