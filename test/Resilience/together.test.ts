/** What the policies of one call, and of calls around and beside it, must not do to each other. */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, Exit, Fiber, TestClock } from "effect"
import {
  CallReport,
  ChatProvider,
  CircuitBreaker,
  Deadline,
  Fallback,
  Resilience,
  RetryBudget
} from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { always, failureOf, nameOf, onlyReport, overloaded, rateLimited, simulate } from "../utils.js"

const request: ChatProvider.ChatRequest = { model: "m", messages: [{ role: "user", content: "Hello" }] }
const complete = ChatProvider.complete(request)

const opensAtOnce: CircuitBreaker.Options = { trip: CircuitBreaker.consecutiveFailures(1), openFor: "5 seconds" }

describe("policies together", () => {
  it.effect("a call in line sees a pause that began while it stood there", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ maxConcurrent: 1, retry: { maxAttempts: 1, jitter: "none" } })
      yield* Effect.fork(protect(Effect.zipRight(Effect.sleep("5 seconds"), Effect.fail(rateLimited("30 seconds")))))
      yield* Effect.yieldNow()
      const next = always(Effect.void)
      yield* simulate(protect(next.attempt))
      deepStrictEqual(next.at, [35_000])
    }))

  it.effect("a retry that cannot get a slot in time shows its own error, not the deadline", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ maxConcurrent: 1, retry: { jitter: "none" } })
      const call = yield* Effect.fork(
        simulate(Deadline.within(protect(Effect.fail(overloaded())), "10 seconds"), 20000)
      )
      yield* Effect.yieldNow()
      yield* Effect.yieldNow()
      yield* Effect.fork(protect(Effect.sleep("50 seconds")))
      const { exit } = yield* Fiber.join(call)
      strictEqual(nameOf(failureOf(exit)), "ServerError")
    }))

  it.effect("no request is begun from the line with less than the reserve left", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ maxConcurrent: 1 })
      yield* Effect.fork(protect(Effect.sleep(9_990)))
      yield* Effect.yieldNow()
      const next = always(Effect.sleep("1 second"))
      yield* simulate(Deadline.within(protect(next.attempt), "10 seconds", { reserve: "1 second" }))
      deepStrictEqual(next.at, [])
    }))

  it.effect("an open circuit turns away at once, although the bulkhead is full", () =>
    Effect.gen(function*() {
      const circuit = yield* CircuitBreaker.make()
      const { protect } = yield* Resilience.make({ maxConcurrent: 1, circuitBreaker: circuit })
      yield* Effect.fork(protect(Effect.sleep("50 seconds")))
      yield* Effect.yieldNow()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* circuit.isolate
        const { at, exit } = yield* simulate(protect(Effect.void))
        deepStrictEqual([nameOf(failureOf(exit)), at], ["CircuitOpen", 0])
      }))
    }))

  it.effect("an open circuit turns away at once, although a pause is in force", () =>
    Effect.gen(function*() {
      const circuit = yield* CircuitBreaker.make()
      const { protect } = yield* Resilience.make({ circuitBreaker: circuit, retry: { maxAttempts: 1 } })
      yield* Effect.exit(protect(Effect.fail(rateLimited("50 seconds"))))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* circuit.isolate
        const { at, exit } = yield* simulate(protect(Effect.void))
        deepStrictEqual([nameOf(failureOf(exit)), at], ["CircuitOpen", 0])
      }))
    }))

  it.effect("a Retry-After of exactly the longest that is waited for is waited for by everyone", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ retry: { maxAttempts: 1 } })
      yield* Effect.exit(protect(Effect.fail(rateLimited("60 seconds"))))
      const { exit } = yield* simulate(protect(Effect.void))
      assertTrue(Exit.isSuccess(exit))
    }))

  it.effect("the error of the attempt that was sent is not hidden by an inner circuit", () =>
    Effect.gen(function*() {
      const outer = yield* Resilience.make({ retry: { jitter: "none" } })
      const inner = yield* Resilience.make({
        circuitBreaker: { trip: CircuitBreaker.consecutiveFailures(1), openFor: "1 minute" }
      })
      const { exit: e, reports } = yield* CallReport.collect(
        simulate(outer.protect(inner.protect(Effect.fail(overloaded()))))
      )
      const { exit } = yield* e
      console.log(onlyReport(reports).attempts.map((a) => a.outcome))
      strictEqual(nameOf(failureOf(exit)), "ServerError")
    }))

  it.effect("nor by that of a provider layer with policies of its own", () =>
    Effect.gen(function*() {
      const outer = yield* Resilience.make({ retry: { jitter: "none" } })
      const primary = yield* ScriptedProvider.make([Effect.fail(overloaded()), "ok"])
      const { exit } = yield* simulate(outer.protect(complete)).pipe(
        Effect.provide(
          primary.layer.pipe(Resilience.layer({
            circuitBreaker: { trip: CircuitBreaker.consecutiveFailures(1), openFor: "1 minute" }
          }))
        )
      )
      strictEqual(nameOf(failureOf(exit)), "ServerError")
    }))

  it.effect("a chain that resumes counts for the hard cap", () =>
    Effect.gen(function*() {
      const a = yield* ScriptedProvider.make([Effect.fail(rateLimited("10 seconds")), "a"])
      const b = yield* ScriptedProvider.make([Effect.fail(rateLimited("20 seconds")), "b"])
      const { exit } = yield* simulate(complete).pipe(
        Effect.provide([
          Fallback.orElse(a.layer, b.layer),
          RetryBudget.layer({ hardCap: { limit: 1, per: "1 hour" } })
        ])
      )
      assertTrue(Exit.isFailure(exit))
    }))

  it.effect("the first request of a call is free of the hard cap, whoever was turned away from before", () =>
    Effect.gen(function*() {
      const a = yield* ScriptedProvider.make([Effect.fail(overloaded())])
      const b = yield* ScriptedProvider.make(["b", "b", "b", "b"])
      const exits = yield* Effect.forEach([1, 2, 3, 4], () => simulate(complete, 1)).pipe(
        Effect.provide([
          Fallback.orElse(
            a.layer.pipe(Resilience.layer({
              retry: { maxAttempts: 1 },
              circuitBreaker: { trip: CircuitBreaker.consecutiveFailures(1), openFor: "1 minute" }
            })),
            b.layer
          ),
          RetryBudget.layer({ hardCap: { limit: 2, per: "1 hour" } })
        ])
      )
      deepStrictEqual(exits.map(({ exit }) => exit._tag === "Success" ? "ok" : nameOf(failureOf(exit))), [
        "ok",
        "ok",
        "ok",
        "ok"
      ])
    }))

  it.effect("a chain within a chain waits no longer than for an outer provider that is ready sooner", () =>
    Effect.gen(function*() {
      const a = yield* ScriptedProvider.make([Effect.fail(rateLimited("6 seconds")), "a"])
      const b = yield* ScriptedProvider.make([Effect.fail(rateLimited("40 seconds")), "b"])
      const c = yield* ScriptedProvider.make([Effect.fail(rateLimited("45 seconds")), "c"])
      const inner = Fallback.layer({}, b.layer, c.layer)
      const { at } = yield* simulate(complete).pipe(Effect.provide(Fallback.orElse(a.layer, inner)))
      console.log("9 at", at)
      assertTrue(at < 8000)
    }))

  it.effect("a chain with policies around it is a link like any other", () =>
    Effect.gen(function*() {
      const a = yield* ScriptedProvider.make(["a"])
      const b = yield* ScriptedProvider.make(["b"])
      const c = yield* ScriptedProvider.make(["c"])
      const { exit } = yield* simulate(complete).pipe(
        Effect.provide(Fallback.orElse(a.layer, b.layer).pipe(Resilience.layer(), Fallback.orElse(c.layer)))
      )
      console.log(String(exit).slice(0, 600))
      assertTrue(Exit.isSuccess(exit))
    }))

  it.effect("two unnamed policies of one program have circuits of their own, registry or not", () =>
    Effect.gen(function*() {
      const options = { circuitBreaker: { trip: CircuitBreaker.consecutiveFailures(1) }, retry: { maxAttempts: 1 } }
      const llm = yield* Resilience.make(options)
      const database = yield* Resilience.make(options)
      yield* Effect.exit(llm.protect(Effect.fail(overloaded())))
      strictEqual(yield* database.protect(Effect.succeed("rows")), "rows")
    }).pipe(Effect.provide(CircuitBreaker.layerRegistry())))

  it.effect("two policies around each other that share a half-open circuit are one probe", () =>
    Effect.gen(function*() {
      const options = {
        circuitBreaker: { trip: CircuitBreaker.consecutiveFailures(1), openFor: "5 seconds" },
        retry: { maxAttempts: 1 }
      } as const
      const outer = yield* Resilience.make(options)
      const inner = yield* Resilience.make(options)
      const target = { provider: "openai", model: "gpt-4o" }
      yield* Effect.exit(inner.protect(Effect.fail(overloaded()), target))
      yield* TestClock.adjust("1 hour")
      const { exit } = yield* simulate(outer.protect(inner.protect(Effect.succeed("ok"), target), target))
      assertTrue(Exit.isSuccess(exit))
    }).pipe(Effect.provide(CircuitBreaker.layerRegistry())))

  it.effect("the wait in line is bounded in a caller that cannot be interrupted", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ maxConcurrent: 1, attemptTimeout: "10 minutes" })
      yield* Effect.fork(protect(Effect.sleep("5 minutes")))
      yield* Effect.yieldNow()
      const { at, exit } = yield* simulate(Effect.uninterruptible(protect(Effect.void)))
      deepStrictEqual([at, exit._tag], [60_000, "Failure"])
    }))

  it.effect("a probe is given up on after the attempt timeout, unless said otherwise", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({
        attemptTimeout: "10 minutes",
        retry: { maxAttempts: 1 },
        circuitBreaker: {
          trip: CircuitBreaker.consecutiveFailures(1),
          openFor: "5 seconds",
          halfOpen: { probeTimeout: undefined }
        }
      })
      yield* Effect.exit(protect(Effect.fail(overloaded())))
      yield* TestClock.adjust("1 minute")
      yield* Effect.fork(protect(Effect.never))
      yield* TestClock.adjust("2 minutes")
      const exit = yield* Effect.exit(protect(Effect.void))
      assertTrue(Exit.isFailure(exit))
    }))

  it.effect("a pause does not outlive a clock that jumps back", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ retry: { maxAttempts: 1 } })
      yield* TestClock.adjust("10 hours")
      yield* Effect.exit(protect(Effect.fail(rateLimited("1 second"))))
      yield* TestClock.setTime(0)
      const { exit } = yield* simulate(protect(Effect.void))
      assertTrue(Exit.isSuccess(exit))
    }))

  it.effect("a chain is not paused by the word of one of its providers", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ retry: { maxAttempts: 1 } })
      const a = yield* ScriptedProvider.make([
        Effect.fail(rateLimited("50 seconds")),
        Effect.fail(rateLimited("50 seconds"))
      ])
      const b = yield* ScriptedProvider.make([Effect.fail(overloaded()), "b"])
      const layer = Fallback.orElse(a.layer, b.layer)
      const { at } = yield* Effect.gen(function*() {
        yield* Effect.exit(protect(complete))
        return yield* simulate(protect(complete))
      }).pipe(Effect.provide(layer))
      strictEqual(at, 0)
    }))

  it.effect("a probe whose attempt may take for ever is given up on all the same", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({
        attemptTimeout: Infinity,
        retry: { maxAttempts: 1 },
        circuitBreaker: opensAtOnce
      })
      yield* Effect.exit(protect(Effect.fail(overloaded())))
      yield* TestClock.adjust("5 seconds")
      yield* Effect.fork(protect(Effect.never))
      yield* TestClock.adjust("1 minute")
      assertTrue(Exit.isSuccess(yield* Effect.exit(protect(Effect.void))))
    }))

  it.effect("many callers at the end of an opening are one probe, however many slots there are", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({
        circuitBreaker: opensAtOnce,
        retry: { maxAttempts: 1 },
        maxConcurrent: 5
      })
      yield* Effect.exit(protect(Effect.fail(overloaded())))
      yield* TestClock.adjust("5 seconds")
      const probe = always(Effect.sleep("1 second"))
      const calls = Array.from({ length: 20 }, () => Effect.exit(protect(probe.attempt)))
      const { exit } = yield* simulate(Effect.all(calls, { concurrency: "unbounded" }))
      const rejected = (yield* exit).filter(Exit.isFailure).map((exit) => nameOf(failureOf(exit)))
      deepStrictEqual(probe.at, [5000])
      deepStrictEqual(rejected, Array.from({ length: 19 }, () => "CircuitOpen"))
    }))

  it.effect("what is turned away by a full bulkhead does not hide the error of the provider that was asked", () =>
    Effect.gen(function*() {
      const busy = yield* ScriptedProvider.make([Effect.as(Effect.sleep("50 seconds"), "late")])
      const down = yield* ScriptedProvider.make([Effect.fail(overloaded())])
      const { exit } = yield* Effect.gen(function*() {
        yield* Effect.fork(complete)
        yield* Effect.yieldNow()
        return yield* simulate(complete)
      }).pipe(Effect.provide(Fallback.orElse(busy.layer.pipe(Resilience.layer({ maxConcurrent: 1 })), down.layer)))
      strictEqual(nameOf(failureOf(exit)), "ServerError")
    }))

  it.effect("a provider in the middle that was turned away from costs nothing of the hard cap", () =>
    Effect.gen(function*() {
      const a = yield* ScriptedProvider.make([Effect.fail(overloaded()), Effect.fail(overloaded())])
      const b = yield* ScriptedProvider.make([Effect.fail(overloaded())])
      const c = yield* ScriptedProvider.make(["c", "c"])
      const policies = Resilience.layer({ retry: { maxAttempts: 1 }, circuitBreaker: opensAtOnce })
      const chain = a.layer.pipe(Fallback.orElse(b.layer.pipe(policies)), Fallback.orElse(c.layer))
      const { exit } = yield* Effect.gen(function*() {
        yield* complete
        const capped = RetryBudget.layer({ hardCap: { limit: 1, per: "1 hour" } })
        return yield* simulate(Effect.provide(complete, capped), 1)
      }).pipe(Effect.provide(chain))
      assertTrue(Exit.isSuccess(exit))
    }))

  it.effect("policies inside themselves take one slot, not two", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ maxConcurrent: 1 })
      const { at, exit } = yield* simulate(protect(protect(Effect.succeed("answer"))))
      deepStrictEqual([exit, at], [Exit.succeed("answer"), 0])
    }))

  it.effect("a circuit without a name of its own shows provider and model, and nothing of the account", () =>
    Effect.gen(function*() {
      const provider = yield* ScriptedProvider.make([Effect.fail(overloaded())], { provider: "p", model: "m" })
      const circuitBreaker = { ...opensAtOnce, name: undefined }
      const error = yield* Effect.zipRight(Effect.exit(complete), Effect.exit(complete)).pipe(
        Effect.provide(provider.layer.pipe(Resilience.layer({ retry: { maxAttempts: 1 }, circuitBreaker }))),
        Effect.map(failureOf)
      )
      assertTrue(error._tag === "CircuitOpen")
      strictEqual(error.circuit, "p m")
    }).pipe(Effect.provide(CircuitBreaker.layerRegistry())))
})
