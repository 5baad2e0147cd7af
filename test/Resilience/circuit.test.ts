import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Deferred, Duration, Effect, Exit, Fiber, Layer, TestClock } from "effect"
import {
  CallReport,
  ChatProvider,
  CircuitBreaker,
  Deadline,
  Fallback,
  type ProviderError,
  Resilience
} from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import {
  always,
  clientError,
  failureOf,
  nameOf,
  notStreamed,
  onlyReport,
  overloaded,
  rateLimited,
  script,
  simulate,
  timeout
} from "../utils.js"

const once: Resilience.Options = { retry: { maxAttempts: 1 } }

const opensAfter = (failures: number): CircuitBreaker.Options => ({
  trip: CircuitBreaker.consecutiveFailures(failures),
  openFor: "10 seconds"
})

const request: ChatProvider.ChatRequest = { model: "m", messages: [{ role: "user", content: "Hello" }] }

describe("an open circuit", () => {
  it.effect("sends nothing, and says which circuit, what opened it and when to come back", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const { protect } = yield* Resilience.make({ ...once, circuitBreaker: opensAfter(2) })
      const call = protect(attempt, { provider: "openai", model: "gpt-4o" })
      yield* Effect.exit(call)
      yield* Effect.exit(call)
      yield* TestClock.adjust("3 seconds")
      const error = failureOf(yield* Effect.exit(call))
      assertTrue(error._tag === "CircuitOpen")
      deepStrictEqual(
        [error.circuit, error.provider, error.model, error.openedBy, error.retryAfter],
        [
          "openai gpt-4o",
          "openai",
          "gpt-4o",
          { tag: "ServerError", reason: "Overloaded", status: 529 },
          Duration.seconds(7)
        ]
      )
      strictEqual(at.length, 2)
    }))

  it.effect("is no attempt in the report, and the report says what stood against it", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ ...once, circuitBreaker: opensAfter(1) })
      yield* Effect.exit(protect(Effect.fail(overloaded())))
      const { reports } = yield* CallReport.collect(protect(Effect.void))
      const report = onlyReport(reports)
      deepStrictEqual([report.outcome, report.attempts.length, report.stoppedBy], ["CircuitOpen", 0, "circuit"])
    }))

  it.effect("a call that already failed shows its own error, and does not wait to be turned away", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const { protect } = yield* Resilience.make({ retry: { jitter: "none" }, circuitBreaker: opensAfter(2) })
      const { reports, exit: ended } = yield* CallReport.collect(simulate(protect(attempt)))
      const { at: endedAt, exit } = yield* ended
      strictEqual(nameOf(failureOf(exit)), "ServerError")
      deepStrictEqual([at, endedAt, onlyReport(reports).stoppedBy], [[0, 1000], 1000, "circuit"])
    }))

  it.effect("opened by others while a call waited, it shows the call's own error too", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ retry: { jitter: "none" }, circuitBreaker: opensAfter(2) })
      const waiting = yield* Effect.fork(Effect.exit(protect(Effect.fail(overloaded()))))
      yield* TestClock.adjust(500)
      yield* Effect.exit(protect(Effect.fail(clientError("Authentication"))))
      yield* TestClock.adjust("1 second")
      strictEqual(nameOf(failureOf(yield* Fiber.join(waiting))), "ServerError")
    }))

  it.effect("lets one probe through when its time is over, and closes when that succeeds", () =>
    Effect.gen(function*() {
      const { attempt } = script(Effect.fail(overloaded()), Effect.delay(Effect.succeed("well again"), 100))
      const { protect } = yield* Resilience.make({ ...once, circuitBreaker: opensAfter(1) })
      yield* Effect.exit(protect(attempt))
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.fork(protect(attempt))
      yield* TestClock.adjust(50)
      strictEqual(nameOf(failureOf(yield* Effect.exit(protect(Effect.void)))), "CircuitOpen")
      yield* TestClock.adjust(50)
      strictEqual(yield* Fiber.join(probe), "well again")
      yield* protect(Effect.void)
    }))

  it.effect("a probe that hangs stands in the way no longer than an attempt may take", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({
        ...once,
        attemptTimeout: "2 seconds",
        circuitBreaker: opensAfter(1)
      })
      yield* Effect.exit(protect(Effect.fail(overloaded())))
      yield* TestClock.adjust("10 seconds")
      const stuck = yield* Effect.fork(protect(Effect.never))
      yield* TestClock.adjust("2 seconds")
      strictEqual(nameOf(failureOf(yield* Fiber.await(stuck))), "Timeout Attempt")
      strictEqual(nameOf(failureOf(yield* Effect.exit(protect(Effect.void)))), "CircuitOpen")
    }))

  it.effect("an interrupted probe gives its place to the next", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ ...once, circuitBreaker: opensAfter(1) })
      yield* Effect.exit(protect(Effect.fail(overloaded())))
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.fork(protect(Effect.never))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(probe)
      strictEqual(yield* protect(Effect.succeed("next")), "next")
    }))
})

describe("what a circuit counts", () => {
  const opens = (attempt: Effect.Effect<unknown, unknown>, options: Resilience.Options = {}) =>
    Effect.gen(function*() {
      const circuit = yield* CircuitBreaker.make(opensAfter(1))
      const { protect } = yield* Resilience.make({ ...once, ...options, circuitBreaker: circuit })
      yield* simulate(Effect.exit(protect(attempt)), "2 minutes")
      return (yield* circuit.state)._tag !== "Closed"
    })

  for (
    const error of [overloaded(), timeout("Attempt"), clientError("Authentication"), clientError("QuotaExhausted")]
  ) {
    it.effect(`a failure: ${nameOf(error)} ${"reason" in error ? error.reason : ""}`, () =>
      Effect.gen(function*() {
        strictEqual(yield* opens(Effect.fail(error)), true)
      }))
  }

  it.effect("a failure: an attempt that ran out of time", () =>
    Effect.gen(function*() {
      strictEqual(yield* opens(Effect.never), true)
    }))

  for (
    const [name, attempt] of [
      ["a rate limit", Effect.fail(rateLimited("1 second"))],
      ["a wrong request", Effect.fail(clientError("InvalidRequest"))],
      ["an error of others", Effect.fail("boom")],
      ["a defect", Effect.die("bug")],
      ["an interruption", Effect.interrupt]
    ] as const
  ) {
    it.effect(`nothing: ${name}`, () =>
      Effect.gen(function*() {
        strictEqual(yield* opens(attempt), false)
      }))
  }
})

describe("a deadline that cuts an attempt short", () => {
  const hang = (before: Duration.DurationInput) =>
    Effect.gen(function*() {
      const circuit = yield* CircuitBreaker.make(opensAfter(1))
      const { protect } = yield* Resilience.make({ ...once, circuitBreaker: circuit })
      const call = Effect.zipRight(Effect.sleep(before), protect(Effect.never))
      const { exit } = yield* simulate(Deadline.within(call, "10 seconds"))
      return [nameOf(failureOf(exit)), (yield* circuit.state)._tag !== "Closed"]
    })

  it.effect("is the provider's failure if it had half of the call's time", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* hang("5 seconds"), ["Timeout Deadline", true])
    }))

  it.effect("is not, if it had less", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* hang(5001), ["Timeout Deadline", false])
    }))
})

describe("whose circuit it is", () => {
  it.effect("each provider and model has its own", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ ...once, circuitBreaker: opensAfter(1) })
      yield* Effect.exit(protect(Effect.fail(overloaded()), { provider: "a", model: "m" }))
      for (const target of [{ provider: "a", model: "n" }, { provider: "b", model: "m" }, {}]) {
        yield* protect(Effect.void, target)
      }
      strictEqual(
        nameOf(failureOf(yield* Effect.exit(protect(Effect.void, { provider: "a", model: "m" })))),
        "CircuitOpen"
      )
    }))

  it.effect("one of the user's own serves all targets", () =>
    Effect.gen(function*() {
      const circuit = yield* CircuitBreaker.make(opensAfter(1))
      const { protect } = yield* Resilience.make({ ...once, circuitBreaker: circuit })
      yield* Effect.exit(protect(Effect.fail(overloaded()), { model: "m" }))
      strictEqual(nameOf(failureOf(yield* Effect.exit(protect(Effect.void, { model: "n" })))), "CircuitOpen")
    }))

  it.effect("circuitBreaker: false is none", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(clientError("Authentication")))
      const { protect } = yield* Resilience.make({ ...once, circuitBreaker: false })
      yield* Effect.exit(protect(attempt))
      yield* Effect.exit(protect(attempt))
      strictEqual(at.length, 2)
    }))

  const provider = (credential: string, step: Effect.Effect<ChatProvider.ChatResponse, ProviderError.CallError>) =>
    Layer.succeed(ChatProvider.ChatProvider, {
      provider: "openai",
      model: "m",
      credential,
      complete: () => step,
      stream: notStreamed
    })
  const complete = (layer: Layer.Layer<ChatProvider.ChatProvider>) =>
    Effect.exit(Effect.provide(ChatProvider.complete(request), layer))
  const policies = Resilience.layer({ ...once, circuitBreaker: opensAfter(1) })
  const down = Effect.fail(overloaded())
  const up = Effect.succeed(ScriptedProvider.answer("up"))

  it.effect("layers share it through a registry, account by account", () =>
    Effect.gen(function*() {
      yield* complete(provider("one", down).pipe(policies))
      strictEqual(nameOf(failureOf(yield* complete(provider("one", up).pipe(policies)))), "CircuitOpen")
      assertTrue(Exit.isSuccess(yield* complete(provider("two", up).pipe(policies))))
      const circuits = yield* CircuitBreaker.Registry
      deepStrictEqual((yield* circuits.snapshot).map(({ name, state }) => [name, state._tag]), [
        ["openai m", "Open"],
        ["openai m", "Closed"]
      ])
    }).pipe(Effect.provide(CircuitBreaker.layerRegistry())))

  it.effect("without a registry each layer has circuits of its own", () =>
    Effect.gen(function*() {
      yield* complete(provider("one", down).pipe(policies))
      assertTrue(Exit.isSuccess(yield* complete(provider("one", up).pipe(policies))))
    }))
})

describe("in a chain", () => {
  it.effect("an open circuit costs nothing: the next provider is asked at once", () =>
    Effect.gen(function*() {
      const circuit = yield* CircuitBreaker.make(opensAfter(1))
      yield* Effect.exit(CircuitBreaker.protect(Effect.fail(overloaded()), circuit))
      const primary = yield* ScriptedProvider.make([])
      const backup = yield* ScriptedProvider.make(["from the backup"])
      const response = yield* ChatProvider.complete(request).pipe(
        Effect.provide(
          primary.layer.pipe(Resilience.layer({ circuitBreaker: circuit }), Fallback.orElse(backup.layer))
        )
      )
      strictEqual(ChatProvider.text(response), "from the backup")
      deepStrictEqual(yield* primary.asked, [])
    }))

  it.effect("when all circuits are open, the chain waits for the first to let a probe through", () =>
    Effect.gen(function*() {
      const [long, short] = yield* Effect.all([
        CircuitBreaker.make({ ...opensAfter(1), openFor: "20 seconds" }),
        CircuitBreaker.make({ ...opensAfter(1), openFor: "5 seconds" })
      ])
      const providers = yield* Effect.forEach([long, short], (circuit, index) =>
        Effect.gen(function*() {
          yield* Effect.exit(CircuitBreaker.protect(Effect.fail(overloaded()), circuit))
          const provider = yield* ScriptedProvider.make([`from ${index}`])
          return provider.layer.pipe(Resilience.layer({ circuitBreaker: circuit }))
        }))
      const [first, second] = providers
      assertTrue(first !== undefined && second !== undefined)
      const { at, exit } = yield* simulate(
        Effect.provide(ChatProvider.complete(request), first.pipe(Fallback.orElse(second)))
      )
      strictEqual(ChatProvider.text(yield* exit), "from 1")
      assertTrue(at >= 5000 && at <= 5500)
    }))
})

describe("concurrency", () => {
  it.effect("thousands of calls, interrupted anywhere, leave a half-open circuit able to probe", () =>
    Effect.gen(function*() {
      const circuit = yield* CircuitBreaker.make(opensAfter(1))
      const { protect } = yield* Resilience.make({ ...once, circuitBreaker: circuit, maxConcurrent: 5 })
      yield* Effect.exit(protect(Effect.fail(overloaded())))
      yield* TestClock.adjust("10 seconds")
      const gate = yield* Deferred.make<void>()
      const fibers = yield* Effect.forEach(
        Array.from({ length: 2000 }),
        () => Effect.fork(Effect.exit(protect(Effect.zipRight(Deferred.await(gate), Effect.fail("neutral")))))
      )
      yield* Effect.yieldNow()
      for (const [index, fiber] of fibers.entries()) {
        if (index % 3 === 0) {
          yield* Fiber.interruptFork(fiber)
        }
      }
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.forEach(fibers, Fiber.await)
      strictEqual((yield* circuit.state)._tag, "HalfOpen")
      strictEqual(yield* protect(Effect.succeed("probe")), "probe")
      strictEqual((yield* circuit.state)._tag, "Closed")
    }))
})
