/**
 * The command line: which call is made, and how its end becomes an exit code.
 *
 * Without a key a local server that fails on purpose stands in for the service, so that a newcomer sees the library at
 * work before signing up for anything. A scene always plays there: it promises what will happen, which a real service
 * cannot. A server on this machine (Ollama, vLLM) is asked without a key, as most of them need none; anywhere else a
 * missing key is more likely a mistake than meant. An exit code of 0 says that the call ended as it was meant to: with an
 * answer, or for a scene about a failure with that error.
 */
import * as Args from "@effect/cli/Args"
import type * as CliApp from "@effect/cli/CliApp"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import type { ValidationError } from "@effect/cli/ValidationError"
import type { AnsiDoc } from "@effect/printer-ansi/AnsiDoc"
import * as Doc from "@effect/printer/Doc"
import * as Arr from "effect/Array"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { stripVTControlCharacters } from "node:util"
import manifest from "../../package.json" with { type: "json" }
import * as FaultServer from "../testing/FaultServer.js"
import * as Call from "./call.js"
import * as Scenes from "./scenes.js"
import * as Screen from "./screen.js"
import { dim, title } from "./text.js"

/** The command cannot be carried out as it was given. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

/** The call did not end as it was meant to. All there is to say has been shown. */
export class CallFailed extends Data.TaggedError("CallFailed")<{}> {}

const prompt = Args.text({ name: "prompt" }).pipe(
  Args.withDescription("What to ask; a greeting if left out. It is sent, and never shown."),
  Args.repeated,
  Args.mapEffect((words) => {
    const option = words.find((word) => /^--?[a-z][a-z-]*(=.*)?$/i.test(word))
    return option === undefined
      ? Effect.succeed(words.length === 0 ? "Say hello in one short sentence." : words.join(" "))
      : Effect.fail(HelpDoc.p(`There is no option ${option.replace(/=.*/, "")}. See: npm start -- --help`))
  })
)

const scene = Options.text("scene").pipe(
  Options.withPseudoName("NAME"),
  Options.withDescription("Play one of the scenes above."),
  Options.filterMap(
    (name) => Arr.findFirst(Scenes.scenes, (scene) => scene.name === name),
    ["There is no scene of that name. There are:", "", ...Scenes.list].join("\n")
  ),
  Options.optional
)

const models = Options.text("model").pipe(
  Options.withPseudoName("NAME"),
  Options.withDescription(
    `A model of the chain; repeat it for the next ones. Default: ${Scenes.models.join(", ")}.`
  ),
  Options.repeated
)

const description = HelpDoc.blocks([
  HelpDoc.p("Sends a prompt through a chain of models and shows every attempt, wait and fallback as it happens."),
  HelpDoc.p([
    "With OPENAI_API_KEY set it calls OpenAI, or the server of OPENAI_BASE_URL. Without it, and for every",
    "scene, a local server that fails on purpose answers over real HTTP; there, models of names such as",
    "fault-503 and fault-slow-2s fail by their name."
  ].join("\n")),
  HelpDoc.p([
    "The exit code is 0 when the call ended as it was meant to: with an answer, or for a scene about a",
    "failure with that error. Otherwise it is 1."
  ].join("\n")),
  HelpDoc.h1("SCENES"),
  HelpDoc.p(Scenes.list.join("\n"))
])

/** A setting that was given and cannot be used. The message names it and does not quote it. */
const unusable = (error: ConfigError.ConfigError) => {
  const what = ConfigError.isInvalidData(error) ? error.message : `${error}`
  return new UsageError({ message: `OPENAI_API_KEY or OPENAI_BASE_URL cannot be used. ${what}.` })
}

/** What the environment says about a real service. */
interface Service {
  readonly apiKey: Redacted.Redacted | undefined
  readonly baseUrl: string
}

const isOnThisMachine = (baseUrl: string): boolean =>
  URL.canParse(baseUrl) && /^(.*\.)?localhost$|^127\.|^\[::1\]$/.test(new URL(baseUrl).hostname)

const service: Effect.Effect<Option.Option<Service>, UsageError> = Effect.gen(function*() {
  const { apiKey, baseUrl } = yield* Config.all({
    apiKey: Config.option(Config.redacted(Config.nonEmptyString("OPENAI_API_KEY"))),
    baseUrl: Config.option(Config.nonEmptyString("OPENAI_BASE_URL"))
  })
  if (Option.isSome(apiKey)) {
    return Option.some({
      apiKey: apiKey.value,
      baseUrl: Option.getOrElse(baseUrl, () => "https://api.openai.com/v1")
    })
  }
  if (Option.isSome(baseUrl) && !isOnThisMachine(baseUrl.value)) {
    return yield* new UsageError({
      message: [
        "OPENAI_BASE_URL is set, but the key is missing: OPENAI_API_KEY is not set.",
        "If that server needs no key, set it to any word. To see the demo, unset OPENAI_BASE_URL."
      ].join("\n")
    })
  }
  return Option.map(baseUrl, (baseUrl) => ({ apiKey: undefined, baseUrl }))
}).pipe(Effect.catchIf(ConfigError.isConfigError, unusable))

/** `npm start --scene slow`, without `--` in between: npm takes the option for one of its own and passes on the rest. */
const refuseWhatNpmKept = Effect.gen(function*() {
  const kept = yield* Effect.all(
    ["scene", "model"].map((name) => Config.option(Config.string(`npm_config_${name}`)))
  )
  if (kept.some(Option.isSome)) {
    return yield* new UsageError({ message: "npm kept an option for itself. Write: npm start -- --scene NAME" })
  }
}).pipe(Effect.catchIf(ConfigError.isConfigError, unusable))

const watch = (chain: Call.Chain, prompt: string, introduction: ReadonlyArray<AnsiDoc>) =>
  Screen.print(...introduction).pipe(
    Effect.zipRight(Call.watch(prompt, chain)),
    Effect.provide(Call.layer(chain)),
    Effect.mapError(unusable)
  )

const mustEndWith = (meant: Scenes.Scene["ends"]) => (outcome: Either.Either<unknown, unknown>) =>
  Either.isRight(outcome) === (meant === "answer") ? Effect.void : Effect.fail(new CallFailed())

/** Has the models of a local server do what the scene says, and watches a call to them. */
const play = (scene: Scenes.Scene, prompt: string, models: Call.Chain["models"], introduction: string) =>
  Effect.gen(function*() {
    const server = yield* FaultServer.make().pipe(
      Effect.mapError(({ message }) => new UsageError({ message: `The local server could not start: ${message}` }))
    )
    yield* Effect.forEach(Scenes.models, (model, index) => server.script(model, ...scene.faults[index] ?? []))
    const chain = {
      server: { provider: "demo", baseUrl: `${server.url}/v1` },
      models,
      backoff: Scenes.backoff,
      limits: { ...Scenes.limits, ...scene.limits }
    }
    yield* watch(chain, prompt, [
      title(introduction),
      Doc.text(`Shows     ${scene.shows}`),
      Doc.text(`Look for  ${scene.lookFor}`)
    ]).pipe(Effect.flatMap(mustEndWith(scene.ends)))
    if (scene.ends === "error") {
      yield* Screen.print(Doc.empty, dim("This is how the scene is meant to end, so the exit code is 0."))
    }
  }).pipe(Effect.scoped)

/** What the server is called in the lines and in errors; a URL that is none is refused by the layer. */
const providerOf = (baseUrl: string): string => {
  const host = URL.canParse(baseUrl) ? new URL(baseUrl).host : ""
  return host === "" || host === "api.openai.com" ? "openai" : host
}

const callService = ({ apiKey, baseUrl }: Service, prompt: string, models: Call.Chain["models"]) => {
  const key = apiKey === undefined ? "without a key, as it is on this machine" : "with OPENAI_API_KEY"
  const chain = {
    server: { apiKey, baseUrl, provider: providerOf(baseUrl) },
    models,
    backoff: { base: "1 second", cap: "60 seconds" },
    limits: { deadline: "60 seconds", patience: "5 seconds" }
  } as const
  return watch(chain, prompt, [title(`Live: calling ${baseUrl} ${key}.`)]).pipe(Effect.flatMap(mustEndWith("answer")))
}

const where = "a local server that fails on purpose, over real HTTP"

const command = Command.make(
  "npm start --",
  { scene, models, prompt },
  ({ models: named, prompt, scene }) =>
    Effect.gen(function*() {
      yield* refuseWhatNpmKept
      const own = Option.liftPredicate(named, Arr.isNonEmptyArray)
      const models = Option.getOrElse(own, () => Scenes.models)
      if (Option.isSome(scene)) {
        return Option.isSome(own)
          ? yield* new UsageError({ message: "A scene has models of its own: use --scene or --model, not both." })
          : yield* play(scene.value, prompt, models, `Scene ${scene.value.name}: calling ${where}.`)
      }
      const real = yield* service
      if (Option.isSome(real)) {
        return yield* callService(real.value, prompt, models)
      }
      yield* play(
        Option.isSome(own) ? Scenes.named : Scenes.tour,
        prompt,
        models,
        `Demo: OPENAI_API_KEY is not set, calling ${where}.`
      )
      yield* Screen.print(
        Doc.empty,
        dim("More: npm start -- --scene slow, and npm start -- --help for all the scenes.")
      )
    })
).pipe(Command.withDescription(description))

/** Help is in colour whatever it is written to; what is no terminal gets it plain. */
const plainUnlessColourful = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Screen.colourful, (colourful) =>
    colourful ? self : Effect.consoleWith((console) => {
      const plain = (args: ReadonlyArray<unknown>) =>
        args.map((arg) => typeof arg === "string" ? stripVTControlCharacters(arg) : arg)
      return Effect.withConsole(self, {
        ...console,
        log: (...args) => console.log(...plain(args)),
        error: (...args) => console.error(...plain(args))
      })
    }))

/**
 * The whole program, for the arguments of a process. What is wrong with the command goes to stderr, everything else to
 * stdout. Logs are off unless `--log-level` asks for them: they would tell the same things twice.
 */
export const run = (
  argv: ReadonlyArray<string>
): Effect.Effect<void, UsageError | CallFailed | ValidationError, CliApp.CliApp.Environment> =>
  Command.run(command, { name: "effect-resilience", version: manifest.version })(argv).pipe(
    Effect.onInterrupt(() => Screen.print(Doc.text("Interrupted."))),
    Effect.tapErrorTag("UsageError", ({ message }) => Console.error(message)),
    plainUnlessColourful,
    Effect.provide(Layer.merge(Screen.layer, CliConfig.layer({ showBuiltIns: false }))),
    Logger.withMinimumLogLevel(LogLevel.None)
  )
