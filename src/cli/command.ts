/**
 * The command line, and how what goes wrong is said.
 *
 * What is wrong with a command goes to stderr, what it is for to stdout. Every command is also what it says of itself with
 * `--help`; none is long enough to need a page of its own elsewhere.
 */
import type * as CliApp from "@effect/cli/CliApp"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import type { ValidationError } from "@effect/cli/ValidationError"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { stripVTControlCharacters } from "node:util"
import manifest from "../../package.json" with { type: "json" }
import * as Ask from "./ask/command.js"
import type { CallFailed, NotConfigured, UsageError } from "./errors.js"
import * as Check from "./gateway/check.js"
import * as Gateway from "./gateway/command.js"
import * as Logs from "./logs.js"
import * as Screen from "./screen.js"

const command = Command.make("effect-resilience").pipe(
  Command.withDescription(HelpDoc.blocks([
    HelpDoc.p("Calls to LLMs that survive their providers."),
    HelpDoc.p([
      "gateway  serves OpenAI's API, with retries and fallbacks, to programs in any language",
      "check    says what is wrong with the configuration of a gateway, and where",
      "ask      sends a prompt through a chain of models, and shows every attempt, wait and fallback"
    ].join("\n")),
    HelpDoc.p("Each says more with --help, as in: effect-resilience gateway --help")
  ])),
  Command.withSubcommands([Gateway.command, Check.command, Ask.command])
)

const interpret = Command.run(command, { name: "effect-resilience", version: manifest.version })

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

/** The whole program, for the arguments of a process. */
export const run = (
  argv: ReadonlyArray<string>
): Effect.Effect<void, UsageError | NotConfigured | CallFailed | ValidationError, CliApp.CliApp.Environment> =>
  Logs.levelOf(argv).pipe(
    Effect.flatMap(({ argv, level }) => Logger.withMinimumLogLevel(interpret(argv), level)),
    Effect.tapErrorTag("UsageError", ({ message }) => Console.error(message)),
    Effect.tapErrorTag("NotConfigured", ({ message }) => Console.error(message)),
    plainUnlessColourful,
    Effect.provide(Layer.merge(Screen.layer, CliConfig.layer({ showBuiltIns: false })))
  )
