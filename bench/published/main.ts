/** Has published results again with this library, and writes what came out beside what was published. */
import { mkdir, writeFile } from "node:fs/promises"
import { writePlot } from "../plot.js"
import * as amplification from "./amplification.js"
import { algorithms, measure } from "./contention.js"
import type { Contended, Quoted, Refused } from "./report.js"
import { amplificationPlot, contentionPlot, report } from "./report.js"

const TRIALS = 100
const CALLS = 1000
const SEED = 1

const contended = Array.from({ length: 19 }, (_, i) => (i + 1) * 10).flatMap((clients) =>
  algorithms.map(({ name, ours, source }): Contended => ({
    clients,
    algorithm: name,
    ours: measure(clients, ours, TRIALS),
    source: measure(clients, source, TRIALS)
  }))
)

const figures: ReadonlyArray<readonly [what: string, published: string, stack: amplification.Stack, failing: number]> =
  [
    ["three attempts", "just below 3", amplification.threeAttempts(), 0.99],
    ["three attempts, retries for 10 % of the calls", "1.1", amplification.threeAttemptsInBudget(), 0.99],
    ["our defaults: five attempts, 20 %, ten in reserve", "", amplification.defaults(), 0.99],
    ["four attempts in each of three layers", "64", amplification.layers(), 1],
    ["the same, each layer within 10 %", "", amplification.layersInBudgets(), 1],
    ["the same, one budget of 10 % around all", "", amplification.layersInBudget(), 1],
    ["three `Resilience`s around each other, four attempts, no budget", "", amplification.nestedResilience(), 1]
  ]
const quoted: Array<Quoted> = []
for (const [what, published, stack, failing] of figures) {
  quoted.push({ what, published, measured: await amplification.measure(stack, failing, CALLS, SEED) })
}

const stacks = {
  "three attempts": amplification.threeAttempts,
  "three attempts, 10 % budget": amplification.threeAttemptsInBudget,
  "our defaults": amplification.defaults
}
const refused: Array<Refused> = []
for (const failing of [0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99]) {
  for (const [stack, make] of Object.entries(stacks)) {
    refused.push({ stack, failing, measured: await amplification.measure(make(), failing, CALLS, SEED) })
  }
}

const text = report(contended, TRIALS, quoted, refused)
process.stdout.write(text)
const directory = new URL("../results/", import.meta.url)
await mkdir(directory, { recursive: true })
await writeFile(new URL("published.md", directory), text)
await writePlot("contention-calls", contentionPlot(contended, "calls until all succeeded", ({ calls }) => calls))
await writePlot(
  "contention-time",
  // As in the article: without jitter it takes so long that nothing else could be told apart.
  contentionPlot(
    contended.filter(({ algorithm }) => algorithm !== "exponential"),
    "milliseconds until all succeeded",
    ({ millis }) => millis
  )
)
await writePlot("amplification", amplificationPlot(refused))
