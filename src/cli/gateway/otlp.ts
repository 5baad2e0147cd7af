/**
 * Traces, metrics and logs to an OpenTelemetry collector, when `OTEL_EXPORTER_OTLP_ENDPOINT` says where there is one.
 *
 * The variables are those of OpenTelemetry's own SDKs, as far as they mean something here: `OTEL_EXPORTER_OTLP_ENDPOINT`,
 * `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_PROTOCOL` (`http/json` unless it says `http/protobuf`),
 * `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`. One that cannot be used is refused at the start: telemetry that
 * silently goes nowhere is missed when it is needed. A collector that is away is no trouble: what it does not take is
 * dropped.
 */
import * as Otlp from "@effect/opentelemetry/Otlp"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { NotConfigured } from "../errors.js"

const exporters = { "http/json": Otlp.layerJson, "http/protobuf": Otlp.layerProtobuf } as const

const isProtocol = (name: string): name is keyof typeof exporters => Object.hasOwn(exporters, name)

const invalid = (message: string) => Either.left(ConfigError.InvalidData([], message))

const isHttpUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)

const endpoint = Config.nonEmptyString("OTEL_EXPORTER_OTLP_ENDPOINT").pipe(
  Config.mapOrFail((url) => isHttpUrl(url) ? Either.right(url) : invalid("expected a URL of http or https"))
)

const protocol = Config.nonEmptyString("OTEL_EXPORTER_OTLP_PROTOCOL").pipe(
  Config.mapOrFail((name) =>
    isProtocol(name) ? Either.right(name) : invalid(`expected ${Object.keys(exporters).join(" or ")}`)
  ),
  Config.withDefault("http/json" as const)
)

/** What a header can hold. */
const decoded = (text: string): Option.Option<string> =>
  Option.liftThrowable(decodeURIComponent)(text.trim()).pipe(
    Option.filter((value) => /^[\t\x20-\x7e]*$/.test(value))
  )

/** `name=value,name=value`, encoded like parts of a URL. */
const headers = Config.nonEmptyString("OTEL_EXPORTER_OTLP_HEADERS").pipe(
  Config.mapOrFail((text) => {
    const parts = text.split(",").filter((part) => part.trim() !== "")
    return Option.match(
      Option.all(parts.map((part) => {
        const [, name, value = ""] = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*=(.*)$/.exec(part) ?? []
        return name === undefined ? Option.none() : Option.map(decoded(value), (value) => [name, value] as const)
      })),
      {
        onNone: () => invalid("expected name=value, separated by commas, and % only where it encodes"),
        onSome: (entries) => Either.right(Object.fromEntries(entries))
      }
    )
  }),
  Config.withDefault({})
)

/** Which variable, and why. Never its value. */
const reasonOf = (error: ConfigError.ConfigError): string =>
  ConfigError.isInvalidData(error) || ConfigError.isMissingData(error)
    ? `${error.path.join(".")}: ${error.message}`
    : `${error}`

/** The settings, or none where nothing is to be exported. */
const settings = Config.option(endpoint).pipe(
  Effect.flatMap(
    Effect.transposeMapOption((baseUrl) => Effect.all({ baseUrl: Effect.succeed(baseUrl), protocol, headers }))
  ),
  Effect.mapError((error) => new NotConfigured({ message: reasonOf(error) }))
)

/** Exports what runs with it, over a client that no policy of a model retries. */
export const layer = (
  service: { readonly name: string; readonly version: string }
): Layer.Layer<never, NotConfigured, HttpClient.HttpClient> =>
  Layer.unwrapEffect(Effect.map(
    settings,
    Option.match({
      onNone: () => Layer.empty,
      onSome: ({ baseUrl, headers, protocol }) =>
        exporters[protocol]({
          baseUrl,
          headers,
          resource: { serviceName: service.name, serviceVersion: service.version }
        })
    })
  ))

/** What the program is called in metrics and traces. */
export const serviceName: Effect.Effect<string> = Config.nonEmptyString("OTEL_SERVICE_NAME").pipe(
  Effect.orElseSucceed(() => "effect-resilience-gateway")
)
