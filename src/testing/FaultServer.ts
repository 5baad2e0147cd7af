/**
 * A real HTTP server on a loopback port that speaks OpenAI's Chat Completions, Responses and Embeddings and Anthropic's
 * Messages, and misbehaves on purpose.
 *
 * A mocked client cannot show what a reset connection, a body that stalls or a missing last chunk does to the code that
 * calls a provider; a real socket can. The server is a scoped Effect, so a test owns it: when the scope closes, requests
 * in flight are cut and the port is free again.
 *
 * `POST /v1/chat/completions`, `/v1/responses`, `/v1/embeddings` and `/v1/messages` share models, scripts and faults; each
 * says what a fault means in the words of its own API (`insufficient_quota` at OpenAI, a spend limit at Anthropic), with
 * its own headers. Any key is taken.
 *
 * A request with `"stream": true` is answered with a stream of events, in the format of its API. What can happen to one on
 * its way is `Fault.stream`; the other faults mean the same as for plain answers. Embeddings are never streamed.
 *
 * What is answered is what the script says (`Fault.ok({ content })`, `Fault.ok({ toolCall })`), or else a short sentence; a
 * schema in the request changes nothing. Embeddings are short vectors that depend on the text alone, as many numbers as
 * `dimensions` says, in either encoding.
 *
 * How a request fails is decided by the first of these that applies to its model:
 *
 * 1. `script("gpt-4o", Fault.rateLimited(), Fault.ok())`: the nth request for the model meets the nth fault, and the last
 *    one repeats. From another process: `PUT /__faults/gpt-4o` with a JSON array such as
 *    `[{ "_tag": "Status", "status": 429, "headers": { "retry-after": "2" } }, { "_tag": "Ok" }]`;
 *    `GET /__attempts` is the log, `DELETE /__faults` the same as `reset`.
 * 2. The model's name. An ordinary name, such as `gpt-4o`, answers well. A name that begins with `fault-` fails:
 *
 * | name | what it does |
 * |---|---|
 * | `fault-503`, `fault-status-503` | any status from 200 to 599 |
 * | `fault-429-retry-after-2`, `fault-503-retry-after-250ms` | a status that asks for a wait |
 * | `fault-overloaded` | 503 |
 * | `fault-quota-exhausted`, `fault-bad-key` | 429 that no wait cures, 401 |
 * | `fault-context-too-long`, `fault-content-filtered` | 400 |
 * | `fault-html-bad-gateway` | 502 with a page of HTML |
 * | `fault-error-inside-200` | 200 with an error as its body |
 * | `fault-reset` | the connection is reset before the headers |
 * | `fault-silence` | never answered |
 * | `fault-slow-1500ms`, `fault-slow-2s` | answered well, late |
 * | `fault-truncated`, `fault-truncated-chunked` | the connection is closed in the middle of the body |
 * | `fault-truncated-json` | a proper end in the middle of the JSON |
 * | `fault-malformed`, `fault-malformed-html` | 200 that is not JSON |
 * | `fault-stalled`, `fault-stalled-503` | half of the body (of that status), then nothing |
 * | `fault-stream-cut`, `fault-stream-cut-at-once` | a stream is cut after three words, before the first word |
 * | `fault-stream-stall`, `fault-stream-pings` | three words, then nothing, then only keep-alives; or `-at-once` |
 * | `fault-stream-error`, `fault-stream-malformed` | three words, then an error, then broken JSON; or `-at-once` |
 * | `fault-stream-reset`, `fault-stream-eof` | three words, then a reset, then a proper end; or `-at-once` |
 * | `fault-stream-slow-2s` | the first word of a stream comes late |
 * | `fault-flapping-2` | two requests overloaded, two answered, and so on |
 * | `fault-flapping-5s` | overloaded for 5 seconds, well for 5 seconds, and so on |
 * | `fault-outage-10s` | overloaded for the first 10 seconds, then well |
 * | `fault-random-30` | 30 % of the requests overloaded |
 *
 * Times are `2` or `2s` for seconds and `250ms` for milliseconds. Any other name that begins with `fault-` is answered
 * with a 404 that lists these. A request that asks for no stream is answered well under the names that begin with
 * `fault-stream-`.
 *
 * Time: what the server does takes real time (`delay`, `slow`), for there is a real client on the other side, and
 * `TestClock` does not move it. What the server reads is the `Clock` service: the times in the log, and the time that
 * decides `flapping` and `outage`.
 *
 * Needs Node.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as options from "../runtime/options.js"
import * as Fault from "./Fault.js"
import * as AttemptLog from "./internal/attemptLog.js"
import * as Exchange from "./internal/exchange.js"
import * as HttpServer from "./internal/httpServer.js"
import * as Router from "./internal/router.js"
import * as Scripts from "./internal/scripts.js"

/**
 * How a request ended: `"answered"` (all that was to be sent was sent, a body cut on purpose before its proper end too),
 * `"closed by client"`, `"reset"` (by `Fault.resetBeforeHeaders` or a stream's `"reset"`), `"cut"` (by
 * `Fault.truncatedBody` or a stream's `"cut"`) or `"closed by server"` (the scope of the server was closed).
 *
 * @example
 * ```ts
 * import { FaultServer } from "effect-resilience/testing"
 *
 * const end: FaultServer.End = { how: "closed by client", time: 1500 }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const End = Schema.Struct({
  how: Schema.Literal("answered", "closed by client", "reset", "cut", "closed by server"),
  /** Milliseconds of the `Clock`. */
  time: Schema.Number
})

/**
 * A value of the schema `End`.
 *
 * @since 0.1.0
 * @category models
 */
export type End = typeof End.Type

/**
 * One request as it arrived, what it met and how it ended.
 *
 * `id` is also its `x-request-id`, or `request-id` in Anthropic's format. `time` is in milliseconds of the `Clock`,
 * `bodyLength` in bytes. `path` has the query. Secrets in headers and query are `"<redacted>"` unless the server was made
 * with `redact: false`. Undefined: `model` and `fault` when the request was refused before a model was asked or has not
 * been read yet, `status` when no headers were sent, `end` while the request is in flight.
 *
 * @example
 * ```ts
 * import { FaultServer } from "effect-resilience/testing"
 *
 * const wasAbandoned = (attempt: FaultServer.Attempt) => attempt.end?.how === "closed by client"
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const Attempt = Schema.Struct({
  id: Schema.String,
  time: Schema.Number,
  method: Schema.String,
  path: Schema.String,
  headers: Schema.Record({ key: Schema.String, value: Schema.String }),
  bodyLength: Schema.Number,
  body: Schema.optional(Schema.String),
  model: Schema.optional(Schema.String),
  fault: Schema.optional(Fault.Behaviour),
  status: Schema.optional(Schema.Number),
  end: Schema.optional(End)
})

/**
 * A value of the schema `Attempt`.
 *
 * @since 0.1.0
 * @category models
 */
export type Attempt = typeof Attempt.Type

const encodeAttempts = Schema.encodeSync(Schema.Array(Attempt))

/**
 * The port could not be listened on, mostly because another program has it.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { FaultServer } from "effect-resilience/testing"
 *
 * const server = FaultServer.make({ port: 8080 }).pipe(
 *   Effect.catchTag("ListenError", () => FaultServer.make())
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ListenError extends Schema.TaggedError<ListenError>("effect-resilience/testing/ListenError")(
  "ListenError",
  { message: Schema.String, port: Schema.Number, cause: Schema.Defect }
) {}

/**
 * How a server is made.
 *
 * @example
 * ```ts
 * import { FaultServer } from "effect-resilience/testing"
 *
 * const options: FaultServer.Options = { port: 8080, keepAlive: true }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The port to listen on; by default any that is free. */
  readonly port?: number | undefined
  /** Bytes of a request body, above which the answer is 413; 10 MiB by default. */
  readonly maxBodyBytes?: number | undefined
  /** Attempts kept in the log, the newest; 10 000 by default. */
  readonly maxAttempts?: number | undefined
  /** Replace API keys, tokens and cookies in the log; true by default. */
  readonly redact?: boolean | undefined
  /** Keep the text of each request in the log, to see what was asked; false by default, for it is all in memory. */
  readonly keepBodies?: boolean | undefined
  /**
   * Let clients keep connections for their next request. False by default: every request has its own connection, so an
   * open one is a request in flight, and `openSockets` says what a client forgot to close.
   */
  readonly keepAlive?: boolean | undefined
}

/**
 * What a running server offers.
 *
 * @example
 * ```ts
 * import { FaultServer } from "effect-resilience/testing"
 *
 * const chatUrl = (server: FaultServer.Service) => `${server.url}/v1/chat/completions`
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * `http://127.0.0.1:PORT`, without a slash at the end: the base URL of an Anthropic client. That of an OpenAI client is
   * `${url}/v1`.
   */
  readonly url: string
  readonly port: number
  /**
   * The nth request for the model, counted from now, meets the nth fault; the last one repeats. Without faults the
   * model's name decides again.
   */
  readonly script: (model: string, ...faults: ReadonlyArray<Fault.Fault>) => Effect.Effect<void>
  /** Every request so far in the order of arrival, those to the control endpoint (`/__…`) left out. */
  readonly attempts: Effect.Effect<ReadonlyArray<Attempt>>
  /**
   * The first attempt that satisfies the predicate, now or as soon as there is one: to wait for a request's arrival or
   * for a client's leaving without sleeping.
   */
  readonly awaitAttempt: (predicate: (attempt: Attempt) => boolean) => Effect.Effect<Attempt>
  /**
   * Open connections that a request came over. The spare ones that clients open ahead, as Node's `fetch` does, do not
   * count.
   */
  readonly openSockets: Effect.Effect<number>
  /** Waits until `openSockets` is 0. */
  readonly awaitClosed: Effect.Effect<void>
  /** Forgets scripts, counts and the log. Request ids go on counting. */
  readonly reset: Effect.Effect<void>
}

/**
 * A running server, as a service.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fault, FaultServer } from "effect-resilience/testing"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* FaultServer.FaultServer
 *   yield* server.script("gpt-4o", Fault.overloaded(), Fault.ok())
 *   return yield* server.attempts
 * }).pipe(Effect.provide(FaultServer.layer()))
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class FaultServer extends Context.Tag("effect-resilience/testing/FaultServer")<FaultServer, Service>() {}

/**
 * Starts a server, which lives as long as the scope. Fails with `ListenError` when the port is taken; throws on options
 * that cannot be meant.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fault, FaultServer } from "effect-resilience/testing"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* FaultServer.make()
 *   yield* server.script("gpt-4o", Fault.rateLimited({ retryAfter: "1 second" }), Fault.ok())
 *   const response = yield* Effect.promise(() =>
 *     fetch(`${server.url}/v1/chat/completions`, {
 *       method: "POST",
 *       body: JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content: "Hello" }] })
 *     })
 *   )
 *   return response.status // 429
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (settings: Options = {}): Effect.Effect<Service, ListenError, Scope.Scope> => {
  const port = settings.port ?? 0
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`port: expected a whole number from 0 to 65535, got ${port}`)
  }
  const maxBodyBytes = options.positiveCount("maxBodyBytes", settings.maxBodyBytes ?? 10 * 1024 * 1024)
  const maxAttempts = options.positiveCount("maxAttempts", settings.maxAttempts ?? 10_000)

  return Effect.gen(function*() {
    const clock = yield* Effect.clock
    const log = AttemptLog.make(maxAttempts)
    const scripts = Scripts.make(() => clock.unsafeCurrentTimeNanos())
    let closing = false

    const reset = () => {
      scripts.clear()
      log.clear()
    }

    const server = yield* HttpServer.listen({
      port,
      keepAlive: settings.keepAlive ?? false,
      handle: Exchange.make({
        clock,
        log,
        route: Router.make({ scripts, attempts: () => encodeAttempts(log.all()), reset }),
        redact: settings.redact ?? true,
        keepBodies: settings.keepBodies ?? false,
        maxBodyBytes,
        isClosing: () => closing
      }),
      onClosed: log.changed,
      onClosing: () => {
        closing = true
      }
    }).pipe(Effect.mapError((cause) => new ListenError({ message: cause.message, port, cause })))

    return {
      url: `http://${HttpServer.host}:${server.port}`,
      port: server.port,
      script: (model, ...faults) => Effect.sync(() => scripts.set(model, faults)),
      attempts: Effect.sync(log.all),
      awaitAttempt: (predicate) => log.await(() => log.all().find(predicate)),
      openSockets: Effect.sync(server.openSockets),
      awaitClosed: Effect.asVoid(log.await(() => server.openSockets() === 0 ? true : undefined)),
      reset: Effect.sync(reset)
    }
  })
}

/**
 * The server as a layer: one for everything it is provided to.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fault, FaultServer } from "effect-resilience/testing"
 *
 * const program = Effect.gen(function*() {
 *   yield* FaultServer.script("gpt-4o", Fault.silence)
 *   return yield* FaultServer.url
 * }).pipe(Effect.provide(FaultServer.layer()))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (settings: Options = {}): Layer.Layer<FaultServer, ListenError> =>
  Layer.scoped(FaultServer, make(settings))

/**
 * The address of the server in the context, `http://127.0.0.1:PORT`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { FaultServer } from "effect-resilience/testing"
 *
 * const baseUrl = Effect.map(FaultServer.url, (url) => `${url}/v1`)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const url: Effect.Effect<string, never, FaultServer> = Effect.map(FaultServer, (server) => server.url)

/**
 * The nth request for the model, counted from now, meets the nth fault; the last one repeats. Without faults the model's
 * name decides again.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fault, FaultServer } from "effect-resilience/testing"
 *
 * const once = FaultServer.script("gpt-4o", Fault.overloaded(), Fault.ok()).pipe(
 *   Effect.provide(FaultServer.layer())
 * )
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const script = (model: string, ...faults: ReadonlyArray<Fault.Fault>): Effect.Effect<void, never, FaultServer> =>
  Effect.flatMap(FaultServer, (server) => server.script(model, ...faults))

/**
 * Every request so far in the order of arrival.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { FaultServer } from "effect-resilience/testing"
 *
 * const count = Effect.map(FaultServer.attempts, (attempts) => attempts.length)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const attempts: Effect.Effect<ReadonlyArray<Attempt>, never, FaultServer> = Effect.flatMap(
  FaultServer,
  (server) => server.attempts
)

/**
 * The first attempt that satisfies the predicate, now or as soon as there is one.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { FaultServer } from "effect-resilience/testing"
 *
 * const left = FaultServer.awaitAttempt((attempt) => attempt.end?.how === "closed by client").pipe(
 *   Effect.timeout("1 second")
 * )
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const awaitAttempt = (
  predicate: (attempt: Attempt) => boolean
): Effect.Effect<Attempt, never, FaultServer> => Effect.flatMap(FaultServer, (server) => server.awaitAttempt(predicate))

/**
 * The number of open connections that a request came over.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { FaultServer } from "effect-resilience/testing"
 *
 * const leaks = Effect.map(FaultServer.openSockets, (open) => open > 0)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const openSockets: Effect.Effect<number, never, FaultServer> = Effect.flatMap(
  FaultServer,
  (server) => server.openSockets
)

/**
 * Waits until no connection that a request came over is open.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { FaultServer } from "effect-resilience/testing"
 *
 * const noLeak = FaultServer.awaitClosed.pipe(Effect.timeout("1 second"))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const awaitClosed: Effect.Effect<void, never, FaultServer> = Effect.flatMap(
  FaultServer,
  (server) => server.awaitClosed
)

/**
 * Forgets scripts, counts and the log, such as between two tests that share a server.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fault, FaultServer } from "effect-resilience/testing"
 *
 * const clean = Effect.ensuring(FaultServer.script("gpt-4o", Fault.silence), FaultServer.reset)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const reset: Effect.Effect<void, never, FaultServer> = Effect.flatMap(FaultServer, (server) => server.reset)
