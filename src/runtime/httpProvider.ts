/**
 * What the provider layers have in common: one bare attempt over HTTP, classified.
 *
 * A layer says where its requests go and how its protocol writes a request and reads an answer; the model that is asked,
 * the idempotency key, what fails before anything is sent and what is recorded are the same for all of them.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { ChatRequest, Service } from "../ChatProvider.js"
import { ChatProvider, ChatResponse } from "../ChatProvider.js"
import * as IdempotencyKey from "../IdempotencyKey.js"
import * as ProviderError from "../ProviderError.js"
import type { Endpoint } from "./endpoint.js"
import { exchange } from "./exchange.js"
import { request as recordRequest } from "./recorder.js"

export interface Settings {
  readonly provider: string
  readonly model: string | undefined
  readonly endpoint: Endpoint
}

/** How one protocol differs from another. */
export interface Protocol {
  readonly unsupported?: Service["unsupported"]
  /** The body of the request, ready for JSON. */
  readonly encode: (
    request: ChatRequest,
    model: string,
    target: ProviderError.Target
  ) => Effect.Effect<unknown, ProviderError.ProviderError>
  /** The body of an answer in the shape of `ChatResponse`; anything else is unusable. */
  readonly decode: (body: unknown) => unknown
}

const decodeResponse = Schema.decodeUnknownOption(ChatResponse)

const make = (settings: Settings, protocol: Protocol, client: HttpClient.HttpClient): Service => {
  const { endpoint, provider } = settings
  const attempt = (request: ChatRequest, model: string, target: ProviderError.Target) =>
    Effect.gen(function*() {
      const body = yield* protocol.encode(request, model, target)
      const json = yield* Effect.try({
        try: () => JSON.stringify(body),
        catch: () => ProviderError.invalidRequest("the request cannot be encoded as JSON", target)
      })
      const answer = yield* exchange(
        client,
        HttpClientRequest.post(endpoint.url).pipe(
          HttpClientRequest.setUrlParams(endpoint.query),
          HttpClientRequest.setHeaders(endpoint.headers),
          HttpClientRequest.setHeader("idempotency-key", yield* IdempotencyKey.current),
          HttpClientRequest.bodyText(json, "application/json")
        ),
        endpoint.secretHeaders,
        target
      )
      return yield* Effect.mapError(decodeResponse(protocol.decode(answer.body)), answer.unusable)
    })
  return {
    provider,
    model: settings.model,
    credential: endpoint.credential,
    unsupported: protocol.unsupported,
    complete: (request) => {
      const model = settings.model ?? request.model
      const target = { provider, model }
      return model === undefined
        ? Effect.fail(ProviderError.invalidRequest("no model, name one in the request or in the layer", target))
        : recordRequest(attempt(request, model, target), target, request)
    }
  }
}

export const layer = (
  settings: Settings,
  protocol: Protocol
): Layer.Layer<ChatProvider, never, HttpClient.HttpClient> =>
  Layer.effect(ChatProvider, Effect.map(HttpClient.HttpClient, (client) => make(settings, protocol, client)))

export const layerConfig = (
  settings: Config.Config<Settings>,
  protocol: Protocol
): Layer.Layer<ChatProvider, ConfigError, HttpClient.HttpClient> =>
  settings.pipe(
    Effect.zipWith(HttpClient.HttpClient, (settings, client) => make(settings, protocol, client)),
    Layer.effect(ChatProvider)
  )
