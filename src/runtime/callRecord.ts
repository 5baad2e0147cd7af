/** What is known of a call and its attempts while they run, and what reports and listeners are told of it. */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type { Attempt, CallReport, Denial, DeniedBy, Event, Outcome, Sink, Wait, WaitReason } from "../CallReport.js"
import type { Deadline } from "../Deadline.js"
import type { Activity } from "../internal/activity.js"
import type { ProviderError, Target } from "../ProviderError.js"
import type { CallOutcome } from "../Telemetry.js"
import { attemptLine } from "./logs.js"
import type { Settled } from "./outcome.js"
import type { AttemptSpan } from "./spans.js"

/** What one provider was asked so far. */
interface Asked {
  /** Whatever tells one provider from another. */
  readonly owner: unknown
  times: number
  /** How the last attempt that ended did. */
  outcome: Outcome | undefined
}

/** A wait while it lasts. */
interface OpenWait {
  readonly target: Target
  readonly reason: WaitReason
  readonly delay: Duration.Duration
  readonly since: bigint
}

/** A call while it runs. */
export interface OpenCall {
  readonly sinks: ReadonlyArray<Sink>
  /** Does it feed metrics and logs? Not within a call that does already. */
  readonly counted: boolean
  readonly clock: Clock.Clock
  readonly startedAt: bigint
  readonly deadline: Option.Option<Deadline>
  /** Kept only where somebody listens. */
  readonly attempts: Array<Attempt>
  readonly waits: Array<Wait>
  readonly denials: Array<Denial>
  // Lists of one or two, as a rule: a set and a map would cost more than the rest of the record.
  readonly open: Array<OpenAttempt>
  readonly asked: Array<Asked>
  /** Whom it was meant for: the provider asked first, if nobody said. */
  target: Target | undefined
  /** Whom the last attempt that ended had asked. */
  askedLast: Target
  answeredBy: Target | undefined
  firstOutputAt: bigint | undefined
  started: number
  retries: number
  fallbacks: number
  continuations: number
  restarts: number
  stoppedBy: DeniedBy | undefined
  waited: bigint
  wait: OpenWait | undefined
  /** A failed attempt whose line waits for what becomes of it. */
  unlogged: { readonly attempt: Attempt; readonly span: Tracer.AnySpan | undefined } | undefined
  ended: boolean
}

/** An attempt while it runs. */
export interface OpenAttempt {
  /** In which it was begun. */
  readonly context: Context.Context<never>
  readonly call: OpenCall | undefined
  readonly deadline: Option.Option<Deadline>
  /** Whose attempts are counted together. */
  readonly owner: unknown
  target: Target
  /** How many requests were sent in it. */
  requests: number
  /** How many requests of HTTP clients were given an idempotency key in it. */
  keys: number
  /** Another policy makes its attempts in it, the first of them under this one's number. */
  superseded: boolean
  /** Over, or let go of: what still runs in it is on its own. */
  over: boolean
  recorded: "no" | "started" | "ended"
  number: number
  resend: number
  /** How the attempt before at the same provider failed, if it is a retry. */
  retryOf: Outcome | undefined
  openedAt: bigint
  waitedBefore: bigint
  status: number | undefined
  requestId: string | undefined
  dropped: ReadonlyArray<string>
  /** How many frames of its stream could not be read, and were left out. */
  skipped: number
  /** The gates it has passed and holds: what runs in it does not pass them again. */
  held: ReadonlyArray<unknown>
  /** Of the stream it brings, if it does. */
  activity: Activity | undefined
  span: AttemptSpan | undefined
  server: Readonly<Record<string, unknown>>
}

/** The call that is open. */
export class CurrentCall extends Context.Reference<CurrentCall>()(
  "effect-resilience/CurrentCall",
  { defaultValue: (): OpenCall | undefined => undefined }
) {}

/** From one moment to another, and never negative. */
export const between = (from: bigint, to: bigint): bigint => to > from ? to - from : 0n

/** Every field is named: a spread here cost as much as all the rest of a call's protection. */
export const openCall = (
  { clock, counted, deadline, sinks, target }: Pick<OpenCall, "sinks" | "counted" | "clock" | "deadline" | "target">
): OpenCall => ({
  sinks,
  counted,
  clock,
  startedAt: clock.unsafeCurrentTimeNanos(),
  deadline,
  attempts: [],
  waits: [],
  denials: [],
  open: [],
  asked: [],
  target,
  askedLast: {},
  answeredBy: undefined,
  firstOutputAt: undefined,
  started: 0,
  retries: 0,
  fallbacks: 0,
  continuations: 0,
  restarts: 0,
  stoppedBy: undefined,
  waited: 0n,
  wait: undefined,
  unlogged: undefined,
  ended: false
})

/** Ends the wait, if there is one, and says how long it was. */
export const stopWaiting = (call: OpenCall, now: bigint): bigint => {
  const { wait } = call
  if (wait === undefined) {
    return 0n
  }
  const waited = between(wait.since, now)
  call.wait = undefined
  call.waited += waited
  if (call.sinks.length > 0) {
    const { delay, reason, since, target } = wait
    call.waits.push({
      ...target,
      reason,
      startedAfter: Duration.nanos(between(call.startedAt, since)),
      delay,
      duration: Duration.nanos(waited)
    })
  }
  return waited
}

/** Whom an attempt had asked, and what it came with. */
export const answerOf = (attempt: OpenAttempt, { error }: Settled) => {
  const answer: Partial<ProviderError> = error === undefined || error._tag === "CircuitOpen" ? {} : error
  return {
    provider: attempt.target.provider ?? error?.provider,
    model: attempt.target.model ?? error?.model,
    status: attempt.status ?? answer.status,
    requestId: attempt.requestId ?? answer.requestId,
    dropped: attempt.dropped
  }
}

/** An attempt that ended. */
export const attemptOf = (
  attempt: OpenAttempt,
  call: OpenCall,
  settled: Settled,
  answer: ReturnType<typeof answerOf>
): Attempt => ({
  provider: answer.provider,
  model: answer.model,
  status: answer.status,
  requestId: answer.requestId,
  dropped: answer.dropped,
  number: attempt.number,
  resend: attempt.resend,
  outcome: settled.outcome,
  error: settled.error,
  chunks: attempt.activity?.outputs ?? 0,
  skippedFrames: attempt.skipped,
  timeToFirstChunk: attempt.activity?.firstOutputAt === undefined
    ? undefined
    : Duration.nanos(between(attempt.openedAt, attempt.activity.firstOutputAt)),
  startedAfter: Duration.nanos(between(call.startedAt, attempt.openedAt)),
  duration: Duration.nanos(between(attempt.openedAt, call.clock.unsafeCurrentTimeNanos())),
  waitedBefore: Duration.nanos(attempt.waitedBefore)
})

/** How the call is counted; not at all if it was interrupted. */
export const callOutcome = (call: OpenCall, outcome: Outcome): CallOutcome | undefined =>
  outcome === "Interrupted"
    ? undefined
    : outcome !== "Success"
    ? "failed"
    : call.fallbacks > 0
    ? "after_fallback"
    : call.retries > 0
    ? "after_retry"
    : "first_try"

export const reportOf = (call: OpenCall, { error, outcome }: Settled): CallReport => {
  const attempts = [...call.attempts].sort((a, b) => a.number - b.number)
  const succeeded = outcome === "Success"
  return {
    outcome,
    error,
    answeredBy: succeeded ? call.answeredBy : undefined,
    attempts,
    waits: [...call.waits],
    retries: call.retries,
    fallbacks: call.fallbacks,
    continuations: call.continuations,
    restarts: call.restarts,
    timeToFirstChunk: call.firstOutputAt === undefined
      ? undefined
      : Duration.nanos(between(call.startedAt, call.firstOutputAt)),
    denials: [...call.denials],
    stoppedBy: succeeded ? undefined : call.stoppedBy,
    duration: Duration.nanos(between(call.startedAt, call.clock.unsafeCurrentTimeNanos())),
    waited: Duration.nanos(call.waited),
    worked: attempts.reduce((total, attempt) => Duration.sum(total, attempt.duration), Duration.zero)
  }
}

/** One after the other, at no cost if one of them is nothing. */
export const both = (first: Effect.Effect<void>, second: Effect.Effect<void>): Effect.Effect<void> =>
  first === Effect.void ? second : second === Effect.void ? first : Effect.zipRight(first, second)

/** Tells whoever listens; the event is made only if somebody does. */
export const emit = (call: OpenCall, event: () => Event): Effect.Effect<void> => {
  if (call.sinks.length === 0) {
    return Effect.void
  }
  const happened = event()
  return call.sinks.map((sink) => sink.emit(happened)).reduce(both)
}

/** Writes the line of the attempt that failed last, now that it is known what becomes of it. */
export const logFailed = (call: OpenCall, next?: Readonly<Record<string, unknown>>): Effect.Effect<void> => {
  const { unlogged } = call
  call.unlogged = undefined
  return unlogged === undefined ? Effect.void : attemptLine(unlogged.attempt, unlogged.span, next)
}
