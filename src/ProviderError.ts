/**
 * The typed error channel: everything a provider can do to a call, as four errors, and the circuit breaker's own.
 *
 * A policy must decide what to do next from the error alone, so each tag stands for one decision and not for one status
 * code: `RateLimited` waits, `ServerError` backs off, `Timeout` is retried but bounded, `ClientError` never is. Status,
 * provider's code and request id ride along for people. Two functions, `isRetryable` and `isFallbackable`, are the only
 * places that decide, so that retry, fallback and the adapters cannot disagree. Nothing secret is kept: no header, no
 * key, no prompt, no answer; the provider's own text is `Redacted`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { clientErrorReasons, serverErrorReasons } from "./internal/classified.js"
import * as classify from "./internal/classify.js"

/**
 * Marks the errors of this library, so that another library's error of the same tag is never taken for one.
 *
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-resilience/CallError")

/**
 * The type of `TypeId`.
 *
 * @since 0.1.0
 * @category symbols
 */
export type TypeId = typeof TypeId

// Encoded, the text is gone: an error that crosses a wire or lands in a log store must not carry it.
const Detail = Schema.transform(Schema.String, Schema.RedactedFromSelf(Schema.String), {
  strict: true,
  decode: (text) => Redacted.make(text),
  encode: () => "<redacted>"
})

const RetryAfter = Schema.DurationFromMillis

const fields = {
  message: Schema.String,
  provider: Schema.optional(Schema.String),
  model: Schema.optional(Schema.String),
  status: Schema.optional(Schema.Number),
  code: Schema.optional(Schema.String),
  requestId: Schema.optional(Schema.String),
  retryAfter: Schema.optional(RetryAfter),
  shouldRetry: Schema.optional(Schema.Boolean),
  detail: Schema.optional(Detail)
}

/**
 * A 429 that waiting cures. The same provider is asked again after at least `retryAfter`, or after a backoff.
 *
 * @example
 * ```ts
 * import { Duration, Effect } from "effect"
 * import { ProviderError } from "effect-resilience"
 *
 * const busy = Effect.fail(new ProviderError.RateLimited({ message: "slow down", retryAfter: Duration.seconds(2) }))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class RateLimited extends Schema.TaggedError<RateLimited>("effect-resilience/RateLimited")(
  "RateLimited",
  fields
) {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * What went wrong at the provider, or on the way to it.
 *
 * @since 0.1.0
 * @category models
 */
export const ServerErrorReason = Schema.Literal(...serverErrorReasons)

/**
 * The type of `ServerErrorReason`.
 *
 * @since 0.1.0
 * @category models
 */
export type ServerErrorReason = typeof ServerErrorReason.Type

/**
 * The provider failed: 5xx, 529, 409, 424, a connection refused or reset, a body malformed or truncated, or an error
 * inside a 200. The same provider is asked again after a backoff.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ProviderError } from "effect-resilience"
 *
 * const down = Effect.fail(new ProviderError.ServerError({ message: "overloaded", reason: "Overloaded", status: 529 }))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ServerError extends Schema.TaggedError<ServerError>("effect-resilience/ServerError")(
  "ServerError",
  { ...fields, reason: ServerErrorReason }
) {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * What is wrong with the request, or with the account that sent it.
 *
 * @since 0.1.0
 * @category models
 */
export const ClientErrorReason = Schema.Literal(...clientErrorReasons)

/**
 * The type of `ClientErrorReason`.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientErrorReason = typeof ClientErrorReason.Type

/**
 * The request is wrong, and sending it again changes nothing. `QuotaExhausted` is every 402, and every 429 that waiting
 * a minute does not cure.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ProviderError } from "effect-resilience"
 *
 * const badKey = Effect.fail(
 *   new ProviderError.ClientError({ message: "bad key", reason: "Authentication", status: 401 })
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ClientError extends Schema.TaggedError<ClientError>("effect-resilience/ClientError")(
  "ClientError",
  { ...fields, reason: ClientErrorReason }
) {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * Which limit ran out: that of one attempt, of the first token or of the silence within a stream, or the deadline of the
 * whole call.
 *
 * @since 0.1.0
 * @category models
 */
export const TimeoutScope = Schema.Literal("Attempt", "FirstToken", "Idle", "Deadline")

/**
 * The type of `TimeoutScope`.
 *
 * @since 0.1.0
 * @category models
 */
export type TimeoutScope = typeof TimeoutScope.Type

/**
 * No answer in time: by our clock, or by the server's own word (408, 504, 524). Retried once, and not at all once the
 * deadline itself has passed.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Deadline, ProviderError } from "effect-resilience"
 *
 * const program = Effect.never.pipe(
 *   Deadline.within("10 seconds"),
 *   Effect.catchTag("Timeout", (timeout: ProviderError.Timeout) => Effect.log(`gave up: ${timeout.scope}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class Timeout extends Schema.TaggedError<Timeout>("effect-resilience/Timeout")(
  "Timeout",
  { ...fields, scope: TimeoutScope }
) {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * A circuit breaker rejected the call before anything was sent. It says which circuit, when to come back, and what
 * opened it.
 *
 * @example
 * ```ts
 * import { Duration, Effect } from "effect"
 * import { ProviderError } from "effect-resilience"
 *
 * const rejected = Effect.fail(
 *   new ProviderError.CircuitOpen({ message: "circuit open", circuit: "openai", retryAfter: Duration.seconds(5) })
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class CircuitOpen extends Schema.TaggedError<CircuitOpen>("effect-resilience/CircuitOpen")(
  "CircuitOpen",
  {
    message: Schema.String,
    circuit: Schema.String,
    provider: Schema.optional(Schema.String),
    model: Schema.optional(Schema.String),
    retryAfter: Schema.optional(RetryAfter),
    openedBy: Schema.optional(Schema.Struct({
      tag: Schema.String,
      reason: Schema.optional(Schema.String),
      status: Schema.optional(Schema.Number)
    }))
  }
) {
  /**
   * @since 0.1.0
   */
  get [TypeId](): TypeId {
    return TypeId
  }
}

/**
 * Everything a provider can fail with, as a schema and as a type.
 *
 * @since 0.1.0
 * @category errors
 */
export const ProviderError = Schema.Union(RateLimited, ServerError, ClientError, Timeout)

/**
 * The type of `ProviderError`.
 *
 * @since 0.1.0
 * @category errors
 */
export type ProviderError = RateLimited | ServerError | ClientError | Timeout

/**
 * Everything a protected call can fail with, as a schema and as a type.
 *
 * @since 0.1.0
 * @category errors
 */
export const CallError = Schema.Union(RateLimited, ServerError, ClientError, Timeout, CircuitOpen)

/**
 * The type of `CallError`.
 *
 * @since 0.1.0
 * @category errors
 */
export type CallError = ProviderError | CircuitOpen

/**
 * Is this an error of this library? By a mark and not by its tag, so that another library's `Timeout` is not.
 *
 * @since 0.1.0
 * @category guards
 */
export const isCallError = (error: unknown): error is CallError => Predicate.hasProperty(error, TypeId)

/**
 * Is it worth asking the same provider again? Never for a `ClientError`, a `CircuitOpen`, a deadline that passed, an
 * error that is not of this library, or when the server said `x-should-retry: false`.
 *
 * @example
 * ```ts
 * import { ProviderError } from "effect-resilience"
 *
 * const yes = ProviderError.isRetryable(new ProviderError.RateLimited({ message: "429" }))
 * const no = ProviderError.isRetryable(new ProviderError.RateLimited({ message: "429", shouldRetry: false }))
 * ```
 *
 * @since 0.1.0
 * @category decisions
 */
export const isRetryable = (error: unknown): boolean => {
  if (!isCallError(error)) {
    return false
  }
  switch (error._tag) {
    case "RateLimited":
    case "ServerError":
      return error.shouldRetry !== false
    case "Timeout":
      return error.shouldRetry !== false && error.scope !== "Deadline"
    case "ClientError":
    case "CircuitOpen":
      return false
  }
}

/**
 * Is it worth asking the next provider? Not once the deadline passed, not for content that was filtered, and not for an
 * invalid request if `first` says that this was the first provider asked: the next would say the same. A later provider
 * may find a request invalid that others accept, so from there the chain goes on.
 *
 * @example
 * ```ts
 * import { ProviderError } from "effect-resilience"
 *
 * const invalid = new ProviderError.ClientError({ message: "400", reason: "InvalidRequest" })
 * const no = ProviderError.isFallbackable(invalid, { first: true })
 * const yes = ProviderError.isFallbackable(invalid, { first: false })
 * ```
 *
 * @since 0.1.0
 * @category decisions
 */
export const isFallbackable = (error: unknown, asked: { readonly first: boolean }): boolean => {
  if (!isCallError(error)) {
    return false
  }
  switch (error._tag) {
    case "RateLimited":
    case "ServerError":
    case "CircuitOpen":
      return true
    case "Timeout":
      return error.scope !== "Deadline"
    case "ClientError":
      return error.reason !== "ContentFiltered" && !(error.reason === "InvalidRequest" && asked.first && wasSent(error))
  }
}

/**
 * Who was asked, for messages and reports.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly provider?: string | undefined
  readonly model?: string | undefined
}

/**
 * A response as the classification sees it: header names in lower case, the body as text, and the wall-clock time in
 * milliseconds (for HTTP dates).
 *
 * @since 0.1.0
 * @category models
 */
export interface WireResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
  readonly now: number
}

const phrases: Record<ServerErrorReason | ClientErrorReason, string> = {
  Internal: "internal error",
  Overloaded: "overloaded",
  Unavailable: "unavailable",
  BadGateway: "bad gateway",
  Conflict: "conflict",
  FailedDependency: "a dependency failed",
  Connection: "connection failed",
  Malformed: "the answer could not be read",
  Truncated: "the answer was cut short",
  InvalidRequest: "invalid request",
  Authentication: "authentication failed, check the API key",
  PermissionDenied: "permission denied",
  NotFound: "not found, check the model and the base URL",
  RequestTooLarge: "request too large",
  ContextLengthExceeded: "context length exceeded",
  ContentFiltered: "content filtered",
  QuotaExhausted: "quota exhausted, check plan and billing"
}

/** `openai gpt-4o: overloaded (503 server_overloaded)`: made of our own words and the sanitised code alone. */
const messageOf = (target: Target, what: string, facts: ReadonlyArray<string | number | undefined>): string => {
  const who = [target.provider, target.model].filter(Predicate.isNotUndefined).join(" ")
  const known = facts.filter(Predicate.isNotUndefined).join(" ")
  return `${who === "" ? "" : `${who}: `}${what}${known === "" ? "" : ` (${known})`}`
}

/** Internal to the library: trusted input, so the cost of validation is not paid on the way of every failure. */
const unvalidated = { disableValidation: true }

const silences: Readonly<Record<TimeoutScope, string>> = {
  Attempt: "no answer within",
  FirstToken: "no output within",
  Idle: "the stream was silent for",
  Deadline: "no answer within the deadline of"
}

/**
 * An attempt, or a whole call, that ran out of time by our own clock.
 *
 * @since 0.1.0
 * @category constructors
 */
export const timedOut = (
  scope: TimeoutScope,
  limit: Duration.Duration,
  target: Target & { readonly requestId?: string | undefined } = {}
): Timeout =>
  new Timeout({
    scope,
    message: messageOf(target, `${silences[scope]} ${Duration.format(limit)}`, []),
    provider: target.provider,
    model: target.model,
    requestId: target.requestId
  }, unvalidated)

const fromClassified = (wire: classify.Classified, target: Target): ProviderError => {
  const common = {
    provider: target.provider,
    model: target.model,
    status: wire.status,
    code: wire.code,
    requestId: wire.requestId,
    retryAfter: wire.retryAfterMs === undefined ? undefined : Duration.millis(wire.retryAfterMs),
    shouldRetry: wire.shouldRetry,
    detail: wire.detail === undefined ? undefined : Redacted.make(wire.detail)
  }
  const message = (what: string) => messageOf(target, what, [wire.status, wire.code])
  switch (wire._tag) {
    case "RateLimited":
      return new RateLimited({ ...common, message: message("rate limited") }, unvalidated)
    case "ServerError":
      return new ServerError({ ...common, reason: wire.reason, message: message(phrases[wire.reason]) }, unvalidated)
    case "ClientError":
      return new ClientError({ ...common, reason: wire.reason, message: message(phrases[wire.reason]) }, unvalidated)
    case "Timeout":
      return new Timeout({ ...common, scope: "Attempt", message: message("timed out upstream") }, unvalidated)
  }
}

/**
 * What a response that is not a success means, whichever provider sent it: by status, headers and body, for the body
 * shapes of OpenAI, Anthropic, Gemini, Azure, Bedrock, OpenRouter, Ollama, vLLM, and for HTML and empty ones.
 *
 * @example
 * ```ts
 * import { ProviderError } from "effect-resilience"
 *
 * const error = ProviderError.fromResponse(
 *   { status: 429, headers: { "retry-after": "2" }, body: "", now: Date.now() },
 *   { provider: "openai", model: "gpt-4o" }
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromResponse = (response: WireResponse, target: Target = {}): ProviderError =>
  fromClassified(classify.classifyResponse(response), target)

/**
 * The error inside a decoded 200 body or stream frame, classified as if it had come as a status; undefined when there is
 * none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromInBand = (
  body: unknown,
  response: Pick<WireResponse, "headers" | "now">,
  target: Target = {}
): ProviderError | undefined => {
  const wire = classify.classifyInBand(body, response.headers, response.now)
  return wire === undefined ? undefined : fromClassified(wire, target)
}

/**
 * A failure of the transport: connection refused or reset, name not found, a timeout of its own. `code` is the
 * platform's (`ECONNRESET`); `response` is the one that had begun, if it was its body that was cut.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromTransport = (
  failure: {
    readonly code?: string | undefined
    readonly response?: Pick<WireResponse, "status" | "headers"> | undefined
  },
  target: Target = {}
): ProviderError => {
  const { code, response } = failure
  const wire = classify.classifyTransport({ code, bodyStarted: response !== undefined })
  return fromClassified(
    response === undefined
      ? wire
      : { ...wire, status: response.status, requestId: classify.requestIdFromHeaders(response.headers) },
    target
  )
}

/**
 * A stream that cannot be read.
 *
 * @internal
 */
export const malformed = (
  response: Pick<WireResponse, "status" | "headers">,
  target: Target
): ProviderError =>
  fromClassified({
    _tag: "ServerError",
    reason: "Malformed",
    status: response.status,
    requestId: classify.requestIdFromHeaders(response.headers)
  }, target)

/**
 * A request that never left, because it cannot be sent as it is. `why` must not quote it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const invalidRequest = (why: string, target: Target = {}): ClientError =>
  new ClientError({
    reason: "InvalidRequest",
    message: messageOf(target, why, []),
    provider: target.provider,
    model: target.model
  }, unvalidated)

/** The codes of what we said ourselves, before anything was sent. */
const PAUSED = "paused"
const AT_CAPACITY = "max_concurrent"
const UNSUPPORTED = "unsupported"

/**
 * The provider asked everyone to wait, and the wait is not over.
 *
 * @internal
 */
export const paused = (retryAfter: Duration.Duration, target: Target): RateLimited =>
  new RateLimited({
    message: messageOf(target, `asked for a pause, which lasts ${Duration.format(retryAfter)} more`, []),
    code: PAUSED,
    retryAfter,
    provider: target.provider,
    model: target.model
  }, unvalidated)

/**
 * As many calls as the provider may have at a time are under way.
 *
 * @internal
 */
export const atCapacity = (target: Target): RateLimited =>
  new RateLimited({
    message: messageOf(target, "as many calls as allowed are under way (maxConcurrent)", []),
    code: AT_CAPACITY,
    shouldRetry: false,
    provider: target.provider,
    model: target.model
  }, unvalidated)

/**
 * A request that this provider's client has no words for, so it never left; another's may have.
 *
 * @internal
 */
export const unsupported = (target: Target): ClientError =>
  new ClientError({
    reason: "InvalidRequest",
    message: messageOf(target, "the request cannot be put in this provider's words", []),
    code: UNSUPPORTED,
    provider: target.provider,
    model: target.model
  }, unvalidated)

/**
 * Was anything sent, or was the call turned away before?
 *
 * @internal
 */
export const wasSent = (error: CallError): boolean =>
  error._tag !== "CircuitOpen" && error.code !== PAUSED && error.code !== AT_CAPACITY && error.code !== UNSUPPORTED

/**
 * The request id among the headers of a response, whatever the provider calls it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const requestIdOf = (headers: WireResponse["headers"]): string | undefined =>
  classify.requestIdFromHeaders(headers)
