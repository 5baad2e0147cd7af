/** The simulation's clock: what its numbers rest on. */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Clock, Deferred, Duration, Effect, Fiber, Random } from "effect"
import { simulate, VirtualTime } from "../../bench/simulation/VirtualClock.js"

/** What was logged, with the virtual time in milliseconds. */
const diary = () => {
  const entries: Array<readonly [at: number, entry: string]> = []
  const write = (entry: string) =>
    Effect.map(Clock.currentTimeNanos, (now) => {
      entries.push([Number(now) / 1e6, entry])
    })
  return { entries, write }
}

describe("virtual time", { timeout: 60_000 }, () => {
  it("passes a year of sleep at once, and tells it on both clocks", async () => {
    const passed = await simulate(1, () =>
      Effect.gen(function*() {
        const wall = yield* Clock.currentTimeMillis
        const nanos = yield* Clock.currentTimeNanos
        yield* Effect.sleep("365 days")
        return [(yield* Clock.currentTimeMillis) - wall, (yield* Clock.currentTimeNanos) - nanos]
      }))
    const year = Duration.days(365)
    deepStrictEqual(passed, [Duration.toMillis(year), BigInt(Duration.toMillis(year)) * 1_000_000n])
  })

  it("wakes the earliest sleep first, and sleeps of equal end in the order they began", async () => {
    const { entries, write } = diary()
    const sleeps = Array.from({ length: 100 }, (_, i) => [i % 2 === 0 ? 20 : 10, String(i)] as const)
    await simulate(
      1,
      () =>
        Effect.forEach(sleeps, ([millis, name]) => Effect.zipRight(Effect.sleep(millis), write(name)), {
          concurrency: "unbounded"
        })
    )
    deepStrictEqual(entries, [10, 20].flatMap((end) => sleeps.filter(([millis]) => millis === end)))
  })

  it("does not move on while a fiber or a promise can still do something at this instant", async () => {
    const { entries, write } = diary()
    await simulate(1, () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const timer = yield* Effect.fork(Effect.zipRight(Effect.sleep(1), write("timer")))
        yield* Effect.fork(Effect.zipRight(Deferred.await(gate), write("woken")))
        for (let i = 0; i < 3000; i++) {
          yield* Effect.yieldNow()
        }
        yield* Effect.promise(async () => {
          for (let i = 0; i < 100; i++) {
            await Promise.resolve()
          }
        })
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(timer)
      }))
    deepStrictEqual(entries, [[0, "woken"], [1, "timer"]])
  })

  it("does not wake what was cancelled, nor go to its time, nor keep it", async () => {
    const time = new VirtualTime()
    const woken: Array<number> = []
    const cancels = Array.from({ length: 50_000 }, (_, i) => time.sleep(60_000 + i, () => woken.push(i)))
    cancels.forEach((cancel) => cancel())
    time.sleep(10, () => woken.push(-1))
    assertTrue(time.size < 5000, `${time.size} timers kept`)
    await time.run(() => woken.length === 1)
    deepStrictEqual(woken, [-1])
    strictEqual(time.now(), 10)
  })

  it("an interrupted sleep leaves no timer behind", async () => {
    const left = await simulate(1, (simulator) =>
      Effect.gen(function*() {
        yield* Effect.sleep("1 hour").pipe(Effect.timeout("1 second"), Effect.ignore)
        return simulator.now()
      }))
    strictEqual(left, 1000)
  })

  it("says so when a program waits for what never comes", async () => {
    const error = await simulate(1, () => Effect.zipRight(Effect.sleep(5), Effect.never)).then(() => "ended", String)
    strictEqual(error, "Error: nothing left to wait for after 5 ms of virtual time")
  })

  it("gives the same random numbers under the same seed, and others under another", async () => {
    const numbers = (seed: number) => simulate(seed, () => Effect.all([Random.next, Random.next]))
    deepStrictEqual(await numbers(1), await numbers(1))
    assertTrue((await numbers(1))[0] !== (await numbers(2))[0])
  })
})
