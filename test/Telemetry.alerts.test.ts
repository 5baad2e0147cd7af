/** The alert rules in examples/ are valid, and ask for nothing that does not exist. */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual } from "@effect/vitest/utils"
import { parser } from "@prometheus-io/lezer-promql"
import { Telemetry } from "effect-resilience"
import { readFileSync } from "node:fs"
import { parse } from "yaml"

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Record<string, string>
  readonly annotations: Record<string, string>
}

const file: { readonly groups: ReadonlyArray<{ readonly rules: ReadonlyArray<Rule> }> } = parse(
  readFileSync(new URL("../examples/prometheus-alerts.yml", import.meta.url), "utf8")
)
const rules = file.groups.flatMap((group) => group.rules)

const underscored = (name: string): string => name.replaceAll(".", "_")

const histograms = [
  "resilience.retry.delay",
  "gen_ai.client.operation.duration",
  "gen_ai.client.operation.time_to_first_chunk"
]

/** Prometheus' name of each series, and the labels it has. */
const series = new Map<string, ReadonlyArray<string>>(
  Object.entries(Telemetry.tags).flatMap(([name, tags]) => {
    const labels = tags.map(underscored)
    const prometheus = underscored(name)
    return name === "resilience.circuit.state"
      ? [[prometheus, labels]]
      : histograms.includes(name)
      ? [
        [`${prometheus}_seconds_bucket`, [...labels, "le"]],
        [`${prometheus}_seconds_sum`, labels],
        [`${prometheus}_seconds_count`, labels]
      ]
      : [[`${prometheus}_total`, labels]]
  })
)

/** What of each kind an expression names. */
const named = (expr: string) => {
  const metrics: Array<string> = []
  const labels: Array<string> = []
  const errors: Array<string> = []
  parser.parse(expr).iterate({
    enter: (node) => {
      const text = expr.slice(node.from, node.to)
      if (node.type.isError) {
        errors.push(`${node.from}: ${text}`)
      } else if (node.name === "VectorSelector") {
        metrics.push(text.replace(/[{[].*/s, "").trim())
      } else if (node.name === "LabelName") {
        labels.push(text)
      }
    }
  })
  return { metrics, labels, errors }
}

describe("alert rules", () => {
  it("are checked by a parser that finds errors", () => {
    assertTrue(named("sum by (provider (rate(x[5m]))").errors.length > 0)
  })

  for (const { alert, annotations, expr, labels } of rules) {
    it(`${alert} asks for metrics and labels that exist`, () => {
      const { errors, labels: used, metrics } = named(expr)
      deepStrictEqual(errors, [])
      assertTrue(metrics.length > 0)
      for (const metric of metrics) {
        const known = series.get(metric)
        assertTrue(known !== undefined, `no metric is called ${metric}`)
        deepStrictEqual(used.filter((label) => !known.includes(label)), [])
      }
      deepStrictEqual([Object.keys(labels), Object.keys(annotations)], [["severity"], ["summary", "description"]])
      const shown = Object.values(annotations).join().matchAll(/\$labels\.(\w+)/g)
      deepStrictEqual([...shown].map(([, label]) => label).filter((label) => !used.includes(label ?? "")), [])
    })
  }

  it("cover calls that fail, retries, what they cure, circuits and the budget", () => {
    const expressions = rules.map(({ expr }) => expr).join()
    for (
      const part of [
        `outcome="failed"`,
        `outcome="after_retry"`,
        "resilience_retries_total",
        "resilience_circuit_state",
        `by="budget"`
      ]
    ) {
      assertTrue(expressions.includes(part), part)
    }
  })
})
