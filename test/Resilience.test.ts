import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import type { Duration } from "effect"
import {
  Cause,
  Clock,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  FiberRef,
  Layer,
  Random,
  Schedule,
  TestClock
} from "effect"
import {
  ChatProvider,
  Deadline,
  Fallback,
  ProviderError,
  Resilience,
  RetryBudget,
  RetryPolicy
} from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { expectTypeOf } from "vitest"
import {
  alternatives,
  always,
  badCounts,
  badDurations,
  circuitOpen,
  clientError,
  deadlinePassed,
  failureOf,
  foreign,
  fromJson,
  infiniteDurations,
  nameOf,
  overloaded,
  rateLimited,
  refuses,
  script,
  simulate,
  timeout,
  zeroDurations
} from "./utils.js"

const plain: RetryPolicy.Options = { jitter: "none" }

/** Policies whose waits are known: 1 s, 2 s, 4 s, … */
const make = (options: Resilience.Options = {}) => Resilience.make({ retry: plain, ...options })

const inChain = (left: number) => Effect.provideService(Fallback.Alternatives, alternatives(left))

const request: ChatProvider.ChatRequest = { model: "gpt-4o", messages: [{ role: "user", content: "Hello" }] }

describe("retry", () => {
  it.effect("a call that succeeds at once is one attempt", () =>
    Effect.gen(function*() {
      const { at, attempt } = script(Effect.succeed("answer"))
      deepStrictEqual(yield* simulate((yield* make()).protect(attempt)), { exit: Exit.succeed("answer"), at: 0 })
      deepStrictEqual(at, [0])
    }))

  it.effect("by default 5 attempts with full jitter from 1 s on; the last error surfaces at once", () =>
    Effect.gen(function*() {
      const errors = [overloaded(), overloaded(), overloaded(), overloaded(), overloaded()]
      const { at, attempt } = script(...errors.map((error) => Effect.fail(error)))
      const ended = yield* simulate((yield* Resilience.make()).protect(attempt))
      // Half of 1, 2, 4 and 8 s.
      deepStrictEqual(at, [0, 500, 1500, 3500, 7500])
      strictEqual(ended.at, 7500)
      strictEqual(failureOf(ended.exit), errors[4])
    }).pipe(Effect.withRandom(Random.fixed([0.5]))))

  it.effect("takes the options of RetryPolicy.make", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const retry: RetryPolicy.Options = { ...plain, base: "200 millis", maxAttempts: 3 }
      yield* simulate((yield* Resilience.make({ retry })).protect(attempt))
      deepStrictEqual(at, [0, 200, 600])
    }))

  it.effect("counts failures per tag, waits as long as the server asks, and goes on to the answer", () =>
    Effect.gen(function*() {
      const { at, attempt } = script<string, ProviderError.CallError, never>(
        Effect.fail(overloaded()),
        Effect.fail(rateLimited("7 seconds")),
        Effect.fail(overloaded()),
        Effect.succeed("answer")
      )
      const ended = yield* simulate((yield* make()).protect(attempt))
      deepStrictEqual(at, [0, 1000, 8000, 10_000])
      deepStrictEqual(ended, { exit: Exit.succeed("answer"), at: 10_000 })
    }))

  it.effect("policies serve many calls at once, and one protected effect many runs", () =>
    Effect.gen(function*() {
      const { protect } = yield* make({ retry: { ...plain, maxAttempts: 3 } })
      const first = always(Effect.fail(overloaded()))
      const second = always(Effect.fail(rateLimited()))
      const call = Effect.exit(protect(first.attempt))
      yield* simulate(Effect.all([Effect.zipRight(call, call), Effect.exit(protect(second.attempt))], {
        concurrency: "unbounded"
      }))
      deepStrictEqual(first.at, [0, 1000, 3000, 3000, 4000, 6000])
      deepStrictEqual(second.at, [0, 1000, 3000])
    }))
})

describe("never retried, and passed through untouched", () => {
  const errors: ReadonlyArray<readonly [string, unknown]> = [
    ...ProviderError.ClientErrorReason.literals.map((reason) => [reason, clientError(reason, true)] as const),
    ["x-should-retry false", overloaded("1 second", false)],
    ["CircuitOpen", circuitOpen("1 second")],
    ["a deadline that passed", deadlinePassed],
    ...foreign
  ]
  const policies: ReadonlyArray<readonly [string, Resilience.Options]> = [
    ["", {}],
    [", under a schedule of the user's", { retry: Schedule.spaced("1 second") }]
  ]
  for (const [under, options] of policies) {
    for (const [name, error] of errors) {
      it.effect(`${name}${under}`, () =>
        Effect.gen(function*() {
          const { at, attempt } = script(Effect.fail(error))
          const ended = yield* simulate((yield* Resilience.make(options)).protect(attempt))
          strictEqual(failureOf(ended.exit), error)
          deepStrictEqual([at, ended.at], [[0], 0])
        }))
    }
    for (const [name, cause] of [["a defect", Cause.die(overloaded())], ["an interruption", Cause.empty]] as const) {
      it.effect(`${name}${under}`, () =>
        Effect.gen(function*() {
          const { at, attempt } = script(Cause.isEmpty(cause) ? Effect.interrupt : Effect.failCause(cause))
          const { exit } = yield* simulate((yield* Resilience.make(options)).protect(attempt))
          deepStrictEqual(at, [0])
          assertTrue(Exit.isFailure(exit))
          assertTrue(Cause.isEmpty(cause) ? Cause.isInterruptedOnly(exit.cause) : Cause.isDieType(exit.cause))
        }))
    }
  }
})

describe("a schedule of the user's", () => {
  it.effect("gives the delays and the count", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const retry = Schedule.spaced("3 seconds").pipe(Schedule.intersect(Schedule.recurs(2)))
      yield* simulate((yield* make({ retry })).protect(attempt))
      deepStrictEqual(at, [0, 3000, 6000])
    }))

  it.effect("obeys what the server asks for, and its limit", () =>
    Effect.gen(function*() {
      const { at, attempt } = script(Effect.fail(rateLimited("20 seconds")), Effect.fail(rateLimited("61 seconds")))
      const ended = yield* simulate((yield* make({ retry: Schedule.spaced("3 seconds") })).protect(attempt))
      deepStrictEqual([at, ended.at], [[0, 20_000], 20_000])
    }).pipe(Effect.withRandom(Random.fixed([0]))))

  it.effect("obeys the deadline", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const { protect } = yield* make({ retry: Schedule.spaced("3 seconds") })
      const ended = yield* simulate(protect(attempt).pipe(Deadline.within("9 seconds")))
      deepStrictEqual([at, nameOf(failureOf(ended.exit)), ended.at], [[0, 3000, 6000], "ServerError", 6000])
    }))

  it.effect("obeys the patience of a chain", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      yield* simulate((yield* make({ retry: Schedule.spaced("6 seconds") })).protect(attempt).pipe(inChain(1)))
      deepStrictEqual(at, [0])
    }))

  it.effect("obeys the limits of a chain: 3 attempts, and no retry of a timeout", () =>
    Effect.gen(function*() {
      const { protect } = yield* make({ retry: Schedule.spaced("3 seconds") })
      const begun = yield* Clock.currentTimeMillis
      const down = always(Effect.fail(overloaded()))
      const silent = always(Effect.fail(timeout()))
      yield* simulate(Effect.exit(protect(down.attempt)).pipe(Effect.zipRight(protect(silent.attempt)), inChain(1)))
      deepStrictEqual([down.at, silent.at].map((at) => at.map((at) => at - begun)), [[0, 3000, 6000], [6000]])
    }))

  it.effect("may have delays of fractions of a millisecond, in virtual time too", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const retry = Schedule.exponential("333 micros").pipe(Schedule.jittered, Schedule.intersect(Schedule.recurs(8)))
      const { exit } = yield* simulate((yield* make({ retry })).protect(attempt).pipe(Deadline.within("1 minute")))
      strictEqual(nameOf(failureOf(exit)), "ServerError")
      strictEqual(at.length, 9)
    }).pipe(Effect.withRandom(Random.make("fractions"))))

  const policies: Record<string, RetryPolicy.Options> = {
    "a longer Retry-After": { ...plain, maxRetryAfter: "5 minutes" },
    "a shorter Retry-After": { ...plain, maxRetryAfter: "5 seconds" },
    "fewer attempts": { ...plain, maxAttempts: 2 },
    "a schedule for one tag": { ...plain, perError: { RateLimited: Schedule.spaced("3 seconds") } },
    "jitter": { jitter: "full" }
  }
  for (const [name, retry] of Object.entries(policies)) {
    it.effect(`is the same as its options if it is a policy of RetryPolicy.make: ${name}`, () =>
      Effect.gen(function*() {
        const times = (options: Resilience.Options) =>
          Effect.gen(function*() {
            const { at, attempt } = script<never, ProviderError.CallError, never>(
              Effect.fail(overloaded()),
              Effect.fail(rateLimited("10 seconds")),
              Effect.fail(timeout()),
              Effect.fail(rateLimited("90 seconds")),
              Effect.fail(overloaded())
            )
            const begun = yield* Clock.currentTimeMillis
            yield* simulate((yield* Resilience.make(options)).protect(attempt))
            return at.map((at) => at - begun)
          }).pipe(Effect.withRandom(Random.fixed([0.5])))
        deepStrictEqual(yield* times({ retry: RetryPolicy.make(retry) }), yield* times({ retry }))
      }))
  }
})

describe("attempt timeout", () => {
  it.effect("is 60 s by default; a timeout is retried once, after a backoff", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.never)
      const ended = yield* simulate((yield* make()).protect(attempt))
      deepStrictEqual(at, [0, 61_000])
      deepStrictEqual([nameOf(failureOf(ended.exit)), ended.at], ["Timeout Attempt", 121_000])
    }))

  it.effect("of one's own, for each attempt anew", () =>
    Effect.gen(function*() {
      const { at, attempt } = script<string, ProviderError.CallError, never>(
        Effect.zipRight(Effect.sleep("1500 millis"), Effect.fail(overloaded())),
        Effect.never,
        Effect.zipRight(Effect.sleep("1999 millis"), Effect.succeed("answer"))
      )
      const ended = yield* simulate((yield* make({ attemptTimeout: "2 seconds" })).protect(attempt))
      // Fails at 1.5 s, waits 1 s; is stopped at 4.5 s, waits 1 s; succeeds 1,999 ms later.
      deepStrictEqual(at, [0, 2500, 5500])
      deepStrictEqual(ended, { exit: Exit.succeed("answer"), at: 7499 })
    }))

  for (const [shown, attemptTimeout] of infiniteDurations) {
    it.effect(`none at all: ${shown}`, () =>
      Effect.gen(function*() {
        const { attempt } = script(Effect.as(Effect.sleep("50 days"), "answer"))
        const ended = yield* simulate((yield* make({ attemptTimeout })).protect(attempt), "51 days")
        strictEqual(yield* ended.exit, "answer")
      }))
  }

  it.effect("names who was asked, and the limit", () =>
    Effect.gen(function*() {
      const { protect } = yield* make({ attemptTimeout: "2 seconds" })
      const { exit } = yield* simulate(protect(Effect.never, { provider: "openai", model: "gpt-4o" }))
      const error = failureOf(exit)
      assertTrue(error._tag === "Timeout")
      deepStrictEqual([error.scope, error.provider, error.model], ["Attempt", "openai", "gpt-4o"])
      strictEqual(error.message, "openai gpt-4o: no answer within 2s")
    }))

  it.effect("interrupts the attempt before the next one begins", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const attempt = Effect.acquireUseRelease(
        Effect.sync(() => events.push("begun")),
        () => Effect.never,
        () => Effect.sync(() => events.push("ended"))
      )
      yield* simulate((yield* make({ attemptTimeout: "2 seconds" })).protect(attempt))
      deepStrictEqual(events, ["begun", "ended", "begun", "ended"])
    }))

  it.effect("does not wait for an uninterruptible attempt, whose late answer changes nothing", () =>
    Effect.gen(function*() {
      const { at, attempt } = script<string, ProviderError.CallError, never>(
        Effect.uninterruptible(Effect.as(Effect.sleep("10 minutes"), "late")),
        Effect.succeed("answer")
      )
      const ended = yield* simulate((yield* make({ attemptTimeout: "2 seconds" })).protect(attempt))
      deepStrictEqual(at, [0, 3000])
      deepStrictEqual(ended, { exit: Exit.succeed("answer"), at: 3000 })
    }))
})

describe("one owner of retries", () => {
  it.effect("protect inside protect makes as many attempts as the outer one", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const inner = yield* make({ retry: { ...plain, maxAttempts: 4 } })
      const outer = yield* make({ retry: { ...plain, maxAttempts: 3 } })
      yield* simulate(attempt.pipe(inner.protect, inner.protect, outer.protect))
      deepStrictEqual(at, [0, 1000, 3000])
    }))

  it.effect("also in another fiber, and for each of several inside", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const { protect } = yield* make({ retry: { ...plain, maxAttempts: 2 } })
      const forked = Effect.flatMap(Effect.fork(protect(attempt)), Fiber.join)
      yield* simulate(protect(Effect.zipRight(
        Effect.ignore(forked),
        Effect.all([Effect.exit(protect(attempt)), protect(attempt)], { concurrency: "unbounded" })
      )))
      deepStrictEqual(at, [0, 0, 0, 1000, 1000, 1000])
    }))

  it.effect("a resilient layer inside", () =>
    Effect.gen(function*() {
      const provider = yield* ScriptedProvider.make([overloaded(), overloaded()])
      const outer = yield* make({ retry: { ...plain, maxAttempts: 2 } })
      const layer = provider.layer.pipe(Resilience.layer(), Resilience.layer())
      const { exit } = yield* simulate(outer.protect(Effect.provide(ChatProvider.complete(request), layer)))
      strictEqual(nameOf(failureOf(exit)), "ServerError")
      deepStrictEqual((yield* provider.asked).map(({ at }) => at), [0, 1000])
    }))

  it.effect("a retry with RetryPolicy.make inside", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const { protect } = yield* make({ retry: { ...plain, maxAttempts: 3 } })
      yield* simulate(protect(Effect.retry(attempt, RetryPolicy.make(plain))))
      deepStrictEqual(at, [0, 1000, 3000])
    }))

  it.effect("a fiber that outlives the attempt owns its retries itself", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const { protect } = yield* make({ retry: { ...plain, maxAttempts: 3 } })
      const later = Effect.zipRight(Effect.sleep("10 seconds"), protect(attempt))
      yield* simulate(protect(Effect.forkDaemon(later)))
      deepStrictEqual(at, [10_000, 11_000, 13_000])
    }))

  it.effect("the inner attempt timeout still holds", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.never)
      const inner = yield* make({ attemptTimeout: "2 seconds" })
      const ended = yield* simulate(attempt.pipe(inner.protect, (yield* make()).protect))
      deepStrictEqual([at, ended.at], [[0, 3000], 5000])
    }))

  it.effect("ends with the attempt: the next protected effect retries by itself", () =>
    Effect.gen(function*() {
      const ref = yield* FiberRef.make(0)
      const { protect } = yield* make({ retry: { ...plain, maxAttempts: 3 } })
      const first = Effect.zipRight(Effect.yieldNow(), FiberRef.set(ref, 1))
      const { at, attempt } = always(Effect.fail(overloaded()))
      yield* simulate(Effect.zipRight(protect(first), protect(attempt)))
      deepStrictEqual(at, [0, 1000, 3000])
    }).pipe(Effect.scoped))
})

describe("under a deadline", () => {
  it.effect("the real error surfaces at once when no retry fits any more", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const ended = yield* simulate((yield* make()).protect(attempt).pipe(Deadline.within("7 seconds")))
      // After 3 s the next wait would end at 7 s.
      deepStrictEqual([at, nameOf(failureOf(ended.exit)), ended.at], [[0, 1000, 3000], "ServerError", 3000])
    }))

  it.effect("an attempt is interrupted at the deadline", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.never)
      const ended = yield* simulate((yield* make()).protect(attempt).pipe(Deadline.within("10 seconds")))
      deepStrictEqual([at, nameOf(failureOf(ended.exit)), ended.at], [[0], "Timeout Deadline", 10_000])
    }))

  it.effect("an attempt timeout that ends with the deadline is Timeout Deadline", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.never)
      const { protect } = yield* make({ attemptTimeout: "10 seconds" })
      for (const before of [Effect.void, Effect.yieldNow()]) {
        const call = Effect.zipRight(before, protect(attempt)).pipe(Deadline.within("10 seconds"))
        strictEqual(nameOf(failureOf((yield* simulate(call)).exit)), "Timeout Deadline")
      }
      strictEqual(at.length, 2)
    }))

  it.effect("one around a single attempt is not retried when it passed", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.never)
      const ended = yield* simulate((yield* make()).protect(attempt.pipe(Deadline.within("2 seconds"))))
      deepStrictEqual([at, nameOf(failureOf(ended.exit)), ended.at], [[0], "Timeout Deadline", 2000])
    }))

  it.effect("that passed in an uninterruptible region, nothing is retried", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.zipRight(Effect.sleep("20 seconds"), Effect.fail(overloaded())))
      const ended = yield* simulate(
        Effect.uninterruptible((yield* make()).protect(attempt)).pipe(Deadline.within("10 seconds"))
      )
      deepStrictEqual([at, nameOf(failureOf(ended.exit)), ended.at], [[0], "Timeout Deadline", 10_000])
    }))

  describe("an attempt gets at most half of what remains while another provider is left", () => {
    interface Case {
      readonly left: number
      readonly attemptTimeout?: Duration.DurationInput
      readonly ends: readonly [name: string, at: number]
    }
    const cases: ReadonlyArray<Case> = [
      { left: 1, ends: ["Timeout Attempt", 5000] },
      { left: 7, ends: ["Timeout Attempt", 5000] },
      { left: 1, attemptTimeout: Infinity, ends: ["Timeout Attempt", 5000] },
      { left: 1, attemptTimeout: "3 seconds", ends: ["Timeout Attempt", 3000] },
      { left: 0, ends: ["Timeout Deadline", 10_000] }
    ]
    for (const { attemptTimeout, ends, left } of cases) {
      it.effect(`of 10 s with ${left} left and an attempt timeout ${attemptTimeout ?? "by default"}: ${ends}`, () =>
        Effect.gen(function*() {
          const { at, attempt } = always(Effect.never)
          const { protect } = yield* make({ attemptTimeout })
          const ended = yield* simulate(protect(attempt).pipe(inChain(left), Deadline.within("10 seconds")))
          deepStrictEqual([at, [nameOf(failureOf(ended.exit)), ended.at]], [[0], ends])
        }))
    }

    it.effect("the second attempt gets half of what the first left", () =>
      Effect.gen(function*() {
        const { at, attempt } = script(
          Effect.zipRight(Effect.sleep("2 seconds"), Effect.fail(overloaded())),
          Effect.never
        )
        const ended = yield* simulate((yield* make()).protect(attempt).pipe(inChain(1), Deadline.within("10 seconds")))
        // From 3 s on 7 s remain.
        deepStrictEqual([at, nameOf(failureOf(ended.exit)), ended.at], [[0, 3000], "Timeout Attempt", 6500])
      }))

    it.effect("without a deadline the attempt timeout alone counts", () =>
      Effect.gen(function*() {
        const ended = yield* simulate((yield* make()).protect(Effect.never).pipe(inChain(1)))
        strictEqual(ended.at, 60_000)
      }))
  })

  describe("the reserve is", () => {
    const MEDIAN = 2000
    /** Calls that succeed after 2 s, so many of them at once. */
    const succeed = ({ protect }: Resilience.Resilience, n: number) =>
      simulate(
        Effect.all(Effect.replicate(protect(Effect.sleep(MEDIAN)), n), { concurrency: "unbounded" }),
        MEDIAN
      )
    /** How many attempts that fail at once are made within 10 s, with waits of 1 s. */
    const attemptsIn10Seconds = ({ protect }: Resilience.Resilience, options?: Deadline.Options) =>
      Effect.gen(function*() {
        const { at, attempt } = always(Effect.fail(overloaded()))
        yield* simulate(protect(attempt).pipe(Deadline.within("10 seconds", options)), "10 seconds")
        return at.length
      })
    const policies = Resilience.make({ retry: { ...plain, factor: 1, maxAttempts: 20 } })
    // Attempts at 0, 1, …: with 500 ms the last one is at 9 s, with 2 s at 8 s.
    const WITH_DEFAULT = 10
    const WITH_MEDIAN = 9

    it.effect("500 ms while fewer than 20 answers are known", () =>
      Effect.gen(function*() {
        const resilience = yield* policies
        yield* succeed(resilience, 19)
        strictEqual(yield* attemptsIn10Seconds(resilience), WITH_DEFAULT)
      }))

    it.effect("the median latency from 20 on, forgotten after 5 minutes", () =>
      Effect.gen(function*() {
        const resilience = yield* policies
        yield* succeed(resilience, 20)
        strictEqual(yield* attemptsIn10Seconds(resilience), WITH_MEDIAN)
        yield* TestClock.adjust("5 minutes")
        strictEqual(yield* attemptsIn10Seconds(resilience), WITH_DEFAULT)
      }))

    it.effect("what the deadline was given, whatever is known", () =>
      Effect.gen(function*() {
        const resilience = yield* policies
        yield* succeed(resilience, 20)
        strictEqual(yield* attemptsIn10Seconds(resilience, { reserve: "6 seconds" }), 5)
        strictEqual(yield* attemptsIn10Seconds(resilience, { reserve: "500 millis" }), WITH_DEFAULT)
      }))

    it.effect("that of these policies alone: others know nothing of it", () =>
      Effect.gen(function*() {
        yield* succeed(yield* policies, 20)
        strictEqual(yield* attemptsIn10Seconds(yield* policies), WITH_DEFAULT)
      }))

    it.effect("moved by answers alone: failures and interruptions change nothing", () =>
      Effect.gen(function*() {
        const resilience = yield* policies
        yield* succeed(resilience, 19)
        const slow = Effect.sleep(MEDIAN)
        const fibers = yield* Effect.forEach(
          [Effect.zipRight(slow, Effect.fail("boom")), Effect.zipRight(slow, Effect.die("bug")), Effect.never],
          (call) => Effect.fork(Effect.exit(resilience.protect(call)))
        )
        yield* TestClock.adjust(MEDIAN)
        yield* Effect.forEach(fibers, (fiber) => Fiber.interrupt(fiber))
        strictEqual(yield* attemptsIn10Seconds(resilience), WITH_DEFAULT)
      }))
  })
})

describe("interruption", () => {
  it.effect("of an attempt frees what it held before it returns, and nothing follows", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const attempt = Effect.acquireUseRelease(
        Effect.sync(() => events.push("acquired")),
        () => Effect.never,
        (_, exit) =>
          Effect.zipRight(
            Effect.yieldNow(),
            Effect.sync(() => events.push(Exit.isInterrupted(exit) ? "released" : "ended"))
          )
      )
      const fiber = yield* Effect.fork((yield* make()).protect(attempt))
      yield* TestClock.adjust("3 seconds")
      const exit = yield* Fiber.interrupt(fiber)
      events.push("interrupted")
      yield* TestClock.adjust("10 minutes")
      deepStrictEqual(events, ["acquired", "released", "interrupted"])
      assertTrue(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
    }))

  it.effect("of a wait ends the call", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const fiber = yield* Effect.fork((yield* make()).protect(attempt))
      yield* TestClock.adjust("1500 millis")
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("10 minutes")
      deepStrictEqual(at, [0, 1000])
      assertTrue(Exit.isInterrupted(exit))
    }))

  it.effect("of one call leaves the others alone", () =>
    Effect.gen(function*() {
      const { protect } = yield* make()
      const first = yield* Effect.fork(protect(Effect.never))
      const second = yield* Effect.fork(protect(Effect.as(Effect.sleep("5 seconds"), "answer")))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("4 seconds")
      strictEqual(yield* Fiber.join(second), "answer")
    }))

  it.effect("in a race, the loser makes no more attempts", () =>
    Effect.gen(function*() {
      const { protect } = yield* make()
      const { at, attempt } = always(Effect.fail(overloaded()))
      const winner = protect(Effect.as(Effect.sleep("2 seconds"), "answer"))
      const { exit } = yield* simulate(Effect.race(protect(attempt), winner))
      strictEqual(yield* exit, "answer")
      deepStrictEqual(at, [0, 1000])
    }))
})

describe("around an effect", () => {
  it.effect("FiberRefs that attempts change are changed for the caller", () =>
    Effect.gen(function*() {
      const attempts = yield* FiberRef.make(0)
      const attempt = FiberRef.updateAndGet(attempts, (n) => n + 1).pipe(
        Effect.tap(() => Effect.yieldNow()),
        Effect.filterOrFail((n) => n === 3, () => overloaded())
      )
      const { exit } = yield* simulate(Effect.zipRight((yield* make()).protect(attempt), FiberRef.get(attempts)))
      deepStrictEqual(exit, Exit.succeed(3))
    }).pipe(Effect.scoped))

  it.effect("the scope of the caller stays open", () =>
    Effect.gen(function*() {
      const closed = yield* Deferred.make<void>()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* (yield* make()).protect(Effect.addFinalizer(() => Deferred.succeed(closed, undefined)))
        strictEqual(yield* Deferred.isDone(closed), false)
      }))
      strictEqual(yield* Deferred.isDone(closed), true)
    }))

  it.effect("thousands of attempts take no more room than few", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.fail(overloaded()))
      const { protect } = yield* Resilience.make({ retry: Schedule.recurs(3000), circuitBreaker: false })
      yield* Effect.exit(protect(attempt))
      strictEqual(at.length, 3001)
    }).pipe(Effect.provide(RetryBudget.layerUnlimited)))
})

describe("layer", () => {
  it.effect("turns a bare provider layer into a resilient one of the same name", () =>
    Effect.gen(function*() {
      const provider = yield* ScriptedProvider.make([overloaded(), "Hello"], { provider: "openai", model: "gpt-4o" })
      const { exit } = yield* simulate(
        Effect.zip(ChatProvider.complete(request), ChatProvider.ChatProvider).pipe(
          Effect.provide(provider.layer.pipe(Resilience.layer({ retry: plain })))
        )
      )
      const [response, service] = yield* exit
      deepStrictEqual(
        [ChatProvider.text(response), service.provider, service.model],
        ["Hello", "openai", "gpt-4o"]
      )
      deepStrictEqual((yield* provider.asked).map(({ at }) => at), [0, 1000])
    }))

  it.effect("its timeouts name the provider and the model that was asked for", () =>
    Effect.gen(function*() {
      const layer = ScriptedProvider.layer([Effect.never, Effect.never], { provider: "openai" }).pipe(
        Resilience.layer({ attemptTimeout: "2 seconds" })
      )
      const { exit } = yield* simulate(Effect.provide(ChatProvider.complete(request), layer))
      assertInclude(failureOf(exit).message, "openai gpt-4o: no answer within 2s")
    }))

  it.effect("its policies live as long as the layer, and are its own", () =>
    Effect.gen(function*() {
      const resilient = Resilience.layer({ retry: { ...plain, factor: 1, maxAttempts: 20 } })
      const answers = Array<ScriptedProvider.Step>(20).fill(Effect.as(Effect.sleep("2 seconds"), "Hello"))
      const attempts = (script: ReadonlyArray<ScriptedProvider.Step>) =>
        Effect.gen(function*() {
          const provider = yield* ScriptedProvider.make([
            ...script,
            ...Array<ScriptedProvider.Step>(10).fill(overloaded())
          ])
          yield* simulate(
            Effect.gen(function*() {
              yield* Effect.all(script.map(() => ChatProvider.complete(request)), { concurrency: "unbounded" })
              return yield* ChatProvider.complete(request).pipe(Deadline.within("10 seconds"))
            }).pipe(Effect.provide(resilient(provider.layer))),
            "15 seconds"
          )
          return (yield* provider.asked).length - script.length
        })
      // With the median of 2 s as the reserve the last of the attempts at 0, 1, … is at 8 s, and at 9 s without.
      strictEqual(yield* attempts(answers), 9)
      strictEqual(yield* attempts([]), 10)
    }))
})

describe("bad options throw with their name, where the policies are made", () => {
  const makers: ReadonlyArray<readonly [string, (options: Resilience.Options) => unknown]> = [
    ["make", Resilience.make],
    ["unsafeMake", Resilience.unsafeMake],
    ["layer", Resilience.layer]
  ]
  for (const [name, make] of makers) {
    for (const [shown, input] of [...badDurations, ...zeroDurations]) {
      it(`${name}, attemptTimeout: ${shown}`, () => refuses("attemptTimeout", () => make({ attemptTimeout: input })))
    }
    for (const maxAttempts of badCounts) {
      it(`${name}, maxAttempts: ${typeof maxAttempts} ${maxAttempts}`, () =>
        refuses("maxAttempts", () => make({ retry: { maxAttempts } })))
    }
    it(`${name}, options of the retry`, () => {
      refuses("base", () => make({ retry: { base: "-5 seconds" } }))
      refuses("cap", () => make({ retry: { cap: 0 } }))
      refuses("factor", () => make({ retry: { factor: NaN } }))
      refuses("jitter", () => make({ retry: { jitter: fromJson("\"half\"") } }))
      refuses("maxRetryAfter", () => make({ retry: { maxRetryAfter: fromJson("\"10s\"") } }))
    })
  }
})

describe("types", () => {
  const { protect } = Resilience.unsafeMake()

  it("protect adds Timeout, CircuitOpen and RateLimited to the errors and nothing to the requirements", () => {
    class Service extends Context.Tag("Service")<Service, string>() {}
    expectTypeOf(protect(Effect.succeed(1))).toEqualTypeOf<Effect.Effect<number, Resilience.Raised>>()
    expectTypeOf(Effect.zipRight(Service, Effect.fail("boom" as const)).pipe(protect))
      .toEqualTypeOf<Effect.Effect<never, "boom" | Resilience.Raised, Service>>()
    expectTypeOf(protect(protect(Effect.fail(overloaded()))))
      .toEqualTypeOf<Effect.Effect<never, ProviderError.ServerError | Resilience.Raised>>()
    expectTypeOf<Resilience.Raised>()
      .toEqualTypeOf<ProviderError.Timeout | ProviderError.CircuitOpen | ProviderError.RateLimited>()
    expectTypeOf(Resilience.make()).toEqualTypeOf<Effect.Effect<Resilience.Resilience>>()
  })

  it("layer keeps what the provider's layer fails with and needs", () => {
    class Service extends Context.Tag("Service")<Service, string>() {}
    const provider = Layer.effect(
      ChatProvider.ChatProvider,
      Effect.zipRight(Service, Effect.fail("no key" as const))
    )
    expectTypeOf(provider.pipe(Resilience.layer()))
      .toEqualTypeOf<Layer.Layer<ChatProvider.ChatProvider, "no key", Service>>()
  })
})
