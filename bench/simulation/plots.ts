/**
 * The pictures: what became of the calls over time where a provider fails for a while, and success against load in every
 * scenario. Means over the seeds, from the same runs as the tables.
 */
import { mean } from "../statistics.js"
import { endOf } from "./Provider.js"
import type { Result } from "./report.js"
import type { Measured } from "./Trial.js"

export interface Plot {
  readonly name: string
  readonly spec: object
}

/** A series over the seconds, as far as any run went. */
const overTime = (runs: ReadonlyArray<Measured>, of: (run: Measured) => ReadonlyArray<number>, seconds: number) =>
  Array.from({ length: seconds }, (_, second) => mean(runs.map((run) => of(run)[second] ?? 0)))

const GOODPUT = "calls that succeeded"
const REQUESTS = "requests at the primary"

const timeline = (results: ReadonlyArray<Result>): ReadonlyArray<Plot> => {
  const [first] = results
  const fault = first?.scenario.providers[0].fault
  if (first === undefined || first.scenario.drawn !== true || fault === undefined) {
    return []
  }
  const { every = 0, times = 1 } = fault
  // As long as the first contender, who asks once, sends anything: what the others send after that nobody new waits for.
  const seconds = Math.max(endOf(fault) / 1000, ...first.runs.map(({ requests }) => requests.length))
  const faults = Array.from({ length: times }, (_, i) => ({
    from: (fault.from + i * every) / 1000,
    until: (fault.until + i * every) / 1000
  }))
  const values = results.flatMap(({ contender, runs }) =>
    ([[GOODPUT, (run: Measured) => run.goodput], [REQUESTS, (run: Measured) => run.requests]] as const).flatMap(
      ([what, of]) =>
        overTime(runs, of, seconds).map((perSecond, second) => ({
          contender: contender.name,
          what,
          second,
          perSecond: Number(perSecond.toFixed(1))
        }))
    )
  )
  return [{
    name: `simulation-${first.scenario.id}`,
    spec: {
      title: `${first.scenario.title[0]?.toUpperCase()}${first.scenario.title.slice(1)}`,
      data: { values },
      facet: { field: "contender", type: "nominal", title: null, sort: results.map(({ contender }) => contender.name) },
      columns: 4,
      spec: {
        width: 190,
        height: 110,
        layer: [
          {
            data: { values: faults },
            mark: { type: "rect", color: "#eeeeee" },
            encoding: { x: { field: "from", type: "quantitative" }, x2: { field: "until" } }
          },
          {
            mark: { type: "line", strokeWidth: 1.5 },
            encoding: {
              x: { field: "second", type: "quantitative", title: "s" },
              y: { field: "perSecond", type: "quantitative", title: "per second" },
              color: {
                field: "what",
                type: "nominal",
                title: null,
                scale: { domain: [REQUESTS, GOODPUT], range: ["#e45756", "#2a7f62"] },
                legend: { orient: "bottom" }
              }
            }
          }
        ]
      }
    }
  }]
}

const OTHERS = [
  "#bab0ac",
  "#f58518",
  "#b279a2",
  "#9ecae9",
  "#4c78a8",
  "#ff9da6",
  "#eeca3b",
  "#54a24b",
  "#9d755d"
]
const OURS = ["#d62728", "#ff4040", "#8c1515", "#ff8080"]

/** Upper left is best: the more calls succeed, and the less is asked for it. */
const load = (results: ReadonlyArray<Result>): Plot => {
  const contenders = [...new Set(results.map(({ contender }) => contender.name))]
  const others = contenders.filter((name) => !name.startsWith("effect-resilience"))
  return {
    name: "simulation-load",
    spec: {
      title: "Success against load: the further up and left, the better",
      data: {
        values: results.map(({ contender, runs, scenario }) => ({
          scenario: scenario.id,
          contender: contender.name,
          success: Number((100 * mean(runs.map((run) => run.success))).toFixed(2)),
          attempts: Number(mean(runs.map((run) => run.attempts)).toFixed(3))
        }))
      },
      facet: {
        field: "scenario",
        type: "nominal",
        title: null,
        sort: [...new Set(results.map(({ scenario }) => scenario.id))]
      },
      columns: 6,
      spec: {
        width: 130,
        height: 100,
        mark: { type: "point", filled: true, size: 55, opacity: 0.85 },
        encoding: {
          x: {
            field: "attempts",
            type: "quantitative",
            title: "attempts per call",
            scale: { domain: [0, 6], clamp: true }
          },
          y: { field: "success", type: "quantitative", title: "success %", scale: { domain: [0, 100] } },
          color: {
            field: "contender",
            type: "nominal",
            title: null,
            scale: {
              domain: contenders,
              range: contenders.map((name) => {
                const i = others.indexOf(name)
                return i < 0 ? OURS[contenders.indexOf(name) - others.length] : OTHERS[i]
              })
            }
          },
          shape: {
            condition: { test: "indexof(datum.contender, 'effect-resilience') === 0", value: "diamond" },
            value: "circle"
          }
        }
      }
    }
  }
}

/** All of them: one for each scenario that is drawn, and one for all together. */
export const plotsOf = (results: ReadonlyArray<Result>): ReadonlyArray<Plot> => [
  ...[...new Set(results.map(({ scenario }) => scenario))].flatMap((scenario) =>
    timeline(results.filter((result) => result.scenario === scenario))
  ),
  load(results)
]
