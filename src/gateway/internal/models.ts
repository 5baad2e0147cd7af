/**
 * The models of the configuration, ready to be asked.
 *
 * For a chat, a model is a chain of provider layers with the policies of the file. For what is not translated (embeddings,
 * the Responses API) it is the providers of the chain that speak OpenAI's protocol, each behind a client with the same
 * policies. The circuits are kept in one registry, so that models that share a provider learn from each other.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Anthropic from "../../Anthropic.js"
import type { Service } from "../../ChatProvider.js"
import { ChatProvider } from "../../ChatProvider.js"
import * as CircuitBreaker from "../../CircuitBreaker.js"
import * as Fallback from "../../Fallback.js"
import * as OpenAi from "../../OpenAi.js"
import * as ProviderError from "../../ProviderError.js"
import * as Resilience from "../../Resilience.js"
import * as ResilientHttpClient from "../../ResilientHttpClient.js"
import { locally } from "../../runtime/bracket.js"
import type { Patience } from "../../runtime/chain.js"
import { deadlineOf, patienceOf } from "../../runtime/chain.js"
import type { Endpoint } from "../../runtime/endpoint.js"
import { brokenBody } from "../../runtime/httpAttempt.js"
import { propagated, untraced } from "../../runtime/spans.js"
import type { GatewayConfig, Model, OpenAiProvider, Provider, Target } from "../GatewayConfig.js"

/** What is passed on as it is, to providers of the same protocol. */
export const forwarded = ["embeddings", "responses"] as const

export type Forwarded = typeof forwarded[number]

/** A provider that speaks OpenAI's protocol, and the model that it is asked for. */
export interface Upstream {
  readonly target: Target
  readonly client: HttpClient.HttpClient
  readonly endpoints: Readonly<Record<Forwarded, Endpoint>>
}

export interface Served {
  readonly config: Model
  readonly chat: Service
  readonly upstreams: ReadonlyArray<Upstream>
  /** What is waited for where upstreams are asked, and how long that may take in all. */
  readonly patience: Patience
  readonly deadline: Duration.Duration | undefined
}

const layerOf = (provider: Provider, model: string) =>
  provider.type === "anthropic" ? Anthropic.layer({ ...provider, model }) : OpenAi.layer({ ...provider, model })

const chatOf = ({ chain, fallback, resilience }: Model, providers: GatewayConfig["providers"]) => {
  const [first, ...rest] = Arr.map(
    chain,
    ({ model, provider }) => layerOf(known(providers, provider), model).pipe(Resilience.layer(resilience))
  )
  return Effect.map(
    Layer.build(Fallback.layer(fallback, first, ...rest)),
    (context) => Context.get(context, ChatProvider)
  )
}

const known = (providers: GatewayConfig["providers"], name: string): Provider => {
  const provider = providers[name]
  if (provider === undefined) {
    throw new RangeError(`models: no provider is called ${name}`)
  }
  return provider
}

const isApiAnswer = ({ headers, status }: HttpClientResponse.HttpClientResponse): boolean =>
  status >= 400 || status < 300 && /\bjson\b|\btext\/event-stream\b/.test(headers["content-type"] ?? "")

/**
 * Whatever else is answered with success, such as the page of a proxy, is a failure for the policies above. The client's
 * own span is left out, as with the provider layers: if it failed, it would hold the request, and with it the prompt.
 */
const withApiAnswers = (client: HttpClient.HttpClient, target: Target): HttpClient.HttpClient =>
  client.pipe(
    HttpClient.transformResponse((sent) => locally(sent, untraced)),
    HttpClient.mapRequestEffect((request) =>
      Effect.withFiberRuntime((fiber) => Effect.succeed(propagated(request, fiber)))
    ),
    HttpClient.transformResponse(Effect.flatMap((response) =>
      isApiAnswer(response)
        ? Effect.succeed(response)
        : Effect.flatMap(Effect.zip(response.text, Clock.currentTimeMillis), ([body, now]) => {
          const { headers, status } = response
          return brokenBody(response, ProviderError.fromResponse({ status, headers, body, now }, target))
        })
    ))
  )

const upstreamOf = (
  target: Target,
  provider: OpenAiProvider,
  { resilience }: Model
): Effect.Effect<Upstream, never, HttpClient.HttpClient> =>
  Effect.zipWith(ResilientHttpClient.makeFor(target, resilience), HttpClient.HttpClient, (wrap, client) => ({
    target,
    client: wrap(withApiAnswers(client, target)),
    endpoints: {
      embeddings: OpenAi.endpointOf(provider, "/embeddings"),
      responses: OpenAi.endpointOf(provider, "/responses")
    }
  }))

const serve = (config: Model, providers: GatewayConfig["providers"]) =>
  Effect.all({
    config: Effect.succeed(config),
    patience: Effect.sync(() => patienceOf(config.fallback)),
    deadline: Effect.sync(() => deadlineOf(config.fallback)),
    chat: chatOf(config, providers),
    upstreams: Effect.forEach(
      config.chain.flatMap((target) => {
        const provider = known(providers, target.provider)
        return provider.type === "openai" ? [{ target, provider }] : []
      }),
      ({ provider, target }) => upstreamOf(target, provider, config)
    )
  })

/** By the names that requests have for them. */
export const make = (
  { models, providers }: GatewayConfig
): Effect.Effect<ReadonlyMap<string, Served>, never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.map(
    Effect.forEach(models, (model) => serve(model, providers)).pipe(
      Effect.provideServiceEffect(CircuitBreaker.Registry, CircuitBreaker.makeRegistry())
    ),
    (served) => new Map(served.map((model) => [model.config.name, model]))
  )
