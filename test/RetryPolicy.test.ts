import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Clock, Context, Duration, Effect, FastCheck as fc, Random, Schedule } from "effect"
import { Backoff, Deadline, Fallback, ProviderError, Resilience, RetryBudget, RetryPolicy } from "effect-resilience"
import { expectTypeOf } from "vitest"
import type { Script } from "./utils.js"
import {
  alternatives,
  always,
  badCounts,
  badDurations,
  circuitOpen,
  clientError,
  deadlinePassed,
  decisions,
  failureOf,
  foreign,
  fromJson,
  infiniteDurations,
  overloaded,
  rateLimited,
  refuses,
  script,
  simulate,
  timeout,
  zeroDurations
} from "./utils.js"

type Errors = readonly [unknown, ...ReadonlyArray<unknown>]
type Around = <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, E | ProviderError.Timeout>

/**
 * Fails with the errors one after the other, with the last of them for ever, and tells the times of the attempts, from
 * the first one on. The last error must surface as it is, and when the last attempt failed.
 */
const attemptTimes = (policy: Schedule.Schedule<unknown, unknown>, errors: Errors, around: Around = (self) => self) =>
  Effect.gen(function*() {
    const tries: Script<never, unknown, never> = always(
      Effect.suspend(() => Effect.fail(errors[Math.min(tries.at.length, errors.length) - 1]))
    )
    const begun = yield* Clock.currentTimeMillis
    const { at, exit } = yield* simulate(around(Effect.retry(tries.attempt, policy)))
    strictEqual(failureOf(exit), errors[Math.min(tries.at.length, errors.length) - 1])
    strictEqual(at, tries.at.at(-1))
    return tries.at.map((at) => at - begun)
  })

const plain = (options: RetryPolicy.Options = {}) => RetryPolicy.make({ jitter: "none", ...options })

/** A schedule of the user's: a wait of 1 s each time, for ever. */
const own = Schedule.spaced("1 second")

const within = (duration: Duration.DurationInput, options?: Deadline.Options): Around => (self) =>
  Deadline.within(self, duration, options)

const inChain = (left: number, patience?: Duration.DurationInput) => <A, E>(self: Effect.Effect<A, E>) =>
  Effect.provideService(self, Fallback.Alternatives, alternatives(left, patience))

describe("make", () => {
  it.effect("by default makes 5 calls with full jitter from 1 s on", () =>
    Effect.gen(function*() {
      // Half of 1, 2, 4 and 8 s.
      deepStrictEqual(yield* attemptTimes(RetryPolicy.make(), [overloaded()]), [0, 500, 1500, 3500, 7500])
    }).pipe(Effect.withRandom(Random.fixed([0.5]))))

  it.effect("caps a wait at 60 s by default", () =>
    Effect.map(
      attemptTimes(plain({ maxAttempts: 9 }), [overloaded()]),
      (at) => deepStrictEqual(at, [0, 1000, 3000, 7000, 15_000, 31_000, 63_000, 123_000, 183_000])
    ))

  it.effect("takes the options of the backoff", () =>
    Effect.map(
      attemptTimes(plain({ base: "200 millis", factor: 3, cap: "1 second" }), [overloaded()]),
      (at) => deepStrictEqual(at, [0, 200, 800, 1800, 2800])
    ))

  it.effect("stops at the first success", () =>
    Effect.gen(function*() {
      const { at, attempt } = script<string, ProviderError.CallError, never>(
        Effect.fail(overloaded()),
        Effect.fail(rateLimited()),
        Effect.succeed("answer")
      )
      const { exit } = yield* simulate(Effect.retry(attempt, plain()))
      strictEqual(yield* exit, "answer")
      deepStrictEqual(at, [0, 1000, 2000])
    }))

  it.effect("follows the seed of the Random service", () =>
    Effect.gen(function*() {
      const run = (seed: string) =>
        Effect.withRandom(decisions(RetryPolicy.make(), Array<unknown>(4).fill(overloaded())), Random.make(seed))
      const first = yield* run("seed")
      deepStrictEqual(yield* run("seed"), first)
      assertTrue(`${yield* run("another seed")}` !== `${first}`)
    }))

  it.effect("one policy serves many calls at once, each from its beginning", () =>
    Effect.gen(function*() {
      const policy = plain({ maxAttempts: 3 })
      const scripts = [overloaded(), rateLimited(), overloaded()].map((error) => always(Effect.fail(error)))
      yield* simulate(Effect.all(
        scripts.map(({ attempt }) => Effect.exit(Effect.retry(attempt, policy))),
        { concurrency: "unbounded" }
      ))
      deepStrictEqual(scripts.map(({ at }) => at), [[0, 1000, 3000], [0, 1000, 3000], [0, 1000, 3000]])
    }))

  it.effect("its output is the wait", () =>
    Effect.gen(function*() {
      const outputs: Array<Duration.Duration> = []
      const policy = plain({ maxAttempts: 4 }).pipe(
        Schedule.onDecision((output) => Effect.sync(() => outputs.push(output)))
      )
      yield* attemptTimes(policy, [overloaded(), rateLimited("7 seconds"), overloaded()])
      deepStrictEqual(outputs.map(Duration.toMillis), [1000, 7000, 2000, 0])
    }))
})

describe("failures are counted per tag", () => {
  const rows: ReadonlyArray<
    readonly [name: string, errors: readonly [unknown, ...ReadonlyArray<unknown>], at: ReadonlyArray<number>]
  > = [
    ["three rate limits do not lengthen the backoff of the first server error", [
      rateLimited(),
      rateLimited(),
      rateLimited(),
      overloaded()
    ], [0, 1000, 3000, 7000, 8000, 10_000]],
    ["two tags in turns", [overloaded(), rateLimited(), overloaded(), rateLimited(), overloaded()], [
      0,
      1000,
      2000,
      4000,
      6000,
      10_000
    ]],
    ["a timeout takes the backoff of a first failure", [overloaded(), overloaded(), timeout(), overloaded()], [
      0,
      1000,
      3000,
      4000,
      8000,
      16_000
    ]]
  ]
  for (const [name, errors, at] of rows) {
    it.effect(
      name,
      () => Effect.map(attemptTimes(plain({ maxAttempts: 6 }), errors), (times) => deepStrictEqual(times, at))
    )
  }
})

describe("Timeout is retried once", () => {
  for (const scope of ["Attempt", "FirstToken", "Idle"] as const) {
    it.effect(`after a backoff: ${scope}`, () =>
      Effect.map(attemptTimes(plain(), [timeout(scope)]), (at) => deepStrictEqual(at, [0, 1000])))
  }

  it.effect("in all, whatever comes between", () =>
    Effect.map(
      attemptTimes(plain({ maxAttempts: 9 }), [timeout(), overloaded(), timeout("Idle")]),
      (at) => deepStrictEqual(at, [0, 1000, 2000])
    ))

  it.effect("not at all when the server advises against it", () =>
    Effect.map(attemptTimes(plain(), [timeout("Attempt", false)]), (at) => deepStrictEqual(at, [0])))

  it.effect("as often as a case of the user's says", () =>
    Effect.map(
      attemptTimes(plain({ perError: { Timeout: Schedule.spaced("3 seconds") } }), [timeout()]),
      (at) => deepStrictEqual(at, [0, 3000, 6000, 9000, 12_000])
    ))

  it.effect("also when the case of the user's is undefined", () =>
    Effect.map(
      attemptTimes(plain({ perError: { Timeout: undefined } }), [timeout()]),
      (at) => deepStrictEqual(at, [0, 1000])
    ))
})

describe("never retried", () => {
  const never: ReadonlyArray<readonly [string, unknown]> = [
    ...ProviderError.ClientErrorReason.literals.flatMap((reason) =>
      [undefined, true, false].map((advice) =>
        [`ClientError ${reason}, x-should-retry ${advice}`, clientError(reason, advice)] as const
      )
    ),
    ["RateLimited, x-should-retry false", rateLimited("1 second", false)],
    ["ServerError, x-should-retry false", overloaded("1 second", false)],
    ["CircuitOpen", circuitOpen()],
    ["CircuitOpen with a Retry-After", circuitOpen("1 second")],
    ["a deadline that passed", deadlinePassed],
    ["a deadline that passed, x-should-retry true", timeout("Deadline", true)],
    ...foreign
  ]
  for (const [name, error] of never) {
    it.effect(name, () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* attemptTimes(RetryPolicy.make(), [error]), [0])
        deepStrictEqual(yield* decisions(RetryPolicy.whileRetryable(own), [error]), ["stop"])
        deepStrictEqual(yield* decisions(plain(), [overloaded(), error]), [1000, "stop"])
        const cases = { RateLimited: own, ServerError: own, ClientError: own, CircuitOpen: own, Timeout: own }
        deepStrictEqual(yield* decisions(plain({ perError: cases }), [error]), ["stop"])
      }))
  }

  it.effect("x-should-retry true changes nothing for what is retried anyway", () =>
    Effect.map(
      attemptTimes(plain({ maxAttempts: 2 }), [overloaded(undefined, true)]),
      (at) => deepStrictEqual(at, [0, 1000])
    ))

  it.effect("a defect", () =>
    Effect.gen(function*() {
      const { at, attempt } = always(Effect.die("bug"))
      const { exit } = yield* simulate(Effect.retry(attempt, RetryPolicy.make()))
      deepStrictEqual([exit._tag, at], ["Failure", [0]])
    }))
})

describe("whileRetryable", () => {
  it.effect("lets a schedule of the user's go on as long as asking again can help", () =>
    Effect.map(
      attemptTimes(RetryPolicy.whileRetryable(own), [overloaded(), rateLimited(), timeout(), clientError("NotFound")]),
      (at) => deepStrictEqual(at, [0, 1000, 2000, 3000])
    ))
})

describe("maxAttempts counts calls in total", () => {
  for (const n of [1, 2, 3, 7]) {
    it.effect(`${n}`, () =>
      Effect.gen(function*() {
        const errors = [overloaded(), rateLimited(), overloaded()] as const
        strictEqual((yield* attemptTimes(plain({ maxAttempts: n }), errors)).length, n)
        const times = Array.from({ length: n }, (_, call) => call * 1000)
        deepStrictEqual(yield* attemptTimes(own.pipe(RetryPolicy.maxAttempts(n)), ["any error"]), times)
        deepStrictEqual(yield* attemptTimes(RetryPolicy.maxAttempts(own, n), ["any error"]), times)
      }))
  }

  it.effect("and does not revive a schedule that ends before", () =>
    Effect.map(
      attemptTimes(Schedule.recurs(2).pipe(RetryPolicy.maxAttempts(5)), ["any error"]),
      (at) => deepStrictEqual(at, [0, 0, 0])
    ))

  it.effect("around perError it counts all tags together", () =>
    Effect.map(
      attemptTimes(
        own.pipe(RetryPolicy.perError({ RateLimited: Schedule.spaced("5 seconds") }), RetryPolicy.maxAttempts(4)),
        [rateLimited(), overloaded(), rateLimited(), overloaded()]
      ),
      (at) => deepStrictEqual(at, [0, 5000, 6000, 11_000])
    ))
})

describe("perError", () => {
  const policy = own.pipe(RetryPolicy.perError({
    RateLimited: Backoff.exponential({ base: "5 seconds", jitter: "none" }),
    Timeout: Schedule.stop
  }))

  it.effect("chooses the schedule by the tag, each with a state of its own", () =>
    Effect.map(
      decisions(policy, [rateLimited(), overloaded(), rateLimited(), overloaded(), rateLimited()]),
      (waits) => deepStrictEqual(waits, [5000, 1000, 10_000, 1000, 20_000])
    ))

  it.effect("a case that ends, ends the retries of its tag", () =>
    Effect.map(
      decisions(policy, [overloaded(), timeout()]),
      (waits) => deepStrictEqual(waits, [1000, "stop"])
    ))

  it.effect("lets tags not named and errors that are not ours fall through", () =>
    Effect.forEach(
      [clientError("NotFound"), circuitOpen(), ...foreign.map(([, error]) => error)],
      (error) => Effect.map(decisions(policy, [error]), (waits) => deepStrictEqual(waits, [1000]))
    ))

  it.effect("the schedule that tags fall through to has one state for all of them", () =>
    Effect.map(
      decisions(
        RetryPolicy.perError(Backoff.exponential({ jitter: "none" }), { RateLimited: own }),
        [overloaded(), rateLimited(), timeout(), overloaded()]
      ),
      (waits) => deepStrictEqual(waits, [1000, 1000, 2000, 4000])
    ))

  it.effect("in make, a case replaces the default of its tag alone", () =>
    Effect.map(
      attemptTimes(plain({ perError: { RateLimited: Schedule.spaced("10 seconds") } }), [
        rateLimited(),
        rateLimited(),
        overloaded(),
        overloaded()
      ]),
      (at) => deepStrictEqual(at, [0, 10_000, 20_000, 21_000, 23_000])
    ))
})

describe("respectRetryAfter", () => {
  const asking: ReadonlyArray<readonly [string, (wait: Duration.DurationInput) => ProviderError.CallError]> = [
    ["RateLimited", (wait) => rateLimited(wait)],
    ["ServerError", (wait) => overloaded(wait)],
    [
      "Timeout",
      (wait) => new ProviderError.Timeout({ message: "504", scope: "Attempt", retryAfter: Duration.decode(wait) })
    ]
  ]
  for (const [tag, error] of asking) {
    it.effect(`the wait is a floor whatever the tag: ${tag}`, () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* attemptTimes(plain({ maxAttempts: 2 }), [error("7 seconds")]), [0, 7000])
      }))
  }

  it.effect("on a schedule of the user's: the longer of both, and up to a tenth or a second more", () =>
    Effect.gen(function*() {
      const policy = own.pipe(RetryPolicy.respectRetryAfter())
      // 2 s and half of 200 ms; 30 s and half of a second; the second of the schedule and half of 100 ms; no jitter.
      const errors = [rateLimited("2 seconds"), overloaded("30 seconds"), rateLimited(0), overloaded(), "another"]
      deepStrictEqual(yield* decisions(policy, errors), [2100, 30_500, 1050, 1000, 1000])
      deepStrictEqual(
        yield* decisions(RetryPolicy.respectRetryAfter(own, { spread: false }), errors),
        [2000, 30_000, 1000, 1000, 1000]
      )
    }).pipe(Effect.withRandom(Random.fixed([0.5]))))

  it.effect("in make: with the jitter of the backoff the spread goes", () =>
    Effect.gen(function*() {
      const errors = [rateLimited("2 seconds"), overloaded("30 seconds")]
      deepStrictEqual(yield* decisions(RetryPolicy.make(), errors), [2100, 30_500])
      deepStrictEqual(yield* decisions(RetryPolicy.make({ jitter: "equal" }), errors), [2100, 30_500])
      deepStrictEqual(yield* decisions(plain(), errors), [2000, 30_000])
    }).pipe(Effect.withRandom(Random.fixed([0.5]))))

  it.effect("no cap undercuts it, and a longer backoff stays", () =>
    Effect.gen(function*() {
      const policy = plain({ base: "4 seconds", cap: "5 seconds" })
      deepStrictEqual(
        yield* decisions(policy, [rateLimited("30 seconds"), rateLimited("1 second"), overloaded("100 millis")]),
        [30_000, 5000, 4000]
      )
    }))

  it.effect("clients that were told the same time do not return together", () =>
    Effect.gen(function*() {
      const waits = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, client) => client),
        (client) =>
          Effect.withRandom(
            decisions(own.pipe(RetryPolicy.respectRetryAfter()), [rateLimited("10 seconds")]),
            Random.make(`client ${client}`)
          )
      )
      // 100 draws out of 1,000 ms collide in about 100 · 99 / 2 / 1000 = 5 pairs.
      assertTrue(new Set(waits.flat()).size > 80, `${new Set(waits.flat()).size}`)
    }))

  const limits: ReadonlyArray<readonly [name: string, policy: Schedule.Schedule<unknown, unknown>, max: number]> = [
    ["by default 60 s", plain(), 60_000],
    ["in make", plain({ maxRetryAfter: "5 minutes" }), 300_000],
    ["by default on a schedule of the user's", own.pipe(RetryPolicy.respectRetryAfter({ spread: false })), 60_000],
    [
      "on a schedule of the user's",
      own.pipe(RetryPolicy.respectRetryAfter({ max: "10 seconds", spread: false })),
      10_000
    ]
  ]
  for (const [name, policy, max] of limits) {
    it.effect(`more than the maximum is not waited for: ${name}`, () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* decisions(policy, [rateLimited(max)]), [max])
        deepStrictEqual(yield* attemptTimes(policy, [rateLimited(max + 1)]), [0])
      }))
  }

  const huge = [
    ["two million years", Duration.days(1e9)],
    ["the greatest safe integer", Duration.millis(Number.MAX_SAFE_INTEGER)],
    ["for ever", Duration.infinity]
  ] as const
  for (const [name, wait] of huge) {
    it.effect(`fails at once with the error that carries it: ${name}`, () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* attemptTimes(plain(), [rateLimited(wait)]), [0])
        deepStrictEqual(yield* decisions(plain({ maxRetryAfter: Infinity }), [rateLimited(wait)]), ["stop"])
      }))
  }

  it.effect("never waits longer than a timer can", () =>
    Effect.gen(function*() {
      const longest = 2 ** 31 - 1
      const policy = RetryPolicy.make({ maxRetryAfter: Infinity })
      const [wait] = yield* decisions(policy, [rateLimited(longest)])
      assertTrue(wait === "stop" || wait === longest, `${wait}`)
    }).pipe(Effect.withRandom(Random.fixed([0.5]))))

  const millis = fc.oneof(fc.nat({ max: 60_000 }), fc.nat({ max: 2000 }))
  it.prop(
    "is never shorter than asked, and at most a tenth or a second longer than the longer of both",
    [millis, millis, fc.nat({ max: 2 ** 42 }), fc.string()],
    ([asked, delay, now, seed]) => {
      const policy = Schedule.spaced(delay).pipe(RetryPolicy.respectRetryAfter())
      const [wait] = Effect.runSync(
        Effect.withRandom(decisions(policy, [rateLimited(asked)], now), Random.make(seed))
      )
      const floor = Math.max(asked, delay)
      assertTrue(wait !== "stop" && wait !== undefined && wait >= floor, `${wait} of ${floor}`)
      assertTrue(wait <= floor + Math.min(floor / 10, 1000), `${wait} of ${floor}`)
    },
    { fastCheck: { numRuns: 500 } }
  )
})

describe("withinPatience", () => {
  const slow = Schedule.spaced("6 seconds").pipe(RetryPolicy.maxAttempts(3))

  it.effect("while another provider is left, no longer wait is begun", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.withinPatience(slow)
      deepStrictEqual(yield* attemptTimes(policy, ["any error"], inChain(1, "5 seconds")), [0])
      deepStrictEqual(yield* decisions(policy, [1, 2, 3]).pipe(inChain(1, "6 seconds")), [6000, 6000, "stop"])
    }))

  it.effect("for the last provider, and outside a chain, every wait is", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.withinPatience(slow)
      deepStrictEqual(yield* decisions(policy, [1, 2, 3]).pipe(inChain(0, "1 second")), [6000, 6000, "stop"])
      deepStrictEqual(yield* decisions(policy, [1, 2, 3]), [6000, 6000, "stop"])
    }))

  it.effect("in make it looks at the wait that was asked for", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* decisions(plain(), [rateLimited("6 seconds")]).pipe(inChain(1)), ["stop"])
      deepStrictEqual(yield* decisions(plain(), [rateLimited("5 seconds")]).pipe(inChain(1)), [5000])
      deepStrictEqual(yield* decisions(plain(), [rateLimited("6 seconds")]).pipe(inChain(0)), [6000])
    }))

  it.effect("waits for no Retry-After beyond the moment another provider is ready again", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.withinPatience(slow)
      const decide = (error: unknown, millis: bigint) =>
        Effect.provideService(decisions(policy, [error]), Fallback.Alternatives, {
          ...alternatives(0),
          resumeAt: millis * 1_000_000n
        })
      deepStrictEqual(yield* decide(rateLimited("6 seconds"), 5999n), ["stop"])
      deepStrictEqual(yield* decide(rateLimited("6 seconds"), 6000n), [6000])
      deepStrictEqual(yield* decide(rateLimited(), 5999n), [6000])
    }))
})

describe("while another provider is left", () => {
  it.effect("there are at most 3 calls", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* attemptTimes(plain(), [overloaded()], inChain(1)), [0, 1000, 3000])
    }))

  it.effect("unless maxAttempts was given", () =>
    Effect.gen(function*() {
      const policy = plain({ maxAttempts: 4, base: "100 millis" })
      deepStrictEqual(yield* attemptTimes(policy, [overloaded()], inChain(2)), [0, 100, 300, 700])
    }))

  it.effect("a Timeout is not retried", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* attemptTimes(plain(), [timeout()], inChain(1)), [0])
    }))

  it.effect("the last provider is retried as if alone", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* decisions(plain(), [timeout(), timeout()]).pipe(inChain(0)), [1000, "stop"])
      strictEqual((yield* attemptTimes(plain(), [overloaded()], inChain(0))).length, 5)
    }))
})

describe("withinDeadline", () => {
  interface Case {
    readonly name: string
    readonly deadline: Duration.DurationInput
    readonly reserve?: Duration.DurationInput
    readonly at: ReadonlyArray<number>
  }
  /** Waits of 1 s; the error surfaces when the last attempt fails, and not at the deadline. */
  const cases: ReadonlyArray<Case> = [
    { name: "a wait that would end at the deadline is not begun", deadline: 3000, reserve: 0, at: [0, 1000, 2000] },
    { name: "one that ends before it is", deadline: 3001, reserve: 0, at: [0, 1000, 2000, 3000] },
    { name: "nor one past it", deadline: 2999, reserve: 0, at: [0, 1000, 2000] },
    { name: "the default reserve of 500 ms must be left after it", deadline: 2499, at: [0, 1000] },
    { name: "and no more than that", deadline: 2500, at: [0, 1000, 2000] },
    { name: "a reserve of one's own", deadline: 5000, reserve: "2 seconds", at: [0, 1000, 2000, 3000] },
    { name: "a reserve of more than there is", deadline: 5000, reserve: "1 minute", at: [0] }
  ]
  for (const { at, deadline, name, reserve } of cases) {
    it.effect(`${name} (${at.join(", ")})`, () =>
      Effect.gen(function*() {
        const around = within(deadline, { reserve })
        deepStrictEqual(yield* attemptTimes(RetryPolicy.withinDeadline(own), ["any error"], around), at)
      }))
    it.effect(`in make: ${name}`, () =>
      Effect.gen(function*() {
        const policy = plain({ factor: 1, maxAttempts: 10 })
        deepStrictEqual(yield* attemptTimes(policy, [overloaded()], within(deadline, { reserve })), at)
      }))
  }

  it.effect("does nothing without a deadline", () =>
    Effect.map(
      decisions(own.pipe(RetryPolicy.withinDeadline()), [1, 2]),
      (waits) => deepStrictEqual(waits, [1000, 1000])
    ))

  it.effect("a provider's own reserve counts where the deadline has none", () =>
    Effect.gen(function*() {
      const policy = own.pipe(RetryPolicy.withinDeadline({ reserve: Effect.succeed(Duration.seconds(2)) }))
      deepStrictEqual(yield* decisions(policy, [1]).pipe(within("2999 millis")), ["stop"])
      deepStrictEqual(yield* decisions(policy, [1]).pipe(within("3000 millis")), [1000])
      deepStrictEqual(yield* decisions(policy, [1]).pipe(within("1100 millis", { reserve: "100 millis" })), [1000])
    }))

  it.effect("it is the wait that was asked for that must fit", () =>
    Effect.gen(function*() {
      const around = within("10 seconds")
      deepStrictEqual(yield* decisions(plain(), [rateLimited("9500 millis")]).pipe(around), [9500])
      deepStrictEqual(yield* attemptTimes(plain(), [rateLimited("9501 millis")], around), [0])
    }))
})

describe("withinBudget", () => {
  const budgetOf = (initial: number) => RetryBudget.unsafeMake({ ratio: 0, initial, minPerSecond: 0 })
  const spending = (budget: RetryBudget.RetryBudget): Around => Effect.provideService(RetryBudget.CurrentBudget, budget)

  it.effect("does nothing without a budget", () =>
    Effect.map(
      decisions(RetryPolicy.withinBudget(own), [1, overloaded(), rateLimited()]),
      (waits) => deepStrictEqual(waits, [1000, 1000, 1000])
    ))

  it.effect("takes one token for each retry of any error, and changes no wait", () =>
    Effect.gen(function*() {
      const around = spending(budgetOf(3))
      deepStrictEqual(yield* attemptTimes(RetryPolicy.withinBudget(own), ["any error"], around), [0, 1000, 2000, 3000])
    }))

  it.effect("in make: stops with the real error, at the failure after the last token", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* attemptTimes(plain(), [overloaded()], spending(budgetOf(2))), [0, 1000, 3000])
      deepStrictEqual(yield* attemptTimes(plain(), [overloaded()], spending(budgetOf(0))), [0])
    }))

  it.effect("around a schedule of the user's in a Resilience too", () =>
    Effect.gen(function*() {
      const budget = budgetOf(2)
      const { at, attempt } = always(Effect.fail(overloaded()))
      const { protect } = yield* Resilience.make({ retry: own })
      yield* simulate(Effect.exit(protect(attempt)).pipe(Effect.provideService(RetryBudget.CurrentBudget, budget)))
      deepStrictEqual(at, [0, 1000, 2000])
    }))

  const refusals: ReadonlyArray<
    readonly [by: string, retries: number, errors: Errors, around: Around, options?: RetryPolicy.Options]
  > = [
    ["is not retryable", 0, [clientError("NotFound")], (self) => self],
    ["was the last attempt", 2, [overloaded()], (self) => self, { maxAttempts: 3 }],
    ["would wait too long for the server", 0, [rateLimited("61 seconds")], (self) => self],
    ["would wait beyond the chain's patience", 0, [overloaded()], inChain(1, "999 millis")],
    ["would wait beyond the deadline", 1, [overloaded()], within("2 seconds")]
  ]
  for (const [by, retries, errors, around, options] of refusals) {
    it.effect(`takes nothing for a retry that ${by}`, () =>
      Effect.gen(function*() {
        const budget = budgetOf(9)
        const times = yield* attemptTimes(plain(options), errors, (self) => around(spending(budget)(self)))
        strictEqual(times.length, 1 + retries)
        strictEqual(yield* budget.available(), 9 - retries)
      }))
  }

  it.effect("takes nothing for a retry that somebody above owns", () =>
    Effect.gen(function*() {
      const budget = budgetOf(9)
      const inner = Effect.retry(Effect.fail(overloaded()), plain())
      const { protect } = yield* Resilience.make({ retry: { jitter: "none", maxAttempts: 3 } })
      yield* simulate(Effect.exit(protect(inner)).pipe(Effect.provideService(RetryBudget.CurrentBudget, budget)))
      strictEqual(yield* budget.available(), 7)
    }))

  it.effect("takes no token for a wait the server asked for, nor when the backoff was longer than that", () =>
    Effect.gen(function*() {
      const budget = budgetOf(1)
      const errors: Errors = [
        rateLimited("3 seconds"),
        rateLimited("2 millis"),
        overloaded("1500 millis"),
        overloaded()
      ]
      deepStrictEqual(yield* attemptTimes(plain(), errors, spending(budget)), [0, 3000, 5000, 6500, 8500])
      strictEqual(yield* budget.available(), 0)
    }))
})

describe("make agrees with a model of its rules for any row of failures", () => {
  const callError: fc.Arbitrary<ProviderError.CallError> = fc.tuple(
    fc.constantFrom("RateLimited", "ServerError", "Timeout", "ClientError", "CircuitOpen"),
    fc.option(fc.nat({ max: 90_000 }), { nil: undefined, freq: 2 }),
    fc.constantFrom(undefined, true, undefined, false)
  ).map(([tag, millis, shouldRetry]) => {
    const retryAfter = millis === undefined ? undefined : Duration.millis(millis)
    switch (tag) {
      case "RateLimited":
        return rateLimited(retryAfter, shouldRetry)
      case "ServerError":
        return overloaded(retryAfter, shouldRetry)
      case "ClientError":
        return clientError("NotFound", shouldRetry)
      case "CircuitOpen":
        return circuitOpen(retryAfter)
      default:
        return new ProviderError.Timeout({ message: "late", scope: "Attempt", retryAfter, shouldRetry })
    }
  })
  const retried = fc.oneof(
    { weight: 9, arbitrary: callError.filter(ProviderError.isRetryable) },
    { weight: 1, arbitrary: callError }
  )
  const options = fc.record({
    base: fc.integer({ min: 1, max: 5000 }),
    factor: fc.integer({ min: 1, max: 4 }),
    cap: fc.integer({ min: 1, max: 100_000 }),
    maxRetryAfter: fc.integer({ min: 1, max: 90_000 }),
    maxAttempts: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined })
  })

  it.prop(
    "without jitter, so that every wait is known",
    [options, fc.array(retried, { minLength: 1, maxLength: 14 }), fc.nat({ max: 1 }), fc.nat({ max: 20_000 })],
    ([options, errors, left, patience]) => {
      const expected: Array<number | "stop"> = []
      const counts = new Map<string, number>()
      for (const [index, error] of errors.entries()) {
        const n = counts.get(error._tag) ?? 0
        counts.set(error._tag, n + 1)
        const asked = error.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter)
        const wait = Math.max(asked, Math.min(options.cap, options.base * options.factor ** n))
        const goesOn = ProviderError.isRetryable(error) &&
          index + 1 < (options.maxAttempts ?? (left > 0 ? 3 : 5)) &&
          (error._tag !== "Timeout" || n + 1 < (left > 0 ? 1 : 2)) &&
          asked <= options.maxRetryAfter &&
          (left === 0 || wait <= patience)
        expected.push(goesOn ? wait : "stop")
        if (!goesOn) {
          break
        }
      }
      const waits = Effect.runSync(decisions(plain(options), errors).pipe(inChain(left, patience)))
      deepStrictEqual(waits, expected)
    },
    { fastCheck: { numRuns: 300 } }
  )
})

describe("bad options throw with their name", () => {
  for (const n of badCounts) {
    const shown = `${typeof n} ${n}`
    it(`maxAttempts: ${shown}`, () => refuses("maxAttempts", () => RetryPolicy.make({ maxAttempts: n }), `${n}`))
    it(`maxAttempts on a schedule: ${shown}`, () => refuses("maxAttempts", () => RetryPolicy.maxAttempts(own, n)))
  }
  for (const [shown, input] of [...badDurations, ...zeroDurations]) {
    it(`maxRetryAfter: ${shown}`, () => refuses("maxRetryAfter", () => RetryPolicy.make({ maxRetryAfter: input })))
    it(`base: ${shown}`, () => refuses("base", () => RetryPolicy.make({ base: input })))
    it(`cap: ${shown}`, () => refuses("cap", () => RetryPolicy.make({ cap: input })))
  }
  it("max of respectRetryAfter", () => {
    for (const [, max] of [...badDurations, ...zeroDurations]) {
      refuses("max", () => RetryPolicy.respectRetryAfter(own, { max }))
    }
  })
  for (const [shown, base] of infiniteDurations) {
    it(`base: ${shown}`, () => refuses("base", () => RetryPolicy.make({ base })))
  }
  it("factor", () => refuses("factor", () => RetryPolicy.make({ factor: 0 })))
  it("jitter", () => refuses("jitter", () => RetryPolicy.make({ jitter: fromJson("\"some\"") })))
})

describe("types", () => {
  it("a policy is a schedule for any error, and adds nothing", () => {
    expectTypeOf(RetryPolicy.make()).toEqualTypeOf<Schedule.Schedule<Duration.Duration, unknown, never>>()
    class Custom {
      readonly _tag = "Custom"
    }
    class Service extends Context.Tag("Service")<Service, string>() {}
    const call = Effect.zipRight(Service, Effect.fail(new Custom()))
    expectTypeOf(Effect.retry(call, RetryPolicy.make())).toEqualTypeOf<Effect.Effect<never, Custom, Service>>()
    expectTypeOf(Effect.retry(Effect.succeed(1), RetryPolicy.make())).toEqualTypeOf<Effect.Effect<number>>()
  })

  it("the parts keep the type of the user's own schedule", () => {
    class Service extends Context.Tag("Service")<Service, string>() {}
    const mine = Schedule.recurs(3).pipe(
      Schedule.zipRight(Schedule.identity<Error>()),
      Schedule.checkEffect(() => Effect.as(Service, true))
    )
    expectTypeOf(mine).toEqualTypeOf<Schedule.Schedule<Error, Error, Service>>()
    expectTypeOf(mine.pipe(
      RetryPolicy.whileRetryable,
      RetryPolicy.maxAttempts(3),
      RetryPolicy.respectRetryAfter(),
      RetryPolicy.withinPatience,
      RetryPolicy.withinDeadline(),
      RetryPolicy.withinBudget
    )).toEqualTypeOf<Schedule.Schedule<Error, Error, Service>>()
    expectTypeOf(mine.pipe(RetryPolicy.perError({ RateLimited: Schedule.spaced("1 second") })))
      .toEqualTypeOf<Schedule.Schedule<Error | number, Error, Service>>()
    expectTypeOf(
      mine.pipe(RetryPolicy.perError({ RateLimited: Schedule.spaced("1 second"), Timeout: Schedule.stop }))
    ).toEqualTypeOf<Schedule.Schedule<Error | number | void, Error, Service>>()
  })
})
