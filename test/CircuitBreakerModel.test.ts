import { it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Exit, FastCheck as fc, Logger, LogLevel, Random, Runtime, Scope, Stream } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { type Answer, commands, type Ending, Model, observe, type Setup, setups, type System } from "./circuitModel.js"
import { clientError, manualClock, overloaded } from "./utils.js"

const optionsOf = (setup: Setup): CircuitBreaker.Options => ({
  trip: "consecutive" in setup.trip
    ? CircuitBreaker.consecutiveFailures(setup.trip.consecutive)
    : CircuitBreaker.failureRate({
      ...setup.trip,
      window: "calls" in setup.trip.window ? setup.trip.window : setup.trip.window.millis,
      minimumCalls: setup.trip.minimumCalls
    }),
  openFor: setup.openFor.jitter ? setup.openFor : setup.openFor.base,
  maxOpenFor: setup.maxOpenFor,
  halfOpen: setup
})

const outcomeOf = (ending: Ending): CircuitBreaker.Outcome => {
  switch (ending) {
    case "success":
      return CircuitBreaker.success
    case "neutral":
      return CircuitBreaker.neutral
    case "failure":
      return CircuitBreaker.failure(overloaded())
    case "at once":
      return CircuitBreaker.failure(clientError("Authentication"))
    default:
      return CircuitBreaker.failure(overloaded(ending))
  }
}

/** A circuit breaker whose permits are held by a scope each; a neutral call only closes its scope. */
class Driven implements System {
  readonly breaker: CircuitBreaker.CircuitBreaker
  private readonly time = manualClock()
  private readonly runtime: Runtime.Runtime<never>
  private readonly permits: Array<{ readonly scope: Scope.CloseableScope; readonly permit: CircuitBreaker.Permit }> = []
  private readonly isolations: Array<Scope.CloseableScope> = []

  constructor(setup: Setup) {
    this.breaker = CircuitBreaker.unsafeMake(optionsOf(setup))
    this.runtime = Effect.runSync(
      Effect.runtime().pipe(
        Effect.withClock(this.time.clock),
        Effect.withRandom(Random.fixed([setup.u])),
        Logger.withMinimumLogLevel(LogLevel.None)
      )
    )
  }

  private run<A>(effect: Effect.Effect<A>): A {
    return Runtime.runSync(this.runtime)(effect)
  }

  get state(): string {
    const state = this.run(this.breaker.state)
    return state._tag === "Open" ? `Open for ${Duration.toMillis(state.retryAfter)}` : state._tag
  }

  wait(millis: number): void {
    this.time.move(millis)
  }

  admit(): Answer {
    const scope = Effect.runSync(Scope.make())
    const either = this.run(Scope.extend(Effect.either(this.breaker.acquire), scope))
    if (either._tag === "Left") {
      const { retryAfter } = either.left
      return { retryAfter: retryAfter === undefined ? undefined : Duration.toMillis(retryAfter) }
    }
    this.permits.push({ scope, permit: either.right })
    return "admitted"
  }

  done(index: number, ending: Ending): void {
    const held = this.permits[index]
    if (held === undefined) {
      return
    }
    if (ending !== "neutral") {
      this.run(held.permit.done(outcomeOf(ending)))
    }
    this.run(Scope.close(held.scope, Exit.void))
  }

  isolate(): void {
    const scope = Effect.runSync(Scope.make())
    this.run(Scope.extend(this.breaker.isolate, scope))
    this.isolations.push(scope)
  }

  release(index: number): void {
    const scope = this.isolations[index]
    if (scope !== undefined) {
      this.run(Scope.close(scope, Exit.void))
    }
  }

  reset(): void {
    this.run(this.breaker.reset)
  }
}

it.effect(
  "a circuit breaker does what the model does, and its listeners see every transition in order",
  () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(setups, commands, (setup, commands) =>
          Effect.runPromise(Effect.gen(function*() {
            const model = new Model(setup)
            const driven = new Driven(setup)
            const heard: Array<string> = []
            yield* Effect.fork(
              Stream.runForEach(driven.breaker.transitions, ({ from, to }) =>
                Effect.sync(() => heard.push(`${from} > ${to}`)))
            )
            yield* Effect.repeatN(Effect.yieldNow(), 20)
            deepStrictEqual(observe(driven, commands), observe(model, commands))
            yield* Effect.repeatN(Effect.yieldNow(), 100)
            deepStrictEqual(heard, model.transitions)
          }))),
        { numRuns: 300 }
      )
    ),
  60_000
)
