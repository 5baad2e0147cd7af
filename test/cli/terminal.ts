/** A terminal that remembers what was written to it. */
import * as Error from "@effect/platform/Error"
import * as Terminal from "@effect/platform/Terminal"
import type { AnsiDoc } from "@effect/printer-ansi/AnsiDoc"
import * as Doc from "@effect/printer/Doc"
import { Effect, Mailbox } from "effect"

export const make = (isTTY: boolean) => {
  let written = ""
  return {
    written: () => written,
    terminal: Terminal.Terminal.of({
      columns: Effect.succeed(100),
      rows: Effect.succeed(40),
      isTTY: Effect.succeed(isTTY),
      readInput: Mailbox.make<Terminal.UserInput>(),
      readLine: Effect.fail(new Terminal.QuitException()),
      display: (text) =>
        Effect.sync(() => {
          written += text
        })
    })
  }
}

/** A terminal whose reader has gone. */
export const closed: Terminal.Terminal = {
  ...make(false).terminal,
  display: () => Effect.fail(new Error.BadArgument({ module: "Terminal", method: "display", description: "EPIPE" }))
}

/** Lines as a pipe gets them. */
export const plain = (lines: ReadonlyArray<AnsiDoc>): ReadonlyArray<string> =>
  lines.map((line) => Doc.render(line, { style: "pretty" }).trimEnd())
