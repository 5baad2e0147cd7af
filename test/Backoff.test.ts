import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, notDeepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Clock, Duration, Effect, FastCheck as fc, Random, Schedule } from "effect"
import { Backoff } from "effect-resilience"
import { expectTypeOf } from "vitest"
import {
  always,
  badDurations,
  decisions,
  fromJson,
  infiniteDurations,
  overloaded,
  refuses,
  simulate,
  zeroDurations
} from "./utils.js"

const failures = (n: number): ReadonlyArray<unknown> => Array<unknown>(n).fill("failure")

/** When an effect that always fails is attempted under the schedule, from its first attempt on. */
const attemptsUnder = (schedule: Schedule.Schedule<unknown>, retries: number) =>
  Effect.gen(function*() {
    const script = always(Effect.fail("boom"))
    const begun = yield* Clock.currentTimeMillis
    yield* simulate(Effect.retry(script.attempt, Schedule.intersect(schedule, Schedule.recurs(retries))))
    return script.at.map((at) => at - begun)
  })

describe("attempts are made at", () => {
  type Row = readonly [
    name: string,
    schedule: Schedule.Schedule<Duration.Duration>,
    random: [number, ...Array<number>],
    at: ReadonlyArray<number>
  ]
  const rows: ReadonlyArray<Row> = [
    // 1 s doubled each time, up to 60 s.
    ["exponential without jitter", Backoff.exponential({ jitter: "none" }), [0.123], [
      0,
      1000,
      3000,
      7000,
      15_000,
      31_000,
      63_000,
      123_000,
      183_000
    ]],
    [
      "exponential of its own base, factor and cap",
      Backoff.exponential({
        base: "100 millis",
        factor: 3,
        cap: "2 seconds",
        jitter: "none"
      }),
      [0.123],
      [0, 100, 400, 1300, 3300, 5300]
    ],
    ["a factor of 1", Backoff.exponential({ base: "5 seconds", factor: 1, jitter: "none" }), [0.123], [
      0,
      5000,
      10_000,
      15_000
    ]],
    ["a base above the cap", Backoff.exponential({ base: "10 seconds", cap: "4 seconds", jitter: "none" }), [0.123], [
      0,
      4000,
      8000,
      12_000
    ]],
    // Full jitter, which is the default: half of 1, 2, 4, 8 s.
    ["the default with a draw of 0.5", Backoff.exponential(), [0.5], [0, 500, 1500, 3500, 7500]],
    // 0 of 1 s, 0.25 of 2 s, 0.75 of 4 s, then 0 of 8 s.
    ["full jitter", Backoff.exponential({ jitter: "full" }), [0, 0.25, 0.75], [0, 0, 500, 3500, 3500]],
    // 500 + 0.5 of 500, 1000 + 0.5 of 1000, 2000 + 0.5 of 2000.
    ["equal jitter", Backoff.exponential({ jitter: "equal" }), [0.5], [0, 750, 2250, 5250]],
    ["equal jitter with a draw of 0", Backoff.exponential({ jitter: "equal" }), [0], [0, 500, 1500, 3500]],
    // From 1 s to 3 s: 2 s. From 1 s to 6 s: 3.5 s. From 1 s to 10.5 s: 5.75 s.
    ["decorrelated", Backoff.decorrelated(), [0.5], [0, 2000, 5500, 11_250]],
    ["decorrelated with a draw of 0", Backoff.decorrelated({ base: "3 seconds" }), [0], [0, 3000, 6000, 9000]],
    // From 1 s to 3 s: 2 s. Then 3.5 s and 5.75 s are above the cap.
    ["decorrelated under its cap", Backoff.decorrelated({ cap: "3 seconds" }), [0.5], [0, 2000, 5000, 8000]]
  ]
  for (const [name, schedule, random, at] of rows) {
    it.effect(`${name}: ${at.join(", ")}`, () =>
      Effect.map(
        Effect.withRandom(attemptsUnder(schedule, at.length - 1), Random.fixed(random)),
        (times) => deepStrictEqual(times, at)
      ))
  }
})

describe("randomness", () => {
  const draw = (seed: string) => Effect.withRandom(attemptsUnder(Backoff.exponential(), 4), Random.make(seed))

  it.effect("is the Random service's: the same seed gives the same waits, another gives others", () =>
    Effect.gen(function*() {
      const first = yield* draw("a")
      deepStrictEqual(yield* draw("a"), first)
      notDeepStrictEqual(yield* draw("b"), first)
    }))

  it.effect("full jitter is uniform over the whole delay", () =>
    Effect.gen(function*() {
      const n = 10_000
      const schedule = Backoff.exponential({ base: "1 second", factor: 1 })
      const waits = (yield* decisions(schedule, failures(n))).map(Number)
      // A tenth of the draws falls into each tenth; the standard deviation of that count is sqrt(n · 0.1 · 0.9) = 30.
      for (let tenth = 0; tenth < 10; tenth++) {
        const count = waits.filter((wait) => wait >= tenth * 100 && wait < (tenth + 1) * 100).length
        assertTrue(Math.abs(count - n / 10) < 5 * 30, `${count} in tenth ${tenth}`)
      }
    }).pipe(Effect.withRandom(Random.make("uniform"))))

  it.effect("clients that failed together do not return together", () =>
    Effect.gen(function*() {
      const first = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, client) => client),
        (client) => Effect.withRandom(decisions(Backoff.exponential(), failures(1)), Random.make(`client ${client}`))
      )
      // 100 draws out of 1,000 ms collide in about 100 · 99 / 2 / 1000 = 5 pairs.
      assertTrue(new Set(first.flat()).size > 80, `${new Set(first.flat()).size}`)
    }))
})

describe("for any options", () => {
  const duration = fc.oneof(
    fc.integer({ min: 1, max: 100_000 }).map((millis) => Duration.millis(millis)),
    fc.integer({ min: 1, max: 2 ** 53 - 1 }).map((nanos) => Duration.nanos(BigInt(nanos))),
    fc.constant(Duration.days(10_000))
  )
  const options = fc.record({
    base: duration,
    factor: fc.oneof(fc.double({ min: 1, max: 100, noNaN: true }), fc.constant(Number.MAX_VALUE)),
    cap: duration,
    jitter: fc.constantFrom<Array<Backoff.Jitter>>("full", "equal", "none")
  })
  const bounded = (schedule: Schedule.Schedule<Duration.Duration>, cap: Duration.Duration, n: number, seed: string) => {
    const waits = Effect.runSync(Effect.withRandom(decisions(schedule, failures(n)), Random.make(seed)))
    strictEqual(waits.length, n)
    for (const wait of waits) {
      // Whole milliseconds, and no more than a timer can sleep.
      const bound = Math.min(Math.ceil(Duration.toMillis(cap)), 2 ** 31 - 1)
      assertTrue(wait !== "stop" && wait >= 0 && wait <= bound, `${wait} of ${bound}`)
    }
  }

  // 1,100 failures: 2 ** 1024 is no number any more.
  it.prop("exponential waits within [0, cap], for ever", [options, fc.string()], ([options, seed]) => {
    bounded(Backoff.exponential(options), options.cap, 1100, seed)
  }, { fastCheck: { numRuns: 50 } })

  it.prop("decorrelated waits within [0, cap], for ever", [duration, duration, fc.string()], ([base, cap, seed]) => {
    bounded(Backoff.decorrelated({ base, cap }), cap, 200, seed)
  }, { fastCheck: { numRuns: 50 } })
})

describe("as a schedule", () => {
  it.effect("its output is the delay", () =>
    Effect.gen(function*() {
      const outputs = yield* Schedule.run(Backoff.exponential({ jitter: "none" }), 0, failures(4))
      deepStrictEqual([...outputs].map(Duration.toMillis), [1000, 2000, 4000, 8000])
    }))

  it.effect("one value serves many calls, each from its beginning", () =>
    Effect.gen(function*() {
      const schedule = Backoff.exponential({ jitter: "none" })
      deepStrictEqual(yield* attemptsUnder(schedule, 2), [0, 1000, 3000])
      deepStrictEqual(yield* attemptsUnder(schedule, 2), [0, 1000, 3000])
    }))

  it.effect("retries errors of any type, and combines with the rest of Effect", () =>
    Effect.gen(function*() {
      const script = always(Effect.fail(overloaded()))
      yield* simulate(Effect.retry(script.attempt, { schedule: Backoff.exponential({ jitter: "none" }), times: 2 }))
      deepStrictEqual(script.at, [0, 1000, 3000])
    }))

  it("takes any input, needs nothing", () => {
    expectTypeOf(Backoff.exponential()).toEqualTypeOf<Schedule.Schedule<Duration.Duration, unknown, never>>()
    expectTypeOf(Backoff.decorrelated()).toEqualTypeOf<Schedule.Schedule<Duration.Duration, unknown, never>>()
  })
})

describe("bad options throw with their name", () => {
  const durations: ReadonlyArray<readonly [option: string, make: (input: Duration.DurationInput) => unknown]> = [
    ["base", (base) => Backoff.exponential({ base })],
    ["cap", (cap) => Backoff.exponential({ cap })],
    ["base", (base) => Backoff.decorrelated({ base })],
    ["cap", (cap) => Backoff.decorrelated({ cap })]
  ]
  for (const [index, [option, make]] of durations.entries()) {
    const of = index < 2 ? "exponential" : "decorrelated"
    for (const [shown, input] of [...badDurations, ...zeroDurations]) {
      it(`${option} of ${of}: ${shown}`, () => refuses(option, () => make(input)))
    }
  }
  for (const [shown, base] of infiniteDurations) {
    it(`base of exponential: ${shown}`, () => refuses("base", () => Backoff.exponential({ base })))
    it(`base of decorrelated: ${shown}`, () => refuses("base", () => Backoff.decorrelated({ base })))
  }
  for (const factor of [NaN, 0, -2, 0.99, Infinity, fromJson("\"2\"")]) {
    it(`factor: ${factor} (${typeof factor})`, () =>
      refuses("factor", () => Backoff.exponential({ factor }), `${factor}`))
  }
  for (const word of ["\"half\"", "\"Full\"", "\"\"", "true", "0.2"]) {
    it(`jitter: ${word}`, () => refuses("jitter", () => Backoff.exponential({ jitter: fromJson(word) })))
  }

  for (const [shown, cap] of infiniteDurations) {
    it.effect(`no cap at all is no bad option: ${shown}`, () =>
      Effect.gen(function*() {
        const schedule = Backoff.exponential({ base: "1 hour", cap, jitter: "none" })
        const waits = yield* decisions(schedule, failures(100))
        deepStrictEqual(waits.slice(0, 3), [3_600_000, 7_200_000, 14_400_000])
        // More than a timer can sleep would not be slept at all.
        assertTrue(waits.every((wait) => wait !== "stop" && wait <= 2 ** 31 - 1))
      }))
  }
})
