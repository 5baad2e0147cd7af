/** The simulation as a whole: its numbers can be had again, and the two kinds of virtual time agree. */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, notDeepStrictEqual, strictEqual, throws } from "@effect/vitest/utils"
import * as cockatiel from "cockatiel"
import { Effect } from "effect"
import { contenders } from "../../bench/simulation/Contenders.js"
import { effectContender } from "../../bench/simulation/EffectContender.js"
import { swept } from "../../bench/simulation/parameters.js"
import { promiseContender } from "../../bench/simulation/PromiseContender.js"
import { constant, logNormal } from "../../bench/simulation/random.js"
import { report } from "../../bench/simulation/report.js"
import type { Contender, Measured, Scenario } from "../../bench/simulation/Trial.js"
import { atOnce, poisson } from "../../bench/simulation/Trial.js"

/** A little of everything that can go wrong. */
const troubled: Scenario = {
  id: "troubled",
  title: "a bit of everything",
  arrivals: poisson(50, 2500),
  providers: [
    {
      name: "primary",
      capacity: { workers: 20, serviceTime: logNormal(300, 0.5), queue: 20 },
      failureRate: 0.3,
      limit: { kind: "bucket", perSecond: 60, burst: 20 },
      fault: { kind: "hang", from: 1000, until: 2000 }
    },
    { name: "secondary", latency: logNormal(400, 0.5) }
  ],
  attemptTimeout: 1000,
  deadline: 5000
}

/** One call at a primary that does not answer from 10 s on, begun at each of the given moments. */
const failingFrom10s = (moments: ReadonlyArray<number>): Scenario => ({
  id: "fault",
  title: "refuses",
  arrivals: () => moments,
  providers: [{ name: "primary", latency: constant(100), fault: { kind: "refuse", from: 10_000, until: 20_000 } }],
  attemptTimeout: 1000
})

const bareEffect: Contender = effectContender("effect", ([{ send }]) => Effect.succeed(send))
const barePromise: Contender = promiseContender("promise", ([send], { attemptTimeout }) => {
  const policy = cockatiel.timeout(attemptTimeout, cockatiel.TimeoutStrategy.Aggressive)
  return () => policy.execute(({ signal }) => send(signal))
})

const everySecond = Array.from({ length: 40 }, (_, i) => i * 1000)

describe("the simulation", { timeout: 60_000 }, () => {
  for (const contender of contenders) {
    it(`gives the same numbers for the same seed, and others for another: ${contender.name}`, async () => {
      const first = await contender.measure(troubled, 1)
      assertTrue(first.calls > 100 && first.success > 0, JSON.stringify(first))
      deepStrictEqual(await contender.measure(troubled, 1), first)
      notDeepStrictEqual(await contender.measure(troubled, 2), first)
    })
  }

  it("gives Effect programs and promises the same world", async () => {
    const scenario = { ...troubled, deadline: undefined }
    deepStrictEqual(await barePromise.measure(scenario, 1), await bareEffect.measure(scenario, 1))
  })

  it("leaves time and chance as they were", async () => {
    const globals = () => [setTimeout, clearTimeout, Date, performance.now, Math.random]
    const before = globals()
    await barePromise.measure(troubled, 1)
    deepStrictEqual(globals().map((one, i) => one === before[i]), before.map(() => true))
  })

  it("counts requests and calls, and what users waited", async () => {
    const measured = await bareEffect.measure({
      ...failingFrom10s([]),
      arrivals: atOnce(10),
      providers: [{ name: "p", latency: constant(100), limit: { kind: "window", limit: 6, millis: 60_000 } }]
    }, 1)
    deepStrictEqual(measured, {
      calls: 10,
      success: 0.6,
      primaryAttempts: 1,
      attempts: 1,
      p50: 100,
      p99: 100,
      lastTenSeconds: 0.6,
      backAfter: undefined
    })
  })

  it("tells when success is back after a fault, and when it is not", async () => {
    const bare = await bareEffect.measure(failingFrom10s(everySecond), 1)
    strictEqual(bare.success, 0.75)
    strictEqual(bare.backAfter, 0)
    strictEqual(bare.lastTenSeconds, 1)
    // Whoever gives up for good after ten failures is never back.
    const resigned = await effectContender("resigned", ([{ send }]) => {
      let failures = 0
      const counted = Effect.tapError(send, () => Effect.sync(() => failures++))
      return Effect.succeed(Effect.if(Effect.sync(() => failures < 10), {
        onTrue: () => counted,
        onFalse: () => Effect.fail("no more")
      }))
    }).measure(failingFrom10s(everySecond), 1)
    strictEqual(resigned.backAfter, Infinity)
    strictEqual(resigned.lastTenSeconds, 0)
    // A quarantine of 15 seconds after the first failure lasts 5 seconds longer than the fault.
    const quarantined = await effectContender("quarantined", ([{ send }]) =>
      Effect.map(Effect.clock, (clock) => {
        const now = () => clock.unsafeCurrentTimeMillis()
        let until = 0
        const watched = Effect.tapError(send, () => Effect.sync(() => until = now() + 15_000))
        return Effect.if(Effect.sync(() => now() >= until), {
          onTrue: () => watched,
          onFalse: () => Effect.fail("closed")
        })
      })).measure(failingFrom10s(everySecond), 1)
    strictEqual(quarantined.backAfter, 6000)
  })

  it("a bug in a contender ends the run, and does not pass for a failed call", async () => {
    const broken = effectContender("broken", () => Effect.succeed(Effect.die(new Error("a bug"))))
    const end = await broken.measure(failingFrom10s([0]), 1).then(() => "ended", String)
    assertTrue(end.includes("a bug"), end)
  })

  it("a sweep makes every combination, and refuses what is no option", () => {
    deepStrictEqual(swept(["retry.maxAttempts=2,3", "retry.base=1 second,500 millis"]).map(({ name }) => name), [
      "retry.maxAttempts = 2, retry.base = 1 second",
      "retry.maxAttempts = 2, retry.base = 500 millis",
      "retry.maxAttempts = 3, retry.base = 1 second",
      "retry.maxAttempts = 3, retry.base = 500 millis"
    ])
    for (const bad of ["retry.maxAttemps=2", "retry.maxAttempts", "retry.base=soon", "toString=1"]) {
      throws(() => swept([bad]))
    }
  })

  it("a swept option changes what the library does", async () => {
    const scenario: Scenario = {
      ...troubled,
      providers: [{ name: "primary", latency: constant(100), failureRate: 1 }],
      deadline: undefined
    }
    const measured = await Promise.all(
      // Neither circuit nor budget is to stand in the way.
      swept(["retry.maxAttempts=1,2", "breaker.minimumCalls=1000000", "budget.initial=1000000"])
        .map((contender) => contender.measure(scenario, 1))
    )
    deepStrictEqual(measured.map(({ primaryAttempts }) => primaryAttempts), [1, 2])
  })
})

describe("the report", () => {
  const run = (success: number, attempts: number): Measured => ({
    calls: 100,
    success,
    primaryAttempts: attempts,
    attempts,
    p50: 1000,
    p99: 2000,
    lastTenSeconds: 1,
    backAfter: undefined
  })
  const scenario = failingFrom10s([])
  const result = (name: string, runs: ReadonlyArray<Measured>) => ({
    scenario,
    contender: { name, measure: () => Promise.reject(new Error("not run")) },
    runs
  })
  const better = (runs: ReadonlyArray<Measured>) => {
    const text = report([result("ours", [run(0.5, 2), run(0.6, 2)]), result("theirs", runs)], [1, 2], "ours")
    return text.includes("- fault: theirs")
  }

  it("names who had a higher success at no more load, in every seed", () => {
    assertTrue(better([run(0.51, 2), run(0.61, 1)]))
    assertTrue(!better([run(0.51, 2), run(0.6, 1)]))
    assertTrue(!better([run(0.9, 2.1), run(0.9, 1)]))
  })

  it("shows mean and standard deviation over the seeds", () => {
    const text = report([result("ours", [run(0.5, 1), run(0.6, 3)])], [1, 2], "ours")
    assertTrue(text.includes("| ours | 55.0 ± 7.1 | 2.00 ± 1.41 | 1.00 ± 0.00 | 2.00 ± 0.00 |"), text)
  })
})
