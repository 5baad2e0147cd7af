/**
 * A provider layer for Anthropic's Messages API.
 *
 * Programs write OpenAI's Chat Completions, and this layer translates both ways: system prompts, texts, images and files,
 * tools, their calls and results, stop sequences, the reason the answer ended, and usage. So one request can go to either
 * kind of provider, and a chain of both needs nothing of the program. A field that means nothing here (`seed`,
 * `frequency_penalty`) is left out and listed in the report, as `dropped`; a `temperature` above 1, the most there is, is
 * sent as 1 and listed too. What cannot be done at all (`response_format`, `n` above 1, `logprobs`) is not weakened in
 * silence: it is named by `unsupported`, and asking for it all the same is an invalid request.
 *
 * Fields of Anthropic's own pass: `thinking`, `top_k`, `output_config`, `mcp_servers` and their like in the request,
 * `cache_control` on parts, messages of tools and tools, and parts and tools in its own shape. An answer that is more than
 * text and tool calls carries its `content_blocks`; send the message back as it is, and they go back too, as thinking must
 * in a loop of tool calls. Its thinking can be read in `reasoning_content`.
 *
 * It makes one bare attempt and classifies what goes wrong; retries, timeouts and fallbacks are put around it. It needs
 * an `HttpClient` and nothing else. A key travels in headers only, never in a URL, where every proxy would log it.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { ChatProvider } from "./ChatProvider.js"
import { toMessages, unsupportedFields } from "./internal/anthropicRequest.js"
import { toChatCompletion } from "./internal/anthropicResponse.js"
import { AnthropicStream } from "./internal/anthropicStream.js"
import * as ProviderError from "./ProviderError.js"
import * as Endpoint from "./runtime/endpoint.js"
import * as HttpProvider from "./runtime/httpProvider.js"
import { dropped } from "./runtime/recorder.js"

/**
 * Options of `layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Sent as `x-api-key`. */
  readonly apiKey?: Redacted.Redacted | undefined
  /** Sent as `Authorization: Bearer`: an OAuth token, or what a gateway in between wants. */
  readonly authToken?: Redacted.Redacted | undefined
  /** With or without the `/v1` at its end. Default `https://api.anthropic.com`. */
  readonly baseUrl?: string | undefined
  /** The model this layer asks, whatever the request says. Default: the one in the request. */
  readonly model?: string | undefined
  /**
   * Does the server take the beginning of an answer as the last message and go on from there? Then a stream that was cut
   * is continued that way. Default false: the model is told to go on.
   */
  readonly prefill?: boolean | undefined
  /** Its name in errors and reports. Default `anthropic`. */
  readonly provider?: string | undefined
  /** Sent as `anthropic-version`. Default `2023-06-01`. */
  readonly version?: string | undefined
  /** Names of beta features, sent as `anthropic-beta`. Default: none. */
  readonly beta?: ReadonlyArray<string> | undefined
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  /** Query parameters. Not for keys. */
  readonly query?: Readonly<Record<string, string>> | undefined
}

/**
 * Options of `layerConfig`: each one as in `Options`, or a `Config` of it.
 *
 * @since 0.1.0
 * @category models
 */
export type ConfigOptions = Endpoint.OrConfig<Options>

const settingsOf = (options: Options): HttpProvider.Settings => ({
  provider: options.provider ?? "anthropic",
  model: options.model,
  prefill: options.prefill,
  endpoint: Endpoint.make({
    baseUrl: options.baseUrl,
    defaultBaseUrl: "https://api.anthropic.com",
    // The SDKs leave the version to the path, most other providers put it into the base URL.
    path: (baseUrl) => baseUrl.endsWith("/v1") ? "/messages" : "/v1/messages",
    query: options.query,
    headers: options.headers,
    optionHeaders: [
      { option: "apiKey", name: "x-api-key", value: options.apiKey },
      { option: "authToken", name: "authorization", prefix: "Bearer ", value: options.authToken },
      { option: "version", name: "anthropic-version", value: options.version ?? "2023-06-01" },
      {
        option: "beta",
        name: "anthropic-beta",
        value: options.beta?.length === 0 ? undefined : options.beta?.join(",")
      }
    ]
  })
})

const protocol: HttpProvider.Protocol = {
  unsupported: unsupportedFields,
  encode: (request, model, target, streamed) =>
    Effect.suspend(() => {
      const unsupported = unsupportedFields(request)
      if (unsupported.length > 0) {
        return Effect.fail(ProviderError.invalidRequest(`cannot honour ${unsupported.join(", ")}`, target))
      }
      const translated = toMessages(request, model)
      return translated._tag === "Translated"
        ? Effect.as(dropped(translated.dropped), streamed ? { ...translated.body, stream: true } : translated.body)
        : Effect.fail(ProviderError.invalidRequest(translated.why, target))
    }),
  decode: toChatCompletion,
  reader: () => new AnthropicStream()
}

/**
 * A provider that makes one bare attempt per call. Throws a `RangeError` that names a bad option, without its value.
 * Fails with `RateLimited`, `ServerError`, `ClientError` or `Timeout` (the server's own). `max_tokens`, which Anthropic
 * requires, is 4096 where the request names none, on top of a `thinking` budget.
 *
 * @example
 * ```ts
 * import { FetchHttpClient } from "@effect/platform"
 * import { Layer, Redacted } from "effect"
 * import { Anthropic, Fallback, OpenAi } from "effect-resilience"
 *
 * const Chat = Fallback.layer(
 *   OpenAi.layer({ apiKey: Redacted.make("a key from a safe place"), model: "gpt-4o" }),
 *   Anthropic.layer({ apiKey: Redacted.make("another one"), model: "claude-sonnet-4-5" })
 * ).pipe(Layer.provide(FetchHttpClient.layer))
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
 * import { Anthropic } from "effect-resilience"
 *
 * const provider = Anthropic.layerConfig({
 *   apiKey: Config.redacted("ANTHROPIC_API_KEY"),
 *   baseUrl: Config.string("ANTHROPIC_BASE_URL").pipe(Config.withDefault("https://api.anthropic.com")),
 *   model: "claude-sonnet-4-5"
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
      authToken: Endpoint.asConfig(options.authToken),
      baseUrl: Endpoint.asConfig(options.baseUrl),
      model: Endpoint.asConfig(options.model),
      prefill: Endpoint.asConfig(options.prefill),
      provider: Endpoint.asConfig(options.provider),
      version: Endpoint.asConfig(options.version),
      beta: Endpoint.asConfig(options.beta),
      headers: Endpoint.asConfig(options.headers),
      query: Endpoint.asConfig(options.query)
    }).pipe(Config.mapAttempt(settingsOf)),
    protocol
  )
