/**
 * The same policies as an `HttpClient` transformer, for any Effect program that calls an API.
 *
 * A program that already has an `HttpClient` gets retries, Retry-After, pause, budget, circuit breaker, attempt timeout and
 * report by wrapping it, and does not change otherwise: the error type stays `HttpClientError`, and a response that is an
 * error stays a response, whose request then has neither keys nor a body, since it ends up in errors. Only an error in the
 * body of a 200, which would be taken for an answer, is a `ResponseError` with that response in it; what a GET finds is
 * none, and neither is `"error"` with a single word. What our policies made of it is found with `callError`. The client underneath should not retry by itself: two loops around each other
 * multiply.
 *
 * A plain response is handed on once its whole body is there, so that the attempt timeout covers it. A stream of events is
 * handed on with its first content, up to which it is retried; what comes after passes through byte for byte, and an end
 * that comes too early, a silence or an error among the events fails the body.
 *
 * What is sent twice may be carried out twice. A request is sent again after any failure only if that does no harm by its
 * method or because it carries an idempotency key, and else only when the server said that it did nothing. A body that can
 * be read but once is never sent twice.
 *
 * Source: RFC 9110, 9.2.2 (idempotent methods).
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import * as IdempotencyKey from "./IdempotencyKey.js"
import type { CallError, Target } from "./ProviderError.js"
import { isCallError } from "./ProviderError.js"
import * as Resilience from "./Resilience.js"
import * as RetryBudget from "./RetryBudget.js"
import { asCaller } from "./runtime/caller.js"
import { findCallError, forProgram, httpAttempt } from "./runtime/httpAttempt.js"
import { Lease } from "./runtime/lease.js"
import { pullsOf } from "./runtime/opening.js"
import { attemptAround } from "./runtime/recorder.js"
import { StreamingResponse } from "./runtime/streamingResponse.js"
import { bodyBounds } from "./runtime/streamProtection.js"

/**
 * Options of `make` and `layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Resilience.Options {
  /**
   * What circuits, pauses and retry budgets are kept by, and what the request's target is called in reports. Default: the
   * origin of its URL, such as `https://api.openai.com`.
   */
  readonly keyOf?: ((request: HttpClientRequest.HttpClientRequest) => string) | undefined
  /**
   * Give a request that has none an `Idempotency-Key` of its own, the same for all its attempts, unless its method is
   * idempotent anyway. It may then be sent again after any failure. Default true; say false for an API that refuses headers
   * it does not know.
   */
  readonly idempotencyKey?: boolean | undefined
}

const idempotentMethods: ReadonlyArray<string> = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]

const HEADER = "idempotency-key"

const isIdempotent = ({ headers, method }: HttpClientRequest.HttpClientRequest): boolean =>
  idempotentMethods.includes(method) || headers[HEADER] !== undefined

const isOneShot = ({ body }: HttpClientRequest.HttpClientRequest): boolean =>
  body._tag === "Stream" ||
  body._tag === "Raw" && (body.body instanceof ReadableStream || Predicate.hasProperty(body.body, Symbol.asyncIterator))

/** Did the server, or the network before it, say that nothing was done? */
const wasNotDone = (error: unknown): boolean =>
  isCallError(error) && (
    error._tag === "RateLimited" ||
    error._tag === "ServerError" && (error.reason === "Overloaded" || error.reason === "Unavailable")
  )

const originOf = ({ url }: HttpClientRequest.HttpClientRequest): string =>
  URL.canParse(url) ? new URL(url).origin : "unknown"

/** What others see as one call may be several requests, each with another body. */
const keyFor = Effect.contextWithEffect((context: Context.Context<never>) => {
  const around = attemptAround(context)
  return around === undefined
    ? IdempotencyKey.current
    : IdempotencyKey.derived(IdempotencyKey.current, around.keys += 1)
})

const withKey = (request: HttpClientRequest.HttpClientRequest): Effect.Effect<HttpClientRequest.HttpClientRequest> =>
  isIdempotent(request) ? Effect.succeed(request) : Effect.map(
    keyFor,
    (key) => HttpClientRequest.setHeader(request, HEADER, key)
  )

type Transformer = (client: HttpClient.HttpClient) => HttpClient.HttpClient

/** What ends the policies of a response that nobody reads, when nobody can any more. */
const forgotten = new FinalizationRegistry((end: () => void) => end())

/** The options of this client alone. */
interface Own {
  readonly targetOf: (request: HttpClientRequest.HttpClientRequest) => Target
  /** Under which key the retries are paid, besides those in force. */
  readonly payerOf: (target: Target) => string | undefined
  readonly idempotencyKey: boolean
}

const ownOf = ({ idempotencyKey = true, keyOf = originOf }: Options): Own => ({
  targetOf: (request) => ({ provider: keyOf(request) }),
  payerOf: ({ provider = "unknown" }) => provider,
  idempotencyKey
})

const transformer = (
  { protectCall, settings }: ReturnType<typeof Resilience.unsafeBuild>,
  { idempotencyKey, payerOf, targetOf }: Own
): Transformer => {
  const execute = <R>(
    send: Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError, R>,
    request: HttpClientRequest.HttpClientRequest
  ) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Scope.make(), (scope) => {
        const target = targetOf(request)
        const payer = payerOf(target)
        const lease = new Lease(scope)
        const end = (exit: Exit.Exit<unknown, unknown>) => Effect.zipRight(lease.end(exit), Scope.close(scope, exit))
        const attempt = httpAttempt(send, target, scope, settings.idle)
        return restore(asCaller(protectCall(attempt, target, {
          isSafe: (error) => !isOneShot(request) && (isIdempotent(request) || wasNotDone(error)),
          bounds: bodyBounds(settings),
          lasting: { lease, close: ({ events }) => events?.close ?? Effect.void }
        }))).pipe(
          payer === undefined ? identity : RetryBudget.withKey(payer),
          Effect.matchCauseEffect({
            onFailure: (cause) => Effect.zipRight(end(Exit.failCause(cause)), Effect.failCause(cause)),
            onSuccess: ({ events, response }) => {
              if (events === undefined) {
                return Effect.as(end(Exit.void), response)
              }
              lease.atEnd((exit) => Scope.close(scope, exit))
              const streaming = new StreamingResponse(response, pullsOf(events), lease, () => events.passing.whole)
              forgotten.register(streaming, () => Effect.runFork(end(Exit.interrupt(FiberId.none))))
              return Effect.succeed(streaming)
            }
          }),
          Effect.catchAll((error) => forProgram(error, request))
        )
      })
    )
  return (client) =>
    (idempotencyKey ? HttpClient.mapRequestEffect(client, withKey) : client).pipe(HttpClient.transform(execute))
}

/**
 * Makes what wraps a client. The policies' state lives as long as the value: make one and share it. Throws a `RangeError`
 * that names a bad option.
 *
 * @example
 * ```ts
 * import { HttpClient } from "@effect/platform"
 * import { Effect } from "effect"
 * import { ResilientHttpClient } from "effect-resilience"
 *
 * const program = Effect.gen(function*() {
 *   const resilient = yield* ResilientHttpClient.make({ attemptTimeout: "10 seconds" })
 *   const client = resilient(yield* HttpClient.HttpClient)
 *   return yield* client.get("https://api.example.com/models")
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Transformer> =>
  Effect.map(Resilience.built(options), (built) => transformer(built, ownOf(options)))

/**
 * `make` for requests that all go to one model. Their retries are paid as those of its layer: under no key of its own.
 *
 * @internal
 */
export const makeFor = (target: Target, options: Resilience.Options): Effect.Effect<Transformer> =>
  Effect.map(
    Resilience.built(options),
    (built) => transformer(built, { targetOf: () => target, payerOf: () => undefined, idempotencyKey: true })
  )

/**
 * `make` for a place that cannot run an effect, such as an option of another library. A `CircuitBreaker.Registry` of the
 * program is not seen from here.
 *
 * @example
 * ```ts
 * import { ResilientHttpClient } from "effect-resilience"
 *
 * const transformClient = ResilientHttpClient.unsafeMake({ retry: { maxAttempts: 3 } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeMake = (options: Options = {}): Transformer =>
  transformer(Resilience.unsafeBuild(options), ownOf(options))

/**
 * Wraps the client in the context, for everything that the layer is provided to.
 *
 * @example
 * ```ts
 * import { FetchHttpClient } from "@effect/platform"
 * import { Layer } from "effect"
 * import { ResilientHttpClient } from "effect-resilience"
 *
 * const Client = ResilientHttpClient.layer({ maxConcurrent: 100 }).pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient> => {
  const transform = make(options)
  return Layer.effect(
    HttpClient.HttpClient,
    Effect.zipWith(transform, HttpClient.HttpClient, (transform, client) => transform(client))
  )
}

/**
 * The error of this library in an error of a wrapped client, or of what was built on top of it; undefined if there is
 * none. A `ResponseError` about a response (as `HttpClient.filterStatusOk` makes) counts as well.
 *
 * @example
 * ```ts
 * import { HttpClient } from "@effect/platform"
 * import { Effect } from "effect"
 * import { ResilientHttpClient } from "effect-resilience"
 *
 * const program = HttpClient.get("https://api.example.com/models").pipe(
 *   Effect.catchAll((error) => Effect.succeed(ResilientHttpClient.callError(error)?._tag ?? "unknown"))
 * )
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const callError = (error: unknown): CallError | undefined => findCallError(error)
