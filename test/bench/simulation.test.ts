/** The simulation as a whole: its numbers can be had again, and the two kinds of virtual time agree. */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, notDeepStrictEqual, strictEqual, throws } from "@effect/vitest/utils"
import * as cockatiel from "cockatiel"
import { Effect, Schedule } from "effect"
import { existsSync } from "node:fs"
import { contenders } from "../../bench/simulation/Contenders.js"
import { effectContender } from "../../bench/simulation/EffectContender.js"
import { swept } from "../../bench/simulation/parameters.js"
import { peers } from "../../bench/simulation/Peers.js"
import { plotsOf } from "../../bench/simulation/plots.js"
import { promiseContender } from "../../bench/simulation/PromiseContender.js"
import { constant, logNormal } from "../../bench/simulation/random.js"
import { report } from "../../bench/simulation/report.js"
import type { Contender, Measured, Scenario } from "../../bench/simulation/Trial.js"
import { atOnce, NOISY, poisson } from "../../bench/simulation/Trial.js"

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

/** The same with answers that are streamed, and several who ask. */
const shared: Scenario = {
  ...troubled,
  id: "shared",
  arrivals: poisson(30, 2000),
  tenants: { noisyShare: 0.5, quiet: 3 },
  providers: [
    {
      name: "primary",
      latency: constant(100),
      failureRate: (tenant) => tenant === NOISY ? 0.5 : 0,
      streamed: { pieces: 5, gap: 50, cutRate: 0.2 }
    },
    { name: "secondary", latency: constant(100), streamed: { pieces: 5, gap: 50, cutRate: 0 } }
  ]
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
const barePromise: Contender = promiseContender("promise", ([{ send }], { attemptTimeout }) => {
  const policy = cockatiel.timeout(attemptTimeout, cockatiel.TimeoutStrategy.Aggressive)
  return () => policy.execute(({ signal }) => send(signal))
})

const arePeersInstalled = existsSync(new URL("../../bench/peers/node_modules/ai", import.meta.url))

/** Peers are installed apart: `npm ci --prefix bench/peers`. */
const present = contenders.filter((contender) => arePeersInstalled || !peers.includes(contender))

const everySecond = Array.from({ length: 40 }, (_, i) => i * 1000)

describe("the simulation", { timeout: 60_000 }, () => {
  for (const contender of present) {
    it(
      `gives the same numbers for the same seed, and others for another: ${contender.name}`,
      async () => {
        const first = await contender.measure(troubled, 1)
        assertTrue(first.calls > 100 && first.success > 0, JSON.stringify(first))
        deepStrictEqual(await contender.measure(troubled, 1), first)
        notDeepStrictEqual(await contender.measure(troubled, 2), first)
      }
    )

    it(
      `gives the same numbers where answers are streamed and tenants share an account: ${contender.name}`,
      async () => {
        const first = await contender.measure(shared, 1)
        assertTrue(first.calls > 30 && first.success > 0 && Number(first.quietSuccess) > 0, JSON.stringify(first))
        assertTrue(Number(first.firstOutput) >= 100, JSON.stringify(first))
        deepStrictEqual(await contender.measure(shared, 1), first)
      }
    )
  }

  it("gives Effect programs and promises the same world", async () => {
    const scenario = { ...troubled, deadline: undefined }
    deepStrictEqual(await barePromise.measure(scenario, 1), await bareEffect.measure(scenario, 1))
  })

  it("leaves time and chance as they were", async () => {
    const globals = () => [
      setTimeout,
      clearTimeout,
      setInterval,
      clearInterval,
      Date,
      performance.now,
      Math.random,
      AbortSignal.timeout
    ]
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
      backAfter: undefined,
      peakAfter: undefined,
      failedInVain: 0,
      quietSuccess: undefined,
      firstOutput: undefined,
      goodput: [6],
      requests: [10]
    })
  })

  it("counts by the second, and tells the busiest after the fault", async () => {
    // Who tries every two seconds until it works comes back with all that failed.
    const again = effectContender(
      "again",
      ([{ send }]) => Effect.succeed(Effect.retry(send, { schedule: Schedule.fixed("2 seconds") }))
    )
    const { goodput, peakAfter, requests } = await again.measure(
      failingFrom10s([9000, 10_000, 12_000, 14_000, 21_000]),
      1
    )
    deepStrictEqual(goodput.flatMap((count, second) => count === 0 ? [] : [[second, count]]), [[9, 1], [20, 3], [
      21,
      1
    ]])
    strictEqual(peakAfter, 3)
    strictEqual(requests[14], 3)
  })

  it("a call failed in vain if some provider was healthy all the while", async () => {
    const measure = (scenario: Scenario) => bareEffect.measure(scenario, 1).then(({ failedInVain }) => failedInVain)
    const fault = failingFrom10s([5000, 15_000])
    strictEqual(await measure(fault), 0)
    strictEqual(await measure({ ...fault, providers: [fault.providers[0], { name: "secondary" }] }), 0.5)
    // It gives up after 10 ms, when nothing is wrong but its patience.
    strictEqual(await measure({ ...fault, attemptTimeout: 10 }), 0.5)
  })

  it("tells the success of the quiet tenants apart", async () => {
    const measured = await bareEffect.measure({
      ...failingFrom10s(everySecond),
      tenants: { noisyShare: 0.9, quiet: 2 },
      providers: [{ name: "p", failureRate: (tenant) => tenant === NOISY ? 1 : 0 }]
    }, 1)
    strictEqual(measured.quietSuccess, 1)
    assertTrue(measured.success < 0.3, `${measured.success}`)
  })

  it("tells when a reader sees something of a streamed answer", async () => {
    const streamed: Scenario = {
      ...failingFrom10s([0]),
      providers: [{ name: "p", latency: constant(100), streamed: { pieces: 5, gap: 50, cutRate: 0 } }]
    }
    const shows = effectContender("shows", ([{ read }]) => Effect.succeed(read))
    strictEqual((await shows.measure(streamed, 1)).firstOutput, 100)
    strictEqual((await bareEffect.measure(streamed, 1)).firstOutput, 350)
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
    backAfter: undefined,
    peakAfter: undefined,
    failedInVain: 0,
    quietSuccess: undefined,
    firstOutput: undefined,
    goodput: [1, 2],
    requests: [3, 4]
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

  it("draws a scenario over time where that says something, and all of them together", () => {
    const names = (scenario: Scenario) =>
      plotsOf([{ ...result("ours", [run(0.5, 1)]), scenario }]).map(({ name }) => name)
    deepStrictEqual(names(scenario), ["simulation-load"])
    deepStrictEqual(names({ ...scenario, drawn: true }), ["simulation-fault", "simulation-load"])
  })
})
