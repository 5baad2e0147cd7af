/**
 * The gateway's configuration, from the text of a file to values that are ready for use.
 *
 * A gateway that starts with half of its configuration misread fails later, at night, and for everybody. So it is read
 * once, before anything listens, and strictly: an unknown key, a chain that names a missing provider, a duration
 * without a unit, an environment variable that is not set are all refused, and all at once, each with its place and the
 * reason. No reason quotes a secret. What comes out needs no further checks: models with the options of
 * `Resilience.layer` and `Fallback.layer`, providers with the options of their layers.
 *
 * A secret is written as text or as `"env:NAME"`, which is read with the `ConfigProvider` in force: by default from the
 * environment.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Record from "effect/Record"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import type * as Anthropic from "../Anthropic.js"
import * as Fallback from "../Fallback.js"
import type * as OpenAi from "../OpenAi.js"
import type * as Resilience from "../Resilience.js"
import * as Document from "./internal/document.js"
import { File, type Policy } from "./internal/file.js"
import { problemsOf } from "./internal/problems.js"
import { problemsBetween } from "./internal/references.js"

/**
 * A client of the gateway: its key, and what it may spend.
 *
 * @since 0.1.0
 * @category models
 */
export interface AuthKey {
  /** Letters, digits, dots, dashes and underscores, so that what is put behind it with a `/` or a `:` stays apart. */
  readonly name: string
  readonly key: Redacted.Redacted
  /** The `hardCap` of its retry budget. */
  readonly budget?: { readonly limit: number; readonly per: Duration.Duration } | undefined
  /** How many of its requests may be under way at a time. */
  readonly maxConcurrent?: number | undefined
}

/**
 * A server that speaks OpenAI's Chat Completions: options of `OpenAi.layer`, but for the model. `provider` is its name
 * in the configuration.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenAiProvider extends Omit<OpenAi.Options, "model"> {
  readonly type: "openai"
  readonly provider: string
}

/**
 * A server that speaks Anthropic's Messages: options of `Anthropic.layer`, but for the model. `provider` is its name in
 * the configuration.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnthropicProvider extends Omit<Anthropic.Options, "model"> {
  readonly type: "anthropic"
  readonly provider: string
}

/**
 * A server that is asked.
 *
 * @since 0.1.0
 * @category models
 */
export type Provider = OpenAiProvider | AnthropicProvider

/**
 * One step of a chain. `provider` is a key of `providers`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly provider: string
  readonly model: string
}

/**
 * What a request can name as its model.
 *
 * @since 0.1.0
 * @category models
 */
export interface Model {
  readonly name: string
  /** Who is asked, in this order. */
  readonly chain: NonEmptyReadonlyArray<Target>
  /** The policies of each step. `maxConcurrent` is 256 unless the file says otherwise. */
  readonly resilience: Resilience.Options
  /** The options of the chain. `deadline` is 120 seconds unless the file says otherwise. */
  readonly fallback: Fallback.Options
}

/**
 * A configuration that was checked.
 *
 * @since 0.1.0
 * @category models
 */
export interface GatewayConfig {
  /** By default 127.0.0.1 and 8080. Where other machines can reach it there is `auth`. */
  readonly listen: { readonly host: string; readonly port: number }
  /** No two of the names are equal, and no two of the keys. */
  readonly auth: { readonly keys: NonEmptyReadonlyArray<AuthKey> } | undefined
  readonly providers: Readonly<Record<string, Provider>>
  /** The models of the file, and then what is passed through, as `provider/model` with the default policies. */
  readonly models: ReadonlyArray<Model>
}

/**
 * One thing that is wrong: where (`models.chat.chain[0]`, or `line 3, column 5` of a text that could not be read), and
 * why.
 *
 * @since 0.1.0
 * @category errors
 */
export const Problem = Schema.Struct({ path: Schema.String, reason: Schema.String })

/**
 * A value of the schema `Problem`.
 *
 * @since 0.1.0
 * @category errors
 */
export type Problem = typeof Problem.Type

/**
 * The configuration cannot be used. Its message has one line for each problem. It holds no secret.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConfigError extends Schema.TaggedError<ConfigError>("effect-resilience/gateway/ConfigError")(
  "ConfigError",
  { problems: Schema.Array(Problem) }
) {
  /**
   * @since 0.1.0
   */
  override get message(): string {
    return this.problems.map(({ path, reason }) => path === "" ? reason : `${path}: ${reason}`).join("\n")
  }
}

const fallbackOptions = Struct.keys(Fallback.Config.fields)

/** The policies of a model. What a chain of calls may cost is bounded even where nobody thought of it. */
const optionsOf = (policy: Policy = {}): Pick<Model, "resilience" | "fallback"> => ({
  resilience: { ...Struct.omit(policy, ...fallbackOptions), maxConcurrent: policy.maxConcurrent ?? 256 },
  fallback: { ...Struct.pick(policy, ...fallbackOptions), deadline: policy.deadline ?? Duration.seconds(120) }
})

const configOf = ({ auth, listen, models, passthrough = [], policies = {}, providers }: File): GatewayConfig => ({
  listen,
  auth,
  providers: Record.map(providers, (provider, name): Provider => ({ ...provider, provider: name })),
  models: [
    ...Object.entries(models).map(([name, { chain, policy }]): Model => ({
      name,
      chain,
      ...optionsOf(policy === undefined ? undefined : policies[policy])
    })),
    ...passthrough.map((target): Model => ({
      name: `${target.provider}/${target.model}`,
      chain: [target],
      ...optionsOf()
    }))
  ]
})

/**
 * A configuration from the value of a file. Fails with all that is wrong with it.
 *
 * @example
 * ```ts
 * import { ConfigProvider, Effect } from "effect"
 * import { GatewayConfig } from "effect-resilience/gateway"
 *
 * const config = GatewayConfig.decode({
 *   providers: { openai: { type: "openai", apiKey: "env:OPENAI_API_KEY" } },
 *   models: { chat: { chain: ["openai/gpt-4o", "openai/gpt-4o-mini"] } }
 * }).pipe(
 *   Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["OPENAI_API_KEY", "a key from a safe place"]])))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const decode = (input: unknown): Effect.Effect<GatewayConfig, ConfigError> =>
  Effect.flatMap(Effect.either(Schema.decodeUnknown(File)(input)), (file) => {
    const between = problemsBetween(input)
    return Either.isRight(file) && between.length === 0
      ? Effect.succeed(configOf(file.right))
      : new ConfigError({ problems: [...Either.isLeft(file) ? problemsOf(file.left.issue) : [], ...between] })
  })

/**
 * A configuration from a text in JSON or YAML.
 *
 * @example
 * ```ts
 * import { GatewayConfig } from "effect-resilience/gateway"
 *
 * const config = GatewayConfig.parse(`
 * providers:
 *   local: { type: openai, baseUrl: "http://127.0.0.1:11434/v1", prefill: true }
 * models:
 *   chat: { chain: [local/llama3.2], policy: interactive }
 * policies:
 *   interactive: { deadline: 20 seconds, retry: { maxAttempts: 3 }, onCut: continue }
 * `)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (text: string): Effect.Effect<GatewayConfig, ConfigError> =>
  Either.match(Document.read(text), { onLeft: (problem) => new ConfigError({ problems: [problem] }), onRight: decode })

const unreadable = (path: string, error: PlatformError): ConfigError =>
  new ConfigError({
    problems: [{
      path,
      reason: error._tag === "SystemError" && error.reason === "NotFound" ? "no such file" : "cannot be read"
    }]
  })

/**
 * A configuration from a file in JSON or YAML.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { GatewayConfig } from "effect-resilience/gateway"
 *
 * const config = GatewayConfig.load("gateway.yaml").pipe(
 *   Effect.tapErrorTag("ConfigError", (error) => Effect.logError(error.message))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const load = (path: string): Effect.Effect<GatewayConfig, ConfigError, FileSystem.FileSystem> =>
  FileSystem.FileSystem.pipe(
    Effect.flatMap((files) => files.readFileString(path)),
    Effect.mapError((error) => unreadable(path, error)),
    Effect.flatMap(parse)
  )
