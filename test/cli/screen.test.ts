import * as Terminal from "@effect/platform/Terminal"
import * as Doc from "@effect/printer/Doc"
import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, strictEqual } from "@effect/vitest/utils"
import { ConfigProvider, Effect } from "effect"
import * as Screen from "../../src/cli/screen.js"
import { dim } from "../../src/cli/text.js"
import * as TestTerminal from "./terminal.js"

const show = Effect.gen(function*() {
  const screen = yield* Screen.Screen
  yield* screen.pass(dim("asking"))
  yield* screen.print(dim("one"), Doc.text("two  "))
}).pipe(Effect.provide(Screen.layer))

const shownTo = (isTTY: boolean, environment: ReadonlyArray<[string, string]> = []) => {
  const { terminal, written } = TestTerminal.make(isTTY)
  return show.pipe(
    Effect.provideService(Terminal.Terminal, terminal),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(environment))),
    Effect.map(written)
  )
}

describe("screen", () => {
  it.effect("gives a terminal colours, and passing lines that the next line erases", () =>
    Effect.gen(function*() {
      const written = yield* shownTo(true)
      assertInclude(written, "asking")
      assertTrue(/asking.*\u001b\[2K.*one/s.test(written))
      assertInclude(written, "\u001b[0;90mone")
    }))

  it.effect("gives a pipe lasting lines, with no escape code and no space at their ends", () =>
    Effect.map(shownTo(false), (written) => strictEqual(written, "one\ntwo\n")))

  it.effect("gives whoever sets NO_COLOR what a pipe gets, unless it is empty", () =>
    Effect.gen(function*() {
      strictEqual(yield* shownTo(true, [["NO_COLOR", "1"]]), "one\ntwo\n")
      assertInclude(yield* shownTo(true, [["NO_COLOR", ""]]), "\u001b[")
    }))

  const speak = Effect.gen(function*() {
    const screen = yield* Screen.Screen
    yield* screen.say("Hel")
    yield* screen.say("lo \n\nyou")
    yield* screen.print(dim("one"))
    yield* screen.say("")
    yield* screen.say(" again", dim("two"))
    yield* screen.print()
  }).pipe(Effect.provide(Screen.layer))

  it.effect("joins the pieces of a text, marks its lines, and gives other lines a place of their own", () =>
    Effect.gen(function*() {
      const { terminal, written } = TestTerminal.make(false)
      yield* Effect.provideService(speak, Terminal.Terminal, terminal)
      strictEqual(written(), "  | Hello\n  |\n  | you\none\ntwo\n  |  again\n")
    }))

  it.effect("erases no piece of a text on a terminal", () =>
    Effect.gen(function*() {
      const { terminal, written } = TestTerminal.make(true)
      yield* Effect.provideService(speak, Terminal.Terminal, terminal)
      assertInclude(written(), "Hello\n")
      assertTrue(/you\n[^\n]*one/.test(written()))
    }))

  it.effect("does not mind a reader that has gone", () =>
    Effect.provideService(show, Terminal.Terminal, TestTerminal.closed))
})
