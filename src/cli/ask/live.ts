/**
 * What a person sees while a call runs: each event of its report as one line or two.
 *
 * Pure: an event in, lines out. The words explain the decision, not only the fact, since the point of watching is to
 * learn why a provider was asked again, waited for or left.
 */
import * as Ansi from "@effect/printer-ansi/Ansi"
import type { AnsiDoc } from "@effect/printer-ansi/AnsiDoc"
import * as Doc from "@effect/printer/Doc"
import * as Duration from "effect/Duration"
import * as Match from "effect/Match"
import * as Predicate from "effect/Predicate"
import type { Attempt, Denial, DeniedBy, Event, WaitReason } from "../../CallReport.js"
import type { Transition } from "../../CircuitBreaker.js"
import type { CallError, Target } from "../../ProviderError.js"
import { count, dim, duration, left, nameOf, nothing, outcomeOf, right, styled, title } from "../text.js"
import type { Call } from "./scenes.js"

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

/** What came of a stream, if anything did. */
const streamFacts = ({ chunks, skippedFrames, timeToFirstChunk }: Attempt): ReadonlyArray<string> => {
  const facts = [
    ...chunks === 0 ? [] : [count(chunks, "chunk", "chunks")],
    ...timeToFirstChunk === undefined ? [] : [`the first after ${duration(timeToFirstChunk)}`],
    ...skippedFrames === 0 ? [] : [`${count(skippedFrames, "frame", "frames")} that could not be read`]
  ]
  return facts.length === 0 ? [] : [facts.join(", ")]
}

const attemptLines = (attempt: Attempt, width: number): ReadonlyArray<AnsiDoc> => {
  const { error } = attempt
  const outcome = error === undefined ? attempt.outcome : outcomeOf(error)
  const line = Doc.hcat<Ansi.Ansi>([
    Doc.text(row(`${attempt.number}`, duration(attempt.startedAfter), nameOf(attempt), width)),
    Doc.text(left(`${attempt.status ?? nothing}`, STATUS)),
    styled(left(outcome, OUTCOME), attempt.outcome === "Success" ? Ansi.green : Ansi.red),
    Doc.text(right(duration(attempt.duration), TOOK)),
    dim(attempt.requestId ?? nothing)
  ])
  return [
    line,
    ...streamFacts(attempt).map((facts) => dim(indent + facts)),
    ...error?.retryAfter === undefined
      ? []
      : [dim(`${indent}asks for a wait of ${duration(error.retryAfter)} (Retry-After)`)]
  ]
}

const why = (denial: Denial): string => {
  const explanations: Record<DeniedBy, string> = {
    "attempts": `${nameOf(denial)} has had all the attempts this error allows`,
    "budget": "the retry budget is spent",
    "bulkhead": `as many calls as allowed are at ${nameOf(denial)} already`,
    "circuit": `the circuit of ${nameOf(denial)} is not closed, so nothing is sent`,
    "deadline": "too little time would be left before the deadline",
    "not retryable": `asking ${nameOf(denial)} again cannot cure this error`,
    "pause": `${nameOf(denial)} asked everyone to wait, and another can be asked now`,
    "patience": "another provider can be asked before this wait would end",
    "Retry-After too long": "the wait it asks for is longer than allowed",
    "unsupported": `${nameOf(denial)} cannot do all that is asked`
  }
  return explanations[denial.by]
}

/** What is waited for, and what comes then. */
const wait = (reason: WaitReason, delay: Duration.Duration, target: Target): string => {
  const sentences: Record<WaitReason, string> = {
    "backoff": `wait ${duration(delay)} (backoff), then ask ${nameOf(target)} again`,
    "bulkhead": `wait in line for ${duration(delay)} at most (bulkhead), then ask ${nameOf(target)}`,
    "pause": `wait ${duration(delay)} (pause), as everyone was asked to, then ask ${nameOf(target)}`,
    "Retry-After": `wait ${duration(delay)} (Retry-After), then ask ${nameOf(target)} again`
  }
  return sentences[reason]
}

/** The lines of an event that stay. An attempt that begins has none yet, and the end of the call is the table's. */
export const lines = (width: number): (event: Event) => ReadonlyArray<AnsiDoc> =>
  Match.type<Event>().pipe(
    Match.tagsExhaustive({
      AttemptStarted: () => [],
      AttemptEnded: ({ attempt }) => attemptLines(attempt, width),
      Waiting: ({ delay, reason, target }) => [styled(`${indent}${wait(reason, delay, target)}`, Ansi.yellow)],
      Denied: ({ denial }) => [styled(`${indent}denied by ${denial.by}: ${why(denial)}`, Ansi.magenta)],
      Resumed: ({ how, to }) => [
        styled(`${indent}${how === "restart" ? "begun anew" : "continued"} by ${nameOf(to)}`, Ansi.cyan)
      ],
      FellBack: ({ to }) => [styled(`${indent}fallback to ${nameOf(to)}`, Ansi.cyan)],
      CallEnded: () => []
    })
  )

/** A circuit that went from one state to another, and what opened it. */
export const transition = ({ circuit, from, openedBy, to }: Transition): AnsiDoc => {
  const by = openedBy === undefined
    ? ""
    : ` (${[openedBy.tag, openedBy.reason, openedBy.status].filter(Predicate.isNotUndefined).join(" ")})`
  return styled(`${indent}circuit ${circuit}: ${from} > ${to}${by}`, Ansi.blue)
}

/** Which of several calls the next lines are about, when it began and who made it. */
export const titleOf = (number: number, total: number, { after, user }: Call = {}): AnsiDoc =>
  title(
    [
      `Call ${number} of ${total}`,
      ...after === undefined ? [] : [`${duration(Duration.decode(after))} later`],
      ...user === undefined ? [] : [`by ${user}`]
    ].join(", ")
  )

/** A stream begins anew, and what was shown of it is not part of the answer. */
export const takenBack: AnsiDoc = styled(
  `${indent}taken back: forget what came so far, a new answer follows`,
  Ansi.yellow
)

/** One of several calls ended with this error. */
export const noAnswer = (error: CallError): AnsiDoc => styled(`${indent}no answer: ${outcomeOf(error)}`, Ansi.red)
