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
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { ChatProvider, ChatRequest } from "./ChatProvider.js"
import { OpenAiStream } from "./internal/openAiStream.js"
import * as Endpoint from "./runtime/endpoint.js"
import * as HttpProvider from "./runtime/httpProvider.js"

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
  /**
   * Does the server take the beginning of an answer as the last message and go on from there? Then a stream that was cut
   * is continued that way. Default false: the model is told to go on.
   */
  readonly prefill?: boolean | undefined
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
export type ConfigOptions = Endpoint.OrConfig<Options>

/**
 * Where requests go unless `baseUrl` says otherwise: OpenAI itself.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultBaseUrl = "https://api.openai.com/v1"

/**
 * Where the server of a layer with these options is asked for something else. Throws a `RangeError` that names a bad option.
 *
 * @internal
 */
export const endpointOf = (
  { apiKey, baseUrl, headers, query }: Pick<Options, "apiKey" | "baseUrl" | "headers" | "query">,
  path: string
): Endpoint.Endpoint =>
  Endpoint.make({
    baseUrl,
    defaultBaseUrl,
    path: () => path,
    query,
    headers,
    optionHeaders: [{ option: "apiKey", name: "authorization", prefix: "Bearer ", value: apiKey }]
  })

const settingsOf = (options: Options): HttpProvider.Settings => ({
  provider: options.provider ?? "openai",
  model: options.model,
  prefill: options.prefill,
  endpoint: endpointOf(options, "/chat/completions")
})

const choicesOf = ({ n }: ChatRequest): number => typeof n === "number" && n > 1 ? n : 1

const protocol: HttpProvider.Protocol = {
  // Whether the answer is streamed is said by who asks for it, whatever the request was written for.
  encode: (request, model, _target, streamed) =>
    // A spread with something new behind it takes ten times as long.
    Effect.succeed(Object.assign({}, request, {
      model,
      stream: streamed ? true : undefined,
      stream_options: streamed ? request.stream_options ?? { include_usage: true } : undefined
    })),
  decode: identity,
  reader: (request) => new OpenAiStream(choicesOf(request))
}

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
export const layer = (options: Options = {}): Layer.Layer<ChatProvider, never, HttpClient.HttpClient> =>
  HttpProvider.layer(settingsOf(options), protocol)

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
  HttpProvider.layerConfig(
    Config.all({
      apiKey: Endpoint.asConfig(options.apiKey),
      baseUrl: Endpoint.asConfig(options.baseUrl),
      model: Endpoint.asConfig(options.model),
      prefill: Endpoint.asConfig(options.prefill),
      provider: Endpoint.asConfig(options.provider),
      headers: Endpoint.asConfig(options.headers),
      query: Endpoint.asConfig(options.query)
    }).pipe(Config.mapAttempt(settingsOf)),
    protocol
  )
