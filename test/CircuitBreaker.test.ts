import { describe, it } from "@effect/vitest"
import { assertFalse, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import {
  Cause,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberId,
  HashMap,
  Logger,
  LogLevel,
  Random,
  Schema,
  Scope,
  Stream,
  TestClock
} from "effect"
import { CircuitBreaker, ProviderError } from "effect-resilience"
import { expectTypeOf } from "vitest"
import {
  badCounts,
  badDurations,
  circuitOpen,
  clientError,
  failureOf,
  foreign,
  infiniteDurations,
  overloaded,
  rateLimited,
  refuses,
  timeout,
  zeroDurations
} from "./utils.js"

/** Opens at the second failure in a row, for exactly 5 seconds. */
const quick: CircuitBreaker.Options = {
  name: "c",
  trip: CircuitBreaker.consecutiveFailures(2),
  openFor: "5 seconds"
}

const call = (breaker: CircuitBreaker.CircuitBreaker, outcome: Effect.Effect<unknown, unknown>) =>
  Effect.exit(CircuitBreaker.protect(outcome, breaker))

const fails = (breaker: CircuitBreaker.CircuitBreaker, times = 1, error: unknown = overloaded()) =>
  Effect.repeatN(call(breaker, Effect.fail(error)), times - 1)

const succeeds = (breaker: CircuitBreaker.CircuitBreaker, times = 1) =>
  Effect.repeatN(call(breaker, Effect.void), times - 1)

/** So many calls that began and have not ended. */
const underWay = (breaker: CircuitBreaker.CircuitBreaker, calls: number) =>
  Effect.replicateEffect(breaker.acquire, calls)

const end = (permits: ReadonlyArray<CircuitBreaker.Permit>, outcome: CircuitBreaker.Outcome) =>
  Effect.forEach(permits, (permit) => permit.done(outcome), { discard: true })

const tagOf = (breaker: CircuitBreaker.CircuitBreaker) => Effect.map(breaker.state, ({ _tag }) => _tag)

const rejection = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.map(
    Effect.exit(CircuitBreaker.protect(Effect.dieMessage("must not run"), breaker)),
    (exit) => failureOf(exit)
  )

/** How long it stays open yet, in milliseconds. */
const openFor = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.map(breaker.state, (state) => state._tag === "Open" ? Duration.toMillis(state.retryAfter) : state._tag)

const opened = (options: CircuitBreaker.Options = quick) =>
  Effect.tap(CircuitBreaker.make(options), (breaker) => fails(breaker, 2))

/** The transitions from here on, as they come. */
const listen = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.gen(function*() {
    const heard: Array<string> = []
    yield* Effect.forkScoped(
      Stream.runForEach(breaker.transitions, ({ from, to }) => Effect.sync(() => heard.push(`${from} > ${to}`)))
    )
    yield* TestClock.adjust(0)
    return heard
  })

describe("outcomeOf", () => {
  const rows: ReadonlyArray<readonly [name: string, exit: Exit.Exit<unknown, unknown>, outcome: string]> = [
    ["a success", Exit.succeed(1), "Success"],
    ["ServerError", Exit.fail(overloaded()), "Failure"],
    ["Timeout Attempt", Exit.fail(timeout("Attempt")), "Failure"],
    ["Timeout FirstToken", Exit.fail(timeout("FirstToken")), "Failure"],
    ["Timeout Idle", Exit.fail(timeout("Idle")), "Failure"],
    ["Timeout Deadline", Exit.fail(timeout("Deadline")), "Neutral"],
    ["RateLimited", Exit.fail(rateLimited("5 seconds")), "Neutral"],
    ["CircuitOpen", Exit.fail(circuitOpen()), "Neutral"],
    ...ProviderError.ClientErrorReason.literals.map((reason) =>
      [
        `ClientError ${reason}`,
        Exit.fail(clientError(reason)),
        reason === "Authentication" || reason === "QuotaExhausted" ? "Failure" : "Neutral"
      ] as const
    ),
    ...foreign.map(([name, error]) => [`another's error: ${name}`, Exit.fail(error), "Neutral"] as const),
    ["a defect", Exit.die(overloaded()), "Neutral"],
    ["an interruption", Exit.interrupt(FiberId.none), "Neutral"],
    [
      "a failure beside an interruption",
      Exit.failCause(Cause.parallel(Cause.interrupt(FiberId.none), Cause.fail(overloaded()))),
      "Failure"
    ]
  ]
  for (const [name, exit, outcome] of rows) {
    it(`${name} is ${outcome}`, () => strictEqual(CircuitBreaker.outcomeOf(exit)._tag, outcome))
  }
})

describe("a closed circuit", () => {
  it.effect("opens when 80 % of at least 20 calls within 10 seconds failed, by default", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* succeeds(breaker, 100)
      yield* TestClock.adjust("10 seconds")
      yield* succeeds(breaker, 4)
      yield* TestClock.adjust("9 seconds")
      yield* fails(breaker, 15)
      strictEqual(yield* tagOf(breaker), "Closed")
      yield* fails(breaker)
      strictEqual(yield* tagOf(breaker), "Open")
    }))

  it.effect("stays closed below the rate, and below the minimum of calls", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* fails(breaker, 19)
      strictEqual(yield* tagOf(breaker), "Closed")
      const other = yield* CircuitBreaker.make()
      yield* succeeds(other, 10)
      yield* fails(other, 39)
      strictEqual(yield* tagOf(other), "Closed")
      yield* fails(other)
      strictEqual(yield* tagOf(other), "Open")
    }))

  it.effect("opens at a success, too, that makes the minimum of calls full, and names the last failure", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      yield* fails(breaker, 19, overloaded("4 minutes"))
      yield* succeeds(breaker)
      const state = yield* breaker.state
      assertTrue(state._tag === "Open" && Duration.lessThanOrEqualTo(state.retryAfter, "5 seconds"))
      deepStrictEqual(state._tag === "Open" && state.openedBy, {
        tag: "ServerError",
        reason: "Overloaded",
        status: 529
      })
    }))

  it.effect("counts neutral outcomes in neither the volume nor the rate, nor as the end of a row", () =>
    Effect.gen(function*() {
      const neutrals = [
        Effect.fail(rateLimited("5 seconds")),
        Effect.fail(clientError("InvalidRequest")),
        Effect.fail(timeout("Deadline")),
        Effect.fail("a foreign error"),
        Effect.die("a defect"),
        Effect.interrupt
      ]
      const byRate = yield* CircuitBreaker.make({
        trip: CircuitBreaker.failureRate({ threshold: 1, minimumCalls: 2 })
      })
      const inARow = yield* CircuitBreaker.make(quick)
      for (const breaker of [byRate, inARow]) {
        yield* Effect.forEach(neutrals, (neutral) => call(breaker, neutral))
        yield* fails(breaker)
        yield* Effect.forEach(neutrals, (neutral) => call(breaker, neutral))
        strictEqual(yield* tagOf(breaker), "Closed")
        yield* fails(breaker)
        strictEqual(yield* tagOf(breaker), "Open")
      }
    }))

  it.effect("forgets what happened before an idle gap as long as the window", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ trip: CircuitBreaker.failureRate({ minimumCalls: 3 }) })
      yield* fails(breaker, 2)
      yield* TestClock.adjust("10 seconds")
      yield* fails(breaker, 2)
      strictEqual(yield* tagOf(breaker), "Closed")
      yield* fails(breaker)
      strictEqual(yield* tagOf(breaker), "Open")
    }))

  it.effect("looks at the last so many calls, however old, with a window of calls", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        trip: CircuitBreaker.failureRate({ threshold: 0.75, window: { calls: 4 } })
      })
      yield* fails(breaker, 2)
      yield* succeeds(breaker)
      yield* TestClock.adjust("1 day")
      yield* fails(breaker)
      strictEqual(yield* tagOf(breaker), "Open")
    }))

  it.scoped("does not take calls under way for failed ones because those that failed were quicker", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const calls = yield* underWay(breaker, 100)
      yield* end(calls.filter((_, i) => i % 5 === 4), CircuitBreaker.failure(overloaded()))
      strictEqual(yield* tagOf(breaker), "Closed")
      yield* end(calls, CircuitBreaker.success)
      strictEqual(yield* tagOf(breaker), "Closed")
    }))

  it.scoped("opens while calls are under way if even their success could not keep the rate low", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const calls = yield* underWay(breaker, 100)
      yield* end(calls.slice(21), CircuitBreaker.failure(overloaded()))
      strictEqual(yield* tagOf(breaker), "Closed")
      yield* end(calls.slice(20, 21), CircuitBreaker.failure(overloaded()))
      strictEqual(yield* tagOf(breaker), "Open")
    }))

  it.scoped("does not wait for calls that began after the newest that failed, as all do where a provider hangs", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const calls = yield* underWay(breaker, 100)
      yield* end(calls.slice(0, 19), CircuitBreaker.failure(timeout("Attempt")))
      strictEqual(yield* tagOf(breaker), "Closed")
      yield* end(calls.slice(19, 20), CircuitBreaker.failure(timeout("Attempt")))
      strictEqual(yield* tagOf(breaker), "Open")
    }))

  it.scoped("waits for no call that ended without saying anything", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make()
      const calls = yield* underWay(breaker, 100)
      yield* end(calls.slice(80), CircuitBreaker.failure(overloaded()))
      strictEqual(yield* tagOf(breaker), "Closed")
      yield* end(calls.slice(0, 75), CircuitBreaker.neutral)
      strictEqual(yield* tagOf(breaker), "Closed")
      yield* fails(breaker)
      strictEqual(yield* tagOf(breaker), "Open")
    }))

  const full: ReadonlyArray<readonly [name: string, window: CircuitBreaker.FailureRateOptions["window"]]> = [
    ["so much time", "10 seconds"],
    ["so many calls", { calls: 30 }]
  ]
  for (const [name, window] of full) {
    it.scoped(`waits for no call that hangs once the window of ${name} has filled`, () =>
      Effect.gen(function*() {
        const breaker = yield* CircuitBreaker.make({ trip: CircuitBreaker.failureRate({ window }) })
        yield* underWay(breaker, 100)
        yield* fails(breaker, 15)
        yield* TestClock.adjust("9 seconds")
        yield* fails(breaker, 14)
        strictEqual(yield* tagOf(breaker), "Closed")
        yield* TestClock.adjust("1 second")
        yield* fails(breaker, 20)
        strictEqual(yield* tagOf(breaker), "Open")
      }))
  }

  for (const reason of ["Authentication", "QuotaExhausted"] as const) {
    it.effect(`opens at once for ${reason}`, () =>
      Effect.gen(function*() {
        const breaker = yield* CircuitBreaker.make()
        yield* succeeds(breaker, 100)
        yield* fails(breaker, 1, clientError(reason))
        strictEqual(yield* tagOf(breaker), "Open")
      }))
  }

  it.scoped("counts whatever error its user calls a failure", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ trip: CircuitBreaker.consecutiveFailures(1) })
      const permit = yield* breaker.acquire
      yield* permit.done(CircuitBreaker.failure(timeout("Deadline")))
      strictEqual((yield* rejection(breaker)).openedBy?.tag, "Timeout")
    }))
})

describe("an open circuit", () => {
  it.effect("turns calls away without running them, and says when to come back and what opened it", () =>
    Effect.gen(function*() {
      const breaker = yield* opened({ ...quick, name: "openai gpt-4o" })
      yield* TestClock.adjust("1 second")
      const error = yield* rejection(breaker)
      assertTrue(error instanceof ProviderError.CircuitOpen && error instanceof Error)
      strictEqual(
        error.message,
        "circuit \"openai gpt-4o\" is open (opened by ServerError Overloaded 529), retry after 4s"
      )
      strictEqual(error.circuit, "openai gpt-4o")
      deepStrictEqual(error.retryAfter, Duration.seconds(4))
      deepStrictEqual(error.openedBy, { tag: "ServerError", reason: "Overloaded", status: 529 })
      deepStrictEqual(yield* breaker.state, {
        _tag: "Open",
        retryAfter: Duration.seconds(4),
        openedBy: { tag: "ServerError", reason: "Overloaded", status: 529 }
      })
      const encoded = yield* Schema.encode(ProviderError.CallError)(error)
      deepStrictEqual(yield* Schema.decode(ProviderError.CallError)(encoded), error)
    }))

  it.effect("gives the time that is left at each rejection, and names the provider it was asked for", () =>
    Effect.gen(function*() {
      const breaker = yield* opened()
      const rejected = (model: string) => Effect.flip(breaker.admit({ provider: "p", model }))
      strictEqual((yield* rejected("a")).model, "a")
      strictEqual((yield* rejected("b")).model, "b")
      deepStrictEqual((yield* rejected("b")).retryAfter, Duration.seconds(5))
      yield* TestClock.adjust("1999 millis")
      deepStrictEqual((yield* rejected("b")).retryAfter, Duration.millis(3001))
    }))

  it.effect("says of each opening what opened it, and not what opened the one before", () =>
    Effect.gen(function*() {
      const breaker = yield* opened()
      strictEqual((yield* rejection(breaker)).openedBy?.tag, "ServerError")
      yield* breaker.reset
      yield* fails(breaker, 2, timeout("Attempt"))
      strictEqual((yield* rejection(breaker)).openedBy?.tag, "Timeout")
    }))

  it.effect("holds nothing of the provider's answer in what it says", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...quick, trip: CircuitBreaker.consecutiveFailures(1) })
      const error = ProviderError.fromResponse({
        status: 500,
        headers: {},
        body: JSON.stringify({ error: { message: "sk-canary" } }),
        now: 0
      })
      yield* fails(breaker, 1, error)
      const open = yield* rejection(breaker)
      assertFalse(`${open} ${JSON.stringify(open)} ${open.stack}`.includes("canary"))
    }))

  it.effect("reads as half-open when its time is over, though no probe came and nothing was announced", () =>
    Effect.scoped(Effect.gen(function*() {
      const breaker = yield* opened()
      const heard = yield* listen(breaker)
      yield* TestClock.adjust("4999 millis")
      strictEqual(yield* tagOf(breaker), "Open")
      yield* TestClock.adjust("1 millis")
      strictEqual(yield* tagOf(breaker), "HalfOpen")
      yield* TestClock.adjust("1 hour")
      strictEqual(yield* tagOf(breaker), "HalfOpen")
      deepStrictEqual(heard, [])
      yield* succeeds(breaker)
      yield* TestClock.adjust(0)
      deepStrictEqual(heard, ["Open > HalfOpen", "HalfOpen > Closed"])
    })))

  it.effect("is not prolonged by the calls it turns away, nor do they dilute the rate afterwards", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        trip: CircuitBreaker.failureRate({ threshold: 1, minimumCalls: 2 }),
        openFor: "5 seconds"
      })
      yield* fails(breaker, 2)
      yield* succeeds(breaker, 100)
      yield* TestClock.adjust("5 seconds")
      yield* succeeds(breaker)
      yield* fails(breaker, 2)
      strictEqual(yield* tagOf(breaker), "Open")
    }))

  it.effect("is no different for a clock that jumps back", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000)
      const breaker = yield* opened()
      yield* TestClock.setTime(400_000)
      strictEqual(yield* openFor(breaker), 5000)
      deepStrictEqual((yield* rejection(breaker)).retryAfter, Duration.seconds(5))
      yield* TestClock.adjust("4999 millis")
      strictEqual(yield* openFor(breaker), 1)
      yield* TestClock.adjust("1 millis")
      strictEqual(yield* tagOf(breaker), "HalfOpen")
    }))
})

describe("an opening lasts", () => {
  /** How long each of a row of openings lasts when every probe fails. */
  const row = (options: CircuitBreaker.Options, u: number, openings: number) =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...options, trip: CircuitBreaker.consecutiveFailures(1) })
      return yield* Effect.forEach(Array.from({ length: openings }), () =>
        Effect.gen(function*() {
          yield* fails(breaker)
          const lasts = yield* openFor(breaker)
          yield* TestClock.adjust(typeof lasts === "number" ? lasts : 0)
          return lasts
        }))
    }).pipe(Effect.withRandom(Random.fixed([u])))

  it.effect("5, 10, 10 seconds and no longer by default, and not less than half of that", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* row({}, 1 - 1e-9, 3), [5000, 10_000, 10_000])
      deepStrictEqual(yield* row({}, 0, 3), [2500, 5000, 5000])
    }))

  it.effect("as long as was said, when a duration was said", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* row({ openFor: "7 seconds" }, 0, 3), [7000, 7000, 7000])
    }))

  it.effect("at random, so that clients that lost a provider together do not probe it together", () =>
    Effect.gen(function*() {
      const lasts = yield* Effect.replicateEffect(Effect.flatMap(opened({ ...quick, openFor: {} }), openFor), 20).pipe(
        Effect.withRandom(Random.make("seed"))
      )
      assertTrue(new Set(lasts).size > 15)
    }))

  it.effect("as at first again, once it was closed", () =>
    Effect.gen(function*() {
      const breaker = yield* opened({ ...quick, openFor: { base: "1 second", factor: 3 } })
      yield* TestClock.adjust("1 second")
      yield* fails(breaker)
      strictEqual(yield* openFor(breaker), 3000)
      yield* TestClock.adjust("3 seconds")
      yield* succeeds(breaker)
      yield* fails(breaker, 2)
      strictEqual(yield* openFor(breaker), 1000)
    }).pipe(Effect.withRandom(Random.fixed([1 - 1e-9]))))

  it.effect("longer if the error that opened it asked for it, to 5 minutes at most, and never shorter", () =>
    Effect.gen(function*() {
      const asked = (retryAfter: Duration.DurationInput, maxOpenFor?: Duration.DurationInput) =>
        Effect.gen(function*() {
          const breaker = yield* CircuitBreaker.make({ ...quick, maxOpenFor })
          yield* fails(breaker, 2, overloaded(retryAfter))
          return yield* openFor(breaker)
        })
      strictEqual(yield* asked("1 second"), 5000)
      strictEqual(yield* asked("40 seconds"), 40_000)
      strictEqual(yield* asked("1 hour"), 300_000)
      strictEqual(yield* asked(Duration.infinity), 300_000)
      strictEqual(yield* asked("1 hour", "6 seconds"), 6000)
      strictEqual(yield* asked("1 hour", "1 second"), 5000)
    }))
})

describe("a half-open circuit", () => {
  const halfOpen = (options: CircuitBreaker.Options["halfOpen"] = {}) =>
    Effect.zipLeft(opened({ ...quick, halfOpen: options }), TestClock.adjust("5 seconds"))

  it.effect("closes at the first success, with an empty window", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen()
      yield* succeeds(breaker)
      strictEqual(yield* tagOf(breaker), "Closed")
      yield* fails(breaker)
      strictEqual(yield* tagOf(breaker), "Closed")
    }))

  it.effect("opens again at the first failure", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpen({ successes: 3 })
      yield* succeeds(breaker, 2)
      yield* fails(breaker)
      strictEqual(yield* openFor(breaker), 5000)
    }))

  it.effect("admits as many probes as it has permits of all who race at the end, in one transition", () =>
    Effect.scoped(Effect.gen(function*() {
      const breaker = yield* opened({ ...quick, halfOpen: { permits: 3 } })
      const heard = yield* listen(breaker)
      yield* TestClock.adjust("5 seconds")
      const gate = yield* Deferred.make<void>()
      let ran = 0
      const racers = yield* Effect.forkAll(
        Array.from(
          { length: 100 },
          () => call(breaker, Effect.zipRight(Effect.sync(() => ran++), Deferred.await(gate)))
        )
      )
      yield* TestClock.adjust(0)
      strictEqual(ran, 3)
      deepStrictEqual(heard, ["Open > HalfOpen"])
      yield* Deferred.succeed(gate, undefined)
      const exits = yield* Fiber.join(racers)
      strictEqual(exits.filter(Exit.isSuccess).length, 3)
      yield* TestClock.adjust(0)
      deepStrictEqual(heard, ["Open > HalfOpen", "HalfOpen > Closed"])
    })))

  it.effect("says to the others that nobody knows how long yet", () =>
    Effect.scoped(Effect.gen(function*() {
      const breaker = yield* halfOpen()
      yield* breaker.acquire
      const error = yield* rejection(breaker)
      strictEqual(error.retryAfter, undefined)
      strictEqual(
        error.message,
        "circuit \"c\" is half-open (opened by ServerError Overloaded 529), and a probe is still out"
      )
    })))

  it.effect("believes no outcome of a call that began before it opened", () =>
    Effect.scoped(Effect.gen(function*() {
      for (
        const late of [
          CircuitBreaker.success,
          CircuitBreaker.neutral,
          CircuitBreaker.failure(overloaded()),
          CircuitBreaker.failure(clientError("Authentication"))
        ]
      ) {
        const breaker = yield* CircuitBreaker.make(quick)
        const early = yield* breaker.acquire
        yield* fails(breaker, 2)
        yield* TestClock.adjust("5 seconds")
        const probe = yield* breaker.acquire
        yield* early.done(late)
        strictEqual(yield* tagOf(breaker), "HalfOpen")
        strictEqual((yield* rejection(breaker))._tag, "CircuitOpen")
        yield* probe.done(CircuitBreaker.success)
        strictEqual(yield* tagOf(breaker), "Closed")
      }
    })))

  it.effect("believes no outcome of a probe of an earlier half-open period", () =>
    Effect.scoped(Effect.gen(function*() {
      const breaker = yield* halfOpen({ permits: 2 })
      const early = yield* breaker.acquire
      yield* fails(breaker)
      yield* TestClock.adjust("5 seconds")
      yield* breaker.acquire
      yield* early.done(CircuitBreaker.success)
      strictEqual(yield* tagOf(breaker), "HalfOpen")
    })))

  it.effect("takes a late failure from a closed period for nothing after it closed again", () =>
    Effect.scoped(Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(quick)
      const early = yield* Effect.replicateEffect(breaker.acquire, 10)
      yield* fails(breaker, 2)
      yield* TestClock.adjust("5 seconds")
      yield* succeeds(breaker)
      yield* Effect.forEach(early, (permit) => permit.done(CircuitBreaker.failure(overloaded())))
      strictEqual(yield* tagOf(breaker), "Closed")
    })))

  for (
    const [how, probe] of [
      ["is interrupted", Effect.interrupt],
      ["ends neutral", Effect.fail(rateLimited())],
      ["dies", Effect.die("defect")]
    ] as const
  ) {
    it.effect(`gives the permit of a probe that ${how} to the next call`, () =>
      Effect.gen(function*() {
        const breaker = yield* halfOpen()
        yield* Effect.repeatN(call(breaker, probe), 9)
        strictEqual(yield* tagOf(breaker), "HalfOpen")
        yield* succeeds(breaker)
        strictEqual(yield* tagOf(breaker), "Closed")
      }))
  }

  it.effect("admits the next probe when one hangs for longer than the probe timeout, and no earlier", () =>
    Effect.scoped(Effect.gen(function*() {
      const breaker = yield* halfOpen()
      yield* breaker.acquire
      yield* TestClock.adjust("59999 millis")
      strictEqual((yield* rejection(breaker))._tag, "CircuitOpen")
      yield* TestClock.adjust("1 millis")
      yield* breaker.acquire
      strictEqual((yield* rejection(breaker))._tag, "CircuitOpen")
    })))

  it.effect("still believes a probe that took longer than the probe timeout", () =>
    Effect.scoped(Effect.gen(function*() {
      for (
        const [late, state] of [[CircuitBreaker.success, "Closed"], [
          CircuitBreaker.failure(overloaded()),
          "Open"
        ]] as const
      ) {
        const breaker = yield* halfOpen({ probeTimeout: "1 second" })
        const slow = yield* breaker.acquire
        yield* TestClock.adjust("1 second")
        const next = yield* breaker.acquire
        yield* slow.done(late)
        strictEqual(yield* tagOf(breaker), state)
        yield* next.done(CircuitBreaker.success)
        strictEqual(yield* tagOf(breaker), state)
      }
    })))

  it.effect("keeps the other probe's permit taken when one that had timed out comes back neutral", () =>
    Effect.scoped(Effect.gen(function*() {
      const breaker = yield* halfOpen({ probeTimeout: "1 second" })
      const slow = yield* breaker.acquire
      yield* TestClock.adjust("1 second")
      yield* breaker.acquire
      yield* slow.done(CircuitBreaker.neutral)
      strictEqual((yield* rejection(breaker))._tag, "CircuitOpen")
    })))
})

describe("a permit", () => {
  it.effect("counts only the first time it is done", () =>
    Effect.scoped(Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(quick)
      const permit = yield* breaker.acquire
      yield* Effect.repeatN(permit.done(CircuitBreaker.failure(overloaded())), 9)
      strictEqual(yield* tagOf(breaker), "Closed")
    })))

  it.effect("counts as it was done, not as neutral, when its scope closes afterwards", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...quick, trip: CircuitBreaker.consecutiveFailures(1) })
      yield* Effect.scoped(
        Effect.flatMap(breaker.acquire, (permit) => permit.done(CircuitBreaker.failure(overloaded())))
      )
      strictEqual(yield* tagOf(breaker), "Open")
    }))

  it.effect("can be done long after, by another fiber, while its scope is open", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({ ...quick, trip: CircuitBreaker.consecutiveFailures(1) })
      const scope = yield* Scope.make()
      const permit = yield* Scope.extend(breaker.acquire, scope)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(yield* Effect.fork(permit.done(CircuitBreaker.failure(overloaded()))))
      strictEqual(yield* tagOf(breaker), "Open")
    }))
})

describe("isolate", () => {
  it.effect("turns every call away until the last scope closes, and then it is closed", () =>
    Effect.gen(function*() {
      const breaker = yield* opened()
      const [one, other] = [yield* Scope.make(), yield* Scope.make()]
      yield* Scope.extend(breaker.isolate, one)
      yield* Scope.extend(breaker.isolate, other)
      yield* TestClock.adjust("1 hour")
      const error = yield* rejection(breaker)
      strictEqual(error.message, "circuit \"c\" is isolated")
      strictEqual(error.retryAfter, undefined)
      yield* Scope.close(one, Exit.void)
      deepStrictEqual(yield* breaker.state, { _tag: "Isolated" })
      yield* Scope.close(other, Exit.void)
      deepStrictEqual(yield* breaker.state, { _tag: "Closed" })
      yield* fails(breaker)
      strictEqual(yield* tagOf(breaker), "Closed")
    }))

  it.effect("is over at a reset, whose circuit an earlier isolation does not close again", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(quick)
      const scope = yield* Scope.make()
      yield* Scope.extend(breaker.isolate, scope)
      yield* breaker.reset
      strictEqual(yield* tagOf(breaker), "Closed")
      yield* fails(breaker, 2)
      yield* Scope.close(scope, Exit.void)
      strictEqual(yield* tagOf(breaker), "Open")
    }))
})

it.effect("reset closes an open circuit, and forgets the outcomes of a closed one", () =>
  Effect.gen(function*() {
    const breaker = yield* opened()
    yield* breaker.reset
    strictEqual(yield* tagOf(breaker), "Closed")
    yield* fails(breaker)
    yield* breaker.reset
    yield* fails(breaker)
    strictEqual(yield* tagOf(breaker), "Closed")
  }))

describe("transitions", () => {
  it.effect("are seen by everyone who listens, each from then on, with what opened the circuit", () =>
    Effect.scoped(Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(quick)
      const first = yield* listen(breaker)
      yield* fails(breaker, 2)
      const second = yield* listen(breaker)
      const next = yield* Effect.fork(Stream.runHead(breaker.transitions))
      yield* TestClock.adjust("5 seconds")
      yield* fails(breaker)
      yield* TestClock.adjust("5 seconds")
      yield* succeeds(breaker)
      yield* Effect.scoped(breaker.isolate)
      yield* TestClock.adjust(0)
      const later = [
        "Open > HalfOpen",
        "HalfOpen > Open",
        "Open > HalfOpen",
        "HalfOpen > Closed",
        "Closed > Isolated",
        "Isolated > Closed"
      ]
      deepStrictEqual(first, ["Closed > Open", ...later])
      deepStrictEqual(second, later)
      strictEqual((yield* Fiber.join(next))._tag, "Some")
    })))

  it.effect("name the circuit and, when it opens, the cause", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(quick)
      const fiber = yield* Effect.fork(Stream.runHead(breaker.transitions))
      yield* TestClock.adjust(0)
      yield* fails(breaker, 2)
      deepStrictEqual(yield* Effect.flatten(Fiber.join(fiber)), {
        circuit: "c",
        from: "Closed",
        to: "Open",
        openedBy: { tag: "ServerError", reason: "Overloaded", status: 529 }
      })
    }))

  it.effect("let a listener read the state and make calls itself", () =>
    Effect.scoped(Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(quick)
      const states: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(breaker.transitions, () =>
        Effect.gen(function*() {
          states.push(yield* tagOf(breaker))
          yield* succeeds(breaker)
          yield* breaker.reset
        })))
      yield* TestClock.adjust(0)
      yield* fails(breaker, 2)
      yield* TestClock.adjust(0)
      deepStrictEqual(states, ["Open", "Closed"])
    })))
})

describe("the log", () => {
  it.effect("has one error for each opening at once, with its cause and no more", () =>
    Effect.gen(function*() {
      const lines: Array<readonly [level: string, message: unknown, annotations: Record<string, unknown>]> = []
      const logger = Logger.make(({ annotations, logLevel, message }) => {
        lines.push([logLevel.label, message, Object.fromEntries(HashMap.toEntries(annotations))])
      })
      const breaker = yield* CircuitBreaker.make({ ...quick, halfOpen: { permits: 2 } })
      const locked = ProviderError.fromResponse({
        status: 401,
        headers: {},
        body: JSON.stringify({ error: { message: "Incorrect API key provided: sk-canary" } }),
        now: 0
      })
      const run = Effect.scoped(Effect.gen(function*() {
        yield* fails(breaker, 2)
        yield* TestClock.adjust("5 seconds")
        yield* breaker.acquire
        yield* fails(breaker, 5, locked)
        yield* TestClock.adjust("5 seconds")
        yield* Effect.all(Array.from({ length: 5 }, () => fails(breaker, 1, locked)), { concurrency: "unbounded" })
      }))
      yield* run.pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Logger.withMinimumLogLevel(LogLevel.All)
      )
      const line: typeof lines[number] = [
        "ERROR",
        ["circuit \"c\" opened at once by ClientError Authentication 401"],
        { circuit: "c", tag: "ClientError", reason: "Authentication", status: 401 }
      ]
      deepStrictEqual(lines, [line, line])
    }))
})

describe("protect", () => {
  it.effect("passes the effect's own success and errors through untouched", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(quick)
      const error = overloaded()
      strictEqual(yield* CircuitBreaker.protect(Effect.succeed(1), breaker), 1)
      strictEqual(yield* Effect.fail(error).pipe(CircuitBreaker.protect(breaker), Effect.flip), error)
      deepStrictEqual(yield* call(breaker, Effect.die("d")), Exit.die("d"))
    }))

  it("adds CircuitOpen to the errors, and nothing else", () => {
    const breaker = CircuitBreaker.unsafeMake()
    const effect: Effect.Effect<number, "e", Scope.Scope> = Effect.succeed(1)
    expectTypeOf(CircuitBreaker.protect(effect, breaker)).toEqualTypeOf<
      Effect.Effect<number, "e" | ProviderError.CircuitOpen, Scope.Scope>
    >()
    expectTypeOf(effect.pipe(CircuitBreaker.protect(breaker))).toEqualTypeOf<
      Effect.Effect<number, "e" | ProviderError.CircuitOpen, Scope.Scope>
    >()
  })

  it.effect("can be interrupted while the call runs", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(quick)
      const fiber = yield* Effect.fork(CircuitBreaker.protect(Effect.never, breaker))
      yield* Effect.yieldNow()
      assertTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
    }))
})

it("isCircuitBreaker knows a circuit breaker", () => {
  assertTrue(CircuitBreaker.isCircuitBreaker(CircuitBreaker.unsafeMake()))
  assertFalse(CircuitBreaker.isCircuitBreaker({ name: "circuit" }))
})

describe("an option that cannot be meant is refused by name:", () => {
  const makers = [CircuitBreaker.make, CircuitBreaker.unsafeMake] as const
  const durations: ReadonlyArray<readonly [string, (input: Duration.DurationInput) => CircuitBreaker.Options]> = [
    ["openFor", (openFor) => ({ openFor })],
    ["openFor.base", (base) => ({ openFor: { base } })],
    ["openFor.cap", (cap) => ({ openFor: { cap } })],
    ["maxOpenFor", (maxOpenFor) => ({ maxOpenFor })]
  ]
  for (const [name, options] of durations) {
    it(name, () => {
      for (const [shown, input] of [...badDurations, ...zeroDurations, ...infiniteDurations]) {
        // An empty object stands for the defaults of a growing opening.
        if (name !== "openFor" || shown !== "{}") {
          makers.forEach((make) => refuses(name, () => make(options(input))))
        }
      }
    })
  }

  it("halfOpen", () => {
    for (const n of badCounts) {
      makers.forEach((make) => {
        refuses("halfOpen.permits", () => make({ halfOpen: { permits: n } }))
        refuses("halfOpen.successes", () => make({ halfOpen: { successes: n } }))
      })
    }
    for (const [, probeTimeout] of [...badDurations, ...zeroDurations]) {
      refuses("halfOpen.probeTimeout", () => CircuitBreaker.make({ halfOpen: { probeTimeout } }))
    }
  })

  it("trip", () => {
    for (const n of badCounts) {
      refuses("consecutiveFailures", () => CircuitBreaker.consecutiveFailures(n))
      refuses("minimumCalls", () => CircuitBreaker.failureRate({ minimumCalls: n }))
      refuses("window.calls", () => CircuitBreaker.failureRate({ window: { calls: n } }))
    }
    for (const threshold of [NaN, -0.1, 0, 1.1, Infinity]) {
      refuses("threshold", () => CircuitBreaker.failureRate({ threshold }))
    }
    for (const [, window] of [...badDurations, ...zeroDurations, ...infiniteDurations]) {
      refuses("window", () => CircuitBreaker.failureRate({ window }))
    }
    for (const factor of [NaN, 0.9, -1, Infinity]) {
      refuses("openFor.factor", () => CircuitBreaker.make({ openFor: { factor } }))
    }
  })

  it("a minimum of calls that the window can never hold", () =>
    refuses("minimumCalls", () => CircuitBreaker.failureRate({ minimumCalls: 11, window: { calls: 10 } }), "11"))
})
