/**
 * A provider layer for any OpenAI-compatible server.
 *
 * Most LLM servers speak OpenAI's Chat Completions, so one layer serves OpenAI itself, Azure (`headers`, `query`),
 * Gemini's compatible endpoint, Groq, OpenRouter, vLLM and Ollama. It makes one bare attempt and classifies what goes
 * wrong; retries, timeouts and fallbacks are put around it. It needs an `HttpClient` and nothing else. A key travels in
 * headers only, never in a URL, where every proxy would log it.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { ChatRequest, ChatResponse as ChatResponseType, Service } from "./ChatProvider.js"
import { ChatProvider, ChatResponse } from "./ChatProvider.js"
import * as IdempotencyKey from "./IdempotencyKey.js"
import * as ProviderError from "./ProviderError.js"
import { exchange } from "./runtime/exchange.js"
import { request as recordRequest } from "./runtime/recorder.js"

/**
 * Options of `layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Sent as `Authorization: Bearer`. Left out for servers that need none, or that want it in another header. */
  readonly apiKey?: Redacted.Redacted | undefined
  /** Up to the version, without the resource. Default `https://api.openai.com/v1`. */
  readonly baseUrl?: string | undefined
  /** The model this layer asks, whatever the request says. Default: the one in the request. */
  readonly model?: string | undefined
  /** Its name in errors and reports. Default `openai`. */
  readonly provider?: string | undefined
  /** Further headers, such as Azure's `api-key`. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  /** Query parameters, such as Azure's `api-version`. Not for keys. */
  readonly query?: Readonly<Record<string, string>> | undefined
}

/**
 * Options of `layerConfig`: each one as in `Options`, or a `Config` of it.
 *
 * @since 0.1.0
 * @category models
 */
export type ConfigOptions = {
  readonly [K in keyof Options]: Options[K] | Config.Config<Exclude<Options[K], undefined>>
}

interface Settings {
  readonly provider: string
  readonly model: string | undefined
  readonly url: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly secretHeaders: ReadonlyArray<string>
}

const baseUrlOf = (input: string): string => {
  const url = URL.canParse(input) ? new URL(input) : undefined
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new RangeError(`baseUrl: expected an http or https URL, such as "https://api.openai.com/v1"`)
  }
  if (url.username !== "" || url.password !== "") {
    throw new RangeError("baseUrl: a URL is no place for credentials, use apiKey or headers")
  }
  if (url.search !== "" || url.hash !== "") {
    throw new RangeError("baseUrl: expected no query and no fragment, use query")
  }
  return url.href.replace(/\/+$/, "")
}

const secretName = /^(api[-_]?key|key|access[-_]?token|token|secret)$/i

const queryOf = (query: Readonly<Record<string, string>>): Readonly<Record<string, string>> => {
  const secret = Object.keys(query).find((name) => secretName.test(name))
  if (secret !== undefined) {
    throw new RangeError(`query.${secret}: a key must not travel in a URL, use apiKey or headers`)
  }
  return query
}

// What a header may hold (RFC 9110, 5.5), less what is outside ASCII. The value itself never shows.
const headerValue = (option: string, value: string): string => {
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value)) {
    throw new RangeError(`${option}: expected visible ASCII characters, with no line break and no space at the ends`)
  }
  return value
}

const settingsOf = (options: Options): Settings => {
  const headers: Record<string, string> = {}
  const secretHeaders: Array<string> = []
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    const secret = Redacted.isRedacted(value)
    headers[name.toLowerCase()] = headerValue(`headers.${name}`, secret ? Redacted.value(value) : value)
    if (secret) {
      secretHeaders.push(name.toLowerCase())
    }
  }
  if (options.apiKey !== undefined) {
    headers["authorization"] = `Bearer ${headerValue("apiKey", Redacted.value(options.apiKey))}`
  }
  return {
    provider: options.provider ?? "openai",
    model: options.model,
    url: `${baseUrlOf(options.baseUrl ?? "https://api.openai.com/v1")}/chat/completions`,
    query: queryOf(options.query ?? {}),
    headers,
    secretHeaders
  }
}

const encode = (request: ChatRequest, model: string, target: ProviderError.Target) =>
  Effect.try({
    // `complete` wants one whole answer, whatever the request was written for.
    try: () => JSON.stringify({ ...request, model, stream: undefined, stream_options: undefined }),
    catch: () => ProviderError.invalidRequest("the request cannot be encoded as JSON", target)
  })

const decodeResponse = Schema.decodeUnknownOption(ChatResponse)

const make = (settings: Settings, client: HttpClient.HttpClient): Service => ({
  provider: settings.provider,
  model: settings.model,
  complete: (request): Effect.Effect<ChatResponseType, ProviderError.ProviderError> => {
    const model = settings.model ?? request.model
    const target = { provider: settings.provider, model }
    if (model === undefined) {
      return Effect.fail(
        ProviderError.invalidRequest("no model, name one in the request or in the layer", target)
      )
    }
    return Effect.gen(function*() {
      const body = yield* encode(request, model, target)
      const answer = yield* exchange(
        client,
        HttpClientRequest.post(settings.url).pipe(
          HttpClientRequest.setUrlParams(settings.query),
          HttpClientRequest.setHeaders(settings.headers),
          HttpClientRequest.setHeader("idempotency-key", yield* IdempotencyKey.current),
          HttpClientRequest.bodyText(body, "application/json")
        ),
        settings.secretHeaders,
        target
      )
      return yield* Effect.mapError(decodeResponse(answer.body), answer.unusable)
    }).pipe((call) => recordRequest(call, target, request))
  }
})

/**
 * A provider that makes one bare attempt per call. Throws a `RangeError` that names a bad option, without its value.
 * Fails with `RateLimited`, `ServerError`, `ClientError` or `Timeout` (the server's own).
 *
 * @example
 * ```ts
 * import { FetchHttpClient } from "@effect/platform"
 * import { Layer, Redacted } from "effect"
 * import { OpenAi } from "effect-resilience"
 *
 * const azure = OpenAi.layer({
 *   provider: "azure",
 *   baseUrl: "https://example.openai.azure.com/openai/deployments/gpt-4o",
 *   query: { "api-version": "2024-10-21" },
 *   headers: { "api-key": Redacted.make("a key from a safe place") },
 *   model: "gpt-4o"
 * }).pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<ChatProvider, never, HttpClient.HttpClient> => {
  const settings = settingsOf(options)
  return Layer.effect(ChatProvider, Effect.map(HttpClient.HttpClient, (client) => make(settings, client)))
}

const asConfig = <A>(value: A | Config.Config<A>): Config.Config<A> =>
  Config.isConfig(value) ? value : Config.succeed(value)

/**
 * `layer`, with options read from the environment or wherever the `ConfigProvider` finds them. A missing or unusable one
 * is a `ConfigError`.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { OpenAi } from "effect-resilience"
 *
 * const provider = OpenAi.layerConfig({
 *   apiKey: Config.redacted("OPENAI_API_KEY"),
 *   baseUrl: Config.string("OPENAI_BASE_URL").pipe(Config.withDefault("https://api.openai.com/v1")),
 *   model: "gpt-4o"
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: ConfigOptions
): Layer.Layer<ChatProvider, ConfigError, HttpClient.HttpClient> =>
  Config.all({
    apiKey: asConfig(options.apiKey),
    baseUrl: asConfig(options.baseUrl),
    model: asConfig(options.model),
    provider: asConfig(options.provider),
    headers: asConfig(options.headers),
    query: asConfig(options.query)
  }).pipe(
    Config.mapAttempt(settingsOf),
    Effect.zipWith(HttpClient.HttpClient, make),
    Layer.effect(ChatProvider)
  )
