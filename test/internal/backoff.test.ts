import { describe, it } from "@effect/vitest"
import { assertTrue, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import type { Growth, Jitter } from "../../src/internal/backoff.js"
import { decorrelated, exponential, floored, jittered } from "../../src/internal/backoff.js"

const jitters: ReadonlyArray<Jitter> = ["full", "equal", "none"]

/** `Random.next` never reaches 1; this is the closest it comes. */
const ALMOST_ONE = 1 - Number.EPSILON / 2

const wholeMillis = (max = 2 ** 31 - 1) => fc.integer({ min: 1, max })
const growths: fc.Arbitrary<Growth> = fc.record({
  base: wholeMillis(),
  factor: fc.double({ min: 1, max: 1e6, noNaN: true }),
  cap: wholeMillis()
})
const unit = fc.oneof(
  fc.constantFrom(0, ALMOST_ONE),
  fc.double({ min: 0, max: ALMOST_ONE, noNaN: true })
)
const failures = fc.oneof(fc.nat({ max: 1e6 }), fc.nat({ max: 40 }))

describe("exponential", () => {
  const rows: ReadonlyArray<readonly [growth: Growth, n: number, delay: number]> = [
    [{ base: 1000, factor: 2, cap: 60_000 }, 0, 1000],
    [{ base: 1000, factor: 2, cap: 60_000 }, 1, 2000],
    [{ base: 1000, factor: 2, cap: 60_000 }, 5, 32_000],
    [{ base: 1000, factor: 2, cap: 60_000 }, 6, 60_000],
    [{ base: 1000, factor: 2, cap: 60_000 }, 1e6, 60_000],
    [{ base: 100, factor: 3, cap: 1e9 }, 4, 8100],
    [{ base: 100, factor: 1, cap: 1e9 }, 1e6, 100],
    [{ base: 5000, factor: 2, cap: 1000 }, 0, 1000]
  ]
  for (const [growth, n, delay] of rows) {
    it(`${JSON.stringify(growth)} after failure ${n} is ${delay} ms`, () => strictEqual(exponential(growth, n), delay))
  }
})

describe("jittered", () => {
  const rows: ReadonlyArray<readonly [jitter: Jitter, u: number, delay: number]> = [
    ["full", 0, 0],
    ["full", 0.5, 500],
    ["full", ALMOST_ONE, 1000],
    ["equal", 0, 500],
    ["equal", 0.5, 750],
    ["equal", ALMOST_ONE, 1000],
    ["none", 0, 1000],
    ["none", ALMOST_ONE, 1000]
  ]
  for (const [jitter, u, delay] of rows) {
    it(`${jitter} jitter of 1000 ms at ${u} is ${delay} ms`, () => strictEqual(jittered(1000, jitter, u), delay))
  }
})

it.prop(
  "any failure, however late, is answered with a whole number of milliseconds within [0, min(cap, base * factor ** n)]",
  [growths, failures, fc.constantFrom(...jitters), unit],
  ([growth, n, jitter, u]) => {
    const delay = jittered(exponential(growth, n), jitter, u)
    // Whole milliseconds: a bound between two of them may be rounded up to the next.
    const bound = Math.ceil(Math.min(growth.cap, growth.base * growth.factor ** n))
    assertTrue(Number.isSafeInteger(delay), `${delay}`)
    assertTrue(delay >= 0 && delay <= bound, `${delay} of ${bound}`)
    assertTrue(delay <= growth.cap, `${delay} is above the cap of ${growth.cap}`)
  },
  { fastCheck: { numRuns: 2000 } }
)

it.prop(
  "equal jitter leaves at least half of the delay, no jitter all of it",
  [fc.integer({ min: 0, max: 2 ** 31 - 1 }), unit],
  ([delay, u]) => {
    const half = jittered(delay, "equal", u)
    assertTrue(half >= delay / 2 && half <= delay, `${half} of ${delay}`)
    strictEqual(jittered(delay, "none", u), delay)
  },
  { fastCheck: { numRuns: 1000 } }
)

it.prop(
  "decorrelated delays stay between base and three times the one before, and under the cap",
  [wholeMillis(), wholeMillis(), fc.array(unit, { minLength: 1, maxLength: 50 })],
  ([base, cap, draws]) => {
    let previous = base
    for (const u of draws) {
      const delay = decorrelated(base, cap, previous, u)
      assertTrue(Number.isSafeInteger(delay), `${delay}`)
      assertTrue(delay >= Math.min(base, cap) && delay <= Math.min(cap, Math.max(base, previous * 3)), `${delay}`)
      previous = delay
    }
  },
  { fastCheck: { numRuns: 1000 } }
)

describe("floored", () => {
  type Row = readonly [backoff: number, asked: number, spread: boolean, u: number, wait: number]
  const rows: ReadonlyArray<Row> = [
    [0, 2000, false, 0.5, 2000],
    [5000, 2000, false, 0.5, 5000],
    // A tenth of 2 s is 200 ms, half of that 100 ms.
    [0, 2000, true, 0.5, 2100],
    [5000, 2000, true, 0.5, 5250],
    // A tenth of 30 s is 3 s, but a second at most: half of that is 500 ms.
    [0, 30_000, true, 0.5, 30_500],
    [0, 30_000, true, 0, 30_000],
    [0, 0, true, 0.5, 0]
  ]
  for (const [backoff, asked, spread, u, wait] of rows) {
    it(`${backoff} ms of backoff, ${asked} ms asked for, spread ${spread} at ${u}: ${wait} ms`, () =>
      strictEqual(floored(backoff, asked, spread, u), wait))
  }

  const anyWait = fc.oneof(
    fc.double({ min: 0, max: 1e6, noNaN: true }),
    fc.nat({ max: 1e6 }),
    fc.integer({ min: 0, max: 2 ** 31 - 1 })
  )

  it.prop(
    "the wait is never shorter than asked, and at most a tenth and a second longer than it or the backoff",
    [anyWait, anyWait, unit],
    ([backoff, asked, u]) => {
      // Whole milliseconds, so what was asked for between two of them is rounded up.
      const floor = Math.ceil(Math.max(backoff, asked))
      const wait = floored(backoff, asked, true, u)
      assertTrue(wait >= floor && wait <= floor + Math.min(floor / 10, 1000), `${wait} of ${floor}`)
      strictEqual(floored(backoff, asked, false, u), floor)
    },
    { fastCheck: { numRuns: 2000 } }
  )
})
