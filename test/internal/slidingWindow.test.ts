import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import { CallWindow, type SlidingWindow, Streak, TimeWindow } from "../../src/internal/slidingWindow.js"

/** An outcome, and how long after the one before it came. */
const outcomes = fc.array(fc.tuple(fc.oneof(fc.nat({ max: 500 }), fc.nat({ max: 20_000 })), fc.boolean()), {
  maxLength: 100,
  size: "max"
})

/** Every outcome as [at, failed], the counts of the window after the last, and the time then. */
const played = (window: SlidingWindow, steps: ReadonlyArray<readonly [number, boolean]>) => {
  let now = 0
  const all = steps.map(([after, failed]) => {
    now += after
    window = window.record(now, failed)
    return [now, failed] as const
  })
  return { all, window, now }
}

const countsOf = (outcomes: ReadonlyArray<readonly [at: number, failed: boolean]>) => ({
  calls: outcomes.length,
  failures: outcomes.filter(([, failed]) => failed).length
})

describe("a window over time", () => {
  it.prop(
    "counts every outcome for nine tenths of its length, and none for longer than its length",
    [outcomes, fc.nat({ max: 15_000 })],
    ([steps, pause]) => {
      const { all, now, window } = played(new TimeWindow(10_000), steps)
      const counts = window.counts(now + pause)
      const youngerThan = (age: number) => countsOf(all.filter(([at]) => now + pause - at < age))
      const least = youngerThan(9000)
      const most = youngerThan(10_000)
      strictEqual(least.calls <= counts.calls && counts.calls <= most.calls, true)
      strictEqual(least.failures <= counts.failures && counts.failures <= most.failures, true)
    }
  )

  it("is empty after a gap of its length, though nothing happened meanwhile", () => {
    const { window } = played(new TimeWindow(10_000), [[0, true], [10, true], [20, false]])
    deepStrictEqual(window.counts(30), { calls: 3, failures: 2 })
    deepStrictEqual(window.counts(10_000), { calls: 0, failures: 0 })
    deepStrictEqual(window.record(60_000, true).counts(60_000), { calls: 1, failures: 1 })
  })

  it("is full when it has been filling for its length, and is not after it was empty", () => {
    const filling = [[5, true], [9000, true], [999, false]] as const
    const { now, window } = played(new TimeWindow(10_000), filling)
    strictEqual(window.isFull(now), false)
    strictEqual(window.isFull(now + 1), true)
    strictEqual(window.record(now + 1, true).isFull(now + 1), true)
    strictEqual(window.record(now + 20_000, true).isFull(now + 20_000), false)
    strictEqual(new TimeWindow(10_000).isFull(now), false)
  })

  it("needs no more room for a million outcomes than for a few", () => {
    let window = new TimeWindow(10_000)
    for (let n = 0; n < 1_000_000; n += 1) {
      window = window.record(n / 10, n % 2 === 0)
    }
    strictEqual(JSON.stringify(window).length < 1000, true)
  })
})

describe("a window over calls", () => {
  it.prop(
    "counts the newest so many, however old they are",
    [fc.integer({ min: 1, max: 130 }), outcomes],
    ([size, steps]) => {
      const { all, now, window } = played(new CallWindow(size), steps)
      deepStrictEqual(window.counts(now + 1e9), countsOf(all.slice(-size)))
    }
  )
})

it.prop("a window over calls is full once it holds as many as it can", [outcomes], ([steps]) => {
  const { now, window } = played(new CallWindow(50), steps)
  strictEqual(window.isFull(now), steps.length >= 50)
})

describe("a streak", () => {
  it.prop("counts the failures since the last success", [outcomes], ([steps]) => {
    const { all, now, window } = played(new Streak(), steps)
    const streak = all.slice(all.map(([, failed]) => failed).lastIndexOf(false) + 1)
    deepStrictEqual(window.counts(now), { calls: streak.length, failures: streak.length })
  })
})

it.prop("a window that was recorded into is itself unchanged", [outcomes, fc.boolean()], ([steps, failed]) => {
  for (const empty of [new TimeWindow(10_000), new CallWindow(5), new Streak()]) {
    const { now, window } = played(empty, steps)
    const before = window.counts(now)
    window.record(now, failed)
    deepStrictEqual(window.counts(now), before)
    deepStrictEqual(empty.counts(now), { calls: 0, failures: 0 })
  }
})
