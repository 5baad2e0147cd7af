/**
 * The chain and its policies in words, shown before the first call.
 *
 * Pure: what is set, lines out. The numbers are those the layers are made with; the attempts are the defaults of
 * `RetryPolicy`, which no scene changes, and what a scene leaves open about streams are those of `Resilience`.
 */
import type * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import { count, duration } from "../text.js"
import type * as Scenes from "./scenes.js"
import * as Service from "./service.js"

/** Who is asked in turn, and with how much patience. */
export interface Chain {
  readonly links: Arr.NonEmptyReadonlyArray<Service.Link>
  readonly policies: Scenes.Policies
}

/** Which calls are made. */
export interface Calls {
  readonly calls: Arr.NonEmptyReadonlyArray<Scenes.Call>
  readonly overlapping: boolean
  /** Are the answers streams? */
  readonly stream: boolean
}

const show = (input: Duration.DurationInput): string => duration(Duration.decode(input))

const attempts = (links: number): string => links === 1 ? "5 attempts" : "3 attempts (5 at the last)"

const remembering = ({ budget, circuit, maxConcurrent }: Scenes.Policies): ReadonlyArray<string> => [
  ...circuit === undefined
    ? []
    : [`a circuit for each model, opened by ${circuit.failures} failures in a row for ${show(circuit.openFor)}`],
  ...budget === undefined
    ? []
    : [
      `a budget of ${count(budget.initial, "retry", "retries")} for each user, and ${budget.ratio} more for every call`
    ],
  ...maxConcurrent === undefined
    ? []
    : [`${count(maxConcurrent, "call", "calls")} at a time at each provider`]
]

/** What becomes of a stream that breaks, in words. */
const meanings: Readonly<Record<Scenes.OnCut, string>> = {
  fail: "the call ends with the error",
  continue: "the rest of the answer is asked for",
  hold: "nothing is shown until the answer is whole",
  restart: "what came is taken back, a new answer follows"
}

const streaming = (
  { links, policies: { firstToken, idle = "15 seconds", onCut = "fail" } }: Chain
): ReadonlyArray<string> => {
  const limits = [
    ...firstToken !== undefined
      ? [`first token within ${show(firstToken)}`]
      : links.length > 1
      ? ["first token within 10 s (not at the last)"]
      : [],
    `idle for ${show(idle)} at most`
  ]
  return [`Stream    ${limits.join(", ")}`, `          on cut: ${onCut} (${meanings[onCut]})`]
}

const pace = ({ calls, overlapping }: Calls): string =>
  !overlapping
    ? "one after the other"
    : calls.some(({ after }) => after !== undefined)
    ? "each begun without waiting for the end of the one before"
    : "all at once"

/** Lines with their titles in a column. */
export const lines = (chain: Chain, calls: Calls): ReadonlyArray<string> => {
  const { links, policies } = chain
  const { backoff, deadline, patience } = policies
  const [first, ...rest] = [
    [
      `deadline ${show(deadline)}`,
      `backoff from ${show(backoff.base)} to ${show(backoff.cap)}`,
      ...links.length === 1 ? [] : [`patience ${show(patience)}`],
      attempts(links.length)
    ].join(", "),
    ...remembering(policies)
  ]
  return [
    `Chain     ${links.map(({ model }) => `${model} (${Service.apiOf(model)})`).join(" > ")}`,
    `Settings  ${first}`,
    ...rest.map((line) => `          ${line}`),
    ...calls.stream ? streaming(chain) : [],
    ...calls.calls.length === 1 ? [] : [`Calls     ${calls.calls.length}, ${pace(calls)}`]
  ]
}
