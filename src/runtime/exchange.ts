/**
 * One bare HTTP exchange with a provider: send, read the whole body, classify.
 *
 * The body is read inside, so that a timeout around the exchange covers it and a stalled body is no success. The body of
 * an error response is read only so far and so long: it decides between two reasons at best, and a server that stalls
 * there has still said its status. Whatever happens ends as JSON or as one value of the typed error channel, and no
 * `HttpClientError` leaves, since it holds headers and URL.
 */
import type * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ChatChunk } from "../ChatProvider.js"
import { parseJson } from "../internal/json.js"
import * as ProviderError from "../ProviderError.js"
import { locally } from "./bracket.js"
import { clockOf } from "./caller.js"
import type { FrameReader } from "./eventStream.js"
import { chunksOf } from "./eventStream.js"
import type { Pull } from "./lease.js"
import { noMore } from "./lease.js"
import { CurrentActivity, pullsOf } from "./opening.js"
import { answered, CurrentRequest, sending } from "./recorder.js"
import { redacting } from "./secrets.js"
import { propagated, untraced } from "./spans.js"

/** A success: the decoded body, and what it takes to call it unusable after all. */
export interface Answer {
  readonly body: unknown
  readonly unusable: () => ProviderError.ProviderError
}

const ERROR_BODY_BYTES = 64 * 1024

/** How long the rest of what an error says is waited for. */
export const ERROR_BODY_TIME = "2 seconds"

/** The error code of the platform (`ECONNRESET`, `UND_ERR_SOCKET`), wherever in the chain of causes it is. */
export const platformCode = (error: unknown, depth = 0): string | undefined =>
  !Predicate.isRecord(error) || depth > 5
    ? undefined
    : typeof error.code === "string"
    ? error.code
    : platformCode(error.cause, depth + 1)

/** An error of the client, in our terms. */
export const transportError = (
  error: HttpClientError.HttpClientError,
  target: ProviderError.Target
): ProviderError.ProviderError =>
  error._tag === "RequestError" && error.reason !== "Transport"
    ? ProviderError.invalidRequest("the request cannot be sent to this URL", target)
    : ProviderError.fromTransport({
      code: platformCode(error.cause),
      response: error._tag === "ResponseError" ? error.response : undefined
    }, target)

const readErrorBody = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string> =>
  Effect.suspend(() => {
    const decoder = new TextDecoder()
    let bytes = 0
    let text = ""
    return response.stream.pipe(
      Stream.takeUntil((chunk) => {
        bytes += chunk.byteLength
        text += decoder.decode(chunk, { stream: true })
        return bytes >= ERROR_BODY_BYTES
      }),
      Stream.runDrain,
      Effect.timeoutOption(ERROR_BODY_TIME),
      Effect.ignore,
      Effect.map(() => text)
    )
  })

/** A response whose status is one of success. */
interface Accepted {
  readonly response: HttpClientResponse.HttpClientResponse
  /** Those of the response, which clients put together anew whenever they are asked for them. */
  readonly headers: Headers.Headers
  /** When it arrived, in milliseconds of the wall clock. */
  readonly now: number
}

const accept = (
  response: HttpClientResponse.HttpClientResponse,
  target: ProviderError.Target
): Effect.Effect<Accepted, ProviderError.ProviderError> =>
  Effect.withFiberRuntime((fiber) => {
    const { headers, status } = response
    const now = clockOf(fiber).unsafeCurrentTimeMillis()
    answered(fiber.currentContext, { status, requestId: ProviderError.requestIdOf(headers) })
    return status >= 200 && status < 300
      ? Effect.succeed({ response, headers, now })
      : Effect.flatMap(
        readErrorBody(response),
        (body) => Effect.fail(ProviderError.fromResponse({ status, headers, body, now }, target))
      )
  })

const read = (
  { headers, now, response }: Accepted,
  target: ProviderError.Target
): Effect.Effect<Answer, ProviderError.ProviderError> =>
  Effect.matchEffect(response.text, {
    onFailure: (error) => Effect.fail(transportError(error, target)),
    onSuccess: (text) => {
      const { status } = response
      const unusable = () => ProviderError.fromResponse({ status, headers, body: text, now }, target)
      const parsed = parseJson(text)
      if (parsed === undefined) {
        return Effect.fail(unusable())
      }
      const body = parsed.value
      const inBand = ProviderError.fromInBand(body, { headers, now }, target)
      return inBand === undefined ? Effect.succeed({ body, unusable }) : Effect.fail(inBand)
    }
  })

/**
 * Sends the request once. The client's own span is left out: it would hold the failed request, and with it the prompt.
 * So the request carries the `traceparent` of the attempt's.
 */
const send = <R>(
  client: HttpClient.HttpClient.With<HttpClientError.HttpClientError, R>,
  request: HttpClientRequest.HttpClientRequest,
  secretHeaders: ReadonlyArray<string>,
  target: ProviderError.Target
) =>
  Effect.withFiberRuntime<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError, R>((fiber) => {
    sending(fiber.currentContext, request.url)
    return locally(client.execute(propagated(request, fiber)), untraced, redacting(secretHeaders))
  }).pipe(
    Effect.matchEffect({
      onFailure: (error) => Effect.fail(transportError(error, target)),
      onSuccess: (response) => accept(response, target)
    })
  )

/** One request and its whole answer. */
export const exchange = (
  client: HttpClient.HttpClient,
  request: HttpClientRequest.HttpClientRequest,
  secretHeaders: ReadonlyArray<string>,
  target: ProviderError.Target
): Effect.Effect<Answer, ProviderError.ProviderError> =>
  Effect.flatMap(send(client, request, secretHeaders, target), (accepted) => read(accepted, target))

/** How long a connection is kept whose answer is over, and whose server has not said so. In milliseconds. */
const LINGER = 250

/**
 * Lets a connection go. It can be used again if its answer came to the very end, which follows on what the protocol calls
 * the end; nobody is kept waiting for that. The time is the socket's, and no part of the call: whatever clock the program
 * has, the real one ends it.
 */
const letGo = (
  connection: Scope.CloseableScope,
  rest: Effect.Effect<unknown, unknown> | undefined
): Effect.Effect<void> => {
  const close = Scope.close(connection, Exit.void)
  return rest === undefined ? close : rest.pipe(
    Effect.ignore,
    Effect.interruptible,
    Effect.ensuring(close),
    Effect.forkDaemon,
    Effect.map((fiber) => {
      const timer = setTimeout(() => fiber.unsafeInterruptAsFork(FiberId.none), LINGER)
      fiber.addObserver(() => clearTimeout(timer))
    })
  )
}

/**
 * One request and its answer as it comes, with a connection that lives as long as the scope. A server that does not know
 * how to stream sends the whole answer, which is then one chunk.
 */
export const exchangeStream = (
  client: HttpClient.HttpClient,
  request: HttpClientRequest.HttpClientRequest,
  secretHeaders: ReadonlyArray<string>,
  target: ProviderError.Target,
  { reader, scope, whole }: {
    readonly reader: FrameReader
    readonly scope: Scope.Scope
    readonly whole: (answer: Answer) => Effect.Effect<ChatChunk, ProviderError.ProviderError>
  }
): Effect.Effect<Pull<ChatChunk, ProviderError.ProviderError>, ProviderError.ProviderError> =>
  Effect.gen(function*() {
    const connection = yield* Scope.make()
    let rest: Effect.Effect<unknown, unknown> | undefined
    yield* Scope.addFinalizer(scope, Effect.suspend(() => letGo(connection, rest)))
    const accepted = yield* Scope.extend(send(HttpClient.withScope(client), request, secretHeaders, target), connection)
    const { headers, now, response } = accepted
    if ((headers["content-type"] ?? "").includes("application/json")) {
      const chunk = yield* Effect.flatMap(read(accepted, target), whole)
      return pullsOf({ first: Chunk.of(chunk), rest: noMore })
    }
    const bytes = yield* Scope.extend(Stream.toPull(response.stream), connection)
    const attempt = yield* CurrentRequest
    return chunksOf({
      bytes: Effect.mapError(bytes, Option.map((error) => transportError(error, target))),
      reader,
      inBand: (frame) => ProviderError.fromInBand(frame, { headers, now }, target),
      malformed: () => ProviderError.malformed(response, target),
      truncated: () => ProviderError.fromTransport({ response }, target),
      onWhole: () => {
        rest = Effect.forever(bytes)
      },
      onSkipped: () => {
        if (attempt !== undefined) {
          attempt.skipped += 1
        }
      },
      activity: yield* CurrentActivity
    })
  })
