/**
 * What is passed on as it is, to providers that speak the same protocol: embeddings, and the Responses API.
 *
 * The request goes on with the provider's own name for the model and its own key, and the answer comes back byte for byte.
 * The retries and circuits are those of the client in between; if a provider gives up, the chain asks the next, which for
 * embeddings it must not: the vectors of two models have nothing to do with each other.
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Deadline from "../../Deadline.js"
import { WholeEvents } from "../../internal/wholeEvents.js"
import type { CallError } from "../../ProviderError.js"
import * as ResilientHttpClient from "../../ResilientHttpClient.js"
import { forCaller } from "../../runtime/caller.js"
import { recordedCall } from "../../runtime/calls.js"
import { ask, oneCall } from "../../runtime/chain.js"
import { transportError } from "../../runtime/exchange.js"
import { redactingHeaders } from "../../runtime/secrets.js"
import type { Asked } from "./asked.js"
import { inTheNameOf } from "./asked.js"
import * as Events from "./events.js"
import type { Forwarded, Upstream } from "./models.js"
import type { Refusal } from "./refusals.js"
import { invalid, ofCall } from "./refusals.js"

/** The headers of a client that concern the provider. */
const passedOn = ["accept", "openai-beta"] as const

const requestTo = ({ endpoints, target }: Upstream, what: Forwarded, { body, headers }: Asked) =>
  HttpClientRequest.post(endpoints[what].url).pipe(
    HttpClientRequest.appendUrlParams(endpoints[what].query),
    HttpClientRequest.setHeaders(
      passedOn.flatMap((name): ReadonlyArray<[string, string]> => {
        const value = headers[name]
        return value === undefined ? [] : [[name, value]]
      })
    ),
    HttpClientRequest.setHeaders(endpoints[what].headers),
    HttpClientRequest.bodyUnsafeJson({ ...body, model: target.model })
  )

const send = (
  upstream: Upstream,
  what: Forwarded,
  asked: Asked
): Effect.Effect<HttpClientResponse.HttpClientResponse, CallError> =>
  upstream.client.execute(requestTo(upstream, what, asked)).pipe(
    Effect.mapError((error) => ResilientHttpClient.callError(error) ?? transportError(error, upstream.target)),
    Effect.flatMap((response) => {
      const error = ResilientHttpClient.callError({ response })
      return error === undefined ? Effect.succeed(response) : Effect.fail(error)
    }),
    redactingHeaders(upstream.endpoints[what].secretHeaders)
  )

const askAll = (
  upstreams: Arr.NonEmptyReadonlyArray<Upstream>,
  what: Forwarded,
  asked: Asked
): Effect.Effect<HttpClientResponse.HttpClientResponse, CallError> => {
  const { served, wishes } = asked
  const response = Effect.map(
    ask({
      candidates: Arr.map(upstreams, (upstream) => ({ service: upstream, target: upstream.target })),
      settings: served.patience,
      send: (upstream: Upstream) => forCaller(send(upstream, what, asked)),
      callErrorOf: Effect.succeed,
      round: 0,
      from: 0
    }),
    ({ answer }) => answer
  )
  const within = [served.deadline, wishes.deadline].reduce<typeof response>(
    (response, deadline) => deadline === undefined ? response : Deadline.withinOpening(response, deadline),
    response
  )
  return recordedCall(within, upstreams[0].target, oneCall).pipe(inTheNameOf(asked))
}

const isEventStream = ({ headers }: HttpClientResponse.HttpClientResponse): boolean =>
  (headers["content-type"] ?? "").includes("text/event-stream")

const eventsOf = (response: HttpClientResponse.HttpClientResponse, { account }: Asked) => {
  const events = new WholeEvents()
  return response.stream.pipe(
    Stream.map((bytes) => events.push(bytes)),
    Stream.concat(Stream.suspend(() => Stream.make(events.rest))),
    Stream.catchAll((error) => {
      const cause = ResilientHttpClient.callError(error) ?? transportError(error, {})
      const refusal = ofCall(cause)
      account.error = refusal.code
      return Stream.make(Events.brokenResponse(refusal))
    }),
    Stream.filter((bytes) => bytes.length > 0)
  )
}

const respond = (
  response: HttpClientResponse.HttpClientResponse,
  asked: Asked
): Effect.Effect<HttpServerResponse.HttpServerResponse, CallError> =>
  isEventStream(response)
    ? Effect.succeed(Events.respond(eventsOf(response, asked)))
    : Effect.mapBoth(response.arrayBuffer, {
      onFailure: (error) => transportError(error, {}),
      onSuccess: (body) =>
        HttpServerResponse.uint8Array(new Uint8Array(body), {
          status: response.status,
          contentType: response.headers["content-type"] ?? "application/json"
        })
    })

const nobody = (what: Forwarded, { served }: Asked): Refusal =>
  invalid(
    400,
    "unsupported_model",
    `No provider of ${served.config.name} speaks OpenAI's protocol, so it cannot be asked for ${what}.`,
    "model"
  )

/** The answer of the first provider that gives one. */
export const answer =
  (what: Forwarded) => (asked: Asked): Effect.Effect<HttpServerResponse.HttpServerResponse, Refusal> => {
    const { upstreams } = asked.served
    const candidates = what === "embeddings" ? upstreams.slice(0, 1) : upstreams
    return Arr.isNonEmptyReadonlyArray(candidates)
      ? askAll(candidates, what, asked).pipe(
        Effect.flatMap((response) => respond(response, asked)),
        Effect.mapError(ofCall)
      )
      : Effect.fail(nobody(what, asked))
  }
