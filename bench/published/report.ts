/**
 * What was published beside what comes out here: tables, and the specifications of the plots. No number of ours is
 * written down; those of the sources are quoted.
 */
import type { Amplified } from "./amplification.js"
import type { Algorithm, Outcome } from "./contention.js"

/** One kind of backoff with so many clients, by our schedule and by the formula of the source. */
export interface Contended {
  readonly clients: number
  readonly algorithm: Algorithm["name"]
  readonly ours: Outcome
  readonly source: Outcome
}

/** A way to retry at a service that refuses a share of its requests. */
export interface Refused {
  readonly stack: string
  readonly failing: number
  readonly measured: Amplified
}

/** A figure of a book, and what was measured for it. */
export interface Quoted {
  readonly what: string
  readonly published: string
  readonly measured: Amplified
}

const row = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

const table = (titles: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => [
  row(titles),
  row(titles.map((_, i) => i === 0 ? "---" : "---:")),
  ...rows.map(row),
  ""
]

const whole = (number: number): string => Math.round(number).toLocaleString("en")
const percent = (share: number): string => `${Number((share * 100).toFixed(1))} %`

const unique = <A>(all: ReadonlyArray<A>): ReadonlyArray<A> => [...new Set(all)]

const AT = 100

/** What the article says of one kind of backoff beside another, with a hundred clients. */
const statements: ReadonlyArray<
  readonly [says: string, of: string, beside: string, what: "calls" | "millis"]
> = [
  ["backoff alone reduces the calls only slightly", "exponential", "none", "calls"],
  ["full jitter needs less than half of the calls of no jitter", "full jitter", "exponential", "calls"],
  ["and much less time", "full jitter", "exponential", "millis"],
  ["equal jitter needs about as many calls as full jitter", "equal jitter", "full jitter", "calls"],
  ["and takes much longer", "equal jitter", "full jitter", "millis"],
  ["decorrelated jitter needs more calls than full jitter", "decorrelated jitter", "full jitter", "calls"],
  ["in slightly less time", "decorrelated jitter", "full jitter", "millis"]
]

const contentionTable = (
  results: ReadonlyArray<Contended>,
  show: (outcome: Outcome) => string
): ReadonlyArray<string> => {
  const algorithms = unique(results.map((result) => result.algorithm))
  return table(
    ["clients", ...algorithms],
    unique(results.map((result) => result.clients)).map((clients) => [
      String(clients),
      ...algorithms.map((algorithm) =>
        results.filter((result) => result.clients === clients && result.algorithm === algorithm)
          .map(({ ours, source }) => `${show(ours)} (${show(source)})`).join()
      )
    ])
  )
}

const statementTable = (results: ReadonlyArray<Contended>): ReadonlyArray<string> => {
  const ratio = (of: string, beside: string, what: keyof Outcome, side: "ours" | "source"): string => {
    const at = (algorithm: string) =>
      results.find((result) => result.clients === AT && result.algorithm === algorithm)?.[side][what] ?? NaN
    return (at(of) / at(beside)).toFixed(2)
  }
  return table(
    ["the article", "measured", "our schedules", "its formulas"],
    statements.map(([says, of, beside, what]) => [
      says,
      `${what === "calls" ? "calls" : "time"}, ${of} / ${beside}`,
      ratio(of, beside, what, "ours"),
      ratio(of, beside, what, "source")
    ])
  )
}

/** All of it, as Markdown. */
export const report = (
  contended: ReadonlyArray<Contended>,
  trials: number,
  quoted: ReadonlyArray<Quoted>,
  refused: ReadonlyArray<Refused>
): string => {
  const stacks = unique(refused.map(({ stack }) => stack))
  return [
    "# Published results, with our schedules and our budget",
    "",
    "Results that others published about backoff and retry budgets, had again with the `Schedule`s and the `RetryBudget` of",
    "this library. Seeded: the same numbers in every run.",
    "",
    "## Backoff under contention",
    "",
    "[Exponential Backoff And Jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) (Marc Brooker,",
    "AWS Architecture Blog, 2015): clients with optimistic concurrency control start at once and all want to write one row,",
    "each message takes |N(10, 2)| ms, and who lost waits (base 5 ms, cap 2 s) and begins anew. The article has plots and no",
    "numbers, so beside `Backoff.exponential` and `Backoff.decorrelated` run the formulas of [its",
    "simulator](https://github.com/aws-samples/aws-arch-backoff-simulator), in the same network and with the same chance. What",
    "is left between the two is that our waits are whole milliseconds. (The simulator counts failures from 1, so its first",
    "wait is of up to 10 ms; ours counts from 0, and has a base of 10 ms for the same waits.)",
    "",
    `Means of ${trials} trials. With ${AT} clients:`,
    "",
    ...statementTable(contended),
    "![Calls by clients](contention-calls.svg)",
    "![Time by clients](contention-time.svg)",
    "",
    "Calls until all clients have succeeded, ours (and by the formulas of the source):",
    "",
    ...contentionTable(contended, ({ calls }) => whole(calls)),
    "Milliseconds until then:",
    "",
    ...contentionTable(contended, ({ millis }) => whole(millis)),
    "## Amplification by retries",
    "",
    "\"Site Reliability Engineering\" (Google, 2016), [Handling Overload](https://sre.google/sre-book/handling-overload/): with up",
    "to three attempts, a service that rejects most of its requests gets just below three times as many; a budget of retries",
    "for 10 % of the calls makes that 1.1 times. [Addressing Cascading",
    "Failures](https://sre.google/sre-book/addressing-cascading-failures/): three layers of four attempts each may make 64 of one",
    "call, so only one layer is to retry. Here with `RetryPolicy`, `RetryBudget` and `Resilience`, where 99 % of requests fail,",
    "and all of them for the layers:",
    "",
    ...table(
      ["", "the book: requests for each call", "here"],
      quoted.map(({ measured, published, what }) => [what, published, measured.attempts.toFixed(2)])
    ),
    "![Requests for each call by the share that fails](amplification.svg)",
    "",
    "Requests for each call, and the share of calls that succeed:",
    "",
    ...table(
      ["requests that fail", ...stacks],
      unique(refused.map(({ failing }) => failing)).map((failing) => [
        percent(failing),
        ...stacks.map((stack) =>
          refused.filter((one) => one.failing === failing && one.stack === stack)
            .map(({ measured }) => `${measured.attempts.toFixed(2)}, ${percent(measured.success)}`).join()
        )
      ])
    )
  ].join("\n")
}

const OURS = "our schedules"
const SOURCE = "formulas of the source"

/** A plot of what clients needed by their number: lines are ours, circles the formulas of the source. */
export const contentionPlot = (
  results: ReadonlyArray<Contended>,
  title: string,
  value: (outcome: Outcome) => number
): object => ({
  title: "Lines: our schedules; circles: formulas of the source",
  width: 520,
  height: 320,
  data: {
    values: results.flatMap(({ algorithm, clients, ours, source }) => [
      { clients, algorithm, value: value(ours), by: OURS },
      { clients, algorithm, value: value(source), by: SOURCE }
    ])
  },
  encoding: {
    x: { field: "clients", type: "quantitative", title: "clients that start at once" },
    y: { field: "value", type: "quantitative", title },
    color: {
      field: "algorithm",
      type: "nominal",
      sort: unique(results.map(({ algorithm }) => algorithm)),
      title: null
    }
  },
  layer: [
    { mark: "line", transform: [{ filter: { field: "by", equal: OURS } }] },
    { mark: { type: "point", size: 40 }, transform: [{ filter: { field: "by", equal: SOURCE } }] }
  ]
})

/** A plot of requests for each call by the share of requests that fail. */
export const amplificationPlot = (results: ReadonlyArray<Refused>): object => ({
  width: 520,
  height: 320,
  data: {
    values: results.map(({ failing, measured, stack }) => ({ failing, stack, attempts: measured.attempts }))
  },
  mark: { type: "line", point: true },
  encoding: {
    x: { field: "failing", type: "quantitative", axis: { format: "%" }, title: "requests that fail" },
    y: { field: "attempts", type: "quantitative", scale: { zero: false }, title: "requests for each call" },
    color: { field: "stack", type: "nominal", sort: unique(results.map(({ stack }) => stack)), title: null }
  }
})
