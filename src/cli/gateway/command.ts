/**
 * `gateway`: the process around the gateway, from a configuration to its last answer.
 *
 * What is wrong with the configuration is said before anything listens. SIGTERM and SIGINT stop the server, which lets
 * what runs end within the grace period; a second one cuts that short. To be stopped is how a server ends well, so the
 * exit code is 0 then.
 */
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Doc from "@effect/printer/Doc"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import manifest from "../../../package.json" with { type: "json" }
import * as Gateway from "../../gateway/Gateway.js"
import type * as GatewayConfig from "../../gateway/GatewayConfig.js"
import { isLoopback } from "../../gateway/internal/loopback.js"
import { NotConfigured, UsageError } from "../errors.js"
import * as Logs from "../logs.js"
import * as Npm from "../npm.js"
import * as Screen from "../screen.js"
import { load } from "./check.js"
import * as Demo from "./demo.js"
import { config, demo, grace, host, port } from "./options.js"
import * as Otlp from "./otlp.js"
import * as Prometheus from "./prometheus.js"
import * as Server from "./server.js"
import * as Signals from "./signals.js"
import * as Spans from "./spans.js"
import * as Upstream from "./upstream.js"

const nothingToServe = Effect.flatMap(Npm.typed("gateway"), (typed) =>
  new NotConfigured({
    message: [
      "There is nothing to serve yet. Either",
      `  ${typed} --config FILE    serves the models of a configuration (in JSON or YAML), or`,
      `  ${typed} --demo           serves models that fail on purpose, without a key.`
    ].join("\n")
  }))

/** The configuration, listening where the command line says. Whoever reaches the gateway spends the keys behind it. */
const listeningOn = (
  config: GatewayConfig.GatewayConfig,
  chosen: { readonly host: Option.Option<string>; readonly port: Option.Option<number> }
): Effect.Effect<GatewayConfig.GatewayConfig, NotConfigured> => {
  const host = Option.getOrElse(chosen.host, () => config.listen.host)
  return isLoopback(host) || config.auth !== undefined
    ? Effect.succeed({ ...config, listen: { host, port: Option.getOrElse(chosen.port, () => config.listen.port) } })
    : new NotConfigured({ message: `--host ${host}: other machines can reach this address, so auth is required.` })
}

const announcement = (url: string, { models }: GatewayConfig.GatewayConfig) =>
  Doc.text(
    `Listening on ${url}/v1 for ${models.map(({ name }) => name).join(", ") || "no model"}. Metrics: ${url}/metrics`
  )

/**
 * A request adds to its context a dozen times, and each time all that is in there is copied: what the command line needs
 * has no business there.
 */
const withScopeAlone = Effect.mapInputContext((context: Context.Context<Scope.Scope>) =>
  Context.pick(Scope.Scope)(context)
)

/** Serves until it is interrupted, and has then ended what ran. */
const serve = (config: GatewayConfig.GatewayConfig, grace: Duration.Duration, isDemo: boolean) =>
  Effect.gen(function*() {
    const hurry = yield* Signals.second
    const service = { name: yield* Otlp.serviceName, version: manifest.version }
    yield* Effect.gen(function*() {
      const gateway = yield* Gateway.make(config, { metrics: yield* Prometheus.make(service) })
      const address = yield* Server.serve(gateway.app, { ...config.listen, drain: gateway.drain, grace, hurry }).pipe(
        Spans.discreet,
        withScopeAlone
      )
      const url = Server.urlOf(address)
      yield* Screen.print(announcement(url, config), ...isDemo ? [Doc.empty, ...Demo.lines(url)] : [])
      yield* Effect.never
    }).pipe(
      Effect.scoped,
      Effect.provide(Otlp.layer(service).pipe(Layer.provideMerge(Upstream.layer)))
    )
  }).pipe(
    Logs.withLogs,
    Effect.catchTag("ListenError", ({ message }) => new UsageError({ message })),
    Effect.onInterrupt(() =>
      Effect.sync(() => {
        process.exitCode = 0
      })
    )
  )

const description = HelpDoc.blocks([
  HelpDoc.p("Serves OpenAI's API, with retries, fallbacks and circuit breakers, to programs in any language."),
  HelpDoc.p([
    "Point the base URL of any OpenAI client at it. SIGTERM and SIGINT end it once the requests under way",
    "have their answers; a second signal ends it at once. Logs go to stderr, in JSON unless that is a terminal;",
    "--log-level LEVEL (debug, info, warning, error, none) says how many."
  ].join("\n")),
  HelpDoc.p([
    "With OTEL_EXPORTER_OTLP_ENDPOINT set, traces, metrics and logs go to that collector over HTTP, as",
    "OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_PROTOCOL (http/json or http/protobuf), OTEL_SERVICE_NAME",
    "and OTEL_RESOURCE_ATTRIBUTES say."
  ].join("\n")),
  HelpDoc.p("The exit code is 0 when it was told to stop, 2 without a configuration that can be used, and else 1.")
])

/** The command. */
export const command = Command.make(
  "gateway",
  { config, demo, port, host, grace },
  ({ config, demo, grace, ...chosen }) =>
    Effect.gen(function*() {
      yield* Npm.refuseKept("gateway", ["config", "demo"], "--config FILE")
      if (demo && Option.isSome(config)) {
        return yield* new UsageError({ message: "The demo has a configuration of its own: use --config or --demo." })
      }
      const read = yield* demo ? Demo.config : Option.match(config, { onNone: () => nothingToServe, onSome: load })
      yield* serve(yield* listeningOn(read, chosen), grace, demo)
    }).pipe(Effect.scoped)
).pipe(Command.withDescription(description))
