/**
 * `npm start`: the program in a process. Ctrl-C interrupts it, which closes its connections and its server, and ends it
 * with the exit code that shells expect.
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { run } from "./command.js"

// A reader that has gone, such as `head`, is told nothing more; without this it would be a crash.
process.stdout.on("error", () => {})

run(process.argv).pipe(
  Effect.tapDefect((cause) => Effect.logError(cause)),
  Effect.provide(NodeContext.layer),
  NodeRuntime.runMain({
    // What can be expected to go wrong has been said by the program.
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
  })
)
