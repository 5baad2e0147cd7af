import { assertInclude, assertTrue, fail } from "@effect/vitest/utils"
import type { Schedule } from "effect"
import {
  Cause,
  Clock,
  Duration,
  Effect,
  Exit,
  Fiber,
  Option,
  Predicate,
  ScheduleDecision,
  ScheduleIntervals,
  Stream,
  TestClock
} from "effect"
import type { CallReport, Fallback } from "effect-resilience"
import { ProviderError } from "effect-resilience"

/** The `stream` of a provider that is only asked for whole answers. */
export const notStreamed = () => Stream.dieMessage("this provider was not expected to stream")

export const rateLimited = (retryAfter?: Duration.DurationInput, shouldRetry?: boolean) =>
  new ProviderError.RateLimited({
    message: "429",
    status: 429,
    retryAfter: retryAfter === undefined ? undefined : Duration.decode(retryAfter),
    shouldRetry
  })

export const overloaded = (retryAfter?: Duration.DurationInput, shouldRetry?: boolean) =>
  new ProviderError.ServerError({
    message: "529",
    reason: "Overloaded",
    status: 529,
    retryAfter: retryAfter === undefined ? undefined : Duration.decode(retryAfter),
    shouldRetry
  })

export const timeout = (scope: ProviderError.TimeoutScope = "Attempt", shouldRetry?: boolean) =>
  new ProviderError.Timeout({ message: "no answer", scope, shouldRetry })

export const clientError = (reason: ProviderError.ClientErrorReason, shouldRetry?: boolean) =>
  new ProviderError.ClientError({ message: reason, reason, shouldRetry })

export const circuitOpen = (retryAfter?: Duration.DurationInput) =>
  new ProviderError.CircuitOpen({
    message: "open",
    circuit: "c",
    retryAfter: retryAfter === undefined ? undefined : Duration.decode(retryAfter)
  })

export const deadlinePassed = timeout("Deadline")

/** Another library's errors, one of which looks just like ours. */
export const foreign: ReadonlyArray<readonly [string, unknown]> = [
  ["a plain object with one of our tags", { _tag: "RateLimited", retryAfter: Duration.zero, shouldRetry: true }],
  ["Effect's own timeout", new Cause.TimeoutException("late")],
  ["a plain error", new Error("boom")],
  ["a text", "RateLimited"],
  ["null", null],
  ["undefined", undefined]
]

/** The ambient knowledge of a chain in which so many providers come after the one that is asked. */
export const alternatives = (left: number, patience: Duration.DurationInput = "5 seconds") =>
  (
    { left, patience: Duration.decode(patience), resumeAt: undefined }
  ) satisfies typeof Fallback.Alternatives.Service

/** An effect that plays one step per attempt, and the virtual times at which it was attempted. */
export interface Script<A, E, R> {
  readonly attempt: Effect.Effect<A, E, R>
  readonly at: Array<number>
}

/** Beyond its last step a script is a defect, so that an attempt too many cannot go unnoticed. */
export const script = <A, E, R>(...steps: ReadonlyArray<Effect.Effect<A, E, R>>): Script<A, E, R> => {
  const at: Array<number> = []
  return {
    at,
    attempt: Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const step = steps[at.length]
      at.push(now)
      return step ?? Effect.dieMessage(`attempt ${at.length} of ${steps.length}`)
    })
  }
}

/** A script that always does the same. */
export const always = <A, E, R>(step: Effect.Effect<A, E, R>): Script<A, E, R> => {
  const at: Array<number> = []
  return { at, attempt: Effect.zipRight(Effect.map(Clock.currentTimeMillis, (now) => at.push(now)), step) }
}

/** How an effect ended, and when. */
export interface Ended<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly at: number
}

/** Runs the effect for so much virtual time, by which it must have ended. */
export const simulate = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  time: Duration.DurationInput = "1 hour"
): Effect.Effect<Ended<A, E>, never, R> =>
  Effect.gen(function*() {
    const fiber = yield* effect.pipe(
      Effect.exit,
      Effect.zipWith(Clock.currentTimeMillis, (exit, at) => ({ exit, at })),
      Effect.fork
    )
    yield* TestClock.adjust(time)
    const ended = yield* Fiber.poll(fiber)
    if (Option.isNone(ended)) {
      yield* Fiber.interruptFork(fiber)
      return yield* Effect.dieMessage(`still running after ${Duration.format(time)}`)
    }
    return yield* ended.value
  })

/** The typed failure of an exit; fails the test when there is none. */
export const failureOf = <A, E>(exit: Exit.Exit<A, E>): E => {
  const failure = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()
  return Option.getOrThrowWith(failure, () => new Error(`expected a typed failure, got ${exit}`))
}

/** The tag of an error, with the scope of a timeout. */
export const nameOf = (error: unknown): string =>
  ProviderError.isCallError(error)
    ? error._tag === "Timeout" ? `Timeout ${error.scope}` : error._tag
    : Predicate.hasProperty(error, "_tag")
    ? `foreign ${error._tag}`
    : `foreign ${error}`

/** The decisions of a schedule about a row of failures: how long it waits after each, until it stops. */
export const decisions = <In, R>(
  schedule: Schedule.Schedule<unknown, In, R>,
  inputs: Iterable<In>,
  start = 0
): Effect.Effect<ReadonlyArray<number | "stop">, never, R> =>
  Effect.gen(function*() {
    const waits: Array<number | "stop"> = []
    let now = start
    let state = schedule.initial
    for (const input of inputs) {
      const [next, , decision] = yield* schedule.step(now, input, state)
      if (ScheduleDecision.isDone(decision)) {
        waits.push("stop")
        break
      }
      const wait = Math.max(0, ScheduleIntervals.start(decision.intervals) - now)
      waits.push(wait)
      now += wait
      state = next
    }
    return waits
  })

/** What a configuration file may hold, whatever the types say. */
export const fromJson = (json: string) => JSON.parse(json)

/** Durations that cannot be meant, whatever they are for. */
export const badDurations: ReadonlyArray<readonly [shown: string, input: Duration.DurationInput]> = [
  ["NaN", NaN],
  ["-1", -1],
  ["-Infinity", -Infinity],
  ["-1n", -1n],
  ["\"-5 seconds\"", "-5 seconds"],
  ["\"10s\"", fromJson("\"10s\"")],
  ["\"soon\"", fromJson("\"soon\"")],
  ["\"\"", fromJson("\"\"")],
  ["[-1, 0]", [-1, 0]],
  ["[NaN, 0]", [NaN, 0]],
  ["[1]", fromJson("[1]")],
  ["true", fromJson("true")],
  ["{}", fromJson("{}")]
]

export const zeroDurations: ReadonlyArray<readonly [shown: string, input: Duration.DurationInput]> = [
  ["0", 0],
  ["\"0 seconds\"", "0 seconds"],
  ["Duration.zero", Duration.zero]
]

export const infiniteDurations: ReadonlyArray<readonly [shown: string, input: Duration.DurationInput]> = [
  ["Infinity", Infinity],
  ["Duration.infinity", Duration.infinity]
]

/** Numbers that no count can be. */
export const badCounts: ReadonlyArray<number> = [NaN, -1, 0, 0.5, 2.5, Infinity, -Infinity, fromJson("\"3\"")]

/** Asserts a `RangeError` whose message begins with the option's name and holds the value. */
export const refuses = (option: string, thunk: () => unknown, shown = ""): void => {
  try {
    thunk()
  } catch (error) {
    assertTrue(error instanceof RangeError, `expected a RangeError, got ${error}`)
    assertTrue(error.message.startsWith(`${option}: expected `), `expected the name ${option} in "${error.message}"`)
    return assertInclude(error.message, shown)
  }
  fail(`expected ${option} to be refused`)
}

/** The one report of a call. */
export const onlyReport = (reports: ReadonlyArray<CallReport.CallReport>): CallReport.CallReport => {
  const [report] = reports
  if (report === undefined || reports.length > 1) {
    throw new Error(`expected one report, got ${reports.length}`)
  }
  return report
}

/** A clock that only the test moves, and that costs nothing to move; there is no sleeping by it. */
export const manualClock = () => {
  let nanos = 0n
  return {
    clock: Object.assign(Clock.make(), { unsafeCurrentTimeNanos: () => nanos }),
    move: (millis: number) => {
      nanos += BigInt(millis) * 1_000_000n
    }
  }
}
