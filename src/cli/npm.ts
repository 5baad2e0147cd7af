/**
 * What npm does to a command line that goes through one of its scripts.
 *
 * The repository runs each command as a script, an installed package as a program, and a hint has to be something that
 * can be typed where it is read.
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { UsageError } from "./errors.js"

const scripts = {
  ask: { event: "start", typed: "npm start --" },
  gateway: { event: "gateway", typed: "npm run gateway --" }
} as const

/** The commands that are scripts too. */
export type Script = keyof typeof scripts

/** What was typed for a command, its options aside. */
export const typed = (command: Script): Effect.Effect<string> =>
  Config.string("npm_lifecycle_event").pipe(
    Effect.map((event) => event === scripts[command].event),
    Effect.orElseSucceed(() => false),
    Effect.map((isScript) => isScript ? scripts[command].typed : `npx effect-resilience ${command}`)
  )

/**
 * Refuses `npm start --scene slow`, without `--` in between: npm takes the option for one of its own, keeps it in the
 * environment and passes on the rest.
 */
export const refuseKept = (
  command: Script,
  options: ReadonlyArray<string>,
  example: string
): Effect.Effect<void, UsageError> =>
  Effect.gen(function*() {
    const kept = yield* Effect.forEach(options, (name) =>
      Config.option(Config.string(`npm_config_${name.replaceAll("-", "_")}`)))
    if (kept.some(Option.isSome)) {
      return yield* new UsageError({
        message: `npm kept an option for itself. Put -- before the options, as in: ${scripts[command].typed} ${example}`
      })
    }
  }).pipe(Effect.catchIf(ConfigError.isConfigError, (error) =>
    new UsageError({ message: `${error}` })))
