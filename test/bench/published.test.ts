/** The published results hold for the schedules and the budget of this library, and can be had again. */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import * as amplification from "../../bench/published/amplification.js"
import type { Outcome } from "../../bench/published/contention.js"
import { algorithms, measure } from "../../bench/published/contention.js"
import { contentionPlot, report } from "../../bench/published/report.js"

const CLIENTS = 60
const TRIALS = 20

type Side = "ours" | "source"

const once = new Map<string, Outcome>()

const outcome = (name: (typeof algorithms)[number]["name"], side: Side = "ours"): Outcome => {
  const known = once.get(`${name} ${side}`)
  const algorithm = algorithms.find((one) => one.name === name)
  if (known !== undefined || algorithm === undefined) {
    return known ?? { calls: NaN, millis: NaN }
  }
  const measured = measure(CLIENTS, algorithm[side], TRIALS)
  once.set(`${name} ${side}`, measured)
  return measured
}

const near = (one: number, other: number, share: number): void =>
  assertTrue(Math.abs(one / other - 1) < share, `${one}, not about ${other}`)

describe("clients that want the same row", { timeout: 60_000 }, () => {
  it("need fewer calls with backoff than without, and far fewer with jitter", () => {
    assertTrue(outcome("exponential").calls < outcome("none").calls)
    for (const jittered of ["full jitter", "equal jitter", "decorrelated jitter"] as const) {
      assertTrue(outcome(jittered).calls < 0.65 * outcome("exponential").calls, jittered)
      assertTrue(outcome(jittered).millis < 0.2 * outcome("exponential").millis, jittered)
    }
  })

  it("need as many calls with equal jitter as with full jitter, and more time", () => {
    near(outcome("equal jitter").calls, outcome("full jitter").calls, 0.1)
    assertTrue(outcome("equal jitter").millis > 1.2 * outcome("full jitter").millis)
  })

  it("need more calls with decorrelated jitter than with full jitter, and less time", () => {
    assertTrue(outcome("decorrelated jitter").calls > 1.05 * outcome("full jitter").calls)
    assertTrue(outcome("decorrelated jitter").millis < outcome("full jitter").millis)
  })

  it("without jitter, our schedule waits to the millisecond what the formula of the source says", () => {
    deepStrictEqual(outcome("none"), outcome("none", "source"))
    deepStrictEqual(outcome("exponential"), outcome("exponential", "source"))
  })

  it("with jitter, our schedules need as many calls as the formulas of the source", () => {
    for (const { name } of algorithms) {
      near(outcome(name).calls, outcome(name, "source").calls, 0.03)
      near(outcome(name).millis, outcome(name, "source").millis, 0.15)
    }
  })

  it("same seed, same numbers", () => {
    for (const { ours, source } of algorithms) {
      deepStrictEqual(measure(10, ours, 5), measure(10, ours, 5))
      deepStrictEqual(measure(10, source, 5), measure(10, source, 5))
    }
  })
})

describe("a service that refuses most requests", { timeout: 60_000 }, () => {
  const measured = (stack: amplification.Stack, failing: number, calls = 500) =>
    amplification.measure(stack, failing, calls, 1)

  it("gets just below three times as many with three attempts, and 1.1 times with a budget of a tenth", async () => {
    const { attempts } = await measured(amplification.threeAttempts(), 0.99)
    assertTrue(attempts > 2.9 && attempts < 3, `${attempts}`)
    near((await measured(amplification.threeAttemptsInBudget(), 0.99)).attempts, 1.1, 0.005)
  })

  it("gets every retry that few failures need, within the default budget", async () => {
    const { attempts, success } = await measured(amplification.defaults(), 0.05)
    strictEqual(success, 1)
    assertTrue(attempts > 1 && attempts < 1.1, `${attempts}`)
  })

  it("gets 64 requests of a call through three layers of four attempts, and 4 when each is a Resilience", async () => {
    strictEqual((await measured(amplification.layers(), 1, 20)).attempts, 64)
    strictEqual((await measured(amplification.nestedResilience(), 1, 20)).attempts, 4)
  })

  it("gets 1.1 to the number of layers when each has a budget, and 1.1 when all share one", async () => {
    near((await measured(amplification.layersInBudgets(), 1)).attempts, 1.1 ** 3, 0.01)
    near((await measured(amplification.layersInBudget(), 1)).attempts, 1.1, 0.005)
  })

  it("same seed, same numbers", async () => {
    const first = await measured(amplification.threeAttempts(), 0.5)
    deepStrictEqual(await measured(amplification.threeAttempts(), 0.5), first)
  })
})

describe("the report of published results", () => {
  const contended = [100, 110].map((clients) => ({
    clients,
    algorithm: "none",
    ours: { calls: 1234.4, millis: 10 },
    source: { calls: 1235, millis: 20 }
  }))

  it("shows ours beside the source", () => {
    const text = report(contended, 3, [{ what: "w", published: "3", measured: { attempts: 2.971, success: 0 } }], [
      { stack: "s", failing: 0.1, measured: { attempts: 1.1, success: 0.995 } }
    ])
    for (const line of ["| 110 | 1,234 (1,235) |", "| w | 3 | 2.97 |", "| 10 % | 1.10, 99.5 % |"]) {
      assertTrue(text.includes(line), line)
    }
  })

  it("plots both sides of each", () => {
    const text = JSON.stringify(contentionPlot(contended, "calls", ({ calls }) => calls))
    assertTrue(text.includes("1234.4") && text.includes("1235"), text)
  })
})
