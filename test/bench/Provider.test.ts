/** The simulation's model of a provider. */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { ProviderError } from "effect-resilience"
import type { Answer, Options } from "../../bench/simulation/Provider.js"
import { Provider } from "../../bench/simulation/Provider.js"
import { constant, exponential, logNormal, stream } from "../../bench/simulation/random.js"
import { VirtualTime } from "../../bench/simulation/VirtualClock.js"
import { bodyOf, headersOf } from "../../bench/simulation/wire.js"

/** Asks at the given moments, waiting for each answer at most so long, and tells each answer with its time. */
const ask = async (options: Omit<Options, "name">, moments: ReadonlyArray<number>, patience = Infinity) => {
  const time = new VirtualTime()
  const provider = new Provider({ name: "p", ...options }, 1, time)
  const answers: Array<readonly [at: number, status: number, retryAfter?: number]> = []
  for (const at of moments) {
    time.sleep(at, () => {
      const stop = provider.request(({ retryAfter, status }: Answer) => {
        answers.push(retryAfter === undefined ? [time.now(), status] : [time.now(), status, retryAfter])
      })
      if (patience < Infinity) {
        time.sleep(patience, stop)
      }
    })
  }
  let over = false
  time.sleep(1_000_000, () => {
    over = true
  })
  await time.run(() => over)
  return { answers, received: provider.received }
}

const oneWorker = { workers: 1, serviceTime: constant(100), queue: 10 }

describe("the simulated provider", { timeout: 60_000 }, () => {
  it("serves as many at a time as it has workers, the first come first", async () => {
    const { answers } = await ask({ capacity: { ...oneWorker, workers: 2 } }, [0, 1, 2, 3])
    deepStrictEqual(answers, [[100, 200], [101, 200], [200, 200], [201, 200]])
  })

  it("goes on working for clients that stopped waiting", async () => {
    const { answers, received } = await ask({ capacity: oneWorker }, [0, 1, 2, 230], 150)
    // The third was abandoned at 152 ms, and still keeps the worker until 300 ms.
    deepStrictEqual(answers, [[100, 200]])
    strictEqual(received, 4)
  })

  it("turns away what its queue cannot hold", async () => {
    const { answers } = await ask({ capacity: { ...oneWorker, queue: 1 } }, [0, 1, 2])
    deepStrictEqual(answers, [[22, 503], [100, 200], [200, 200]])
  })

  it("lets through as many as the window allows, and says in whole seconds when the next begins", async () => {
    const { answers } = await ask(
      { limit: { kind: "window", limit: 1, millis: 60_000, startedBefore: 20_000 } },
      [0, 500, 39_999, 40_000]
    )
    deepStrictEqual(answers, [[0, 200], [520, 429, 40], [40_000, 200], [40_019, 429, 1]])
  })

  it("lets through a burst, and then as many as drip into the bucket", async () => {
    const { answers } = await ask({ limit: { kind: "bucket", perSecond: 0.5, burst: 2 } }, [0, 0, 0, 1999, 2000, 2001])
    deepStrictEqual(answers, [[0, 200], [0, 200], [20, 429, 2], [2000, 200], [2019, 429, 1], [2021, 429, 2]])
  })

  it("refuses, hangs, stalls or slows down for the time of its fault only", async () => {
    const during = (kind: "refuse" | "hang" | "stall" | "brownOut") =>
      ask({
        ...(kind === "stall" ? { capacity: oneWorker } : { latency: constant(100) }),
        fault: { kind, from: 1000, until: 2000, slowdown: 8 }
      }, [0, 1000, 2000]).then(({ answers }) => answers)
    deepStrictEqual(await during("refuse"), [[100, 200], [1020, 503], [2100, 200]])
    deepStrictEqual(await during("hang"), [[100, 200], [2100, 200]])
    deepStrictEqual(await during("stall"), [[100, 200], [2100, 200], [2200, 200]])
    deepStrictEqual(await during("brownOut"), [[100, 200], [1800, 200], [2100, 200]])
  })

  it("a fault comes back as often as it is meant to", async () => {
    const { answers } = await ask({
      fault: { kind: "refuse", from: 1000, until: 2000, times: 2, every: 2000 }
    }, [1000, 2000, 3000, 4000, 5000])
    deepStrictEqual(answers.map(([, status]) => status).sort(), [200, 200, 200, 503, 503])
    deepStrictEqual(answers.filter(([, status]) => status === 503).map(([at]) => at), [1020, 3020])
  })

  it("says that the quota is spent, and not for how long", async () => {
    const { answers } = await ask({ fault: { kind: "quota", from: 0, until: Infinity } }, [0])
    deepStrictEqual(answers, [[20, 429]])
    strictEqual(
      ProviderError.fromResponse({
        status: 429,
        headers: headersOf({ status: 429, code: "insufficient_quota" }),
        body: bodyOf({ status: 429, code: "insufficient_quota" }),
        now: 0
      })._tag,
      "ClientError"
    )
  })

  it("streams an answer from where it was begun, and breaks off as often as it is meant to", async () => {
    const streamed = { pieces: 5, gap: 50, cutRate: 0.3 }
    const time = new VirtualTime()
    const provider = new Provider({ name: "p", streamed }, 1, time)
    const whole: Array<number> = []
    const rests: Array<ReadonlyArray<number>> = []
    const ask = (begun: number, onWhole: (places: ReadonlyArray<number>) => void): void => {
      const places: Array<number> = []
      provider.request(({ cut }) => cut === true ? undefined : onWhole(places), {
        begun,
        onPiece: (place) => void places.push(place)
      })
    }
    for (let i = 0; i < 1000; i++) {
      ask(0, (places) => whole.push(places.length))
      ask(3, (places) => rests.push(places))
    }
    await time.run(() => time.size === 0)
    assertTrue(whole.every((pieces) => pieces === 5))
    assertTrue(Math.abs(whole.length - 700) < 50, `${whole.length}`)
    deepStrictEqual(rests[0], [3, 4])
  })

  it("fails at random at the rate it was given", async () => {
    const moments = Array.from({ length: 10_000 }, (_, i) => i)
    const { answers } = await ask({ failureRate: 0.3 }, moments)
    const failed = answers.filter(([, status]) => status === 500).length / moments.length
    assertTrue(Math.abs(failed - 0.3) < 0.02, `${failed}`)
  })

  it("draws durations whose middle is what it says", () => {
    const uniform = stream(1, "durations")
    const sorted = (draw: (uniform: () => number) => number) =>
      Array.from({ length: 20_000 }, () => draw(uniform)).sort((a, b) => a - b)
    const median = sorted(logNormal(800, 0.5))[10_000] ?? NaN
    const mean = sorted(exponential(100)).reduce((sum, one) => sum + one, 0) / 20_000
    assertTrue(Math.abs(median / 800 - 1) < 0.03, `${median}`)
    assertTrue(Math.abs(mean / 100 - 1) < 0.03, `${mean}`)
  })
})
