import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Deferred, Effect, Either, Exit, Fiber, Random, TestClock } from "effect"
import { Bulkhead } from "../../src/runtime/bulkhead.js"

const patient = (inLine: Effect.Effect<void>) => inLine
const impatient = () => Effect.fail("full" as const)

/** Runs the effect in a slot. */
const withSlot = <A, E, E2>(
  bulkhead: Bulkhead,
  self: Effect.Effect<A, E>,
  whenFull: (inLine: Effect.Effect<void>) => Effect.Effect<void, E2>
): Effect.Effect<A, E | E2> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() =>
      bulkhead.tryEnter() ? Effect.void : bulkhead.enterInLine((inLine) => restore(whenFull(inLine)))
    ).pipe(
      Effect.zipRight(Effect.onExit(restore(self), () => Effect.sync(() => bulkhead.leave())))
    )
  )

/** How many slots can still be taken at once. */
const free = (bulkhead: Bulkhead, upTo: number): Effect.Effect<number> =>
  Effect.gen(function*() {
    const gate = yield* Deferred.make<void>()
    const fibers = yield* Effect.forEach(
      Array.from({ length: upTo }),
      () => Effect.fork(Effect.either(withSlot(bulkhead, Deferred.await(gate), impatient)))
    )
    yield* Effect.yieldNow()
    yield* Deferred.succeed(gate, undefined)
    const ends = yield* Effect.forEach(fibers, Fiber.join)
    return ends.filter(Either.isRight).length
  })

describe("Bulkhead", () => {
  it.effect("lets as many in as there are slots, and asks the next what to do", () =>
    Effect.gen(function*() {
      strictEqual(yield* free(new Bulkhead(3), 10), 3)
    }))

  it.effect("a slot is free again after success, failure, defect and interruption", () =>
    Effect.gen(function*() {
      const bulkhead = new Bulkhead(1)
      for (const end of [Effect.void, Effect.fail("no"), Effect.die("bug"), Effect.interrupt]) {
        yield* Effect.exit(withSlot(bulkhead, end, impatient))
        strictEqual(yield* free(bulkhead, 2), 1)
      }
    }))

  it.effect("those in line go in the order of asking, and no newcomer slips in between", () =>
    Effect.gen(function*() {
      const bulkhead = new Bulkhead(1)
      const order: Array<number> = []
      const fibers = yield* Effect.forEach([0, 1, 2, 3], (n) =>
        Effect.fork(
          withSlot(bulkhead, Effect.zipRight(Effect.sync(() => order.push(n)), Effect.sleep("1 second")), patient)
        ))
      yield* TestClock.adjust("1 second")
      // The slot was handed over: it is not free, although its new holder may not have begun.
      strictEqual(yield* free(bulkhead, 1), 0)
      yield* TestClock.adjust("3 seconds")
      yield* Effect.forEach(fibers, Fiber.join)
      deepStrictEqual(order, [0, 1, 2, 3])
    }))

  it.effect("who leaves the line takes nothing along", () =>
    Effect.gen(function*() {
      const bulkhead = new Bulkhead(1)
      const holder = yield* Effect.fork(withSlot(bulkhead, Effect.sleep("1 second"), patient))
      const waiter = yield* Effect.fork(withSlot(bulkhead, Effect.void, patient))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(waiter)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(holder)
      strictEqual(yield* free(bulkhead, 2), 1)
    }))

  it.effect("whoever is interrupted at the very moment of the handover passes the slot on", () =>
    Effect.gen(function*() {
      const bulkhead = new Bulkhead(1)
      const gate = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(withSlot(bulkhead, Deferred.await(gate), patient))
      const first = yield* Effect.fork(withSlot(bulkhead, Effect.void, patient))
      const second = yield* Effect.fork(withSlot(bulkhead, Effect.succeed("through"), patient))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.interruptFork(first)
      yield* Fiber.join(holder)
      strictEqual(yield* Fiber.join(second), "through")
      strictEqual(yield* free(bulkhead, 2), 1)
    }))

  it.effect("thousands of fibers, interrupted anywhere, lose no slot and exceed no limit", () =>
    Effect.gen(function*() {
      const limit = 7
      const bulkhead = new Bulkhead(limit)
      let inside = 0
      let most = 0
      const work = Effect.gen(function*() {
        inside += 1
        most = Math.max(most, inside)
        const turns = yield* Random.nextIntBetween(1, 5)
        yield* Effect.forEach(Array.from({ length: turns }), () => Effect.yieldNow(), { discard: true })
      }).pipe(Effect.ensuring(Effect.sync(() => inside -= 1)))
      const fibers = yield* Effect.forEach(
        Array.from({ length: 3000 }),
        () => Effect.fork(withSlot(bulkhead, work, patient))
      )
      const random = yield* Random.shuffle(fibers)
      for (const fiber of random) {
        if (yield* Random.nextBoolean) {
          yield* Fiber.interruptFork(fiber)
        }
        if ((yield* Random.nextIntBetween(0, 20)) === 0) {
          yield* Effect.yieldNow()
        }
      }
      const exits = yield* Effect.forEach(fibers, Fiber.await)
      strictEqual(exits.every((exit) => Exit.isSuccess(exit) || Exit.isInterrupted(exit)), true)
      strictEqual(most, limit)
      strictEqual(inside, 0)
      strictEqual(yield* free(bulkhead, limit * 2), limit)
    }).pipe(Effect.withRandom(Random.make("bulkhead"))))
})
