import { describe, it } from "@effect/vitest"
import { assertFalse, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Clock, Context, Deferred, Duration, Effect, Exit, Fiber, Ref, Schedule, TestClock } from "effect"
import { CallReport, ChatProvider, Deadline, Fallback, ProviderError, Resilience, RetryPolicy } from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { expectTypeOf } from "vitest"
import {
  alternatives,
  clientError,
  failureOf,
  nameOf,
  onlyReport,
  overloaded,
  rateLimited,
  script,
  simulate,
  timeout
} from "./utils.js"

const plain: RetryPolicy.Options = { jitter: "none" }

const openAi: ProviderError.Target = { provider: "openai", model: "gpt-4o" }

const request: ChatProvider.ChatRequest = { model: "gpt-4o", messages: [{ role: "user", content: "a private prompt" }] }

const after = <A, E>(wait: Duration.DurationInput, outcome: Effect.Effect<A, E>) =>
  Effect.zipRight(Effect.sleep(wait), outcome)

/** An attempt as one line: what, where, when, how long, after which wait. */
const shown = (attempt: CallReport.Attempt): string => {
  const [startedAfter, duration, waitedBefore] = [attempt.startedAfter, attempt.duration, attempt.waitedBefore]
    .map(Duration.toMillis)
  const { number, outcome, resend } = attempt
  return `#${number} resend ${resend}: ${outcome} at ${startedAfter} for ${duration} after ${waitedBefore}`
}

/** The parts of a report that are known in full. */
const summary = (report: CallReport.CallReport) => ({
  outcome: report.outcome,
  attempts: report.attempts.map(shown),
  retries: report.retries,
  denials: report.denials.map(({ by }) => by),
  stoppedBy: report.stoppedBy,
  millis: {
    duration: Duration.toMillis(report.duration),
    waited: Duration.toMillis(report.waited),
    worked: Duration.toMillis(report.worked)
  }
})

const collected = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const { at, exit } = yield* simulate(CallReport.collect(call))
    return { at, ...(yield* exit) }
  })

type Steps = ReadonlyArray<Effect.Effect<string, unknown>>

const protectedCall = (steps: Steps, options: Resilience.Options = {}) => {
  const { protect } = Resilience.unsafeMake({ retry: plain, ...options })
  return protect(script(...steps).attempt, openAi)
}

describe("collect", () => {
  it.effect("gives the exit, and the report of a call that succeeded at once", () =>
    Effect.gen(function*() {
      const { exit, reports } = yield* collected(protectedCall([after("2 seconds", Effect.succeed("answer"))]))
      deepStrictEqual(exit, Exit.succeed("answer"))
      const report = onlyReport(reports)
      deepStrictEqual(summary(report), {
        outcome: "Success",
        attempts: ["#1 resend 0: Success at 0 for 2000 after 0"],
        retries: 0,
        denials: [],
        stoppedBy: undefined,
        millis: { duration: 2000, waited: 0, worked: 2000 }
      })
      deepStrictEqual([report.error, report.fallbacks], [undefined, 0])
      deepStrictEqual(report.attempts.map(({ model, provider }) => [provider, model]), [["openai", "gpt-4o"]])
    }))

  it.effect("tells every attempt and every wait of one that succeeded later", () =>
    Effect.gen(function*() {
      const { reports } = yield* collected(protectedCall([
        after("1 second", Effect.fail(overloaded())),
        after("2 seconds", Effect.fail(rateLimited("5 seconds"))),
        after("3 seconds", Effect.fail(overloaded())),
        after("4 seconds", Effect.succeed("answer"))
      ]))
      deepStrictEqual(summary(onlyReport(reports)), {
        outcome: "Success",
        attempts: [
          "#1 resend 0: ServerError at 0 for 1000 after 0",
          "#2 resend 1: RateLimited at 2000 for 2000 after 1000",
          "#3 resend 2: ServerError at 9000 for 3000 after 5000",
          "#4 resend 3: Success at 14000 for 4000 after 2000"
        ],
        retries: 3,
        denials: [],
        stoppedBy: undefined,
        millis: { duration: 18_000, waited: 8000, worked: 10_000 }
      })
    }))

  it.effect("tells what each wait was for, as it was decided and as it came to be, and who answered", () =>
    Effect.gen(function*() {
      const { reports } = yield* collected(protectedCall([
        after("1 second", Effect.fail(overloaded())),
        Effect.fail(rateLimited("5 seconds")),
        Effect.succeed("answer")
      ]))
      const { answeredBy, waits } = onlyReport(reports)
      deepStrictEqual(
        waits.map(({ delay, duration, model, provider, reason, startedAfter }) =>
          `${provider} ${model}: ${reason} at ${Duration.toMillis(startedAfter)}, ` +
          `${Duration.toMillis(delay)} decided, ${Duration.toMillis(duration)} waited`
        ),
        [
          "openai gpt-4o: backoff at 1000, 1000 decided, 1000 waited",
          "openai gpt-4o: Retry-After at 2000, 5000 decided, 5000 waited"
        ]
      )
      deepStrictEqual(answeredBy, { provider: "openai", model: "gpt-4o" })
    }))

  it.effect("tells a wait that was cut short as long as it lasted, and that nobody answered", () =>
    Effect.gen(function*() {
      const call = protectedCall([Effect.fail(rateLimited("30 seconds")), Effect.succeed("too late")])
      const { reports } = yield* collected(Effect.timeoutOption(call, "10 seconds"))
      const { answeredBy, outcome, waited, waits } = onlyReport(reports)
      deepStrictEqual(
        waits.map(({ delay, duration }) => [Duration.toSeconds(delay), Duration.toSeconds(duration)]),
        [[30, 10]]
      )
      deepStrictEqual([Duration.toSeconds(waited), outcome, answeredBy], [10, "Interrupted", undefined])
    }))

  it.effect("counts as retries only what was made because of a failure", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.layer(["one", "two", "three"])
      const ask = ChatProvider.complete(request)
      const { protect } = yield* Resilience.make()
      const { reports } = yield* collected(protect(Effect.provide(Effect.all([ask, ask, ask]), provider)))
      const { attempts, retries } = onlyReport(reports)
      deepStrictEqual([attempts.length, retries], [3, 0])
    }))

  it.effect("tells what each attempt failed with", () =>
    Effect.gen(function*() {
      const error = new ProviderError.RateLimited({ message: "429", status: 429, requestId: "req_1" })
      const { exit, reports } = yield* collected(protectedCall([Effect.fail(error), Effect.fail(timeout())], {
        retry: { ...plain, maxAttempts: 2 }
      }))
      const report = onlyReport(reports)
      deepStrictEqual(
        report.attempts.map(({ outcome, requestId, status }) => ({ outcome, requestId, status })),
        [
          { outcome: "RateLimited", requestId: "req_1", status: 429 },
          { outcome: "Timeout", requestId: undefined, status: undefined }
        ]
      )
      strictEqual(report.attempts[0]?.error, error)
      strictEqual(report.error, failureOf(exit))
      strictEqual(report.outcome, "Timeout")
    }))

  it.effect("never fails itself, and hands on what the effect needs", () =>
    Effect.gen(function*() {
      class Service extends Context.Tag("Service")<Service, string>() {}
      const effect = Effect.zipRight(Service, Effect.fail("boom" as const))
      const collect = CallReport.collect(effect)
      expectTypeOf<Effect.Effect.Error<typeof collect>>().toEqualTypeOf<never>()
      expectTypeOf<Effect.Effect.Context<typeof collect>>().toEqualTypeOf<Service>()
      const { exit, reports } = yield* Effect.provideService(collect, Service, "service")
      expectTypeOf(exit).toEqualTypeOf<Exit.Exit<never, "boom">>()
      deepStrictEqual([exit, reports], [Exit.fail("boom"), []])
    }))

  it.effect("reports several calls one by one, in the order they ended", () =>
    Effect.gen(function*() {
      const { reports } = yield* collected(Effect.all([
        protectedCall([after("3 seconds", Effect.succeed("slow"))]),
        Effect.exit(protectedCall([after("1 second", Effect.fail(clientError("NotFound")))])),
        protectedCall([after("2 seconds", Effect.succeed("quick"))])
      ], { concurrency: "unbounded" }))
      deepStrictEqual(
        reports.map(({ duration, outcome }) => [outcome, Duration.toMillis(duration)]),
        [["ClientError", 1000], ["Success", 2000], ["Success", 3000]]
      )
    }))

  it.effect("reports a protected effect in a protected effect as one call, with the attempts that were made", () =>
    Effect.gen(function*() {
      const inner = protectedCall([Effect.fail(overloaded()), Effect.succeed("answer")])
      const { protect } = yield* Resilience.make({ retry: plain })
      const { reports } = yield* collected(protect(inner))
      deepStrictEqual(
        onlyReport(reports).attempts.map(shown),
        ["#1 resend 0: ServerError at 0 for 0 after 0", "#2 resend 1: Success at 1000 for 0 after 1000"]
      )
    }))

  it.effect("inside another: both see the call", () =>
    Effect.gen(function*() {
      const outer = yield* collected(
        CallReport.collect(protectedCall([Effect.fail(overloaded()), Effect.succeed("a")]))
      )
      const inner = yield* outer.exit
      strictEqual(onlyReport(inner.reports), onlyReport(outer.reports))
      strictEqual(onlyReport(inner.reports).attempts.length, 2)
    }))

  it.effect("inside an attempt sees the attempts that are made inside", () =>
    Effect.gen(function*() {
      const inner = CallReport.collect(protectedCall([after("1 second", Effect.succeed("answer"))], { retry: plain }))
      const { protect } = yield* Resilience.make()
      const { exit } = yield* collected(protect(inner))
      const { reports } = yield* exit
      deepStrictEqual(onlyReport(reports).attempts.map(({ outcome }) => outcome), ["Success"])
    }))

  it.effect("sees nothing of the calls around it", () =>
    Effect.gen(function*() {
      const before = protectedCall([Effect.succeed("before")])
      const between = Effect.zipRight(before, CallReport.collect(Effect.succeed("nothing")))
      deepStrictEqual((yield* between).reports, [])
    }))
})

describe("how a call ended", () => {
  const outcomes: ReadonlyArray<readonly [CallReport.Outcome, Effect.Effect<string, unknown>]> = [
    ["Success", Effect.succeed("answer")],
    ["RateLimited", Effect.fail(rateLimited(undefined, false))],
    ["ServerError", Effect.fail(overloaded(undefined, false))],
    ["ClientError", Effect.fail(clientError("Authentication"))],
    ["Timeout", Effect.fail(timeout("Deadline"))],
    ["CircuitOpen", Effect.fail(new ProviderError.CircuitOpen({ message: "open", circuit: "c" }))],
    ["OtherError", Effect.fail({ _tag: "RateLimited" })],
    ["Defect", Effect.die("bug")],
    ["Interrupted", Effect.interrupt]
  ]
  for (const [outcome, effect] of outcomes) {
    it.effect(outcome, () =>
      Effect.gen(function*() {
        const { exit, reports } = yield* collected(protectedCall([effect]))
        const report = onlyReport(reports)
        deepStrictEqual([report.outcome, report.attempts.map((attempt) => attempt.outcome)], [outcome, [outcome]])
        const error = Exit.isFailure(exit) && exit.cause._tag === "Fail" ? exit.cause.error : undefined
        strictEqual(report.error, ProviderError.isCallError(error) ? error : undefined)
      }))
  }
})

describe("what stopped the retries", () => {
  interface Case {
    readonly name: string
    readonly by: CallReport.DeniedBy
    readonly errors: ReadonlyArray<unknown>
    readonly options?: Resilience.Options
    readonly left?: number
    readonly deadline?: Duration.DurationInput
  }
  const cases: ReadonlyArray<Case> = [
    { name: "all attempts made", by: "attempts", errors: Array<unknown>(5).fill(overloaded()) },
    { name: "a second timeout", by: "attempts", errors: [timeout(), timeout()] },
    { name: "a wrong request", by: "not retryable", errors: [clientError("InvalidRequest")] },
    { name: "a wrong request after a retry", by: "not retryable", errors: [overloaded(), clientError("NotFound")] },
    { name: "x-should-retry", by: "not retryable", errors: [overloaded(undefined, false)] },
    { name: "an error that is not ours", by: "not retryable", errors: ["boom"] },
    { name: "a long wait asked for", by: "Retry-After too long", errors: [rateLimited("61 seconds")] },
    { name: "a deadline that comes too soon", by: "deadline", errors: [overloaded()], deadline: "1 second" },
    { name: "the patience of a chain", by: "patience", errors: [rateLimited("6 seconds")], left: 1 },
    { name: "a timeout within a chain", by: "attempts", errors: [timeout()], left: 1 },
    {
      name: "a deadline, under a schedule of the user's",
      by: "deadline",
      errors: [overloaded()],
      options: { retry: Schedule.spaced("1 second") },
      deadline: "1 second"
    }
  ]
  for (const { by, deadline, errors, left, name, options } of cases) {
    it.effect(`${by}: ${name}`, () =>
      Effect.gen(function*() {
        const call = protectedCall(errors.map((error) => Effect.fail(error)), options).pipe(
          Effect.provideService(Fallback.Alternatives, alternatives(left ?? 0)),
          (call) => deadline === undefined ? call : Deadline.within(call, deadline)
        )
        const { exit, reports } = yield* collected(call)
        strictEqual(failureOf(exit), errors.at(-1))
        const report = onlyReport(reports)
        strictEqual(report.attempts.length, errors.length)
        deepStrictEqual([report.stoppedBy, report.denials], [by, [{ by, provider: "openai", model: "gpt-4o" }]])
      }))
  }

  describe("a retry within an attempt, which is not made because the attempt's owner decides, does not count", () => {
    const denied = Effect.retry(Effect.fail(overloaded()), RetryPolicy.make())

    it.effect("when the call succeeded", () =>
      Effect.gen(function*() {
        const { reports } = yield* collected(protectedCall([Effect.orElseSucceed(denied, () => "answer")]))
        const { denials, outcome, stoppedBy } = onlyReport(reports)
        deepStrictEqual([outcome, denials.map(({ by }) => by), stoppedBy], ["Success", ["attempts"], undefined])
      }))

    it.effect("when another attempt followed", () =>
      Effect.gen(function*() {
        const { reports } = yield* collected(Deadline.within(protectedCall([denied, Effect.never]), "10 seconds"))
        const { attempts, stoppedBy } = onlyReport(reports)
        deepStrictEqual([attempts.map(({ outcome }) => outcome), stoppedBy], [["ServerError", "Timeout"], undefined])
      }))
  })

  it.effect("nothing, when the call succeeded", () =>
    Effect.gen(function*() {
      const { reports } = yield* collected(protectedCall([Effect.fail(overloaded()), Effect.succeed("answer")]))
      const { denials, stoppedBy } = onlyReport(reports)
      deepStrictEqual([denials, stoppedBy], [[], undefined])
    }))
})

describe("at a deadline", () => {
  it.effect("the attempt that was running is a Timeout, and so is the call", () =>
    Effect.gen(function*() {
      const call = protectedCall([after("3 seconds", Effect.fail(overloaded())), Effect.never])
      const { at, exit, reports } = yield* collected(Deadline.within(call, "10 seconds"))
      deepStrictEqual([nameOf(failureOf(exit)), at], ["Timeout Deadline", 10_000])
      const report = onlyReport(reports)
      deepStrictEqual(summary(report), {
        outcome: "Timeout",
        attempts: [
          "#1 resend 0: ServerError at 0 for 3000 after 0",
          "#2 resend 1: Timeout at 4000 for 6000 after 1000"
        ],
        retries: 1,
        denials: [],
        stoppedBy: undefined,
        millis: { duration: 10_000, waited: 1000, worked: 9000 }
      })
      deepStrictEqual([nameOf(report.error), nameOf(report.attempts[1]?.error)], [
        "Timeout Deadline",
        "Timeout Deadline"
      ])
    }))

  it.effect("a call that is abandoned is reported as it stands then, and the reports never change", () =>
    Effect.gen(function*() {
      const { protect } = yield* Resilience.make({ retry: plain })
      const events: Array<CallReport.Event> = []
      const another = Effect.provide(ChatProvider.complete(request), ScriptedProvider.layer(["Hello"]))
      const stubborn = Effect.uninterruptible(Effect.all([Effect.sleep("1 minute"), another, another]))
      const fiber = yield* protect(stubborn, openAi).pipe(
        Deadline.within("10 seconds"),
        CallReport.observe((event) => Effect.sync(() => events.push(event))),
        CallReport.collect,
        Effect.fork
      )
      yield* TestClock.adjust("10 seconds")
      const { reports } = yield* Fiber.join(fiber)
      const expected: ReturnType<typeof summary> = {
        outcome: "Timeout",
        attempts: ["#1 resend 0: Timeout at 0 for 10000 after 0"],
        retries: 0,
        denials: [],
        stoppedBy: undefined,
        millis: { duration: 10_000, waited: 0, worked: 10_000 }
      }
      deepStrictEqual(summary(onlyReport(reports)), expected)
      deepStrictEqual(events.map(({ _tag }) => _tag), ["AttemptStarted", "AttemptEnded", "CallEnded"])
      yield* TestClock.adjust("10 minutes")
      // What is sent after that is no part of the call.
      deepStrictEqual(summary(onlyReport(reports)), expected)
    }))

  it.effect("a deadline around one attempt ends that attempt", () =>
    Effect.gen(function*() {
      const { reports } = yield* collected(protectedCall([Effect.never.pipe(Deadline.within("2 seconds"))]))
      const report = onlyReport(reports)
      deepStrictEqual([report.outcome, report.attempts.map(shown), report.stoppedBy], [
        "Timeout",
        ["#1 resend 0: Timeout at 0 for 2000 after 0"],
        "not retryable"
      ])
    }))

  it.effect("a listener inside it is told of a Timeout, not of an interruption", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      yield* simulate(
        protectedCall([Effect.never]).pipe(
          CallReport.observe((event) => Effect.sync(() => events.push(line(event)))),
          Deadline.within("10 seconds")
        )
      )
      deepStrictEqual(events, [
        "AttemptStarted #1 resend 0 openai gpt-4o",
        "AttemptEnded #1 resend 0: Timeout at 0 for 10000 after 0",
        "CallEnded Timeout"
      ])
    }))

  it.effect("an interruption before it is not the deadline's work", () =>
    Effect.gen(function*() {
      const events: Array<CallReport.Event> = []
      const fiber = yield* protectedCall([Effect.never]).pipe(
        Deadline.within("10 seconds"),
        CallReport.observe((event) => Effect.sync(() => events.push(event))),
        Effect.fork
      )
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.interrupt(fiber)
      deepStrictEqual(events.map(line), [
        "AttemptStarted #1 resend 0 openai gpt-4o",
        "AttemptEnded #1 resend 0: Interrupted at 0 for 4000 after 0",
        "CallEnded Interrupted"
      ])
    }))
})

/** An event as one line. */
const line = (event: CallReport.Event): string => {
  switch (event._tag) {
    case "AttemptStarted":
      return `AttemptStarted #${event.number} resend ${event.resend} ${event.target.provider} ${event.target.model}`
    case "AttemptEnded":
      return `AttemptEnded ${shown(event.attempt)}`
    case "Waiting":
      return `Waiting ${Duration.toMillis(event.delay)} ${event.reason} ${event.target.provider} ${event.target.model}`
    case "Denied":
      return `Denied ${event.denial.by} ${event.denial.provider} ${event.denial.model}`
    case "FellBack":
      return `FellBack ${event.from.provider} ${event.to.provider} ${event.error._tag}`
    case "Resumed":
      return `Resumed ${event.how} ${event.from.provider} ${event.to.provider} ${event.error._tag}`
    case "CallEnded":
      return `CallEnded ${event.report.outcome}`
  }
}

describe("observe", () => {
  it.effect("tells each event when it happens, in order", () =>
    Effect.gen(function*() {
      const events: Array<readonly [at: number, string]> = []
      const call = protectedCall([
        after("1 second", Effect.fail(overloaded())),
        Effect.fail(rateLimited("5 seconds")),
        after("2 seconds", Effect.fail(clientError("NotFound")))
      ]).pipe(
        CallReport.observe((event) => Effect.map(Clock.currentTimeMillis, (now) => events.push([now, line(event)])))
      )
      yield* simulate(call)
      deepStrictEqual(events, [
        [0, "AttemptStarted #1 resend 0 openai gpt-4o"],
        [1000, "AttemptEnded #1 resend 0: ServerError at 0 for 1000 after 0"],
        [1000, "Waiting 1000 backoff openai gpt-4o"],
        [2000, "AttemptStarted #2 resend 1 openai gpt-4o"],
        [2000, "AttemptEnded #2 resend 1: RateLimited at 2000 for 0 after 1000"],
        [2000, "Waiting 5000 Retry-After openai gpt-4o"],
        [7000, "AttemptStarted #3 resend 2 openai gpt-4o"],
        [9000, "AttemptEnded #3 resend 2: ClientError at 7000 for 2000 after 5000"],
        [9000, "Denied not retryable openai gpt-4o"],
        [9000, "CallEnded ClientError"]
      ])
    }))

  const waits: ReadonlyArray<readonly [asked: Duration.DurationInput | undefined, expected: string]> = [
    [undefined, "1000 backoff"],
    ["500 millis", "1000 backoff"],
    ["1 second", "1000 Retry-After"],
    ["3 seconds", "3000 Retry-After"]
  ]
  for (const [asked, expected] of waits) {
    it.effect(`with a backoff of 1 s, and ${asked ?? "nothing"} asked for, the wait is ${expected}`, () =>
      Effect.gen(function*() {
        const waits: Array<string> = []
        yield* simulate(
          protectedCall([Effect.fail(rateLimited(asked)), Effect.succeed("answer")]).pipe(
            CallReport.observe((event) =>
              Effect.sync(() => {
                if (event._tag === "Waiting") {
                  waits.push(`${Duration.toMillis(event.delay)} ${event.reason}`)
                }
              })
            )
          )
        )
        deepStrictEqual(waits, [expected])
      }))
  }

  const listeners: ReadonlyArray<readonly [string, () => Effect.Effect<void>]> = [
    ["dies", () => Effect.die("a bug in the listener")],
    ["throws", () => {
      throw new Error("a bug in the listener")
    }],
    ["interrupts itself", () => Effect.interrupt]
  ]
  for (const [name, listener] of listeners) {
    it.effect(`a listener that ${name} changes nothing`, () =>
      Effect.gen(function*() {
        const { at, exit } = yield* simulate(
          protectedCall([Effect.fail(overloaded()), Effect.succeed("answer")]).pipe(CallReport.observe(listener))
        )
        deepStrictEqual([exit, at], [Exit.succeed("answer"), 1000])
      }))
  }

  it.effect("a listener has its services, and adds them to what is needed, but not to the errors", () =>
    Effect.gen(function*() {
      class Log extends Context.Tag("Log")<Log, Ref.Ref<ReadonlyArray<string>>>() {}
      const observed = protectedCall([Effect.succeed("answer")]).pipe(
        CallReport.observe((event) => Effect.flatMap(Log, (log) => Ref.update(log, (lines) => [...lines, event._tag])))
      )
      expectTypeOf(observed).toEqualTypeOf<Effect.Effect<string, unknown, Log>>()
      const log = yield* Ref.make<ReadonlyArray<string>>([])
      yield* Effect.provideService(observed, Log, log)
      deepStrictEqual(yield* Ref.get(log), ["AttemptStarted", "AttemptEnded", "CallEnded"])
    }))

  it.effect("several listeners each see everything, the outermost first", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const listen = (name: string) =>
        CallReport.observe((event) => Effect.sync(() => seen.push(`${name} ${event._tag}`)))
      yield* protectedCall([Effect.succeed("answer")]).pipe(listen("inner"), listen("outer"))
      deepStrictEqual(seen, [
        "outer AttemptStarted",
        "inner AttemptStarted",
        "outer AttemptEnded",
        "inner AttemptEnded",
        "outer CallEnded",
        "inner CallEnded"
      ])
    }))

  it.effect("a slow listener slows the call, and no attempt", () =>
    Effect.gen(function*() {
      const { exit } = yield* simulate(CallReport.collect(
        protectedCall([after("1 second", Effect.succeed("answer"))]).pipe(
          CallReport.observe((event) => event._tag === "AttemptEnded" ? Effect.sleep("3 seconds") : Effect.void)
        )
      ))
      const report = onlyReport((yield* exit).reports)
      deepStrictEqual(report.attempts.map(shown), ["#1 resend 0: Success at 0 for 1000 after 0"])
      strictEqual(Duration.toMillis(report.duration), 4000)
    }))
})

describe("providers", () => {
  const complete = ChatProvider.complete(request)
  const { model: _model, ...withoutModel } = request

  it.effect("a bare provider is a call of one attempt by itself", () =>
    Effect.gen(function*() {
      const layer = ScriptedProvider.layer([after("2 seconds", Effect.succeed("Hello"))], { provider: "openai" })
      const { reports } = yield* collected(Effect.provide(complete, layer))
      const { attempts, outcome } = onlyReport(reports)
      deepStrictEqual([outcome, attempts.map(shown)], ["Success", ["#1 resend 0: Success at 0 for 2000 after 0"]])
      deepStrictEqual(attempts.map(({ model, provider }) => [provider, model]), [["openai", "gpt-4o"]])
    }))

  it.effect("a resilient one names itself, and the model of its layer", () =>
    Effect.gen(function*() {
      const provider = ScriptedProvider.layer([overloaded(), "Hello"], { provider: "openai", model: "o3" })
      const layer = Resilience.layer({ retry: plain })(provider)
      const { reports } = yield* collected(Effect.provide(ChatProvider.complete(withoutModel), layer))
      const { attempts } = onlyReport(reports)
      deepStrictEqual(attempts.map(({ model, provider }) => [provider, model]), [["openai", "o3"], ["openai", "o3"]])
      deepStrictEqual(attempts.map(({ resend }) => resend), [0, 1])
    }))

  it.effect("each names itself within one attempt of a protected effect", () =>
    Effect.gen(function*() {
      const ask = (provider: string, ...steps: ReadonlyArray<ScriptedProvider.Step>) =>
        Effect.provide(complete, ScriptedProvider.layer(steps, { provider }))
      const { protect } = yield* Resilience.make({ retry: plain })
      const { reports } = yield* collected(protect(Effect.zipRight(ask("openai", "Hello"), ask("groq", "Hello"))))
      const providers = onlyReport(reports).attempts.map(({ provider }) => provider)
      deepStrictEqual([...providers].sort(), ["groq", "openai"])
    }))

  describe("a request that was cut short within an attempt is Interrupted, whatever the attempt came to", () => {
    const ask = (provider: string, seconds: number) =>
      Effect.provide(
        complete,
        ScriptedProvider.layer([after(Duration.seconds(seconds), Effect.succeed("Hello"))], { provider })
      )
    const effects: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>, expected: ReadonlyArray<string>]> =
      [
        ["in a race", Effect.race(ask("slow", 10), ask("quick", 2)), [
          "slow Interrupted at 0 for 2000",
          "quick Success at 0 for 2000"
        ]],
        [
          "by a timeout of the user's",
          Effect.zipRight(Effect.timeoutOption(ask("slow", 10), "3 seconds"), ask("quick", 2)),
          [
            "slow Interrupted at 0 for 3000",
            "quick Success at 3000 for 2000"
          ]
        ]
      ]
    for (const [name, effect, expected] of effects) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const { protect } = yield* Resilience.make()
          const { reports } = yield* collected(protect(effect))
          const report = onlyReport(reports)
          strictEqual(report.outcome, "Success")
          deepStrictEqual(
            report.attempts.map(({ duration, outcome, provider, startedAfter }) =>
              `${provider} ${outcome} at ${Duration.toMillis(startedAfter)} for ${Duration.toMillis(duration)}`
            ),
            expected
          )
        }))
    }
  })

  it.effect("a report holds no prompt and no answer", () =>
    Effect.gen(function*() {
      const layer = ScriptedProvider.layer([overloaded(), "a private answer"])
      const { reports } = yield* collected(Effect.provide(complete, Resilience.layer()(layer)))
      assertFalse(JSON.stringify(onlyReport(reports)).includes("private"))
    }))
})

it.effect("a call that outlives what is collected is reported once, and its report never changes", () =>
  Effect.gen(function*() {
    const go = yield* Deferred.make<void>()
    const later = protectedCall([
      Effect.zipRight(Deferred.await(go), Effect.fail(overloaded())),
      Effect.succeed("late")
    ])
    const { reports } = yield* CallReport.collect(Effect.zipRight(Effect.forkDaemon(later), Effect.yieldNow()))
    const before = summary(onlyReport(reports))
    deepStrictEqual([before.outcome, before.attempts], ["Interrupted", ["#1 resend 0: Interrupted at 0 for 0 after 0"]])
    yield* Deferred.succeed(go, undefined)
    yield* TestClock.adjust("1 minute")
    deepStrictEqual(summary(onlyReport(reports)), before)
  }))

it.effect("a listener may call a provider itself, unobserved", () =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    const call = ChatProvider.complete({ model: "m", messages: [] })
    yield* call.pipe(
      CallReport.observe((event) => {
        seen.push(event._tag)
        return event._tag === "CallEnded" || seen.length > 9 ? Effect.void : Effect.ignore(call)
      }),
      CallReport.collect,
      Effect.provide(ScriptedProvider.layer(["one", "two", "three", "four", "five"]))
    )
    deepStrictEqual(seen, ["AttemptStarted", "AttemptEnded", "CallEnded"])
  }))
