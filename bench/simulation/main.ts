/**
 * Runs every contender in every scenario under every seed, as many at a time as there are processors, and writes the
 * tables and plots. `settings.ts` says what can be asked for on the command line.
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { mkdir, writeFile } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { writePlot } from "../plot.js"
import { ours } from "./Contenders.js"
import { plotsOf } from "./plots.js"
import { report } from "./report.js"
import { settingsOf } from "./settings.js"
import type { Measured } from "./Trial.js"
import type { Job } from "./worker.js"

const args = process.argv.slice(2)
const settings = settingsOf(args)

const jobs: Array<Job> = settings.scenarios.flatMap((scenario, i) =>
  settings.contenders.flatMap(({ suits }, j) =>
    suits === undefined || suits(scenario) ? settings.seeds.map((_, k): Job => [i, j, k]) : []
  )
)
const key = (job: Job): string => job.join(" ")
const measured = new Map<string, Measured>()

// Advanced, so that Infinity survives the way; with the default nursery a third of the time goes into collecting garbage;
// and cockatiel keeps all callers that wait for a half-open probe on one signal, which is no leak.
const startWorker = () =>
  fork(fileURLToPath(new URL("worker.ts", import.meta.url)), args, {
    serialization: "advanced",
    execArgv: [...process.execArgv, "--max-semi-space-size=64", "--disable-warning=MaxListenersExceededWarning"]
  })

// The longest jobs stand at the end of the list; to begin with them leaves no worker idle at the end.
const pending = [...jobs].reverse()

const work = async (): Promise<void> => {
  const worker = startWorker()
  worker.once("exit", (code) => {
    if (code !== 0 && code !== null) {
      process.exit(code)
    }
  })
  for (let job = pending.shift(); job !== undefined; job = pending.shift()) {
    worker.send(job)
    const [result] = await once(worker, "message")
    measured.set(key(job), result)
  }
  worker.disconnect()
}

await Promise.all(Array.from({ length: availableParallelism() }, work))

const results = settings.scenarios.flatMap((scenario, i) =>
  settings.contenders.flatMap((contender, j) => {
    const runs = settings.seeds.flatMap((_, k) => measured.get(key([i, j, k])) ?? [])
    return runs.length === 0 ? [] : [{ scenario, contender, runs }]
  })
)
const text = report(results, settings.seeds, ours().name)
process.stdout.write(text)
if (settings.whole) {
  const directory = new URL("../results/", import.meta.url)
  await mkdir(directory, { recursive: true })
  await writeFile(new URL("simulation.md", directory), text)
  await Promise.all(plotsOf(results).map(({ name, spec }) => writePlot(name, spec)))
}
