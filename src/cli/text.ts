/**
 * Words and columns: how durations, providers and cells look, the same in the live view and in the table.
 *
 * A cell is padded before it is coloured, so that columns line up whether or not escape codes are in between.
 */
import * as Ansi from "@effect/printer-ansi/Ansi"
import type * as AnsiDoc from "@effect/printer-ansi/AnsiDoc"
import * as Doc from "@effect/printer/Doc"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type { CallError, Target } from "../ProviderError.js"

/** What stands in a cell that has nothing to say. */
export const nothing = "-"

/** `47 ms`, `1.25 s`, `20 s`. */
export const duration = (value: Duration.Duration): string => {
  const millis = Math.round(Duration.toMillis(value))
  return millis < 1000 ? `${millis} ms` : millis % 1000 === 0 ? `${millis / 1000} s` : `${(millis / 1000).toFixed(2)} s`
}

/** `openai gpt-4o`. */
export const nameOf = ({ model, provider }: Target): string => {
  const name = [provider, model].filter(Predicate.isNotUndefined).join(" ")
  return name === "" ? "the call" : name
}

/** What the error says beyond its tag: the reason, or which limit ran out. */
export const reasonOf = (error: CallError): string | undefined =>
  "reason" in error ? error.reason : "scope" in error ? error.scope : undefined

/** `ServerError (Overloaded)`. */
export const outcomeOf = (error: CallError): string => {
  const reason = reasonOf(error)
  return reason === undefined ? error._tag : `${error._tag} (${reason})`
}

const controlCharacters = /[^\P{Cc}\n\t]/gu

/** What a model wrote, without the control characters, which a terminal would obey. */
export const harmless = (text: string): string => text.replace(controlCharacters, "")

/** `1 retry`, `2 retries`. */
export const count = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`

/** Spaces on the right up to `width`, and always two between columns. */
export const left = (text: string, width: number): string => `${text.padEnd(width)}  `

/** Spaces on the left up to `width`, and always two between columns. */
export const right = (text: string, width: number): string => `${text.padStart(width)}  `

/** A text in a colour, where there are colours. */
export const styled = (text: string, ...styles: ReadonlyArray<Ansi.Ansi>): AnsiDoc.AnsiDoc =>
  styles.reduce<AnsiDoc.AnsiDoc>((doc, style) => Doc.annotate(doc, style), Doc.text(text))

/** A text that matters less. */
export const dim = (text: string): AnsiDoc.AnsiDoc => styled(text, Ansi.blackBright)

/** A text that titles what follows. */
export const title = (text: string): AnsiDoc.AnsiDoc => styled(text, Ansi.bold)
