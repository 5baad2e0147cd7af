/**
 * Writes the report of a call while it runs.
 *
 * An open call is found in the context by whoever has something to record: attempts by the policies and providers,
 * waits and denials by the retry policy, fallbacks by the chain. Where no sink listens there is no open call, and
 * nothing is written. A policy leaves an open attempt in the context of each attempt it makes, which serves twice: a
 * retrying combinator sees by it that somebody above owns the retries, and the provider that sends the request fills it
 * in. So one request is one attempt in the report, however many policies are around it: an attempt in which another
 * policy made its own is not recorded besides.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type { Attempt, CallReport, Denial, DeniedBy, Event, Outcome, Sink, WaitReason } from "../CallReport.js"
import { CurrentSinks } from "../CallReport.js"
import type { Deadline } from "../Deadline.js"
import { CurrentDeadline } from "../Deadline.js"
import * as IdempotencyKey from "../IdempotencyKey.js"
import type { CallError, ProviderError, Target } from "../ProviderError.js"
import { isCallError, timedOut } from "../ProviderError.js"
import { clockOf } from "./timeLimit.js"

/** A call while it runs. */
interface OpenCall {
  readonly sinks: ReadonlyArray<Sink>
  readonly clock: Clock.Clock
  readonly startedAt: bigint
  readonly deadline: Option.Option<Deadline>
  readonly attempts: Array<Attempt>
  readonly open: Set<OpenAttempt>
  readonly denials: Array<Denial>
  /** How often each provider was asked, by whatever tells one from another. */
  readonly asked: Map<unknown, number>
  started: number
  fallbacks: number
  stoppedBy: DeniedBy | undefined
  waited: Duration.Duration
  waitingSince: bigint | undefined
  ended: boolean
}

/** An attempt while it runs. */
export interface OpenAttempt {
  readonly call: OpenCall | undefined
  readonly deadline: Option.Option<Deadline>
  /** Whose attempts are counted together. */
  readonly owner: unknown
  target: Target
  /** How many requests were sent in it. */
  requests: number
  /** Another policy makes its attempts in it, the first of them under this one's number. */
  superseded: boolean
  /** Over, or let go of: what still runs in it is on its own. */
  over: boolean
  recorded: "no" | "started" | "ended"
  number: number
  resend: number
  openedAt: bigint
  waitedBefore: Duration.Duration
  status: number | undefined
  requestId: string | undefined
  dropped: ReadonlyArray<string>
}

class CurrentCall extends Context.Reference<CurrentCall>()(
  "effect-resilience/CurrentCall",
  { defaultValue: (): OpenCall | undefined => undefined }
) {}

class CurrentAttempt extends Context.Reference<CurrentAttempt>()(
  "effect-resilience/CurrentAttempt",
  { defaultValue: (): OpenAttempt | undefined => undefined }
) {}

/** The attempt whose record the request being sent is. */
class CurrentRequest extends Context.Reference<CurrentRequest>()(
  "effect-resilience/CurrentRequest",
  { defaultValue: (): OpenAttempt | undefined => undefined }
) {}

/** The attempt of a policy that this runs in: whoever made it owns the retries. A fiber that outlives it is free. */
export const attemptAround = (context: Context.Context<never>): OpenAttempt | undefined => {
  const attempt = Context.get(context, CurrentAttempt)
  return attempt === undefined || attempt.over ? undefined : attempt
}

/** Does this run in an attempt whose owner decides about retries? */
export const insideAttempt: Effect.Effect<boolean> = Effect.map(
  Effect.context<never>(),
  (context) => attemptAround(context) !== undefined
)

const emit = (call: OpenCall, event: Event): Effect.Effect<void> =>
  Effect.forEach(call.sinks, (sink) => sink.emit(event), { discard: true })

const between = (from: bigint, to: bigint): Duration.Duration => Duration.nanos(to > from ? to - from : 0n)

/** An exit as a report tells it: an interruption by the deadline is a `Timeout`. */
const settle = (
  exit: Exit.Exit<unknown, unknown>,
  deadline: Option.Option<Deadline>,
  target: Target
): { readonly outcome: Outcome; readonly error: CallError | undefined } => {
  if (Exit.isSuccess(exit)) {
    return { outcome: "Success", error: undefined }
  }
  const failure = Cause.failureOption(exit.cause)
  if (Option.isSome(failure)) {
    return isCallError(failure.value)
      ? { outcome: failure.value._tag, error: failure.value }
      : { outcome: "OtherError", error: undefined }
  }
  if (!Cause.isInterruptedOnly(exit.cause)) {
    return { outcome: "Defect", error: undefined }
  }
  return Option.isSome(deadline) && deadline.value.expired()
    ? { outcome: "Timeout", error: timedOut("Deadline", deadline.value.total, target) }
    : { outcome: "Interrupted", error: undefined }
}

const stopWaiting = (call: OpenCall, now: bigint): Duration.Duration => {
  if (call.waitingSince === undefined) {
    return Duration.zero
  }
  const waited = between(call.waitingSince, now)
  call.waited = Duration.sum(call.waited, waited)
  call.waitingSince = undefined
  return waited
}

/** An attempt about to be made in the given context. */
export const openAttempt = (
  context: Context.Context<never>,
  owner: unknown,
  target: Target,
  now: bigint
): OpenAttempt => {
  const call = Context.get(context, CurrentCall)
  const around = attemptAround(context)
  const adopted = around !== undefined && around.call === call && around.requests === 0 && !around.superseded
    ? around
    : undefined
  if (adopted !== undefined) {
    adopted.superseded = true
  }
  const attempt: OpenAttempt = {
    call,
    deadline: Context.get(context, CurrentDeadline),
    owner,
    target,
    requests: 0,
    superseded: false,
    over: false,
    recorded: adopted?.recorded ?? "no",
    number: adopted?.number ?? 0,
    resend: adopted?.resend ?? 0,
    openedAt: adopted?.openedAt ?? now,
    waitedBefore: adopted?.waitedBefore ?? (call === undefined ? Duration.zero : stopWaiting(call, now)),
    status: undefined,
    requestId: undefined,
    dropped: []
  }
  call?.open.add(attempt)
  return attempt
}

/** The context an attempt is made in. */
export const withAttempt = <R>(context: Context.Context<R>, attempt: OpenAttempt): Context.Context<R> =>
  Context.add(context, CurrentAttempt, attempt)

const start = (attempt: OpenAttempt, call: OpenCall): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (attempt.recorded !== "no") {
      return Effect.void
    }
    const { owner, target } = attempt
    call.started += 1
    call.stoppedBy = undefined
    attempt.recorded = "started"
    attempt.number = call.started
    attempt.resend = call.asked.get(owner) ?? 0
    call.asked.set(owner, attempt.resend + 1)
    const { number, resend } = attempt
    const startedAfter = between(call.startedAt, attempt.openedAt)
    return emit(call, { _tag: "AttemptStarted", number, resend, startedAfter, target })
  })

const end = (attempt: OpenAttempt, call: OpenCall, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.suspend(() => {
    call.open.delete(attempt)
    if (call.ended || attempt.recorded === "ended" || attempt.superseded) {
      return Effect.void
    }
    attempt.recorded = "ended"
    const { error, outcome } = settle(exit, attempt.deadline, attempt.target)
    const answer: Partial<ProviderError> = error === undefined || error._tag === "CircuitOpen" ? {} : error
    const record: Attempt = {
      provider: attempt.target.provider ?? error?.provider,
      model: attempt.target.model ?? error?.model,
      number: attempt.number,
      resend: attempt.resend,
      outcome,
      error,
      status: attempt.status ?? answer.status,
      requestId: attempt.requestId ?? answer.requestId,
      dropped: attempt.dropped,
      startedAfter: between(call.startedAt, attempt.openedAt),
      duration: between(attempt.openedAt, call.clock.unsafeCurrentTimeNanos()),
      waitedBefore: attempt.waitedBefore
    }
    call.attempts.push(record)
    return emit(call, { _tag: "AttemptEnded", attempt: record })
  })

/** Records the effect, which is all of the attempt, in the open call. */
export const recordAttempt = <A, E, R>(self: Effect.Effect<A, E, R>, attempt: OpenAttempt): Effect.Effect<A, E, R> => {
  const call = attempt.call
  return call === undefined
    ? self
    : Effect.zipRight(start(attempt, call), Effect.onExit(self, (exit) => end(attempt, call, exit)))
}

/** A request in the attempt of a policy: it is that attempt's record, unless the policy ends it (by its timeout). */
const fill = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  attempt: OpenAttempt,
  target: Target
): Effect.Effect<A, E, R> => {
  const call = attempt.call
  attempt.target = target
  return call === undefined
    ? self
    : Effect.onExit(
      self,
      // Cut short because its attempt is over, it ends as that does.
      (exit) => attempt.over ? Effect.void : end(attempt, call, exit)
    )
}

/** A request that is an attempt by itself. */
const alone = <A, E, R>(self: Effect.Effect<A, E, R>, target: Target): Effect.Effect<A, E, R> =>
  Effect.contextWithEffect((context: Context.Context<R>) =>
    Effect.withFiberRuntime((fiber) => {
      const owner = `${target.provider} ${target.model}`
      const attempt = openAttempt(context, owner, target, clockOf(fiber).unsafeCurrentTimeNanos())
      return recordAttempt(Effect.provideService(self, CurrentRequest, attempt), attempt)
    })
  )

/**
 * One request at a provider: it fills in the attempt a policy has begun, or is an attempt, and if need be a call, by
 * itself. The nth request of one attempt sends another body, so it has a key of its own.
 */
export const request = <A, E, R>(self: Effect.Effect<A, E, R>, target: Target): Effect.Effect<A, E, R> =>
  Effect.contextWithEffect((context: Context.Context<R>) => {
    const around = attemptAround(context)
    if (around === undefined) {
      return recordCall(alone(self, target))
    }
    around.requests += 1
    const keyed = IdempotencyKey.derived(self, around.requests)
    return around.requests === 1 && !around.superseded && around.call === Context.get(context, CurrentCall)
      ? Effect.provideService(fill(keyed, around, target), CurrentRequest, around)
      : recordCall(alone(keyed, target))
  })

/** What the response to the current request said of itself. */
export const answered = (
  answer: { readonly status: number; readonly requestId: string | undefined }
): Effect.Effect<void> =>
  Effect.map(CurrentRequest, (attempt) => {
    if (attempt !== undefined) {
      attempt.status = answer.status
      attempt.requestId = answer.requestId
    }
  })

/** What the current request leaves out of what was asked. */
export const dropped = (fields: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.map(CurrentRequest, (attempt) => {
    if (attempt !== undefined) {
      attempt.dropped = fields
    }
  })

const reportOf = (call: OpenCall, exit: Exit.Exit<unknown, unknown>, now: bigint): CallReport => {
  const { error, outcome } = settle(exit, call.deadline, {})
  const attempts = [...call.attempts].sort((a, b) => a.number - b.number)
  return {
    outcome,
    error,
    attempts,
    retries: attempts.filter((attempt) => attempt.resend > 0).length,
    fallbacks: call.fallbacks,
    denials: [...call.denials],
    stoppedBy: outcome === "Success" ? undefined : call.stoppedBy,
    duration: between(call.startedAt, now),
    waited: call.waited,
    worked: attempts.reduce((total, attempt) => Duration.sum(total, attempt.duration), Duration.zero)
  }
}

const endCall = (call: OpenCall) => (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (call.ended) {
      return Effect.void
    }
    stopWaiting(call, call.clock.unsafeCurrentTimeNanos())
    // What still runs was abandoned, by the deadline or by an interruption: the exit says which.
    return Effect.forEach([...call.open], (attempt) => end(attempt, call, abandoned(exit)), { discard: true }).pipe(
      Effect.zipRight(Effect.suspend(() => {
        call.ended = true
        return emit(call, { _tag: "CallEnded", report: reportOf(call, exit, call.clock.unsafeCurrentTimeNanos()) })
      }))
    )
  })

const abandoned = (exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, unknown> => {
  const failure = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()
  return Option.isSome(failure) && isCallError(failure.value) && failure.value._tag === "Timeout"
    ? exit
    : Exit.interrupt(FiberId.none)
}

/** Records the effect as one call, unless it is part of one already or nobody listens. */
export const recordCall = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const context = fiber.currentContext
    const sinks = Context.get(context, CurrentSinks)
    const current = Context.get(context, CurrentCall)
    // A sink that came after the call was opened wants the calls inside as calls of their own.
    if (sinks.length === 0 || (current !== undefined && !current.ended && current.sinks.length === sinks.length)) {
      return self
    }
    const clock = clockOf(fiber)
    const call: OpenCall = {
      sinks,
      clock,
      startedAt: clock.unsafeCurrentTimeNanos(),
      deadline: Context.get(context, CurrentDeadline),
      attempts: [],
      open: new Set(),
      denials: [],
      asked: new Map(),
      started: 0,
      fallbacks: 0,
      stoppedBy: undefined,
      waited: Duration.zero,
      waitingSince: undefined,
      ended: false
    }
    sinks.forEach((sink) => sink.opened(endCall(call)))
    return Effect.onExit(Effect.provideService(self, CurrentCall, call), endCall(call))
  })

const whenOpen = (f: (call: OpenCall) => Effect.Effect<void>): Effect.Effect<void> =>
  Effect.flatMap(CurrentCall, (call) => call === undefined || call.ended ? Effect.void : f(call))

/** Whom a decision is about: unless somebody else is named, the provider that was asked last. */
const concerned = (call: OpenCall, target: Target | undefined): Target => {
  const { model, provider } = target ?? call.attempts.at(-1) ?? {}
  return { provider, model }
}

/** A wait begins; it lasts until the next attempt, or the end of the call. */
export const waiting = (delay: Duration.Duration, reason: WaitReason, target?: Target): Effect.Effect<void> =>
  whenOpen((call) => {
    call.waitingSince = call.clock.unsafeCurrentTimeNanos()
    return emit(call, { _tag: "Waiting", target: concerned(call, target), delay, reason })
  })

/** Something that could have been tried was not. */
export const denied = (by: DeniedBy, target?: Target): Effect.Effect<void> =>
  whenOpen((call) => {
    const denial: Denial = { by, ...concerned(call, target) }
    call.denials.push(denial)
    call.stoppedBy = by
    return emit(call, { _tag: "Denied", denial })
  })

/** The next provider is turned to. */
export const fellBack = (from: Target, to: Target, error: CallError): Effect.Effect<void> =>
  whenOpen((call) => {
    call.fallbacks += 1
    return emit(call, { _tag: "FellBack", from, to, error })
  })
