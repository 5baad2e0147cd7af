/**
 * What an error may hold of a request: who was asked and how, but neither a key nor the prompt.
 *
 * Errors are logged, traced and sent to trackers by people who do not look into them first.
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Redacted from "effect/Redacted"
import { changing, locally } from "./bracket.js"

/** Every header that carries a key at some provider. Source: the providers' API references. */
export const SECRET_HEADERS: ReadonlyArray<string> = [
  "authorization",
  "proxy-authorization",
  "api-key",
  "x-api-key",
  "x-goog-api-key",
  "ocp-apim-subscription-key",
  "cookie",
  "set-cookie"
]

const REDACTED = "<redacted>"

/** Parameters of a URL that carry a key at some provider. */
const isSecretParameter = (name: string): boolean =>
  /^(x-)?(goog-)?(api[-_]?key|key|access[-_]?token|token)$/i.test(name)

const redactedUrl = (url: string): string =>
  url.replace(
    /([?&])([^=&#]+)=[^&#]*/g,
    (whole, before: string, name: string) => isSecretParameter(name) ? `${before}${name}=${REDACTED}` : whole
  )

/** The headers with the values of secret ones left out, and of those that have these names, too. */
export const redactedHeaders = (
  headers: Readonly<Record<string, string>>,
  names: ReadonlyArray<string | RegExp> = []
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(Headers.redact(Headers.fromInput(headers), [...SECRET_HEADERS, ...names])).map(
      ([name, value]) => [name, Redacted.isRedacted(value) ? REDACTED : value]
    )
  )

/** Where a request went, as an error may say it. */
export const redactedTarget = <A extends { readonly url: string }>(
  request: A & { readonly urlParams: ReadonlyArray<readonly [string, string]> }
) => ({
  url: redactedUrl(request.url),
  urlParams: request.urlParams.map(([name, value]): [string, string] => [
    name,
    isSecretParameter(name) ? REDACTED : value
  ])
})

/** The request as an error may hold it. */
export const redactedRequest = (
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpClientRequest.HttpClientRequest> =>
  Effect.map(
    FiberRef.get(Headers.currentRedactedNames),
    (names) =>
      HttpClientRequest.make(request.method)(redactedTarget(request).url, {
        urlParams: redactedTarget(request).urlParams,
        headers: redactedHeaders(request.headers, names),
        body: HttpBody.empty
      })
  )

/** The change by which the client's own spans leave these headers out, too. */
export const redacting = (secretHeaders: ReadonlyArray<string>) =>
  changing(Headers.currentRedactedNames, (names) => {
    const more = [...SECRET_HEADERS, ...secretHeaders].filter((name) => !names.includes(name))
    return more.length === 0 ? names : [...names, ...more]
  })

/** Has the client's own spans leave these headers out, too. */
export const redactingHeaders =
  (secretHeaders: ReadonlyArray<string> = []) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    locally(self, redacting(secretHeaders))

const hasKeyInUrl = ({ url, urlParams }: HttpClientRequest.HttpClientRequest): boolean =>
  redactedUrl(url) !== url || urlParams.some(([name]) => isSecretParameter(name))

/** Has the client make no span of a request with a key in its URL, which the span would say as it is. */
export const withoutSpansOfKeys = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  locally(
    self,
    changing(
      HttpClient.currentTracerDisabledWhen,
      (isDisabled) => (request) => isDisabled(request) || hasKeyInUrl(request)
    )
  )
