/**
 * Who can be asked: two APIs, and for each what the environment says about the service behind it.
 *
 * The name of a model decides which API it is asked over. A server on this machine (Ollama, vLLM) is asked without a
 * key, as most of them need none; anywhere else a missing key is more likely a mistake than meant.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Anthropic from "../../Anthropic.js"
import type { ChatProvider } from "../../ChatProvider.js"
import * as OpenAi from "../../OpenAi.js"
import { UsageError } from "../errors.js"

export type Api = "OpenAI" | "Anthropic"

/** Claude is asked over Anthropic's Messages, every other model over OpenAI's Chat Completions, which most servers speak. */
export const apiOf = (model: string): Api => model.startsWith("claude") ? "Anthropic" : "OpenAI"

/** A server, and what it takes to be let in. */
export interface Service {
  readonly apiKey?: Redacted.Redacted | undefined
  readonly baseUrl: string
  /** What it is called in the lines and in errors. */
  readonly provider: string
}

/** The services there are. */
export type Services = Readonly<Record<Api, Service | undefined>>

/** A model, and where it is asked. */
export interface Link {
  readonly service: Service
  readonly model: string
}

interface Settings {
  readonly key: string
  readonly url: string
  readonly provider: string
  readonly baseUrl: string
}

/** The names of the settings of each API, and who is asked unless they say otherwise. */
export const settings: Readonly<Record<Api, Settings>> = {
  OpenAI: {
    key: "OPENAI_API_KEY",
    url: "OPENAI_BASE_URL",
    provider: "openai",
    baseUrl: "https://api.openai.com/v1"
  },
  Anthropic: {
    key: "ANTHROPIC_API_KEY",
    url: "ANTHROPIC_BASE_URL",
    provider: "anthropic",
    baseUrl: "https://api.anthropic.com"
  }
}

/** A setting that was given and cannot be used. The message names it and does not quote it. */
const unusable = ({ key, url }: Settings) => (error: ConfigError.ConfigError): UsageError => {
  const what = ConfigError.isInvalidData(error) ? error.message : `${error}`
  return new UsageError({ message: `${key} or ${url} cannot be used. ${what}.` })
}

const hostOf = (url: string): string => URL.canParse(url) ? new URL(url).host : ""

/** Its host, where somebody else's server is asked; a URL that is none is refused by the layer. */
const providerOf = (baseUrl: string, { baseUrl: usual, provider }: Settings): string => {
  const host = hostOf(baseUrl)
  return host === "" || host === hostOf(usual) ? provider : host
}

const isOnThisMachine = (baseUrl: string): boolean =>
  URL.canParse(baseUrl) && /^(.*\.)?localhost$|^127\.|^\[::1\]$/.test(new URL(baseUrl).hostname)

const read = (api: Api): Effect.Effect<Service | undefined, UsageError> => {
  const names = settings[api]
  return Config.all({
    apiKey: Config.option(Config.redacted(Config.nonEmptyString(names.key))),
    baseUrl: Config.option(Config.nonEmptyString(names.url))
  }).pipe(
    Effect.mapError(unusable(names)),
    Effect.flatMap((given) => {
      const apiKey = Option.getOrUndefined(given.apiKey)
      const baseUrl = Option.getOrElse(given.baseUrl, () => names.baseUrl)
      if (apiKey !== undefined || isOnThisMachine(baseUrl)) {
        return Effect.succeed({ apiKey, baseUrl, provider: providerOf(baseUrl, names) })
      }
      return Option.isNone(given.baseUrl) ? Effect.succeed(undefined) : new UsageError({
        message: [
          `${names.url} is set, but the key is missing: ${names.key} is not set.`,
          `If that server needs no key, set it to any word. To do without that server, unset ${names.url}.`
        ].join("\n")
      })
    })
  )
}

/** What the environment says. */
export const fromEnvironment: Effect.Effect<Services, UsageError> = Effect.all({
  OpenAI: read("OpenAI"),
  Anthropic: read("Anthropic")
})

/** One bare attempt at the model. */
export const layer = ({ model, service }: Link): Layer.Layer<ChatProvider, UsageError> => {
  const api = apiOf(model)
  const options = { ...service, model }
  return (api === "Anthropic" ? Anthropic.layerConfig(options) : OpenAi.layerConfig(options)).pipe(
    Layer.mapError(unusable(settings[api])),
    Layer.provide(FetchHttpClient.layer)
  )
}
