/**
 * One bare HTTP exchange with a provider: send, read the whole body, classify.
 *
 * The body is read inside, so that a timeout around the exchange covers it and a stalled body is no success. The body of
 * an error response is read only so far and so long: it decides between two reasons at best, and a server that stalls
 * there has still said its status. Whatever happens ends as JSON or as one value of the typed error channel, and no
 * `HttpClientError` leaves, since it holds headers and URL.
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as ProviderError from "../ProviderError.js"
import { answered, sending } from "./recorder.js"
import { propagated } from "./spans.js"

/** A success: the decoded body, and what it takes to call it unusable after all. */
export interface Answer {
  readonly body: unknown
  readonly unusable: () => ProviderError.ProviderError
}

const ERROR_BODY_BYTES = 64 * 1024
const ERROR_BODY_TIME = "2 seconds"

/** Every header that carries a key at some provider. Source: the providers' API references. */
export const SECRET_HEADERS: ReadonlyArray<string> = [
  "authorization",
  "api-key",
  "x-api-key",
  "x-goog-api-key",
  "ocp-apim-subscription-key",
  "cookie"
]

/** The error code of the platform (`ECONNRESET`, `UND_ERR_SOCKET`), wherever in the chain of causes it is. */
const platformCode = (error: unknown, depth = 0): string | undefined =>
  !Predicate.isRecord(error) || depth > 5
    ? undefined
    : typeof error.code === "string"
    ? error.code
    : platformCode(error.cause, depth + 1)

const transportError = (
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

const read = (
  response: HttpClientResponse.HttpClientResponse,
  target: ProviderError.Target
): Effect.Effect<Answer, ProviderError.ProviderError> =>
  Effect.gen(function*() {
    const { headers, status } = response
    const now = yield* Clock.currentTimeMillis
    yield* answered({ status, requestId: ProviderError.requestIdOf(headers) })
    if (status < 200 || status > 299) {
      const body = yield* readErrorBody(response)
      return yield* Effect.fail(ProviderError.fromResponse({ status, headers, body, now }, target))
    }
    const text = yield* Effect.mapError(response.text, (error) => transportError(error, target))
    const unusable = () => ProviderError.fromResponse({ status, headers, body: text, now }, target)
    const body = yield* Effect.try({ try: (): unknown => JSON.parse(text), catch: unusable })
    const inBand = ProviderError.fromInBand(body, { headers, now }, target)
    return inBand === undefined
      ? { body, unusable }
      : yield* Effect.fail(inBand)
  })

/**
 * Sends the request once. The client's own span is left out: it would hold the failed request, and with it the prompt.
 * So the request carries the `traceparent` of the attempt's.
 */
export const exchange = (
  client: HttpClient.HttpClient,
  request: HttpClientRequest.HttpClientRequest,
  secretHeaders: ReadonlyArray<string>,
  target: ProviderError.Target
): Effect.Effect<Answer, ProviderError.ProviderError> =>
  Effect.zipRight(sending(request.url), propagated(request)).pipe(
    Effect.flatMap((request) => client.pipe(HttpClient.withTracerDisabledWhen(() => true)).execute(request)),
    Effect.mapError((error) => transportError(error, target)),
    Effect.flatMap((response) => read(response, target)),
    Effect.locallyWith(Headers.currentRedactedNames, (names) => [
      ...names,
      ...SECRET_HEADERS,
      ...secretHeaders
    ])
  )
