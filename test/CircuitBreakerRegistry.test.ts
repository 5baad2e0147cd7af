import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Deferred, Duration, Effect, Fiber, Stream, TestClock } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { badCounts, badDurations, clientError, overloaded, refuses, zeroDurations } from "./utils.js"

const options: CircuitBreaker.Options = { trip: CircuitBreaker.consecutiveFailures(1), openFor: "5 seconds" }

const keys = (registry: CircuitBreaker.RegistryService) =>
  Effect.map(registry.snapshot, (circuits) => circuits.map(({ key, state }) => `${key} ${state._tag}`))

const fail = (registry: CircuitBreaker.RegistryService, key: string, error: unknown = overloaded()) =>
  Effect.flatMap(
    registry.get(key, options),
    (circuit) => Effect.exit(CircuitBreaker.protect(Effect.fail(error), circuit))
  )

describe("a registry", () => {
  it.effect("gives everyone who asks with the same key the same circuit, named after it", () =>
    Effect.gen(function*() {
      const circuits = yield* CircuitBreaker.Registry
      const a = yield* circuits.get("a")
      strictEqual(yield* circuits.get("a"), a)
      strictEqual(a.name, "a")
      strictEqual((yield* circuits.get("b", { name: "B" })).name, "B")
      strictEqual((yield* circuits.get("b", { name: "C" })).name, "B")
      strictEqual(yield* circuits.size, 2)
    }).pipe(Effect.provide(CircuitBreaker.layerRegistry())))

  it.effect("works out the options of a circuit only when it is made", () =>
    Effect.gen(function*() {
      const circuits = yield* CircuitBreaker.makeRegistry()
      let asked = 0
      const lazy = () => {
        asked++
        return options
      }
      yield* Effect.repeatN(circuits.get("a", lazy), 9)
      strictEqual(asked, 1)
    }))

  it.effect("shows what an admission to each circuit would find", () =>
    Effect.gen(function*() {
      const circuits = yield* CircuitBreaker.makeRegistry()
      yield* circuits.get("a")
      yield* fail(circuits, "b")
      deepStrictEqual(yield* circuits.snapshot, [
        { key: "a", name: "a", state: { _tag: "Closed" } },
        {
          key: "b",
          name: "b",
          state: {
            _tag: "Open",
            retryAfter: Duration.seconds(5),
            openedBy: { tag: "ServerError", reason: "Overloaded", status: 529 }
          }
        }
      ])
    }))

  it.effect("keeps no more than its capacity, however many keys come", () =>
    Effect.gen(function*() {
      const circuits = yield* CircuitBreaker.makeRegistry({ capacity: 10 })
      yield* Effect.forEach(Array.from({ length: 1000 }), (_, n) => circuits.get(`closed ${n}`))
      strictEqual(yield* circuits.size, 10)
      // Keys that nobody may use open their circuits at once: the most that a stranger can do.
      yield* Effect.forEach(
        Array.from({ length: 1000 }),
        (_, n) => fail(circuits, `${n}`, clientError("Authentication"))
      )
      strictEqual(yield* circuits.size, 10)
    }))

  it.effect("keeps 1000 by default", () =>
    Effect.gen(function*() {
      const circuits = yield* CircuitBreaker.makeRegistry()
      yield* Effect.forEach(Array.from({ length: 1500 }), (_, n) => circuits.get(`${n}`))
      strictEqual(yield* circuits.size, 1000)
    }))

  it.scoped("does not forget a circuit that is open, isolated, listened to or in use, but one whose opening is over", () =>
    Effect.gen(function*() {
      const circuits = yield* CircuitBreaker.makeRegistry({ capacity: 4 })
      yield* fail(circuits, "open")
      yield* Effect.flatMap(circuits.get("isolated"), (circuit) => circuit.isolate)
      const listened = yield* circuits.get("listened to")
      yield* Effect.forkScoped(Stream.runDrain(listened.transitions))
      const used = yield* circuits.get("in use")
      const gate = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(CircuitBreaker.protect(Deferred.await(gate), used))
      yield* TestClock.adjust(0)
      yield* Effect.forEach(["a", "b", "c"], (key) => circuits.get(key))
      deepStrictEqual(yield* keys(circuits), ["open Open", "isolated Isolated", "listened to Closed", "in use Closed"])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      yield* circuits.get("d")
      deepStrictEqual(yield* keys(circuits), ["open Open", "isolated Isolated", "listened to Closed", "d Closed"])
      yield* TestClock.adjust("5 seconds")
      yield* circuits.get("e")
      yield* circuits.get("f", options)
      deepStrictEqual(yield* keys(circuits), ["open HalfOpen", "isolated Isolated", "listened to Closed", "f Closed"])
      yield* fail(circuits, "f")
      yield* circuits.get("g")
      deepStrictEqual(yield* keys(circuits), ["isolated Isolated", "listened to Closed", "f Open", "g Closed"])
    }))

  it.effect("drops a circuit that holds nothing once nobody asked for it in 10 minutes", () =>
    Effect.gen(function*() {
      const circuits = yield* CircuitBreaker.makeRegistry()
      const idle = yield* circuits.get("idle")
      yield* CircuitBreaker.protect(Effect.void, idle)
      yield* circuits.get("asked for")
      yield* TestClock.adjust("9 minutes")
      yield* circuits.get("asked for")
      deepStrictEqual(yield* keys(circuits), ["idle Closed", "asked for Closed"])
      yield* TestClock.adjust("1 minute")
      deepStrictEqual(yield* keys(circuits), ["asked for Closed"])
    }))

  it("refuses options that cannot be meant, by name", () => {
    for (const make of [CircuitBreaker.makeRegistry, CircuitBreaker.unsafeMakeRegistry, CircuitBreaker.layerRegistry]) {
      badCounts.forEach((capacity) => refuses("capacity", () => make({ capacity })))
      for (const [, idleFor] of [...badDurations, ...zeroDurations]) {
        refuses("idleFor", () => make({ idleFor }))
      }
    }
  })
})
