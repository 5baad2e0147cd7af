/**
 * The chain and its policies in words, shown before the first call.
 *
 * Pure: what is set, lines out. The numbers are those the layers are made with; the attempts are the defaults of
 * `RetryPolicy`, which no scene changes.
 */
import type * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import type * as Scenes from "./scenes.js"
import * as Service from "./service.js"
import { count, duration } from "./text.js"

/** Who is asked in turn, and with how much patience. */
export interface Chain {
  readonly links: Arr.NonEmptyReadonlyArray<Service.Link>
  readonly policies: Scenes.Policies
}

/** Which calls are made. */
export interface Calls {
  readonly calls: Arr.NonEmptyReadonlyArray<Scenes.Call>
  readonly overlapping: boolean
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

const pace = ({ calls, overlapping }: Calls): string =>
  !overlapping
    ? "one after the other"
    : calls.some(({ after }) => after !== undefined)
    ? "each begun without waiting for the end of the one before"
    : "all at once"

/** Lines with their titles in a column. */
export const lines = ({ links, policies }: Chain, calls: Calls): ReadonlyArray<string> => {
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
    ...calls.calls.length === 1 ? [] : [`Calls     ${calls.calls.length}, ${pace(calls)}`]
  ]
}
