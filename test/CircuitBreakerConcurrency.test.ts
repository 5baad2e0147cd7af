import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, Exit, Fiber, Random, Stream } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { clientError, manualClock, overloaded, rateLimited } from "./utils.js"

/** A call of a few steps that ends in any way, as chance has it. */
const someCall = Effect.gen(function*() {
  yield* Effect.repeatN(Effect.yieldNow(), yield* Random.nextIntBetween(0, 6))
  return yield* yield* Random.choice([
    Effect.void,
    Effect.void,
    Effect.fail(overloaded()),
    Effect.fail(overloaded()),
    Effect.fail(rateLimited("1 second")),
    Effect.fail(clientError("InvalidRequest")),
    Effect.die("defect"),
    Effect.interrupt
  ])
})

/** The same work through a permit, which is done before its scope closes, after that, or never. */
const throughPermit = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.scoped(Effect.gen(function*() {
    const permit = yield* breaker.acquire
    const exit = yield* Effect.exit(someCall)
    yield* Effect.yieldNow()
    if (yield* Random.nextBoolean) {
      yield* permit.done(CircuitBreaker.outcomeOf(exit))
    }
  }))

/** Starts a fiber and interrupts it anywhere: before it began, between any two steps, or after it ended. */
const interruptedAnywhere = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    if (yield* Random.nextBoolean) {
      yield* Effect.repeatN(Effect.yieldNow(), yield* Random.nextIntBetween(0, 12))
      yield* Fiber.interrupt(fiber)
    }
    return yield* Fiber.await(fiber)
  })

/** Takes a circuit through an opening of its own, and counts the probes that it admits at its end. */
const probesAdmitted = (breaker: CircuitBreaker.CircuitBreaker, move: (millis: number) => void) =>
  Effect.scoped(Effect.gen(function*() {
    yield* breaker.reset
    yield* Effect.exit(CircuitBreaker.protect(Effect.fail(clientError("Authentication")), breaker))
    strictEqual((yield* breaker.state)._tag, "Open")
    move(300_000)
    const answers = yield* Effect.replicateEffect(Effect.exit(breaker.acquire), 20)
    return answers.filter(Exit.isSuccess).length
  }))

const options: CircuitBreaker.Options = {
  trip: CircuitBreaker.failureRate({ threshold: 0.4, minimumCalls: 5 }),
  openFor: "5 millis",
  halfOpen: { permits: 3, successes: 2, probeTimeout: "1 hour" }
}

describe("thousands of fibers, interrupted anywhere,", () => {
  it.effect("leave no permit behind, and every transition follows from the one before", () => {
    const { clock, move } = manualClock()
    return Effect.scoped(Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options)
      const heard: Array<CircuitBreaker.Transition> = []
      const listener = yield* Effect.forkScoped(
        Stream.runForEach(breaker.transitions, (transition) => Effect.sync(() => heard.push(transition)))
      )
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      const one = Effect.gen(function*() {
        yield* Effect.repeatN(Effect.yieldNow(), yield* Random.nextIntBetween(0, 20))
        move(1)
        yield* interruptedAnywhere(
          (yield* Random.nextBoolean) ? CircuitBreaker.protect(someCall, breaker) : throughPermit(breaker)
        )
      })
      yield* Effect.forEach(Array.from({ length: 2000 }), () => one, { concurrency: 200, discard: true })
      // A permit that was lost in any period would be missing, or in the way, in this one.
      strictEqual(yield* probesAdmitted(breaker, move), 3)
      yield* Effect.repeatN(Effect.yieldNow(), 2000)
      yield* Fiber.interrupt(listener)
      assertTrue(heard.length > 50, `only ${heard.length} transitions`)
      deepStrictEqual(heard.slice(1).map(({ from }) => from), heard.slice(0, -1).map(({ to }) => to))
    })).pipe(Effect.withClock(clock), Effect.withRandom(Random.make("breaker")))
  }, 30_000)

  it.effect("leave nothing in a registry that it could not forget", () => {
    const { clock, move } = manualClock()
    return Effect.gen(function*() {
      const circuits = yield* CircuitBreaker.makeRegistry({ capacity: 50 })
      const one = Effect.gen(function*() {
        const breaker = yield* circuits.get(`${yield* Random.nextIntBetween(0, 100)}`, options)
        move(1)
        yield* interruptedAnywhere(
          (yield* Random.nextBoolean) ? CircuitBreaker.protect(someCall, breaker) : throughPermit(breaker)
        )
      })
      yield* Effect.forEach(Array.from({ length: 2000 }), () => one, { concurrency: 200, discard: true })
      strictEqual(yield* circuits.size, 50)
      move(300_000)
      // Of the circuits from before, one with a call that never ended would still be there.
      for (let n = 0; n < 50; n++) {
        const breaker = yield* circuits.get(`new ${n}`, options)
        yield* Effect.exit(CircuitBreaker.protect(Effect.fail(clientError("Authentication")), breaker))
      }
      deepStrictEqual(
        (yield* circuits.snapshot).map(({ key }) => key),
        Array.from({ length: 50 }, (_, n) => `new ${n}`)
      )
    }).pipe(Effect.withClock(clock), Effect.withRandom(Random.make("registry")))
  }, 30_000)
})
