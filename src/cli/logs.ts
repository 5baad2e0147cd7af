/**
 * Logs: none for a command that shows all there is to see, and for a server a line for each event.
 *
 * They go to stderr, so that what a command has to say stays apart: as lines of JSON for whatever collects them, and in a
 * form to be read on a terminal. `--log-level` says how many.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import { UsageError } from "./errors.js"
import * as Screen from "./screen.js"

/** No logs, as nobody asked for a level. Whoever asks for none gets `LogLevel.None` itself. */
const unasked: LogLevel.LogLevel = { ...LogLevel.None }

const named = (name: string): Effect.Effect<LogLevel.LogLevel, UsageError> =>
  Arr.findFirst(LogLevel.allLevels, ({ _tag }) => _tag.toLowerCase() === name.toLowerCase()).pipe(
    Effect.mapError(() =>
      new UsageError({
        message: `--log-level: expected one of ${LogLevel.allLevels.map(({ _tag }) => _tag.toLowerCase()).join(", ")}.`
      })
    )
  )

interface Asked {
  readonly argv: ReadonlyArray<string>
  readonly level: LogLevel.LogLevel
}

/**
 * The level of a command line, and the rest of it. It is an option of every command, and `@effect/cli` knows it too, but
 * only where it comes first.
 */
export const levelOf = (argv: ReadonlyArray<string>): Effect.Effect<Asked, UsageError> =>
  Option.match(Arr.findFirstIndex(argv, (arg) => /^--log-level(=|$)/.test(arg)), {
    onNone: () => Effect.succeed({ argv, level: unasked }),
    onSome: (at) => {
      const [, name] = argv[at]?.split("=", 2) ?? []
      return Effect.map(named(name ?? argv[at + 1] ?? ""), (level) => ({
        argv: [...argv.slice(0, at), ...argv.slice(at + (name === undefined ? 2 : 1))],
        level
      }))
    }
  })

const logger = Effect.map(
  Screen.colourful,
  (colourful) =>
    process.stderr.isTTY
      ? Logger.prettyLogger({ stderr: true, colors: colourful })
      : Logger.withConsoleError(Logger.jsonLogger)
)

const Loggers = Layer.mergeAll(
  Logger.remove(Logger.defaultLogger),
  Logger.remove(Logger.prettyLoggerDefault),
  Logger.addEffect(logger)
)

/** Has what runs in it log, from the level on that was asked for. */
export const withLogs = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(FiberRef.get(FiberRef.currentMinimumLogLevel), (level) =>
    self.pipe(
      Effect.provide(Loggers),
      Logger.withMinimumLogLevel(level === unasked ? LogLevel.Info : level)
    ))
