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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Stream from "effect/Stream"
import type { ChatRequest } from "../ChatProvider.js"
import * as IdempotencyKey from "../IdempotencyKey.js"
import { Activity } from "../internal/activity.js"
import type { Target } from "../ProviderError.js"
import { attemptAround, end, endAttempt, openAttempt, recordAttempt, startAttempt } from "./attempts.js"
import { bracket, inContext, nothing } from "./bracket.js"
import { clockOf } from "./caller.js"
import type { OpenAttempt } from "./callRecord.js"
import { CurrentCall } from "./callRecord.js"
import { chatCall, chatStream, inChat, inChatStream } from "./calls.js"
import type { Lease, Pull } from "./lease.js"
import { leased } from "./lease.js"
import { counted, CurrentActivity } from "./opening.js"
import { attemptSpan, serverOf, withAttemptSpan } from "./spans.js"

export { attemptAround, endAttempt, insideAttempt, openAttempt, startAttempt, withAttempt } from "./attempts.js"
export type { OpenAttempt } from "./callRecord.js"
export {
  type Chat,
  chatCall,
  chatCallFor,
  chatStream,
  openRecording,
  recordedCall,
  recordedCallStream
} from "./calls.js"
export { denied, fellBack, resumed, waiting } from "./decisions.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/** The attempt whose record the request being sent is. */
export class CurrentRequest extends Context.Reference<CurrentRequest>()(
  "effect-resilience/CurrentRequest",
  { defaultValue: (): OpenAttempt | undefined => undefined }
) {}

/** The effect sends the request that the attempt is, with the key of the nth; when it has ended, so has `onExit`. */
const sendIn = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  attempt: OpenAttempt,
  nth?: number,
  onExit: (exit: Exit.Exit<A, E>, fiber: AnyFiber) => Effect.Effect<void> = nothing
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const outside = fiber.currentContext
    // A policy outside of any chat opened no span.
    attempt.span ??= attemptSpan(outside)
    const keyed = nth === undefined ? outside : IdempotencyKey.nth(nth)(outside)
    const inside = withAttemptSpan(Context.add(keyed, CurrentRequest, attempt), attempt.span)
    return bracket(self, { outside, inside, onExit: (exit) => onExit(exit, fiber) })
  })

/** A request in the attempt of a policy: it is that attempt's record, unless the policy ends it (by its timeout). */
const fill = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  attempt: OpenAttempt,
  nth: number,
  target: Target
): Effect.Effect<A, E, R> => {
  const { call } = attempt
  attempt.target = target
  return sendIn(
    self,
    attempt,
    nth,
    // Cut short because its attempt is over, it ends as that does.
    (exit, fiber) => call === undefined || attempt.over ? Effect.void : end(attempt, call, exit, fiber)
  )
}

/** An attempt of a provider that nobody asks but the program. */
const openAlone = (context: Context.Context<never>, target: Target, now: bigint): OpenAttempt =>
  openAttempt(context, `${target.provider} ${target.model}`, target, now)

/** A request that is an attempt by itself. */
const alone = <A, E, R>(self: Effect.Effect<A, E, R>, target: Target, nth?: number): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const attempt = openAlone(fiber.currentContext, target, clockOf(fiber).unsafeCurrentTimeNanos())
    return recordAttempt(sendIn(self, attempt, nth), attempt)
  })

/**
 * One request at a provider: it fills in the attempt a policy has begun, or is an attempt, and if need be a call, by
 * itself. The nth request of one attempt sends another body, so it has a key of its own.
 */
export const request = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  target: Target,
  request?: ChatRequest
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const context = fiber.currentContext
    const around = attemptAround(context)
    if (around === undefined) {
      return chatCall(alone(self, target), { request, ...target })
    }
    const nth = around.requests += 1
    return nth === 1 && !around.superseded && around.call === Context.get(context, CurrentCall)
      ? inChat(fill(self, around, nth, target), { request, ...target })
      : chatCall(alone(self, target, nth), { request, ...target })
  })

/** `sendIn` for a stream that is counted. */
const sendCounted = <A, E, R>(
  open: Effect.Effect<Pull<A, E>, E, R>,
  attempt: OpenAttempt,
  isOutput: (element: A) => boolean,
  activity: Activity,
  nth?: number
): Effect.Effect<Pull<A, E>, E, R> => {
  attempt.activity = activity
  return Effect.map(
    inContext(sendIn(open, attempt, nth), Context.add(CurrentActivity, activity)),
    (pull) => counted(pull, isOutput, activity)
  )
}

/** A request that is an attempt by itself, and lasts as long as the lease does. */
const aloneStream = <A, E, R>(
  lease: Lease,
  open: Effect.Effect<Pull<A, E>, E, R>,
  isOutput: (element: A) => boolean,
  target: Target,
  nth?: number
): Effect.Effect<Pull<A, E>, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const context = fiber.currentContext
    const now = clockOf(fiber).unsafeCurrentTimeNanos()
    const attempt = openAlone(context, target, now)
    lease.atEnd((exit) => endAttempt(attempt, exit, fiber))
    const activity = new Activity(now, Context.get(context, CurrentActivity))
    return Effect.zipRight(startAttempt(attempt), sendCounted(open, attempt, isOutput, activity, nth))
  })

/**
 * A request in the attempt of a policy, whose record ends as the stream does. One that nobody reads on was stopped by the
 * policy, as a rule, which then says why.
 */
const fillStream = <A, E, R>(
  lease: Lease,
  open: Effect.Effect<Pull<A, E>, E, R>,
  attempt: OpenAttempt,
  nth: number,
  isOutput: (element: A) => boolean,
  target: Target
): Effect.Effect<Pull<A, E>, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    attempt.target = target
    lease.atEnd((exit) => Exit.isInterrupted(exit) ? Effect.void : endAttempt(attempt, exit, fiber))
    // A policy of plain calls counts nothing.
    return attempt.activity === undefined
      ? sendCounted(open, attempt, isOutput, new Activity(clockOf(fiber).unsafeCurrentTimeNanos()), nth)
      : sendIn(open, attempt, nth)
  })

/** `request` for a stream whose pulls `open` gives once the request is answered. */
export const requestStream = <A, E, R>(
  open: (lease: Lease) => Effect.Effect<Pull<A, E>, E, R>,
  isOutput: (element: A) => boolean,
  target: Target,
  request?: ChatRequest
): Stream.Stream<A, E, R> =>
  leased((lease) =>
    Effect.withFiberRuntime((fiber) => {
      const context = fiber.currentContext
      const alone = (nth?: number) =>
        chatStream(
          lease,
          { request, ...target },
          isOutput,
          (lease) => aloneStream(lease, open(lease), isOutput, target, nth)
        )
      const around = attemptAround(context)
      if (around === undefined) {
        return alone()
      }
      const nth = around.requests += 1
      if (nth > 1 || around.superseded || around.call !== Context.get(context, CurrentCall)) {
        return alone(nth)
      }
      return inChatStream(
        lease,
        { request, ...target },
        isOutput,
        (lease) => fillStream(lease, open(lease), around, nth, isOutput, target)
      )
    })
  )

/** The request that is current in the context is about to be sent to this URL. */
export const sending = (context: Context.Context<never>, url: string): void => {
  const attempt = Context.get(context, CurrentRequest)
  if (attempt?.span !== undefined) {
    attempt.server = serverOf(url)
  }
}

/** What the current request leaves out of what was asked. */
export const dropped = (fields: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.map(CurrentRequest, (attempt) => {
    if (attempt !== undefined) {
      attempt.dropped = fields
    }
  })

/** What the response to the request that is current in the context said of itself. */
export const answered = (
  context: Context.Context<never>,
  answer: { readonly status: number; readonly requestId: string | undefined }
): void => {
  const attempt = Context.get(context, CurrentRequest)
  if (attempt !== undefined) {
    attempt.status = answer.status
    attempt.requestId = answer.requestId
  }
}
