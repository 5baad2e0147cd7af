/**
 * What a person sees once a call is over: the answer or the error, and a table of where the attempts and the time went.
 *
 * Pure: a report in, lines out. The answer is the only text here that a model wrote.
 */
import * as Ansi from "@effect/printer-ansi/Ansi"
import type { AnsiDoc } from "@effect/printer-ansi/AnsiDoc"
import * as Doc from "@effect/printer/Doc"
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { pipe } from "effect/Function"
import * as Num from "effect/Number"
import * as Option from "effect/Option"
import type { CallReport } from "../../CallReport.js"
import type { CallError } from "../../ProviderError.js"
import { count, dim, duration, harmless, left, nameOf, nothing, reasonOf, right, styled, title } from "../text.js"

/** Who wrote the answer: where it was continued, everyone who said a part of it. */
const authors = ({ answeredBy, attempts, continuations }: CallReport): string =>
  continuations === 0
    ? answeredBy === undefined ? "" : nameOf(answeredBy)
    : Arr.dedupe(attempts.filter(({ chunks }) => chunks > 0).map(nameOf)).join(" and ")

/** The answer, and who gave it. One that was shown as it came, and in one piece, is not shown again. */
export const answer = (text: string, report: CallReport | undefined, isShown = false): ReadonlyArray<AnsiDoc> => {
  const by = report === undefined ? "" : authors(report)
  const heading = by === "" ? "Answer" : `Answer from ${by}`
  return [
    styled(isShown ? `${heading}, as it came, above` : heading, Ansi.bold, Ansi.green),
    ...isShown
      ? []
      : text === ""
      ? [dim("  (no text)")]
      : harmless(text).split("\n").map((line) => Doc.text(`  ${line}`))
  ]
}

/** How many of several calls were answered, and by whom. */
export const answers = (
  calls: ReadonlyArray<{
    readonly outcome: Either.Either<unknown, unknown>
    readonly report: CallReport | undefined
  }>
): ReadonlyArray<AnsiDoc> => {
  const answered = calls.filter(({ outcome }) => Either.isRight(outcome))
  const names = answered.map(({ report }) => nameOf(report?.answeredBy ?? {}))
  const by = Arr.dedupe(names).map((name) => `${names.filter((other) => other === name).length} by ${name}`)
  return [
    styled(
      [`${answered.length} of ${calls.length} calls answered`, ...by].join(", "),
      Ansi.bold,
      answered.length === calls.length ? Ansi.green : Ansi.red
    )
  ]
}

/**
 * The error in plain words, after nothing or a part of an answer. The provider's own text stays redacted: it may quote the
 * prompt.
 */
export const failure = (error: CallError, isPartShown = false): ReadonlyArray<AnsiDoc> => {
  const reason = reasonOf(error)
  const facts = [
    ["error", error._tag],
    [error._tag === "Timeout" ? "scope" : "reason", reason],
    ["message", error.message],
    ["request id", "requestId" in error ? error.requestId : undefined],
    ["retry after", error.retryAfter === undefined ? undefined : duration(error.retryAfter)]
  ] as const
  return [
    styled(isPartShown ? "No whole answer: what came, above, is a part" : "No answer", Ansi.bold, Ansi.red),
    ...facts.flatMap(([name, value]) =>
      value === undefined ? [] : [Doc.cat(dim(`  ${left(name, 11)}`), Doc.text(value))]
    )
  ]
}

const headings = ["attempts", "retries", "worked", "waited"] as const

const counted = (n: number, one: string, many: string): ReadonlyArray<string> => n === 0 ? [] : [count(n, one, many)]

/** When the first output came, in the calls that had any. */
const firstChunks = (times: ReadonlyArray<Duration.Duration>): ReadonlyArray<string> => {
  const [fastest, ...others] = Arr.sort(times, Duration.Order)
  const slowest = others.at(-1)
  return fastest === undefined
    ? []
    : slowest === undefined
    ? [`the first chunk after ${duration(fastest)}`]
    : [`first chunks after ${duration(fastest)} to ${duration(slowest)}`]
}

const row = (who: string, width: number, cells: ReadonlyArray<string>, denied: string): string =>
  `  ${left(who, width)}${cells.map((cell) => right(cell, 8)).join("")}${denied}`

const total = (durations: ReadonlyArray<Duration.Duration>): Duration.Duration =>
  durations.reduce(Duration.sum, Duration.zero)

/** A row for each provider, one for all of them, and the fallbacks between them, in calls that took so long together. */
export const summary = (
  reports: ReadonlyArray<CallReport>,
  took: Duration.Duration,
  width: number
): ReadonlyArray<AnsiDoc> => {
  const attempts = reports.flatMap((report) => report.attempts)
  const waits = reports.flatMap((report) => report.waits)
  const denials = reports.flatMap((report) => report.denials)
  const streamed = attempts.some(({ chunks }) => chunks > 0)
  const chunksOf = (some: typeof attempts) => streamed ? [`${Num.sumAll(some.map(({ chunks }) => chunks))}`] : []
  const rows = pipe(
    [...attempts, ...waits, ...denials],
    Arr.map(nameOf),
    Arr.dedupe,
    Arr.map((name) => {
      const own = attempts.filter((attempt) => nameOf(attempt) === name)
      const by = denials.filter((denial) => nameOf(denial) === name).map((denial) => denial.by)
      return row(name, width, [
        `${own.length}`,
        `${own.filter((attempt) => attempt.resend > 0).length}`,
        duration(total(own.map((attempt) => attempt.duration))),
        duration(total(waits.filter((wait) => nameOf(wait) === name).map((wait) => wait.duration))),
        ...chunksOf(own)
      ], by.length === 0 ? nothing : Arr.dedupe(by).join(", "))
    })
  )
  const inAll = [
    `${attempts.length}`,
    `${Num.sumAll(reports.map(({ retries }) => retries))}`,
    duration(total(reports.map(({ worked }) => worked))),
    duration(total(reports.map(({ waited }) => waited))),
    ...chunksOf(attempts)
  ]
  const facts = [
    count(Num.sumAll(reports.map(({ fallbacks }) => fallbacks)), "fallback", "fallbacks"),
    ...counted(Num.sumAll(reports.map(({ continuations }) => continuations)), "continuation", "continuations"),
    ...counted(Num.sumAll(reports.map(({ restarts }) => restarts)), "restart", "restarts"),
    ...firstChunks(Arr.filterMap(reports, ({ timeToFirstChunk }) => Option.fromNullable(timeToFirstChunk))),
    `${duration(took)} from first to last`
  ]
  return [
    title("Summary"),
    dim(row("", width, streamed ? [...headings, "chunks"] : headings, "denied by")),
    ...rows.map(Doc.text),
    Doc.annotate(Doc.text(row("in all", width, inAll, "")), Ansi.bold),
    Doc.text(`  ${facts.join(", ")}`)
  ]
}
