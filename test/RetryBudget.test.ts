import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import type { Layer } from "effect"
import { Context, Duration, Effect, Fiber, Schedule, TestClock } from "effect"
import type { ProviderError } from "effect-resilience"
import { CallReport, Resilience, RetryBudget, RetryPolicy } from "effect-resilience"
import { expectTypeOf } from "vitest"
import {
  always,
  badCounts,
  badDurations,
  failureOf,
  fromJson,
  infiniteDurations,
  onlyReport,
  overloaded,
  rateLimited,
  refuses,
  script,
  simulate,
  zeroDurations
} from "./utils.js"

/** Nothing in reserve, so that only what was earned counts. */
const earning = (ratio: number) => RetryBudget.make({ ratio, initial: 0 })

/** So many retries, and no more. */
const holding = (initial: number, hardCap?: RetryBudget.Options["hardCap"]) =>
  RetryBudget.make({ ratio: 0, initial, minPerSecond: 0, hardCap })

const inForce = (budget: RetryBudget.RetryBudget) => Effect.provideService(RetryBudget.CurrentBudget, budget)

const policy = RetryPolicy.make({ jitter: "none", maxAttempts: 4, base: "1 second", factor: 1 })

/** One call as a user without a `Resilience` makes it. */
const call = <A, E, R>(self: Effect.Effect<A, E, R>) => self.pipe(Effect.retry(policy), RetryBudget.track)

/** How many attempts a call that never succeeds makes. */
const attempts = (error: ProviderError.CallError = overloaded()) =>
  Effect.gen(function*() {
    const { at, attempt } = always(Effect.fail(error))
    const { exit } = yield* simulate(call(attempt), "5 minutes")
    strictEqual(failureOf(exit), error)
    return at.length
  })

describe("the default budget", () => {
  it.effect("has 10 retries in reserve, earns one every 5 calls, and regains one every 10 seconds", () =>
    Effect.gen(function*() {
      const budget = (yield* RetryBudget.CurrentBudget) ?? RetryBudget.unlimited
      const take = Effect.map(RetryBudget.withdraw("retry"), Number)
      const drain = Effect.map(Effect.replicateEffect(take, 20), (taken) => taken.reduce((sum, n) => sum + n))
      strictEqual(yield* budget.available(), 10)
      strictEqual(yield* drain, 10)
      yield* Effect.replicateEffect(RetryBudget.track(Effect.void), 14)
      strictEqual(yield* budget.available(), 2)
      yield* RetryBudget.track(Effect.void)
      strictEqual(yield* drain, 3)
      yield* TestClock.adjust("9999 millis")
      strictEqual(yield* budget.available(), 0)
      yield* TestClock.adjust("1 millis")
      strictEqual(yield* drain, 1)
    }).pipe(Effect.provide(RetryBudget.layer())))

  it.effect("forgets what calls earned after 60 seconds, and not before 54", () =>
    Effect.gen(function*() {
      const budget = yield* earning(0.2)
      yield* Effect.replicateEffect(RetryBudget.track(Effect.void), 5).pipe(inForce(budget))
      yield* TestClock.adjust("54 seconds")
      strictEqual(yield* budget.available(), 1)
      yield* TestClock.adjust("6 seconds")
      strictEqual(yield* budget.available(), 0)
    }))
})

it.effect("10,000 keys are kept by default, and the one least recently used is forgotten first", () =>
  Effect.gen(function*() {
    const budget = yield* RetryBudget.make()
    const use = (n: number) => RetryBudget.withdraw("retry").pipe(RetryBudget.withKey(`user:${n}`), inForce(budget))
    yield* Effect.forEach(Array.from({ length: 10_000 }, (_, n) => n), use, { discard: true })
    strictEqual(yield* budget.available("user:0"), 9)
    yield* use(10_000)
    strictEqual(yield* budget.available("user:0"), 10)
    strictEqual(yield* budget.available("user:1"), 9)
  }))

describe("a call", () => {
  it.effect("is never refused its first attempt, however empty the budget", () =>
    Effect.gen(function*() {
      const budget = yield* holding(0)
      for (let n = 0; n < 5; n++) {
        strictEqual(yield* attempts().pipe(inForce(budget)), 1)
        strictEqual(yield* call(Effect.succeed("answer")).pipe(inForce(budget)), "answer")
      }
    }))

  it.effect("that may not retry fails at once, with its own error", () =>
    Effect.gen(function*() {
      const error = overloaded()
      const { at, exit } = yield* simulate(call(Effect.fail(error)).pipe(inForce(yield* holding(0))))
      strictEqual(failureOf(exit), error)
      strictEqual(at, 0)
    }))

  it.effect("retries as long as there are tokens, and stops in the middle when they run out", () =>
    Effect.gen(function*() {
      const budget = yield* holding(5)
      const made = []
      for (let n = 0; n < 4; n++) {
        made.push(yield* attempts().pipe(inForce(budget)))
      }
      deepStrictEqual(made, [4, 3, 1, 1])
    }))

  it.effect("after others emptied the budget retries again once calls have earned it", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0.5, initial: 0 })
      strictEqual(yield* attempts().pipe(inForce(budget)), 1)
      yield* call(Effect.succeed("answer")).pipe(inForce(budget))
      const { attempt } = script<string, ProviderError.CallError, never>(
        Effect.fail(overloaded()),
        Effect.succeed("cured")
      )
      const { exit } = yield* simulate(call(attempt).pipe(inForce(budget)), "30 seconds")
      strictEqual(yield* exit, "cured")
    }))

  it.effect("says in its report that the budget stopped it", () =>
    Effect.gen(function*() {
      const resilience = yield* Resilience.make()
      const error = overloaded()
      const { exit, reports } = yield* CallReport.collect(
        resilience.protect(Effect.fail(error), { provider: "p", model: "m" })
      ).pipe(inForce(yield* holding(0)))
      strictEqual(failureOf(exit), error)
      const { denials, stoppedBy } = onlyReport(reports)
      strictEqual(stoppedBy, "budget")
      deepStrictEqual(denials, [{ by: "budget", provider: "p", model: "m" }])
    }))

  it.effect("of a storm of 200 that all fail, makes 1.2 attempts on average, and the reserve", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ minPerSecond: 0, ttl: "1 hour" })
      const { at, attempt } = always(Effect.fail(overloaded()))
      yield* simulate(
        Effect.forEach(Array(200), () => Effect.exit(call(attempt)), { concurrency: "unbounded" }).pipe(
          inForce(budget)
        ),
        "1 minute"
      )
      strictEqual(at.length, 200 + 40 + 10)
      strictEqual(yield* budget.available(), 0)
    }))
})

describe("track", () => {
  const deposits = (self: (step: Effect.Effect<void>) => Effect.Effect<void>, key?: string) =>
    Effect.gen(function*() {
      const budget = yield* earning(1)
      yield* Effect.exit(self(Effect.void)).pipe(inForce(budget))
      return yield* budget.available(key)
    })

  const rows: ReadonlyArray<
    readonly [name: string, earned: number, self: (step: Effect.Effect<void>) => Effect.Effect<void>]
  > = [
    ["pays once for a call", 1, RetryBudget.track],
    [
      "pays for a call that fails",
      1,
      (step) => Effect.ignore(RetryBudget.track(Effect.zipRight(step, Effect.fail(1))))
    ],
    ["pays for a call that dies", 1, (step) => RetryBudget.track(Effect.zipRight(step, Effect.die("bug")))],
    ["pays each time it is run", 3, (step) => Effect.repeatN(RetryBudget.track(step), 2)],
    ["pays once, however often it is nested", 1, (step) => step.pipe(RetryBudget.track, RetryBudget.track)],
    ["pays nothing for retries inside", 1, (step) => RetryBudget.track(Effect.repeatN(step, 2))],
    [
      "pays nothing for attempts that track again",
      1,
      (step) => RetryBudget.track(Effect.repeatN(RetryBudget.track(step), 2))
    ],
    [
      "pays once for a call in many fibers",
      1,
      (step) =>
        RetryBudget.track(
          Effect.all(Array.from({ length: 9 }, () => RetryBudget.track(step)), {
            concurrency: "unbounded",
            discard: true
          })
        )
    ]
  ]
  for (const [name, earned, self] of rows) {
    it.effect(name, () => Effect.map(deposits(self), (n) => strictEqual(n, earned)))
  }

  it.effect("pays each key once, in a nested call only those that were not paid", () =>
    Effect.gen(function*() {
      const budget = yield* earning(1)
      const attempt = Effect.void.pipe(RetryBudget.track, RetryBudget.withKey("feature"))
      yield* Effect.repeatN(attempt, 3).pipe(
        RetryBudget.track,
        RetryBudget.withKey("user"),
        RetryBudget.track,
        inForce(budget)
      )
      strictEqual(yield* budget.available(), 1)
      strictEqual(yield* budget.available("user"), 1)
      strictEqual(yield* budget.available("feature"), 1)
    }))

  it.effect("pays another budget inside as well, and the first one no more", () =>
    Effect.gen(function*() {
      const [outer, inner] = yield* Effect.all([earning(1), earning(1)])
      yield* Effect.void.pipe(
        RetryBudget.track,
        inForce(outer),
        RetryBudget.track,
        inForce(inner),
        RetryBudget.track,
        inForce(outer)
      )
      strictEqual(yield* outer.available(), 1)
      strictEqual(yield* inner.available(), 1)
    }))
})

describe("keys", () => {
  it.effect("a retry takes one token from each key in force, and none from the others", () =>
    Effect.gen(function*() {
      const budget = yield* holding(7)
      strictEqual(
        yield* attempts().pipe(RetryBudget.withKey("feature:chat"), RetryBudget.withKey("user:42"), inForce(budget)),
        4
      )
      strictEqual(yield* budget.available("user:42"), 4)
      strictEqual(yield* budget.available("feature:chat"), 4)
      strictEqual(yield* budget.available("user:43"), 7)
      strictEqual(yield* budget.available(), 7)
    }))

  it.effect("one user's storm leaves the others their retries", () =>
    Effect.gen(function*() {
      const budget = yield* holding(3)
      strictEqual(yield* attempts().pipe(RetryBudget.withKey("user:1"), inForce(budget)), 4)
      strictEqual(yield* attempts().pipe(RetryBudget.withKey("user:1"), inForce(budget)), 1)
      strictEqual(yield* attempts().pipe(RetryBudget.withKey("user:2"), inForce(budget)), 4)
    }))

  it.effect("a feature that is out of tokens costs its user none", () =>
    Effect.gen(function*() {
      const budget = yield* holding(3)
      yield* attempts().pipe(RetryBudget.withKey("feature:chat"), inForce(budget))
      for (const [outer, inner] of [["user:1", "feature:chat"], ["feature:chat", "user:1"]] as const) {
        strictEqual(
          yield* attempts().pipe(RetryBudget.withKey(inner), RetryBudget.withKey(outer), inForce(budget)),
          1
        )
      }
      strictEqual(yield* budget.available("user:1"), 3)
    }))

  it.effect("the same key twice is one key", () =>
    Effect.gen(function*() {
      const budget = yield* holding(3)
      strictEqual(
        yield* attempts().pipe(
          RetryBudget.withKey("a"),
          RetryBudget.withKey("b"),
          RetryBudget.withKey("a"),
          inForce(budget)
        ),
        4
      )
      strictEqual(yield* budget.available("a"), 0)
    }))
})

describe("a wait that the server asked for", () => {
  it.effect("costs no token", () =>
    Effect.gen(function*() {
      const budget = yield* holding(1)
      strictEqual(yield* attempts(rateLimited("3 seconds")).pipe(inForce(budget)), 4)
      strictEqual(yield* budget.available(), 1)
    }))

  it.effect("counts for the hard cap", () =>
    Effect.gen(function*() {
      const budget = yield* holding(9, { limit: 2, per: "1 hour" })
      strictEqual(yield* attempts(rateLimited("3 seconds")).pipe(inForce(budget)), 3)
      strictEqual(yield* attempts(overloaded()).pipe(inForce(budget)), 1)
      yield* TestClock.adjust("1 hour")
      strictEqual(yield* attempts(overloaded()).pipe(inForce(budget)), 3)
    }))

  it.effect("costs a token when it was no wait, or was not waited out", () =>
    Effect.gen(function*() {
      const budget = yield* holding(2)
      strictEqual(yield* attempts(rateLimited(0)).pipe(inForce(budget)), 3)
      const { at, attempt } = always(Effect.fail(rateLimited("3 seconds")))
      const impatient = Schedule.spaced("2999 millis").pipe(RetryPolicy.withinBudget)
      yield* simulate(Effect.retry(attempt, impatient).pipe(inForce(yield* holding(2))))
      strictEqual(at.length, 3)
    }))
})

describe("which budget is in force", () => {
  it.effect("without one nothing is refused", () =>
    Effect.gen(function*() {
      strictEqual(yield* attempts(), 4)
      strictEqual(yield* RetryBudget.withdraw("retry"), true)
      strictEqual(yield* RetryBudget.withdraw("hard cap only"), true)
    }))

  it.effect("unlimited refuses nothing, within another budget too", () =>
    Effect.gen(function*() {
      strictEqual(yield* attempts().pipe(Effect.provide(RetryBudget.layerUnlimited), inForce(yield* holding(0))), 4)
      strictEqual(yield* RetryBudget.unlimited.available("any"), Infinity)
    }))

  it.effect("a layer is one budget for all that it is provided to", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* Effect.all([attempts(), attempts(), attempts()]), [4, 3, 1])
    }).pipe(Effect.provide(RetryBudget.layer({ ratio: 0, initial: 5, minPerSecond: 0 }))))

  it.effect("a policy's own applies where none is provided, and is paid once by all inside", () =>
    Effect.gen(function*() {
      const own = yield* earning(1)
      const provided = yield* earning(1)
      const enter = (self: Effect.Effect<void>) =>
        Effect.mapInputContext(self, (context: Context.Context<never>) => RetryBudget.unsafeDeposit(context, 0n, own))
      yield* enter(enter(RetryBudget.track(Effect.void)))
      strictEqual(yield* own.available(), 1)
      yield* enter(Effect.asVoid(RetryBudget.withdraw("retry")))
      strictEqual(yield* own.available(), 1)
      yield* enter(Effect.void).pipe(inForce(provided))
      strictEqual(yield* own.available(), 1)
      strictEqual(yield* provided.available(), 1)
    }))

  it("two that were made are two, and both are budgets", () => {
    const [one, another] = [RetryBudget.unsafeMake(), RetryBudget.unsafeMake()]
    assertTrue(one !== another)
    assertTrue([one, another, RetryBudget.unlimited].every(RetryBudget.isRetryBudget))
    assertTrue(![null, {}, { available: () => 1 }, "budget"].some(RetryBudget.isRetryBudget))
  })
})

describe("under concurrency", () => {
  it.effect("2,000 fibers lose and forge no token", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0.5, initial: 100, minPerSecond: 0, ttl: "1 hour" })
      const one = (n: number) =>
        Effect.repeatN(Effect.yieldNow(), n % 7).pipe(
          Effect.zipRight(RetryBudget.withdraw("retry")),
          RetryBudget.track,
          RetryBudget.withKey(`user:${n % 2}`),
          RetryBudget.withKey("all")
        )
      const answers = yield* Effect.forEach(Array.from({ length: 2000 }, (_, n) => n), one, {
        concurrency: "unbounded"
      }).pipe(inForce(budget))
      const granted = answers.filter((granted) => granted).length
      assertTrue(granted > 900 && granted < 2000, `${granted} granted`)
      strictEqual(granted + (yield* budget.available("all")), 1100)
      strictEqual(granted + (yield* budget.available("user:0")) + (yield* budget.available("user:1")), 1200)
    }))

  it.effect("an interrupted call gives no token back, and takes none after that", () =>
    Effect.gen(function*() {
      const budget = yield* holding(5)
      const fiber = yield* call(Effect.fail(overloaded())).pipe(inForce(budget), Effect.fork)
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 minute")
      strictEqual(yield* budget.available(), 4)
    }))
})

it.effect("a clock that is set back stops neither calls nor the budget", () =>
  Effect.gen(function*() {
    const budget = yield* RetryBudget.make({ ratio: 0, initial: 1, minPerSecond: 1 })
    yield* TestClock.adjust("1 hour")
    strictEqual(yield* RetryBudget.withdraw("retry").pipe(inForce(budget)), true)
    yield* TestClock.setTime(0)
    strictEqual(yield* RetryBudget.withdraw("retry").pipe(inForce(budget)), false)
    yield* TestClock.adjust("1 second")
    strictEqual(yield* RetryBudget.withdraw("retry").pipe(inForce(budget)), true)
  }))

describe("bad options throw with their name", () => {
  const makers = [RetryBudget.make, RetryBudget.unsafeMake, RetryBudget.layer]
  const refused = (option: string, options: RetryBudget.Options, shown?: string) =>
    makers.forEach((make) => refuses(option, () => make(options), shown))

  for (const option of ["ratio", "initial", "minPerSecond"] as const) {
    for (const n of [NaN, -1, Infinity, -Infinity, fromJson("\"3\"")]) {
      it(`${option}: ${typeof n} ${n}`, () => refused(option, { [option]: n }, `${n}`))
    }
  }
  for (const n of badCounts) {
    it(`capacity: ${typeof n} ${n}`, () => refused("capacity", { capacity: n }, `${n}`))
    it(`hardCap.limit: ${typeof n} ${n}`, () =>
      refused("hardCap.limit", { hardCap: { limit: n, per: "1 minute" } }, `${n}`))
  }
  for (const [shown, input] of [...badDurations, ...zeroDurations]) {
    it(`ttl: ${shown}`, () => refused("ttl", { ttl: input }))
  }
  for (const [shown, per] of [...badDurations, ...zeroDurations, ...infiniteDurations]) {
    it(`hardCap.per: ${shown}`, () => refused("hardCap.per", { hardCap: { limit: 1, per } }))
  }
  it("but zero may be meant for what is earned, held and regained", () =>
    makers.forEach((make) => make({ ratio: 0, initial: 0, minPerSecond: 0, ttl: Duration.infinity })))
})

it("a budget adds nothing to the types of what it surrounds", () => {
  class Service extends Context.Tag("Service")<Service, string>() {}
  const self = Effect.zipRight(Service, Effect.fail<"boom">("boom"))
  expectTypeOf(self.pipe(RetryBudget.track, RetryBudget.withKey("user:1"))).toEqualTypeOf(self)
  expectTypeOf(RetryBudget.withKey(self, "user:1")).toEqualTypeOf(self)
  expectTypeOf(Effect.provide(self, RetryBudget.layer())).toEqualTypeOf(self)
  expectTypeOf(RetryBudget.layer()).toEqualTypeOf<Layer.Layer<RetryBudget.CurrentBudget>>()
  expectTypeOf(RetryBudget.withdraw("retry")).toEqualTypeOf<Effect.Effect<boolean>>()
  expectTypeOf(Effect.retry(self, RetryPolicy.withinBudget(Schedule.recurs(1)))).toEqualTypeOf(self)
})
