/** Records attempts: what a policy makes, one by one, or a request that is one by itself. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { deadlineIn } from "../Deadline.js"
import type { Target } from "../ProviderError.js"
import { atEnd } from "./bracket.js"
import type { OpenAttempt, OpenCall } from "./callRecord.js"
import { answerOf, attemptOf, between, both, CurrentCall, emit, logFailed, stopWaiting } from "./callRecord.js"
import { attemptLine, isLogged } from "./logs.js"
import * as metrics from "./metrics.js"
import { isFailure, settle } from "./outcome.js"
import { attemptSpan, traceOf, withAttemptSpan } from "./spans.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

class CurrentAttempt extends Context.Reference<CurrentAttempt>()(
  "effect-resilience/CurrentAttempt",
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
    context,
    call,
    deadline: deadlineIn(context),
    owner,
    target,
    requests: 0,
    keys: 0,
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
    dropped: [],
    skipped: 0,
    held: [],
    activity: undefined,
    span: adopted?.span ?? attemptSpan(context),
    server: {}
  }
  if (adopted !== undefined) {
    adopted.superseded = true
  }
  call?.open.push(attempt)
  return attempt
}

/** The context an attempt is made in. */
export const withAttempt = <R>(context: Context.Context<R>, attempt: OpenAttempt): Context.Context<R> =>
  withAttemptSpan(Context.add(context, CurrentAttempt, attempt), attempt.span)

const askedBy = ({ owner }: OpenAttempt, call: OpenCall) => call.asked.find((asked) => asked.owner === owner)

const remove = <A>(list: Array<A>, item: A): void => {
  const index = list.indexOf(item)
  if (index >= 0) {
    list.splice(index, 1)
  }
}

const start = (attempt: OpenAttempt, call: OpenCall): Effect.Effect<void> => {
  if (attempt.recorded !== "no") {
    return Effect.void
  }
  const asked = askedBy(attempt, call)
  call.started += 1
  call.stoppedBy = undefined
  attempt.recorded = "started"
  attempt.number = call.started
  if (asked === undefined) {
    call.asked.push({ owner: attempt.owner, times: 1, outcome: undefined })
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

/** An attempt ended, or what is to be taken for its end. */
export const end = (
  attempt: OpenAttempt,
  call: OpenCall,
  exit: Exit.Exit<unknown, unknown>,
  fiber: AnyFiber
): Effect.Effect<void> => {
  remove(call.open, attempt)
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
  const asked = askedBy(attempt, call)
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
  const log = logged ? logEnded(call, record, attempt.span?.span ?? traceOf(attempt.context)) : Effect.void
  if (call.sinks.length > 0) {
    call.attempts.push(record)
  }
  return both(log, emit(call, () => ({ _tag: "AttemptEnded", attempt: record })))
}

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

/** The attempt is about to be made. */
export const startAttempt = (attempt: OpenAttempt): Effect.Effect<void> =>
  attempt.call === undefined ? Effect.void : start(attempt, attempt.call)

/** The attempt, which was recorded as started, has ended. */
export const endAttempt = (
  attempt: OpenAttempt,
  exit: Exit.Exit<unknown, unknown>,
  fiber: AnyFiber
): Effect.Effect<void> => attempt.call === undefined ? Effect.void : end(attempt, attempt.call, exit, fiber)

/** Records the effect, which is all of the attempt, in the open call. */
export const recordAttempt = <A, E, R>(self: Effect.Effect<A, E, R>, attempt: OpenAttempt): Effect.Effect<A, E, R> =>
  attempt.call === undefined
    ? self
    : Effect.withFiberRuntime((fiber) =>
      Effect.zipRight(startAttempt(attempt), atEnd(self, (exit) => endAttempt(attempt, exit, fiber)))
    )
