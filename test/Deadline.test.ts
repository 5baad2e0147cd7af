import { describe, it } from "@effect/vitest"
import { assertFalse, assertNone, assertSome, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import type { Scope } from "effect"
import { Cause, Clock, Context, Duration, Effect, Exit, Fiber, Option, Schedule, TestClock } from "effect"
import { Deadline, ProviderError, RetryPolicy } from "effect-resilience"
import { expectTypeOf } from "vitest"
import {
  always,
  badDurations,
  failureOf,
  infiniteDurations,
  nameOf,
  overloaded,
  refuses,
  simulate,
  zeroDurations
} from "./utils.js"

const remaining = Effect.map(Deadline.remaining, Option.map(Duration.toMillis))

/** Ends so, after so long; with its timer set before that of a deadline around it, or after it. */
const after = <A, E>(wait: Duration.DurationInput, outcome: Effect.Effect<A, E>, timer: "first" | "second" = "first") =>
  (timer === "first" ? Effect.void : Effect.yieldNow()).pipe(
    Effect.zipRight(Effect.sleep(wait)),
    Effect.zipRight(outcome)
  )

describe("an outcome before the deadline passes through untouched", () => {
  const error = overloaded()
  const outcomes: ReadonlyArray<readonly [string, Effect.Effect<string, unknown>, Exit.Exit<string, unknown>]> = [
    ["a success", Effect.succeed("answer"), Exit.succeed("answer")],
    ["an error", Effect.fail(error), Exit.fail(error)],
    ["another library's error", Effect.fail("boom"), Exit.fail("boom")],
    ["a defect", Effect.die("bug"), Exit.die("bug")]
  ]
  for (const [name, outcome, expected] of outcomes) {
    it.effect(`${name} at once`, () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* simulate(Deadline.within(outcome, "10 seconds")), { exit: expected, at: 0 })
      }))
    it.effect(`${name} just in time`, () =>
      Effect.gen(function*() {
        const ended = yield* simulate(after("9999 millis", outcome).pipe(Deadline.within("10 seconds")))
        deepStrictEqual(ended, { exit: expected, at: 9999 })
      }))
  }

  it.effect("an interruption from inside", () =>
    Effect.gen(function*() {
      const { at, exit } = yield* simulate(after("1 second", Effect.interrupt).pipe(Deadline.within("10 seconds")))
      assertTrue(Exit.isInterrupted(exit))
      strictEqual(at, 1000)
    }))
})

describe("at the deadline", () => {
  it.effect("the result is Timeout with scope Deadline, at that moment", () =>
    Effect.gen(function*() {
      const { at, exit } = yield* simulate(Effect.never.pipe(Deadline.within("10 seconds")))
      const error = failureOf(exit)
      deepStrictEqual([error._tag, error.scope, at], ["Timeout", "Deadline", 10_000])
      strictEqual(error.message, "no answer within the deadline of 10s")
      assertFalse(ProviderError.isRetryable(error))
    }))

  for (const timer of ["first", "second"] as const) {
    for (const [name, outcome] of [["success", Effect.succeed("answer")], ["failure", Effect.fail("boom")]] as const) {
      it.effect(`a ${name} at that very moment is too late, its timer set ${timer}`, () =>
        Effect.gen(function*() {
          const { at, exit } = yield* simulate(after("10 seconds", outcome, timer).pipe(Deadline.within("10 seconds")))
          deepStrictEqual([nameOf(failureOf(exit)), at], ["Timeout Deadline", 10_000])
        }))
    }
  }

  it.effect("whatever runs is interrupted, and its finalizers run", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const attempt = Effect.acquireUseRelease(
        Effect.sync(() => events.push("acquired")),
        () => Effect.never,
        (_, exit) => Effect.sync(() => events.push(Exit.isInterrupted(exit) ? "interrupted" : "ended"))
      )
      yield* simulate(attempt.pipe(Deadline.within("10 seconds")))
      deepStrictEqual(events, ["acquired", "interrupted"])
    }))

  it.effect("a slow finalizer runs to its end, but does not hold the caller", () =>
    Effect.gen(function*() {
      const events: Array<readonly [string, number]> = []
      const log = (name: string) => Effect.map(Clock.currentTimeMillis, (now) => events.push([name, now]))
      const attempt = Effect.never.pipe(Effect.ensuring(Effect.zipRight(Effect.sleep("5 seconds"), log("closed"))))
      const { at } = yield* simulate(
        attempt.pipe(Deadline.within("10 seconds"), Effect.ensuring(log("answered")))
      )
      strictEqual(at, 10_000)
      deepStrictEqual(events, [["answered", 10_000], ["closed", 15_000]])
    }))

  it.effect("an uninterruptible effect does not hold it", () =>
    Effect.gen(function*() {
      let finished = false
      const attempt = Effect.uninterruptible(after("10 minutes", Effect.sync(() => finished = true)))
      const { at, exit } = yield* simulate(attempt.pipe(Deadline.within("10 seconds")))
      deepStrictEqual([nameOf(failureOf(exit)), at], ["Timeout Deadline", 10_000])
      assertTrue(finished)
    }))

  it.effect("it holds in an uninterruptible region too", () =>
    Effect.gen(function*() {
      const { at, exit } = yield* simulate(
        Effect.uninterruptible(Effect.sleep("10 minutes").pipe(Deadline.within("10 seconds")))
      )
      deepStrictEqual([nameOf(failureOf(exit)), at], ["Timeout Deadline", 10_000])
    }))
})

describe("time", () => {
  it.effect("begins when the effect is run, anew each time", () =>
    Effect.gen(function*() {
      const limited = Effect.either(Effect.never.pipe(Deadline.within("10 seconds")))
      const { at } = yield* simulate(
        Effect.sleep("3 seconds").pipe(
          Effect.zipRight(limited),
          Effect.zipRight(limited)
        )
      )
      strictEqual(at, 23_000)
    }))

  it.effect("is the monotonic clock's: a wall clock that jumps changes nothing", () =>
    Effect.gen(function*() {
      const clock = yield* Effect.clock
      let jump = 0
      const jumping: Clock.Clock = {
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + jump,
        currentTimeMillis: Effect.suspend(() => Effect.succeed(clock.unsafeCurrentTimeMillis() + jump)),
        unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
        currentTimeNanos: clock.currentTimeNanos,
        sleep: (duration) => clock.sleep(duration)
      }
      const day = Duration.toMillis("1 day")
      const calls = [day, -day].map((by) =>
        after("4 seconds", Effect.sync(() => jump = by)).pipe(
          Effect.zipRight(remaining),
          Effect.tap(() => Effect.sleep("5 seconds")),
          Deadline.within("10 seconds"),
          Effect.withClock(jumping)
        )
      )
      for (const call of calls) {
        const { exit } = yield* simulate(call)
        assertSome(yield* exit, 6000)
      }
    }))
})

describe("nested deadlines take the earlier", () => {
  it.effect("the outer one", () =>
    Effect.gen(function*() {
      const { at, exit } = yield* simulate(
        Effect.never.pipe(Deadline.within("5 seconds"), Deadline.within("2 seconds"))
      )
      deepStrictEqual([failureOf(exit).message, at], ["no answer within the deadline of 2s", 2000])
    }))

  it.effect("the inner one, after which the outer one goes on", () =>
    Effect.gen(function*() {
      const inner = Effect.flip(Effect.never.pipe(Deadline.within("2 seconds")))
      const { at, exit } = yield* simulate(
        Effect.gen(function*() {
          strictEqual((yield* inner).message, "no answer within the deadline of 2s")
          assertSome(yield* remaining, 3000)
          strictEqual((yield* inner).scope, "Deadline")
          return yield* Effect.never
        }).pipe(Deadline.within("5 seconds"))
      )
      deepStrictEqual([failureOf(exit).message, at], ["no answer within the deadline of 5s", 5000])
    }))

  it.effect("of two that end together, either", () =>
    Effect.gen(function*() {
      const { at, exit } = yield* simulate(
        Effect.sleep("3 seconds").pipe(
          Effect.zipRight(Effect.never.pipe(Deadline.within("2 seconds"))),
          Deadline.within("5 seconds")
        )
      )
      deepStrictEqual([nameOf(failureOf(exit)), at], ["Timeout Deadline", 5000])
    }))

  it.effect("an inner one that begins late still ends with the outer one", () =>
    Effect.gen(function*() {
      const { at } = yield* simulate(
        Effect.sleep("4 seconds").pipe(
          Effect.zipRight(Effect.never.pipe(Deadline.within("3 seconds"))),
          Deadline.within("5 seconds")
        )
      )
      strictEqual(at, 5000)
    }))
})

it.effect("nothing is begun under a deadline that passed", () =>
  Effect.gen(function*() {
    let begun = false
    const result = yield* Effect.makeLatch()
    const late = after(
      "1 minute",
      Effect.sync(() => begun = true).pipe(
        Deadline.within("5 minutes"),
        Effect.flip,
        Effect.tap((error) => error.message === "no answer within the deadline of 10s" ? result.open : Effect.void)
      )
    )
    yield* simulate(Effect.uninterruptible(late).pipe(Deadline.within("10 seconds")))
    yield* result.await
    assertFalse(begun)
  }))

describe("remaining", () => {
  it.effect("is none without a deadline, and again after it", () =>
    Effect.gen(function*() {
      assertNone(yield* Deadline.remaining)
      yield* Effect.void.pipe(Deadline.within("10 seconds"))
      assertNone(yield* Deadline.remaining)
    }))

  it.effect("shrinks as time goes by, the same for every fiber inside", () =>
    Effect.gen(function*() {
      const { exit } = yield* simulate(
        Effect.gen(function*() {
          assertSome(yield* remaining, 10_000)
          yield* Effect.sleep("3 seconds")
          assertSome(yield* Effect.flatMap(Effect.fork(remaining), Fiber.join), 7000)
          assertSome(yield* remaining.pipe(Deadline.within("1 minute")), 7000)
          assertSome(yield* remaining.pipe(Deadline.within("1 second")), 1000)
        }).pipe(Deadline.within("10 seconds"))
      )
      yield* exit
    }))

  it.effect("is zero once it passed, never negative", () =>
    Effect.gen(function*() {
      let left = Option.none<number>()
      const late = after("1 minute", Effect.map(remaining, (millis) => left = millis))
      yield* simulate(Effect.uninterruptible(late).pipe(Deadline.within("10 seconds")))
      assertSome(left, 0)
    }))
})

describe("hasTimeFor", () => {
  interface Case {
    readonly left: Duration.DurationInput
    readonly wait: Duration.DurationInput
    readonly reserve?: Duration.DurationInput
    /** The provider's own, such as its median latency. */
    readonly own?: Duration.DurationInput
    readonly fits: boolean
  }
  const cases: ReadonlyArray<Case> = [
    { left: 1500, wait: 1000, fits: true },
    { left: 1499, wait: 1000, fits: false },
    { left: 1000, wait: 1000, reserve: 0, fits: false },
    { left: 1001, wait: 1000, reserve: 0, fits: true },
    { left: 1000, wait: 2000, reserve: 0, fits: false },
    { left: 3000, wait: 1000, reserve: 2000, fits: true },
    { left: 2999, wait: 1000, reserve: 2000, fits: false },
    { left: 3000, wait: 1000, own: 2000, fits: true },
    { left: 2999, wait: 1000, own: 2000, fits: false },
    { left: 1100, wait: 1000, own: 0, fits: true },
    { left: 1100, wait: 1000, reserve: 100, own: 2000, fits: true },
    { left: 1000, wait: Infinity, reserve: 0, fits: false }
  ]
  for (const { fits, left, own, reserve, wait } of cases) {
    const reserves = `reserve ${reserve ?? "default"}, the provider's ${own ?? "unknown"}`
    it.effect(`${wait} ms of wait in ${left} ms, ${reserves}: ${fits}`, () =>
      Effect.gen(function*() {
        const asked = Deadline.hasTimeFor(Duration.decode(wait), own === undefined ? undefined : Duration.decode(own))
        strictEqual(yield* asked.pipe(Deadline.within(left, { reserve })), fits)
        assertTrue(yield* asked)
      }))
  }

  it.effect("the reserve of an outer deadline holds for the inner one, until that has its own", () =>
    Effect.gen(function*() {
      const fits = Deadline.hasTimeFor(Duration.seconds(1))
      const outer = Deadline.within("10 seconds", { reserve: "3 seconds" })
      assertFalse(yield* fits.pipe(Deadline.within("3 seconds"), outer))
      assertTrue(yield* fits.pipe(Deadline.within("4 seconds"), outer))
      assertTrue(yield* fits.pipe(Deadline.within("3 seconds", { reserve: "2 seconds" }), outer))
      assertFalse(yield* fits.pipe(Deadline.within("1 minute", { reserve: "9001 millis" }), outer))
      assertTrue(yield* fits.pipe(Deadline.within("1 minute", { reserve: "9 seconds" }), outer))
    }))
})

describe("a retry around which there is a deadline", () => {
  it.effect("gives up early: the real error surfaces at once, not at the deadline", () =>
    Effect.gen(function*() {
      const { at: attempts, attempt } = always(after("2 seconds", Effect.fail(overloaded())))
      const policy = RetryPolicy.make({ jitter: "none" })
      const { at, exit } = yield* simulate(Effect.retry(attempt, policy).pipe(Deadline.within("10 seconds")))
      // Attempts of 2 s with waits of 1 and 2 s between; the next wait would end at 9 + 4 s.
      deepStrictEqual(attempts, [0, 3000, 7000])
      deepStrictEqual([nameOf(failureOf(exit)), at], ["ServerError", 9000])
    }))

  it.effect("is interrupted within an attempt, and no other attempt follows", () =>
    Effect.gen(function*() {
      const { at: attempts, attempt } = always(after("6 seconds", Effect.fail(overloaded())))
      const { at, exit } = yield* simulate(
        Effect.retry(attempt, Schedule.spaced("1 second")).pipe(Deadline.within("10 seconds"))
      )
      deepStrictEqual(attempts, [0, 7000])
      deepStrictEqual([nameOf(failureOf(exit)), at], ["Timeout Deadline", 10_000])
    }))
})

describe("interruption of the caller", () => {
  it.effect("interrupts what is inside and waits for its finalizers", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const fiber = yield* Effect.never.pipe(
        Effect.ensuring(Effect.zipRight(Effect.yieldNow(), Effect.sync(() => events.push("closed")))),
        Deadline.within("10 seconds"),
        Effect.fork
      )
      yield* Effect.yieldNow()
      const exit = yield* Fiber.interrupt(fiber)
      events.push("interrupted")
      deepStrictEqual(events, ["closed", "interrupted"])
      assertTrue(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
    }))

  it.effect("is not a Timeout, even while the deadline passes", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.never.pipe(
        Effect.ensuring(Effect.sleep("20 seconds")),
        Deadline.within("10 seconds"),
        Effect.fork
      )
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("20 seconds")
      const exit = yield* Fiber.await(fiber)
      assertTrue(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
    }))
})

describe("bad options throw with their name", () => {
  for (const [shown, input] of [...badDurations, ...zeroDurations, ...infiniteDurations]) {
    it(`deadline: ${shown}`, () => refuses("deadline", () => Effect.void.pipe(Deadline.within(input))))
  }
  for (const [shown, reserve] of [...badDurations, ...infiniteDurations]) {
    it(`reserve: ${shown}`, () => refuses("reserve", () => Deadline.within(Effect.void, "1 second", { reserve })))
  }
  it.effect("no reserve at all is no bad option", () =>
    Effect.forEach(zeroDurations, ([, reserve]) => Deadline.within(Effect.void, "1 second", { reserve })))
})

describe("types", () => {
  it("adds Timeout and nothing else", () => {
    const limit = Deadline.within("10 seconds")
    expectTypeOf(limit(Effect.succeed(1))).toEqualTypeOf<Effect.Effect<number, ProviderError.Timeout>>()
    expectTypeOf(Deadline.within(Effect.fail("boom" as const), "10 seconds", { reserve: "1 second" }))
      .toEqualTypeOf<Effect.Effect<never, "boom" | ProviderError.Timeout>>()
    class Service extends Context.Tag("Service")<Service, string>() {}
    expectTypeOf(limit(Effect.zipLeft(Service, Effect.addFinalizer(() => Effect.void))))
      .toEqualTypeOf<Effect.Effect<string, ProviderError.Timeout, Service | Scope.Scope>>()
    expectTypeOf(limit(limit(Effect.fail(overloaded()))))
      .toEqualTypeOf<Effect.Effect<never, ProviderError.ServerError | ProviderError.Timeout>>()
  })

  it.effect("services and scopes of the caller are those inside", () =>
    Effect.gen(function*() {
      class Service extends Context.Tag("Service")<Service, string>() {}
      const events: Array<string> = []
      yield* Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Effect.sync(() => events.push("closed")))
        events.push(yield* Service)
      }).pipe(
        Deadline.within("10 seconds"),
        Effect.zipRight(Effect.sync(() => events.push("still open"))),
        Effect.scoped,
        Effect.provideService(Service, "service")
      )
      deepStrictEqual(events, ["service", "still open", "closed"])
    }))
})

it.effect("a fiber that outlives a deadline still has it, and whatever limit is its own", () =>
  Effect.gen(function*() {
    const left = yield* Effect.never.pipe(
      Deadline.within("1 second"),
      Effect.exit,
      Effect.flatMap((exit) => Effect.map(Clock.currentTimeMillis, (at) => ({ exit, at }))),
      Effect.forkDaemon,
      Deadline.within("500 millis")
    )
    yield* TestClock.adjust("1 minute")
    const { at, exit } = yield* Fiber.join(left)
    deepStrictEqual([nameOf(failureOf(exit)), at], ["Timeout Deadline", 500])
  }))
