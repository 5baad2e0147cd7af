/**
 * Where lines go: to a terminal in colour, or plain to a pipe.
 *
 * Everything that is shown is made as a document by pure functions, and whether its colours are kept is decided here
 * alone. A terminal also shows a passing line, such as an attempt under way, which the next line replaces; a pipe, and
 * whoever sets `NO_COLOR`, gets lasting lines only and never an escape code. A text that comes in pieces is marked at the
 * beginning of its lines, and its last line stays open for the next piece until something else is shown.
 */
import * as Terminal from "@effect/platform/Terminal"
import * as AnsiDoc from "@effect/printer-ansi/AnsiDoc"
import * as Doc from "@effect/printer/Doc"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { dim } from "./text.js"

export class Screen extends Context.Tag("effect-resilience/cli/Screen")<Screen, {
  /** Lines that stay. */
  readonly print: (...lines: ReadonlyArray<AnsiDoc.AnsiDoc>) => Effect.Effect<void>
  /** A line that the next one replaces. */
  readonly pass: (line: AnsiDoc.AnsiDoc) => Effect.Effect<void>
  /** A piece of a text, right after the piece before it; or below these lines, if there are any. */
  readonly say: (piece: string, ...above: ReadonlyArray<AnsiDoc.AnsiDoc>) => Effect.Effect<void>
}>() {}

/** Is there a person with a terminal who has nothing against colour? Source: no-color.org. */
export const colourful: Effect.Effect<boolean, never, Terminal.Terminal> = Effect.gen(function*() {
  const terminal = yield* Terminal.Terminal
  const noColor = yield* Config.nonEmptyString("NO_COLOR").pipe(Config.option, Effect.orElseSucceed(Option.none))
  return Option.isNone(noColor) && (yield* terminal.isTTY)
})

/** At the beginning of each line of a text that comes in pieces. */
const MARK = "  | "

const eraseLine = AnsiDoc.render(Doc.cat(AnsiDoc.eraseLine, AnsiDoc.cursorLeft), { style: "pretty" })

export const layer: Layer.Layer<Screen, never, Terminal.Terminal> = Layer.effect(
  Screen,
  Effect.gen(function*() {
    const terminal = yield* Terminal.Terminal
    const inColour = yield* colourful
    const render = (line: AnsiDoc.AnsiDoc) =>
      inColour ? AnsiDoc.render(line, { style: "pretty" }) : Doc.render(line, { style: "pretty" }).trimEnd()
    const linesOf = (lines: ReadonlyArray<AnsiDoc.AnsiDoc>) => lines.map((line) => `${render(line)}\n`).join("")
    const mark = inColour ? AnsiDoc.render(dim(MARK), { style: "pretty" }) : MARK
    let isOpen = false
    /** To the beginning of a line. */
    const fresh = () => {
      const text = isOpen ? "\n" : inColour ? eraseLine : ""
      isOpen = false
      return text
    }
    const spoken = (piece: string) => {
      const continued = isOpen
      const begin = continued ? "" : fresh()
      const lines = piece.split("\n")
      isOpen = lines[lines.length - 1] !== ""
      return begin + lines.map((line, index) => {
        const text = index === 0 && continued ? line : mark + line
        return index < lines.length - 1 ? text.trimEnd() : line === "" ? "" : text
      }).join("\n")
    }
    // A reader that has gone, such as `head`, is no reason to fail.
    const write = (text: () => string) => Effect.suspend(() => Effect.ignore(terminal.display(text())))
    return {
      print: (...lines) => write(() => fresh() + linesOf(lines)),
      pass: (line) => inColour ? write(() => fresh() + render(line)) : Effect.void,
      say: (piece, ...above) =>
        piece === ""
          ? Effect.void
          : write(() => (above.length === 0 ? "" : fresh() + linesOf(above)) + spoken(piece))
    }
  })
)

/** Lines that stay, on the screen in the context. */
export const print = (...lines: ReadonlyArray<AnsiDoc.AnsiDoc>): Effect.Effect<void, never, Screen> =>
  Effect.flatMap(Screen, (screen) => screen.print(...lines))

/** A line that the next one replaces, on the screen in the context. */
export const pass = (line: AnsiDoc.AnsiDoc): Effect.Effect<void, never, Screen> =>
  Effect.flatMap(Screen, (screen) => screen.pass(line))

/** A piece of a text, on the screen in the context. */
export const say = (
  piece: string,
  ...above: ReadonlyArray<AnsiDoc.AnsiDoc>
): Effect.Effect<void, never, Screen> => Effect.flatMap(Screen, (screen) => screen.say(piece, ...above))
