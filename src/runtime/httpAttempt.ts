/**
 * One attempt of any HTTP request, classified, with its whole body.
 *
 * An `HttpClient` resolves when the headers are there, so a body that stalls or breaks off escapes every policy around it.
 * Here the body is read inside the attempt, and the response that is handed on has it already. An error status is an error
 * for the policies and a response for the program: the error remembers the response, and the response the error. An error
 * inside a 200 is an error for the program, too, which would take it for an answer.
 */
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { EventWatcher } from "../internal/eventWatcher.js"
import { parseJson } from "../internal/json.js"
import type { CallError, Target } from "../ProviderError.js"
import * as ProviderError from "../ProviderError.js"
import { ERROR_BODY_TIME, transportError } from "./exchange.js"
import type { Opened, Pull } from "./lease.js"
import { matchPull, noMore } from "./lease.js"
import { CurrentActivity, openStream } from "./opening.js"
import { attemptAround } from "./recorder.js"
import { redactedRequest, redactingHeaders, withoutSpansOfKeys } from "./secrets.js"

/** How deep errors may hold each other: ours in that of a client, that in one of a library on top of it. */
const MAX_DEPTH = 5

type Outcome = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

// By the response, by its headers and by its JSON: libraries make errors of their own that keep nothing else of it.
const errors = new WeakMap<object, CallError>()

/** What the program gets, by the error that it is for the policies. */
const outcomes = new WeakMap<CallError, Outcome>()

/** The error of ours in an error, or behind the response that it complains about. */
export const findCallError = (error: unknown, depth = 0): CallError | undefined => {
  if (ProviderError.isCallError(error)) {
    return error
  }
  if (depth > MAX_DEPTH || !Predicate.isRecord(error)) {
    return undefined
  }
  const { issue, response } = error
  const behind = Predicate.isRecord(response)
    ? errors.get(response) ?? (Predicate.isObject(response.headers) ? errors.get(response.headers) : undefined)
    // What a ParseError complains about.
    : Predicate.isRecord(issue) && Predicate.isObject(issue.actual)
    ? errors.get(issue.actual)
    : undefined
  return behind ?? findCallError(error.cause, depth + 1)
}

/** What others keep of a response, with the error behind it, if there is one. */
export const rememberIn = <A extends { readonly headers: object }>(response: A, error: CallError | undefined): A => {
  if (error !== undefined) {
    errors.set(response, error)
    errors.set(response.headers, error)
  }
  return response
}

/** What a body ends with that breaks: an error about a response that has nothing left to read. */
export const brokenBody = (
  original: HttpClientResponse.HttpClientResponse,
  cause: CallError
): Effect.Effect<never, HttpClientError.ResponseError> =>
  Effect.flatMap(redactedRequest(original.request), (request) => {
    const { headers, status } = original
    const response = rememberIn(withBody({ headers, status, request }, new ArrayBuffer(0)), cause)
    return new HttpClientError.ResponseError({ request, response, reason: "Decode", cause, description: cause.message })
  })

/** What the program gets in the place of an error of ours: the response, if there was one, or an error of its client. */
export const forProgram = (
  error: CallError,
  request: HttpClientRequest.HttpClientRequest
): Outcome =>
  // Within a span every failure comes in a wrapping of its own.
  outcomes.get(Cause.originalError(error)) ??
    Effect.flatMap(redactedRequest(request), (request) =>
      new HttpClientError.RequestError({ request, reason: "Transport", cause: error, description: error.message }))

const bodiless = new Set([204, 205, 304])

/** The response with its body in memory, and with the same headers whenever one asks for them. */
const withBody = (
  { headers, request, status }: Pick<HttpClientResponse.HttpClientResponse, "headers" | "request" | "status">,
  body: string | ArrayBuffer
): HttpClientResponse.HttpClientResponse =>
  Object.defineProperty(
    HttpClientResponse.fromWeb(
      request,
      new Response(bodiless.has(status) ? null : body, { status, headers: { ...headers } })
    ),
    "headers",
    { value: headers }
  )

type Head = Pick<HttpClientResponse.HttpClientResponse, "headers" | "status">

const isJson = ({ headers }: Head): boolean => /\bjson\b/.test(headers["content-type"] ?? "")

/** A body that was read: as text where that is looked into, and else as it came. */
type Body = string | ArrayBuffer

/**
 * Reads the body. Whoever is below may have read it already, to log it: as text, if at all, and a response remembers its
 * body only in the form it was read in. An error that stalls or is cut has still said its status.
 */
const readBody = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<Body, HttpClientError.ResponseError> =>
  response.status >= 400
    ? response.text.pipe(
      Effect.timeoutOption(ERROR_BODY_TIME),
      Effect.map(Option.getOrElse(() => "")),
      Effect.orElseSucceed(() => "")
    )
    : isJson(response)
    ? response.text
    : response.arrayBuffer

/** A response whose JSON has the error behind it as well, for who finds that this is not the JSON it knows. */
const rememberInJson = (response: HttpClientResponse.HttpClientResponse, error: CallError) =>
  Object.defineProperty(response, "json", {
    value: Effect.tap(response.json, (value) =>
      Effect.sync(() => {
        if (Predicate.isObject(value)) {
          errors.set(value, error)
        }
      }))
  })

/** What is wrong with a response. */
interface Wrong {
  readonly error: CallError
  /** Does everything but the body say that it is an answer? */
  readonly looksWell: boolean
}

/** What a GET reads may tell of an error without being one: a job that failed, an answer made in the background. */
const isLookup = ({ method }: HttpClientRequest.HttpClientRequest): boolean => method === "GET" || method === "HEAD"

/** How APIs of other kinds say no within a 200, as one word, to programs that look there. */
const isOneWord = (value: unknown): boolean => Predicate.isRecord(value) && typeof value.error === "string"

const judge = (
  { headers, request, status }: Head & Pick<HttpClientResponse.HttpClientResponse, "request">,
  body: Body,
  now: number,
  target: Target
): Wrong | undefined => {
  // A picture, or whatever else is not read here.
  if (typeof body !== "string") {
    return undefined
  }
  const plainly = (): Wrong => ({
    error: ProviderError.fromResponse({ status, headers, body, now }, target),
    looksWell: false
  })
  if (status >= 400) {
    return plainly()
  }
  if (status >= 300 || body === "") {
    return undefined
  }
  const parsed = parseJson(body)
  if (parsed === undefined) {
    return plainly()
  }
  const error = isLookup(request) ? undefined : ProviderError.fromInBand(parsed.value, { headers, now }, target)
  return error && { error, looksWell: !isOneWord(parsed.value) }
}

/** The response with its body, and what is wrong with it. */
const readWhole = (
  response: HttpClientResponse.HttpClientResponse,
  target: Target
): Effect.Effect<
  { readonly whole: HttpClientResponse.HttpClientResponse; readonly wrong: Wrong | undefined },
  CallError
> =>
  Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const body = yield* Effect.mapError(readBody(response), (error) => transportError(error, target))
    const { headers, status } = response
    const wrong = judge(response, body, now, target)
    // What is no success ends up in errors, of this client or of whoever is given the response.
    const isSuccess = wrong === undefined && status < 300
    const request = isSuccess ? response.request : yield* redactedRequest(response.request)
    return { whole: withBody({ headers, request, status }, body), wrong }
  })

/** Fails with the error, for which the program gets this outcome. */
const failWith = (
  error: CallError,
  response: HttpClientResponse.HttpClientResponse,
  outcome: Outcome
): Effect.Effect<never, CallError> => {
  outcomes.set(error, outcome)
  rememberInJson(rememberIn(response, error), error)
  return Effect.fail(error)
}

/** What the program gets in the place of a response that looks well: an error with the response in it. */
const noAnswer = (response: HttpClientResponse.HttpClientResponse, cause: CallError): Outcome =>
  Effect.fail(
    new HttpClientError.ResponseError({
      request: response.request,
      response,
      reason: "Decode",
      cause,
      description: cause.message
    })
  )

const read = (
  response: HttpClientResponse.HttpClientResponse,
  target: Target
): Effect.Effect<HttpClientResponse.HttpClientResponse, CallError> =>
  Effect.flatMap(
    readWhole(response, target),
    ({ whole, wrong }) =>
      wrong === undefined
        ? Effect.succeed(whole)
        : failWith(wrong.error, whole, wrong.looksWell ? noAnswer(whole, wrong.error) : Effect.succeed(whole))
  )

/**
 * A client may refuse answers itself, by their status. What that means for the policies is in the response; the program
 * gets the error that it is used to.
 */
const refused = (
  error: HttpClientError.ResponseError,
  target: Target
): Effect.Effect<never, CallError> =>
  Effect.flatMap(readWhole(error.response, target), ({ whole, wrong }) =>
    failWith(
      findCallError(error) ?? wrong?.error ?? ProviderError.invalidRequest("the client refuses the status", target),
      whole,
      Effect.fail(
        new HttpClientError.ResponseError({
          request: whole.request,
          response: whole,
          reason: error.reason,
          cause: error.cause,
          ...(error.description === undefined ? {} : { description: error.description })
        })
      )
    ))

const isEventStream = ({ headers, status }: HttpClientResponse.HttpClientResponse): boolean =>
  status >= 200 && status < 300 && (headers["content-type"] ?? "").includes("text/event-stream")

/** A piece of a stream of events, handed on as it came. */
export interface Piece {
  readonly bytes: Uint8Array
  /** Does the model say anything in it? */
  readonly isOutput: boolean
}

/** What is known of a stream of events while it passes. */
interface Passing {
  /** Did the answer end as its protocol says? */
  whole: boolean
}

/** The pieces of a stream of events. An error among the events, or an end that comes too early, ends it with ours. */
const pieces = (
  response: HttpClientResponse.HttpClientResponse,
  target: Target,
  passing: Passing
): Stream.Stream<Piece, CallError> =>
  Stream.fromPull(Effect.gen(function*() {
    const { headers } = response
    const now = yield* Clock.currentTimeMillis
    const activity = yield* CurrentActivity
    const pull = yield* Stream.toPull(response.stream)
    let failure: CallError | undefined
    const watcher = new EventWatcher((frame) => {
      failure = ProviderError.fromInBand(frame, { headers, now }, target)
      return failure !== undefined
    })
    const check = () => {
      failure ??= watcher.overflowed ? ProviderError.malformed(response, target) : undefined
      return failure === undefined ? noMore : Effect.fail(Option.some(failure))
    }
    const ended = () => {
      watcher.end()
      failure ??= watcher.isTruncated ? ProviderError.fromTransport({ response }, target) : undefined
      return check()
    }
    const next: Pull<Piece, CallError> = matchPull(pull, {
      onElements: (read): Pull<Piece, CallError> =>
        Effect.clockWith((clock) => {
          activity?.heard(clock.unsafeCurrentTimeNanos())
          const taken = Chunk.map(read, (bytes): Piece => {
            const before = watcher.outputs
            watcher.push(bytes)
            passing.whole = watcher.isWhole
            return { bytes, isOutput: watcher.outputs > before }
          })
          const failed = check()
          // What the model said before the error goes first.
          return failed === noMore || Chunk.some(taken, ({ isOutput }) => isOutput) ? Effect.succeed(taken) : failed
        }),
      onEnd: ended,
      onError: (error) => Effect.fail(Option.some(failure ?? transportError(error, target)))
    })
    return Effect.suspend(() => failure === undefined ? next : check())
  }))

/** What an attempt brings: a response with its body, or one whose body has begun to come. */
export interface Exchanged {
  readonly response: HttpClientResponse.HttpClientResponse
  readonly events?: Opened<Piece, CallError> & { readonly passing: Readonly<Passing> } | undefined
}

const opened = (
  response: HttpClientResponse.HttpClientResponse,
  target: Target,
  scope: Scope.Scope,
  idle: number
): Effect.Effect<Exchanged, CallError> => {
  const passing: Passing = { whole: false }
  return Effect.map(
    openStream(pieces(response, target, passing), scope, { isOutput: ({ isOutput }) => isOutput, idle, target }),
    (events) => ({ response, events: { passing, ...events } })
  )
}

/** Sends the request once. The span of the client says how often it was sent before. */
export const httpAttempt = <R>(
  send: Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError, R>,
  target: Target,
  scope: Scope.Scope,
  idle: number
): Effect.Effect<Exchanged, CallError, R> =>
  Effect.contextWithEffect((context: Context.Context<R>) => {
    const attempt = attemptAround(context)
    const resend = attempt?.resend ?? 0
    const note = ({ headers, status }: HttpClientResponse.HttpClientResponse) =>
      Effect.sync(() => {
        if (attempt !== undefined) {
          attempt.status = status
          attempt.requestId = ProviderError.requestIdOf(headers)
        }
      })
    return (resend === 0 ? send : Effect.annotateSpans(send, "http.request.resend_count", resend)).pipe(
      redactingHeaders(),
      withoutSpansOfKeys,
      Effect.catchAll((error) =>
        error._tag === "ResponseError" && error.reason === "StatusCode"
          ? Effect.zipRight(note(error.response), refused(error, target))
          : Effect.fail(findCallError(error) ?? transportError(error, target))
      ),
      Effect.tap(note),
      Effect.flatMap((response): Effect.Effect<Exchanged, CallError> =>
        isEventStream(response)
          ? opened(response, target, scope, idle)
          : Effect.map(read(response, target), (response) => ({ response }))
      )
    )
  })
