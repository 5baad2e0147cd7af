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
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ChatChunk, ChatRequest, Service } from "../ChatProvider.js"
import { ChatProvider, ChatResponse } from "../ChatProvider.js"
import * as IdempotencyKey from "../IdempotencyKey.js"
import { hasOutput } from "../internal/chunks.js"
import * as ProviderError from "../ProviderError.js"
import type { Endpoint } from "./endpoint.js"
import type { FrameReader } from "./eventStream.js"
import type { Answer } from "./exchange.js"
import { exchange, exchangeStream } from "./exchange.js"
import { request as recordRequest, requestStream } from "./recorder.js"

export interface Settings {
  readonly provider: string
  readonly model: string | undefined
  readonly prefill: boolean | undefined
  readonly endpoint: Endpoint
}

/** How one protocol differs from another. */
export interface Protocol {
  readonly unsupported?: Service["unsupported"]
  /** The body of the request, ready for JSON. */
  readonly encode: (
    request: ChatRequest,
    model: string,
    target: ProviderError.Target,
    streamed: boolean
  ) => Effect.Effect<unknown, ProviderError.ProviderError>
  /** The body of an answer in the shape of `ChatResponse`; anything else is unusable. */
  readonly decode: (body: unknown) => unknown
  /** Reads the answer to a request as it comes. */
  readonly reader: (request: ChatRequest) => FrameReader
}

/** A whole answer as the one chunk of a stream. */
const asChunk = ({ choices, ...rest }: ChatResponse): ChatChunk => ({
  ...rest,
  object: "chat.completion.chunk",
  choices: choices.map(({ message, ...choice }) => ({ ...choice, delta: message }))
})

const decodeResponse = Schema.decodeUnknownOption(ChatResponse)

const make = (settings: Settings, protocol: Protocol, client: HttpClient.HttpClient): Service => {
  const { endpoint, provider } = settings
  const post = HttpClientRequest.post(endpoint.url).pipe(
    HttpClientRequest.setUrlParams(endpoint.query),
    HttpClientRequest.setHeaders(endpoint.headers)
  )
  const encode = (request: ChatRequest, model: string, target: ProviderError.Target, streamed: boolean) =>
    Effect.gen(function*() {
      const body = yield* protocol.encode(request, model, target, streamed)
      const json = yield* Effect.try({
        try: () => JSON.stringify(body),
        catch: () => ProviderError.invalidRequest("the request cannot be encoded as JSON", target)
      })
      return post.pipe(
        HttpClientRequest.setHeader("idempotency-key", yield* IdempotencyKey.current),
        HttpClientRequest.bodyText(json, "application/json")
      )
    })
  const decode = ({ body, unusable }: Answer) =>
    Option.match(decodeResponse(protocol.decode(body)), {
      onNone: () => Effect.fail(unusable()),
      onSome: Effect.succeed
    })
  const complete = (request: ChatRequest, model: string, target: ProviderError.Target) =>
    encode(request, model, target, false).pipe(
      Effect.flatMap((sent) => exchange(client, sent, endpoint.secretHeaders, target)),
      Effect.flatMap(decode)
    )
  const stream = (request: ChatRequest, model: string, target: ProviderError.Target, scope: Scope.Scope) =>
    Effect.flatMap(
      encode(request, model, target, true),
      (sent) =>
        exchangeStream(client, sent, endpoint.secretHeaders, target, {
          reader: protocol.reader(request),
          scope,
          whole: (answer) => Effect.map(decode(answer), asChunk)
        })
    )
  const targetOf = (request: ChatRequest) => ({ provider, model: settings.model ?? request.model })
  const noModel = (target: ProviderError.Target) =>
    ProviderError.invalidRequest("no model, name one in the request or in the layer", target)
  return {
    provider,
    model: settings.model,
    credential: endpoint.credential,
    prefill: settings.prefill,
    unsupported: protocol.unsupported,
    complete: (request) => {
      const target = targetOf(request)
      return target.model === undefined
        ? Effect.fail(noModel(target))
        : recordRequest(complete(request, target.model, target), target, request)
    },
    stream: (request) => {
      const target = targetOf(request)
      const { model } = target
      return model === undefined
        ? Stream.fail(noModel(target))
        : requestStream(({ scope }) => stream(request, model, target, scope), hasOutput, target, request)
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
