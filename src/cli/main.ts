/**
 * The program in a process. Ctrl-C interrupts it, which closes its connections and its servers, and ends it with the exit
 * code that shells expect; a command for which that is a good end has set its own.
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { run } from "./command.js"

// A reader that has gone, such as `head`, is told nothing more; without this it would be a crash.
process.stdout.on("error", () => {})
process.stderr.on("error", () => {})

const exitCode = <A, E>(exit: Exit.Exit<A, E>): number => {
  if (Exit.isSuccess(exit)) {
    return 0
  }
  if (Cause.isInterruptedOnly(exit.cause)) {
    return Number(process.exitCode ?? 130)
  }
  return Option.exists(Cause.failureOption(exit.cause), Predicate.isTagged("NotConfigured")) ? 2 : 1
}

run(process.argv).pipe(
  Effect.tapDefect((cause) => Effect.logError(cause)),
  Effect.provide(NodeContext.layer),
  NodeRuntime.runMain({
    // What can be expected to go wrong has been said by the program.
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(exitCode(exit))
  })
)
