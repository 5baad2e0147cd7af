/** Runs one job after the other for the main process. */
import { settingsOf } from "./settings.js"

/** Which scenario, contender and seed, by their places in the settings. */
export type Job = readonly [scenario: number, contender: number, seed: number]

const settings = settingsOf(process.argv.slice(2))

// Every simulated failure is an error object, and nobody reads its trace.
Error.stackTraceLimit = 0

process.on("message", ([scenarioIndex, contenderIndex, seedIndex]: Job) => {
  const scenario = settings.scenarios[scenarioIndex]
  const contender = settings.contenders[contenderIndex]
  const seed = settings.seeds[seedIndex]
  if (scenario === undefined || contender === undefined || seed === undefined) {
    throw new RangeError("no such job")
  }
  contender.measure(scenario, seed).then((measured) => process.send?.(measured))
})
