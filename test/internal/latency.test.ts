import { describe, it } from "@effect/vitest"
import { assertTrue, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import { LatencyWindow } from "../../src/internal/latency.js"

const FIVE_MINUTES = 5 * 60 * 1000

const windowOf = (samples: ReadonlyArray<number>, at = 0): LatencyWindow => {
  const latencies = new LatencyWindow()
  samples.forEach((took) => latencies.add(at, took))
  return latencies
}

describe("LatencyWindow", () => {
  it("says nothing below 20 samples, and the median from 20 on", () => {
    const latencies = new LatencyWindow()
    for (let n = 1; n <= 19; n++) {
      latencies.add(0, 700)
      strictEqual(latencies.median(0), undefined)
    }
    latencies.add(0, 700)
    strictEqual(latencies.median(0), 700)
  })

  it("is not moved by a few answers that took very long", () =>
    strictEqual(windowOf([...Array<number>(15).fill(800), ...Array<number>(10).fill(60_000)]).median(0), 800))

  it("compares numbers, not their digits", () =>
    strictEqual(windowOf([...Array<number>(11).fill(9), ...Array<number>(10).fill(1000)]).median(0), 9))

  it("forgets a sample after 5 minutes", () => {
    const latencies = windowOf(Array<number>(20).fill(700))
    strictEqual(latencies.median(FIVE_MINUTES), 700)
    strictEqual(latencies.median(FIVE_MINUTES + 1), undefined)
  })

  it("takes the median over the fresh samples alone", () => {
    const latencies = windowOf(Array<number>(20).fill(9000))
    for (let n = 0; n < 20; n++) {
      latencies.add(FIVE_MINUTES, 300)
    }
    strictEqual(latencies.median(FIVE_MINUTES + 1), 300)
  })

  it("follows a provider whose answers changed, however many there were before", () => {
    const latencies = windowOf(Array<number>(10_000).fill(9000))
    for (let n = 0; n < 100; n++) {
      latencies.add(0, 300)
    }
    strictEqual(latencies.median(0), 300)
  })

  it.prop(
    "the median lies in the middle of what was added, in any order",
    [fc.array(fc.nat({ max: 60_000 }), { minLength: 20, maxLength: 50 })],
    ([samples]) => {
      const median = windowOf(samples).median(0) ?? NaN
      const below = samples.filter((took) => took < median).length
      const above = samples.filter((took) => took > median).length
      assertTrue(samples.includes(median))
      assertTrue(below <= samples.length / 2 && above <= samples.length / 2, `${below} below, ${above} above`)
      strictEqual(windowOf([...samples].reverse()).median(0), median)
    }
  )
})
