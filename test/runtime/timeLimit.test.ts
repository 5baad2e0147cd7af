import { describe, it } from "@effect/vitest"
import { assertFalse, assertSome, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import type { Clock } from "effect"
import {
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberRef,
  HashMap,
  Option,
  Supervisor,
  TestClock
} from "effect"
import { Deadline, Resilience } from "effect-resilience"
import { vi } from "vitest"
import { asCaller } from "../../src/runtime/caller.js"
import { timeLimit } from "../../src/runtime/timeLimit.js"
import { simulate } from "../utils.js"

class Inside extends Context.Tag("test/Inside")<Inside, string>() {}

class TimeIsUp {}

/** Runs the effect, with `Inside` in its context, for at most so many milliseconds. */
const limited = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  limit: number,
  onEnd: () => void = () => {}
): Effect.Effect<A | "timed out", E, R> =>
  asCaller<A | "timed out", E, R>((caller) =>
    timeLimit(self, {
      caller,
      context: Context.add(caller.context, Inside, "inside"),
      limit,
      onTimeout: () => new TimeIsUp(),
      onEnd,
      then: (exit) =>
        Effect.catchAll(
          exit,
          (error) => error instanceof TimeIsUp ? Effect.succeed("timed out" as const) : Effect.fail(error)
        )
    })
  )

/** An effect may end at once, or only after others had their turn: the two ways through a time limit. */
const paths: ReadonlyArray<readonly [name: string, before: Effect.Effect<void>]> = [
  ["at once", Effect.void],
  ["later", Effect.yieldNow()]
]

describe("an effect within the limit", () => {
  for (const [name, before] of paths) {
    for (
      const [outcome, exit] of [
        ["success", Exit.succeed("answer")],
        ["failure", Exit.fail("error")],
        ["defect", Exit.die("bug")]
      ] as const
    ) {
      it.effect(`passes its ${outcome} through ${name}`, () =>
        Effect.gen(function*() {
          deepStrictEqual(yield* Effect.exit(limited(Effect.zipRight(before, exit), 1000)), exit)
        }))
    }

    it.effect(`hands back the FiberRefs it changed ${name}, as if it had run in the caller's own fiber`, () =>
      Effect.gen(function*() {
        const ref = yield* FiberRef.make("before")
        const change = before.pipe(
          Effect.zipRight(FiberRef.set(ref, "after")),
          Effect.zipRight(
            FiberRef.update(FiberRef.currentLogAnnotations, HashMap.set<string, unknown>("request", "req_1"))
          )
        )
        yield* limited(change, 1000)
        strictEqual(yield* FiberRef.get(ref), "after")
        assertSome(HashMap.get(yield* Effect.logAnnotations, "request"), "req_1")
      }).pipe(Effect.scoped))

    it.effect(`hands them back when it fails ${name}`, () =>
      Effect.gen(function*() {
        const ref = yield* FiberRef.make(0)
        const attempt = before.pipe(
          Effect.zipRight(FiberRef.update(ref, (n) => n + 1)),
          Effect.zipRight(Effect.fail("error"))
        )
        yield* Effect.ignore(Effect.retry(limited(attempt, 1000), { times: 2 }))
        strictEqual(yield* FiberRef.get(ref), 3)
      }).pipe(Effect.scoped))

    it.effect(`sees the context it is given ${name}, which does not leak to the caller`, () =>
      Effect.gen(function*() {
        const ref = yield* FiberRef.make("before")
        const see = before.pipe(
          Effect.zipRight(FiberRef.set(ref, "after")),
          Effect.zipRight(Effect.serviceOption(Inside))
        )
        deepStrictEqual(yield* limited(see, 1000), Option.some("inside"))
        strictEqual(yield* FiberRef.get(ref), "after")
        assertTrue(Option.isNone(yield* Effect.serviceOption(Inside)))
      }).pipe(Effect.scoped))

    it.effect(`may be limited without end ${name}`, () =>
      Effect.gen(function*() {
        strictEqual(yield* limited(Effect.as(before, "answer"), Infinity), "answer")
      }))
  }

  it.effect("is as interruptible as the caller was", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const work = Effect.zipRight(Effect.yieldNow(), Effect.sync(() => events.push("worked")))
      for (const region of [Effect.interruptible, Effect.uninterruptible]) {
        const fiber = yield* Effect.fork(region(limited(work, 1000)))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(fiber)
        events.push("interrupted")
      }
      deepStrictEqual(events, ["interrupted", "worked", "interrupted"])
    }))
})

describe("at the limit", () => {
  it.effect("the caller goes on at once, the effect is interrupted", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const { at, exit } = yield* simulate(limited(
        Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => events.push("interrupted")))),
        1000
      ))
      deepStrictEqual([exit, at, events], [Exit.succeed("timed out"), 1000, ["interrupted"]])
    }))

  const stubborn = Effect.zipRight(Effect.sleep("10 minutes"), Effect.succeed("too late"))
  const regions: ReadonlyArray<readonly [string, Effect.Effect<string>]> = [
    ["whatever the effect does", limited(Effect.uninterruptible(stubborn), 1000)],
    ["in an uninterruptible caller too", Effect.uninterruptible(limited(stubborn, 1000))],
    [
      "in a finalizer too",
      Effect.acquireUseRelease(Effect.void, () => Effect.void, () => limited(stubborn, 1000))
        .pipe(Effect.as("timed out"))
    ]
  ]
  for (const [name, effect] of regions) {
    it.effect(name, () =>
      Effect.gen(function*() {
        deepStrictEqual(yield* simulate(effect), { exit: Exit.succeed("timed out"), at: 1000 })
      }))
  }

  it.effect("in the finalizer of an interrupted fiber too", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<string>()
      const fiber = yield* Effect.never.pipe(
        Effect.ensuring(Effect.flatMap(limited(stubborn, 1000), (result) => Deferred.succeed(ended, result))),
        Effect.fork
      )
      yield* Effect.yieldNow()
      yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("999 millis")
      assertFalse(yield* Deferred.isDone(ended))
      yield* TestClock.adjust("1 millis")
      strictEqual(yield* Deferred.await(ended), "timed out")
    }))
})

describe("interruption of the caller", () => {
  it.effect("returns when the finalizers inside have run", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const slowly = Effect.zipRight(Effect.sleep("3 seconds"), Effect.sync(() => events.push("closed")))
      const fiber = yield* Effect.fork(limited(Effect.ensuring(Effect.never, slowly), 60_000))
      yield* Effect.yieldNow()
      const interruption = yield* Effect.fork(
        Effect.zipRight(Fiber.interrupt(fiber), Effect.sync(() => events.push("interrupted")))
      )
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(interruption)
      deepStrictEqual(events, ["closed", "interrupted"])
    }))

  /**
   * A fiber hands over after so many operations, and interruptions are seen where it does. So every number of them,
   * with every number of turns before the interruption, interrupts at every point there is. Handing over takes Effect
   * some operations itself: below 10 of them it gets nowhere, with or without a time limit.
   */
  const OPERATIONS = Array.from({ length: 70 }, (_, n) => 10 + n)
  const TURNS = Array.from({ length: 14 }, (_, n) => n)

  it.effect("at any point ends all that began, and leaves no fiber", () =>
    Effect.gen(function*() {
      const supervisor = yield* Supervisor.track
      const resilience = yield* Resilience.make()
      let begun = 0
      let open = 0
      let interrupted = 0
      const attempt = Effect.acquireUseRelease(
        Effect.sync(() => {
          begun += 1
          open += 1
        }),
        () => Effect.zipRight(Effect.yieldNow(), Effect.yieldNow()),
        () => Effect.zipRight(Effect.yieldNow(), Effect.sync(() => open -= 1))
      )
      const calls = [
        limited(attempt, 60_000),
        attempt.pipe(resilience.protect, Deadline.within("1 minute")),
        attempt.pipe(Deadline.within("1 minute"), resilience.protect, Effect.uninterruptible)
      ]
      for (const call of calls) {
        for (const operations of OPERATIONS) {
          for (const turns of TURNS) {
            const fiber = yield* call.pipe(
              Effect.withMaxOpsBeforeYield(operations),
              Effect.supervised(supervisor),
              Effect.fork
            )
            yield* Effect.repeatN(Effect.yieldNow(), turns)
            const exit = yield* Fiber.interrupt(fiber)
            interrupted += Exit.isInterrupted(exit) ? 1 : 0
            strictEqual(open, 0, `${operations} operations, ${turns} turns`)
          }
        }
      }
      const total = begun
      yield* Effect.repeatN(Effect.yieldNow(), 1000)
      deepStrictEqual((yield* supervisor.value).length, 0)
      deepStrictEqual([begun, open], [total, 0])
      // The points must be spread: some before the attempt, some within, some after it.
      const all = calls.length * OPERATIONS.length * TURNS.length
      assertTrue(interrupted > all / 10 && interrupted < all, `${interrupted} of ${all} were interrupted`)
      assertTrue(begun > all / 10 && begun < all, `${begun} of ${all} began`)
    }), { timeout: 30_000 })
})

describe("who asks to be told of the end", () => {
  const ways: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>, at: number]> = [
    ["at once", Effect.void, 0],
    ["with a failure at once", Effect.fail("error"), 0],
    ["in time", Effect.sleep(500), 500],
    ["with a failure in time", Effect.zipRight(Effect.sleep(500), Effect.fail("error")), 500],
    ["at the limit", Effect.never, 1000],
    ["at the limit, while it goes on", Effect.uninterruptible(Effect.sleep(5000)), 1000]
  ]
  for (const [name, effect, at] of ways) {
    it.effect(`is told once: ${name}`, () =>
      Effect.gen(function*() {
        const clock = yield* Effect.clock
        const ends: Array<number> = []
        const ended = yield* simulate(limited(effect, 1000, () => ends.push(clock.unsafeCurrentTimeMillis())))
        deepStrictEqual([ends, ended.at], [[at], at])
      }))
  }

  it.effect("is told once: at the interruption of the caller, before what is inside has ended", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const fiber = yield* Effect.fork(limited(
        Effect.ensuring(Effect.never, Effect.sync(() => events.push("closed"))),
        1000,
        () => events.push("told")
      ))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 second")
      deepStrictEqual(events, ["told", "closed"])
    }))
})

describe("what stays behind", () => {
  const outcomes: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>]> = [
    ["a success", Effect.zipRight(Effect.yieldNow(), Effect.succeed("answer"))],
    ["a failure", Effect.zipRight(Effect.yieldNow(), Effect.fail("error"))],
    ["the limit", Effect.never]
  ]
  for (const [name, effect] of outcomes) {
    for (const region of ["interruptible", "uninterruptible"] as const) {
      it.effect(`no fiber after ${name} in an ${region} region`, () =>
        Effect.gen(function*() {
          const supervisor = yield* Supervisor.track
          const call = Effect.supervised(limited(effect, 1000), supervisor)
          const fiber = yield* Effect.fork(
            Effect.exit(region === "interruptible" ? call : Effect.uninterruptible(call))
          )
          yield* TestClock.adjust(name === "the limit" ? "1 second" : 0)
          yield* Fiber.join(fiber)
          // An uninterruptible effect that never ends is the only thing that may stay.
          const stays = name === "the limit" && region === "uninterruptible" ? 1 : 0
          strictEqual((yield* supervisor.value).length, stays)
        }))
    }
  }

  it.live("no timer after 1,000 calls under the live clock", () =>
    Effect.gen(function*() {
      const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length
      const resilience = yield* Resilience.make()
      const answer = Effect.promise(() => Promise.resolve("answer"))
      const call = answer.pipe(resilience.protect, Deadline.within("1 minute"))
      const before = timers()
      for (let n = 0; n < 1000; n++) {
        yield* call
      }
      // The test runner has some of its own that come and go.
      assertTrue(timers() - before < 10, `${timers()} timers, ${before} before`)
    }))

  it("no timer is even set for an effect that ends at once", () => {
    const set = vi.spyOn(globalThis, "setTimeout")
    try {
      const resilience = Resilience.unsafeMake()
      strictEqual(
        Effect.runSync(Effect.succeed("answer").pipe(resilience.protect, Deadline.within("1 minute"))),
        "answer"
      )
      Effect.runSync(Effect.exit(Effect.fail("error").pipe(resilience.protect, Deadline.within("1 minute"))))
      strictEqual(set.mock.calls.length, 0)
    } finally {
      set.mockRestore()
    }
  })
})

describe("limits beyond what a timer takes", () => {
  for (const limit of [2 ** 31 - 1, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE]) {
    it.live(`${limit} ms do not fire at once`, () =>
      Effect.gen(function*() {
        strictEqual(yield* limited(Effect.as(Effect.sleep("10 millis"), "answer"), limit), "answer")
      }))
  }
})

it.effect("a limit beyond what a timer takes is that limit", () =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(limited(Effect.never, Duration.toMillis("60 days")))
    yield* TestClock.adjust("59 days")
    strictEqual(fiber.unsafePoll(), null)
    yield* TestClock.adjust("1 day")
    strictEqual(yield* Fiber.join(fiber), "timed out")
  }))

describe("clocks", () => {
  it.live("under the live clock the limit is real time", () =>
    Effect.gen(function*() {
      const begun = performance.now()
      strictEqual(yield* limited(Effect.never, 20), "timed out")
      // Timers of Node count in whole milliseconds, and may be one early.
      assertTrue(performance.now() - begun >= 19)
    }))

  it.effect("a clock of the user's decides, and its sleeps are cancelled", () =>
    Effect.gen(function*() {
      const clock = yield* Effect.clock
      const sleeps: Array<string> = []
      const mine: Clock.Clock = Object.create(clock, {
        sleep: {
          value: (duration: Parameters<Clock.Clock["sleep"]>[0]) =>
            Effect.suspend(() => {
              sleeps.push("begun")
              return clock.sleep(duration)
            }).pipe(
              Effect.onExit((exit) => Effect.sync(() => sleeps.push(Exit.isSuccess(exit) ? "slept" : "cancelled")))
            )
        }
      })
      for (const region of [Effect.interruptible, Effect.uninterruptible]) {
        yield* Effect.withClock(region(limited(Effect.yieldNow(), 1000)), mine)
        yield* Effect.repeatN(Effect.yieldNow(), 10)
      }
      deepStrictEqual(sleeps, ["begun", "cancelled", "begun", "cancelled"])
      const { exit } = yield* simulate(Effect.withClock(limited(Effect.never, 1000), mine))
      deepStrictEqual([exit, sleeps.at(-1)], [Exit.succeed("timed out"), "slept"])
    }))
})

describe("many at once", () => {
  it.effect("each ends by its own limit", () =>
    Effect.gen(function*() {
      const limits = [15, 3, 12, 1, 9, 11, 5, 14, 2, 13, Infinity]
      const { exit } = yield* simulate(
        Effect.forEach(
          limits,
          (limit) => limited(Effect.as(Effect.sleep(10), "answer"), limit),
          { concurrency: "unbounded" }
        ),
        "1 minute"
      )
      const results = yield* exit
      deepStrictEqual(results, limits.map((limit) => limit < 10 ? "timed out" : "answer"))
    }))
})
