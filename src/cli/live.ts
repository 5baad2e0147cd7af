/**
 * What a person sees while a call runs: each event of its report as one line or two.
 *
 * Pure: an event in, lines out. The words explain the decision, not only the fact, since the point of watching is to
 * learn why a provider was asked again, waited for or left.
 */
import * as Ansi from "@effect/printer-ansi/Ansi"
import type { AnsiDoc } from "@effect/printer-ansi/AnsiDoc"
import * as Doc from "@effect/printer/Doc"
import * as Match from "effect/Match"
import type { Attempt, Denial, DeniedBy, Event } from "../CallReport.js"
import { dim, duration, left, nameOf, nothing, reasonOf, right, styled } from "./text.js"

type Asked = Extract<Event, { readonly _tag: "AttemptStarted" }>

const NUMBER = 2
const AT = 7
const STATUS = 6
const OUTCOME = 28
const TOOK = 7

const indent = " ".repeat(2 + NUMBER + 2 + AT + 2)

const row = (number: string, at: string, who: string, width: number): string =>
  `  ${right(number, NUMBER)}${right(at, AT)}${left(who, width)}`

/** The names of the columns; `width` is that of the longest provider and model. */
export const heading = (width: number): AnsiDoc =>
  dim(
    row("#", "at", "asked", width) + left("status", STATUS) + left("outcome", OUTCOME) + right("took", TOOK) +
      "request id"
  )

/** An attempt under way. */
export const asking = ({ number, startedAfter, target }: Asked, width: number): AnsiDoc =>
  dim(`${row(`${number}`, duration(startedAfter), nameOf(target), width)}asking …`)

const attemptLines = (attempt: Attempt, width: number): ReadonlyArray<AnsiDoc> => {
  const { error } = attempt
  const reason = error === undefined ? undefined : reasonOf(error)
  const outcome = reason === undefined ? attempt.outcome : `${attempt.outcome} (${reason})`
  const line = Doc.hcat<Ansi.Ansi>([
    Doc.text(row(`${attempt.number}`, duration(attempt.startedAfter), nameOf(attempt), width)),
    Doc.text(left(`${attempt.status ?? nothing}`, STATUS)),
    styled(left(outcome, OUTCOME), attempt.outcome === "Success" ? Ansi.green : Ansi.red),
    Doc.text(right(duration(attempt.duration), TOOK)),
    dim(attempt.requestId ?? nothing)
  ])
  return error?.retryAfter === undefined
    ? [line]
    : [line, dim(`${indent}asks for a wait of ${duration(error.retryAfter)} (Retry-After)`)]
}

const why = (denial: Denial): string => {
  const explanations: Record<DeniedBy, string> = {
    "attempts": `${nameOf(denial)} has had all the attempts this error allows`,
    "budget": "the retry budget is spent",
    "bulkhead": `as many calls as allowed are at ${nameOf(denial)} already`,
    "circuit": `the circuit of ${nameOf(denial)} is not closed, so nothing is sent`,
    "deadline": "too little time would be left before the deadline",
    "not retryable": `asking ${nameOf(denial)} again cannot cure this error`,
    "pause": "it asked everyone to wait, and another provider can be asked now",
    "patience": "another provider can be asked before this wait would end",
    "Retry-After too long": "the wait it asks for is longer than allowed",
    "unsupported": `${nameOf(denial)} cannot do all that is asked`
  }
  return explanations[denial.by]
}

/** The lines of an event that stay. An attempt that begins has none yet, and the end of the call is the table's. */
export const lines = (width: number): (event: Event) => ReadonlyArray<AnsiDoc> =>
  Match.type<Event>().pipe(
    Match.tagsExhaustive({
      AttemptStarted: () => [],
      AttemptEnded: ({ attempt }) => attemptLines(attempt, width),
      Waiting: ({ delay, reason, target }) => [
        styled(
          `${indent}wait ${duration(delay)} (${reason}), then ask ${nameOf(target)} again`,
          Ansi.yellow
        )
      ],
      Denied: ({ denial }) => [styled(`${indent}denied by ${denial.by}: ${why(denial)}`, Ansi.magenta)],
      FellBack: ({ to }) => [styled(`${indent}fallback to ${nameOf(to)}`, Ansi.cyan)],
      CallEnded: () => []
    })
  )
