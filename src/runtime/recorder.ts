/**
 * Records a call while it runs.
 *
 * An open call is found in the context by whoever has something to record: attempts by the policies and providers,
 * waits and denials by the retry policy, fallbacks by the chain. What they record feeds metrics, logs and spans, and
 * becomes events and a report where a sink listens. A policy leaves an open attempt in the context of each attempt it
 * makes, which serves twice: a retrying combinator sees by it that somebody above owns the retries, and the provider
 * that sends the request fills it in. So one request is one attempt, however many policies are around it: an attempt in
 * which another policy made its own is not recorded besides.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import { CurrentSinks } from "../CallReport.js"
import type { ChatRequest } from "../ChatProvider.js"
import { CurrentDeadline } from "../Deadline.js"
import * as IdempotencyKey from "../IdempotencyKey.js"
import type { Target } from "../ProviderError.js"
import { isCallError } from "../ProviderError.js"
import { bracket } from "./bracket.js"
import type { OpenAttempt, OpenCall } from "./callRecord.js"
import {
  answerOf,
  attemptOf,
  between,
  both,
  callOutcome,
  CurrentCall,
  emit,
  logFailed,
  openCall,
  reportOf,
  stopWaiting
} from "./callRecord.js"
import { attemptLine, isLogged } from "./logs.js"
import * as metrics from "./metrics.js"
import { isFailure, settle } from "./outcome.js"
import { attemptSpan, openChat, serverOf, traceOf, withAttemptSpan } from "./spans.js"
import { clockOf } from "./timeLimit.js"

export type { OpenAttempt } from "./callRecord.js"
export { denied, fellBack, waiting } from "./decisions.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

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
    retryOf: adopted?.retryOf,
    openedAt: adopted?.openedAt ?? now,
    waitedBefore: adopted?.waitedBefore ?? (call === undefined ? 0n : stopWaiting(call, now)),
    status: undefined,
    requestId: undefined,
    span: adopted?.span ?? attemptSpan(context),
    server: {},
    dropped: []
  }
  if (adopted !== undefined) {
    adopted.superseded = true
  }
  call?.open.add(attempt)
  return attempt
}

/** The context an attempt is made in. */
export const withAttempt = <R>(context: Context.Context<R>, attempt: OpenAttempt): Context.Context<R> =>
  withAttemptSpan(Context.add(context, CurrentAttempt, attempt), attempt.span)

const start = (attempt: OpenAttempt, call: OpenCall): Effect.Effect<void> => {
  if (attempt.recorded !== "no") {
    return Effect.void
  }
  const asked = call.asked.get(attempt.owner)
  call.started += 1
  call.stoppedBy = undefined
  attempt.recorded = "started"
  attempt.number = call.started
  if (asked === undefined) {
    call.asked.set(attempt.owner, { times: 1, outcome: undefined })
  } else {
    attempt.resend = asked.times
    asked.times += 1
    if (asked.outcome !== undefined && isFailure(asked.outcome)) {
      attempt.retryOf = asked.outcome
      call.retries += 1
    }
  }
  const { number, resend, target } = attempt
  return both(
    logFailed(call),
    emit(call, () => ({
      _tag: "AttemptStarted",
      number,
      resend,
      startedAfter: Duration.nanos(between(call.startedAt, attempt.openedAt)),
      target
    }))
  )
}

const end = (attempt: OpenAttempt, call: OpenCall, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    call.open.delete(attempt)
    const settled = settle(exit, attempt.deadline, attempt.target)
    const answer = answerOf(attempt, settled)
    const { model, provider } = answer
    attempt.span?.end(settled, {
      "gen_ai.provider.name": provider,
      "gen_ai.request.model": model,
      "http.request.resend_count": attempt.retryOf === undefined ? undefined : attempt.resend,
      "http.response.status_code": answer.status,
      "resilience.request_id": answer.requestId,
      ...attempt.server
    })
    if (call.ended || attempt.recorded !== "started" || attempt.superseded) {
      return Effect.void
    }
    attempt.recorded = "ended"
    const { outcome } = settled
    const target = { provider, model }
    const asked = call.asked.get(attempt.owner)
    if (asked !== undefined) {
      asked.outcome = outcome
    }
    call.target ??= target
    call.askedLast = target
    if (outcome === "Success") {
      call.answeredBy = target
    }
    if (call.counted) {
      metrics.attemptEnded(fiber, target, outcome, attempt.retryOf)
    }
    const logged = call.counted && isLogged(fiber, outcome)
    if (!logged && call.sinks.length === 0) {
      return Effect.void
    }
    const record = attemptOf(attempt, call, settled, answer)
    const log = logged ? logEnded(call, record, attempt.span?.span ?? traceOf(fiber.currentContext)) : Effect.void
    if (call.sinks.length > 0) {
      call.attempts.push(record)
    }
    return both(log, emit(call, () => ({ _tag: "AttemptEnded", attempt: record })))
  })

const logEnded = (
  call: OpenCall,
  attempt: Parameters<typeof attemptLine>[0],
  span: Parameters<typeof attemptLine>[1]
): Effect.Effect<void> => {
  if (!isFailure(attempt.outcome)) {
    return attemptLine(attempt, span)
  }
  const before = logFailed(call)
  call.unlogged = { attempt, span }
  return before
}

/** Records the effect, which is all of the attempt, in the open call. */
export const recordAttempt = <A, E, R>(self: Effect.Effect<A, E, R>, attempt: OpenAttempt): Effect.Effect<A, E, R> => {
  const call = attempt.call
  return call === undefined
    ? self
    : Effect.suspend(() => {
      const started = start(attempt, call)
      const recorded = Effect.onExit(self, (exit) => end(attempt, call, exit))
      return started === Effect.void ? recorded : Effect.zipRight(started, recorded)
    })
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

/** The effect sends the request that the attempt is. */
const sendIn = <A, E, R>(self: Effect.Effect<A, E, R>, attempt: OpenAttempt): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(self, (context: Context.Context<R>) => {
    // A policy outside of any chat opened no span.
    attempt.span ??= attemptSpan(context)
    return withAttemptSpan(Context.add(context, CurrentRequest, attempt), attempt.span)
  })

/** A request that is an attempt by itself. */
const alone = <A, E, R>(self: Effect.Effect<A, E, R>, target: Target): Effect.Effect<A, E, R> =>
  Effect.contextWithEffect((context: Context.Context<R>) =>
    Effect.withFiberRuntime((fiber) => {
      const owner = `${target.provider} ${target.model}`
      const attempt = openAttempt(context, owner, target, clockOf(fiber).unsafeCurrentTimeNanos())
      return recordAttempt(sendIn(self, attempt), attempt)
    })
  )

/**
 * One request at a provider: it fills in the attempt a policy has begun, or is an attempt, and if need be a call, by
 * itself. The nth request of one attempt sends another body, so it has a key of its own.
 */
export const request = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  target: Target,
  request?: ChatRequest
): Effect.Effect<A, E, R> =>
  Effect.contextWithEffect((context: Context.Context<R>) => {
    const around = attemptAround(context)
    if (around === undefined) {
      return chatCall(alone(self, target), { ...target, request })
    }
    around.requests += 1
    const keyed = IdempotencyKey.derived(self, around.requests)
    return around.requests === 1 && !around.superseded && around.call === Context.get(context, CurrentCall)
      ? inChat(fill(sendIn(keyed, around), around, target), target, request)
      : chatCall(alone(keyed, target), { ...target, request })
  })

/** The current request is about to be sent to this URL. */
export const sending = (url: string): Effect.Effect<void> =>
  Effect.map(CurrentRequest, (attempt) => {
    if (attempt?.span !== undefined) {
      attempt.server = serverOf(url)
    }
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

const endCall = (call: OpenCall) => (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    if (call.ended) {
      return Effect.void
    }
    stopWaiting(call, call.clock.unsafeCurrentTimeNanos())
    // What still runs was abandoned, by the deadline or by an interruption: the exit says which.
    return call.open.size === 0
      ? closeCall(call, exit, fiber)
      : Effect.zipRight(
        Effect.forEach([...call.open], (attempt) => end(attempt, call, abandoned(exit)), { discard: true }),
        Effect.suspend(() => closeCall(call, exit, fiber))
      )
  })

const closeCall = (call: OpenCall, exit: Exit.Exit<unknown, unknown>, fiber: AnyFiber): Effect.Effect<void> => {
  call.ended = true
  const settled = settle(exit, call.deadline, {})
  const outcome = callOutcome(call, settled.outcome)
  if (call.counted && outcome !== undefined) {
    metrics.callEnded(fiber, call.target ?? {}, outcome)
  }
  return both(logFailed(call), emit(call, () => ({ _tag: "CallEnded", report: reportOf(call, settled) })))
}

const abandoned = (exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, unknown> => {
  const failure = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()
  return Option.isSome(failure) && isCallError(failure.value) && failure.value._tag === "Timeout"
    ? exit
    : Exit.interrupt(FiberId.none)
}

/** A call to be opened in the context, unless one is open there. */
const callIn = (fiber: AnyFiber, context: Context.Context<never>, target: Target | undefined): OpenCall | undefined => {
  const sinks = Context.get(context, CurrentSinks)
  const current = Context.get(context, CurrentCall)
  const around = current === undefined || current.ended ? undefined : current
  // A sink that came after the call was opened wants the calls inside as calls of their own.
  if (around !== undefined && sinks.length <= around.sinks.length) {
    return undefined
  }
  const call = openCall({
    sinks,
    counted: around === undefined,
    clock: clockOf(fiber),
    deadline: Context.get(context, CurrentDeadline),
    target
  })
  sinks.forEach((sink) => sink.opened(endCall(call)))
  return call
}

/** Records the effect as one call, unless it is part of one already. `target` is whom it is meant for, if that is known. */
export const recordCall = <A, E, R>(self: Effect.Effect<A, E, R>, target?: Target): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const outside = fiber.currentContext
    const call = callIn(fiber, outside, target)
    return call === undefined
      ? self
      : bracket(self, { outside, inside: Context.add(outside, CurrentCall, call), onExit: endCall(call) })
  })

/**
 * `recordCall` for whoever hands the context on by itself, to what it forks and to what it only does after a failure:
 * the fiber's own context stays as it is, since to change it costs as much as all the rest of recording a call.
 */
export const recordCallWith = <A, E, R>(
  self: (context: Context.Context<R>) => Effect.Effect<A, E, R>,
  target?: Target
): Effect.Effect<A, E, R> =>
  Effect.contextWithEffect((context: Context.Context<R>) =>
    Effect.withFiberRuntime((fiber) => {
      const call = callIn(fiber, context, target)
      return call === undefined
        ? self(context)
        : Effect.onExit(self(Context.add(context, CurrentCall, call)), endCall(call))
    })
  )

/** Whom a chat asks, and for what. */
export interface Chat extends Target {
  readonly request?: ChatRequest | undefined
}

/**
 * Records the effect as one call that is a chat, with a span, and the duration by the GenAI conventions; or as what it
 * is not yet part of.
 */
export const chatCall = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  { model, provider, request }: Chat
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const target = { provider, model }
    const outside = fiber.currentContext
    const call = callIn(fiber, outside, target)
    const chat = openChat(fiber, outside, target, request)
    if (call === undefined && chat === undefined) {
      return self
    }
    const inside = chat?.inside ?? outside
    return bracket(self, {
      outside,
      inside: call === undefined ? inside : Context.add(inside, CurrentCall, call),
      // The chat last: its attempts end with the call.
      onExit: (exit) => both(call === undefined ? Effect.void : endCall(call)(exit), Effect.sync(() => chat?.end(exit)))
    })
  })

/** Records the effect as a chat within the call, unless it is part of one already. */
const inChat = <A, E, R>(self: Effect.Effect<A, E, R>, target: Target, request?: ChatRequest): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const outside = fiber.currentContext
    const chat = openChat(fiber, outside, target, request)
    return chat === undefined
      ? self
      : bracket(self, { outside, inside: chat.inside, onExit: (exit) => Effect.sync(() => chat.end(exit)) })
  })
