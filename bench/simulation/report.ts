/**
 * The tables. Every number in them was measured; what they compare with is the other contenders of the same scenario,
 * under the same seeds.
 */
import { mean } from "../statistics.js"
import type { Contender, Measured, Scenario } from "./Trial.js"

/** A contender in a scenario, once for each seed. */
export interface Result {
  readonly scenario: Scenario
  readonly contender: Contender
  readonly runs: ReadonlyArray<Measured>
}

/** The standard deviation of a sample. */
const spread = (numbers: ReadonlyArray<number>): number => {
  const middle = mean(numbers)
  return Math.sqrt(numbers.reduce((sum, one) => sum + (one - middle) ** 2, 0) / Math.max(1, numbers.length - 1))
}

const shown = (numbers: ReadonlyArray<number>, digits: number): string =>
  `${mean(numbers).toFixed(digits)} ± ${spread(numbers).toFixed(digits)}`

const recovery = (numbers: ReadonlyArray<number>): string => {
  const back = numbers.filter(Number.isFinite)
  const never = numbers.length - back.length
  return never === 0 ? shown(back, 1) : never === numbers.length ? "never" : `never in ${never} of ${numbers.length}`
}

interface Column {
  readonly title: string
  readonly cell: (runs: ReadonlyArray<Measured>) => string
}

const percent = (title: string, of: (run: Measured) => number): Column => ({
  title,
  cell: (runs) => shown(runs.map((run) => of(run) * 100), 1)
})

const seconds = (title: string, of: (run: Measured) => number): Column => ({
  title,
  cell: (runs) => shown(runs.map((run) => of(run) / 1000), 2)
})

const perCall = (title: string, of: (run: Measured) => number): Column => ({
  title,
  cell: (runs) => shown(runs.map(of), 2)
})

/** The columns that say something about what was measured. */
const columnsOf = (scenario: Scenario, [run]: ReadonlyArray<Measured>): ReadonlyArray<Column> => [
  percent("success %", (run) => run.success),
  ...(run?.quietSuccess === undefined ? [] : [percent("success of the quiet %", (run) => run.quietSuccess ?? NaN)]),
  perCall("attempts at the primary", (run) => run.primaryAttempts),
  ...(scenario.providers.length > 1 ? [perCall("attempts in all", (run) => run.attempts)] : []),
  ...(run?.firstOutput === undefined ? [] : [seconds("first output p50 s", (run) => run.firstOutput ?? NaN)]),
  seconds("p50 s", (run) => run.p50),
  seconds("p99 s", (run) => run.p99),
  ...(run?.backAfter === undefined ? [] : [
    {
      title: "back after s",
      cell: (runs: ReadonlyArray<Measured>) => recovery(runs.map((run) => (run.backAfter ?? NaN) / 1000))
    },
    percent("success in the last 10 s %", (run) => run.lastTenSeconds),
    {
      title: "peak after, requests/s",
      cell: (runs: ReadonlyArray<Measured>) => shown(runs.map((run) => run.peakAfter ?? NaN), 0)
    }
  ]),
  ...(scenario.providers.length > 1 || run?.backAfter !== undefined
    ? [percent("failed in vain %", (run) => run.failedInVain)]
    : [])
]

const row = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

const table = (scenario: Scenario, results: ReadonlyArray<Result>): ReadonlyArray<string> => {
  const columns = columnsOf(scenario, results[0]?.runs ?? [])
  return [
    `## ${scenario.id}`,
    "",
    `${scenario.title[0]?.toUpperCase()}${scenario.title.slice(1)}. ${
      results[0]?.runs.map((run) => run.calls).join(", ")
    } calls.`,
    "",
    row(["contender", ...columns.map((column) => column.title)]),
    row(["---", ...columns.map(() => "---:")]),
    ...results.map(({ contender, runs }) => row([contender.name, ...columns.map((column) => column.cell(runs))])),
    ""
  ]
}

/** Higher success at no more load, in every seed. */
const beats = (one: Result, other: Result): boolean =>
  one.runs.every((run, seed) => {
    const against = other.runs[seed]
    return against !== undefined && run.success > against.success &&
      run.primaryAttempts <= against.primaryAttempts && run.attempts <= against.attempts
  })

const beaten = (results: ReadonlyArray<Result>, reference: string): ReadonlyArray<string> =>
  results.flatMap((result) => {
    const own = results.find((other) => other.scenario === result.scenario && other.contender.name === reference)
    return own !== undefined && beats(result, own) ? [`- ${result.scenario.id}: ${result.contender.name}`] : []
  })

/** All of it, as Markdown. */
export const report = (
  results: ReadonlyArray<Result>,
  seeds: ReadonlyArray<number>,
  reference: string
): string => {
  const scenarios = [...new Set(results.map((result) => result.scenario))]
  const better = beaten(results, reference)
  return [
    "# Simulation",
    "",
    "The real code of each contender, in virtual time, against the same model of a provider. Attempts are requests that",
    "arrived there, for each call; p50 and p99 are what users waited for whatever came, answer or error. A success counts",
    "within the deadline, if there is one. \"Back\" is the time from the end of the fault to that from which at least 90 % of",
    "the calls begun in each 5 seconds succeed; the peak after is the busiest second at the primary from then on. A call",
    "failed in vain if some provider was healthy from its beginning to its end.",
    "",
    `Mean ± standard deviation over the seeds ${seeds.join(", ")}; the same seed gives the same numbers.`,
    "",
    ...scenarios.flatMap((scenario) => table(scenario, results.filter((result) => result.scenario === scenario))),
    `## Better than ${reference}`,
    "",
    "Contenders with a higher success at no more load (at the primary and in all), in every seed:",
    "",
    ...(better.length === 0 ? ["- none"] : better),
    ""
  ].join("\n")
}
