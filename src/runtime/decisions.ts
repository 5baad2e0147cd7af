/** Records what is decided between attempts: waits, denials, fallbacks. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { DeniedBy, WaitReason } from "../CallReport.js"
import type { CallError, Target } from "../ProviderError.js"
import type { OpenCall } from "./callRecord.js"
import { both, CurrentCall, emit, logFailed, stopWaiting } from "./callRecord.js"
import { millis } from "./logs.js"
import * as metrics from "./metrics.js"
import { chatEvent } from "./spans.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

const whenOpen = (
  f: (call: OpenCall, fiber: AnyFiber) => Effect.Effect<void>,
  context?: Context.Context<never>
): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    const call = Context.get(context ?? fiber.currentContext, CurrentCall)
    return call === undefined || call.ended ? Effect.void : f(call, fiber)
  })

/** Whom a decision is about: unless somebody else is named, the provider that was asked last. */
const concerned = (call: OpenCall, target: Target | undefined): Target => {
  const { model, provider } = target ?? call.askedLast
  return { provider, model }
}

/** A wait begins; it lasts until the next attempt, or the end of the call. */
export const waiting = (delay: Duration.Duration, reason: WaitReason, target?: Target): Effect.Effect<void> =>
  whenOpen((call, fiber) => {
    const now = call.clock.unsafeCurrentTimeNanos()
    const who = concerned(call, target)
    const seconds = Duration.toSeconds(delay)
    stopWaiting(call, now)
    call.wait = { target: who, reason, delay, since: now }
    if (call.counted && (reason === "backoff" || reason === "Retry-After")) {
      metrics.retryDelayed(fiber, who, seconds)
    }
    chatEvent(fiber.currentContext, "resilience.wait", { reason, seconds })
    return both(
      logFailed(call, { retryInMs: millis(delay) }),
      emit(call, () => ({ _tag: "Waiting", target: who, delay, reason }))
    )
  })

/** Something that could have been tried was not. `context` is where the call is, unless it is the fiber's own. */
export const denied = (by: DeniedBy, target?: Target, context?: Context.Context<never>): Effect.Effect<void> =>
  whenOpen((call, fiber) => {
    const denial = { by, ...concerned(call, target) }
    call.denials.push(denial)
    call.stoppedBy = by
    if (call.counted) {
      metrics.retryDenied(fiber, denial, by)
    }
    chatEvent(fiber.currentContext, "resilience.denied", { by })
    return both(logFailed(call, { deniedBy: by }), emit(call, () => ({ _tag: "Denied", denial })))
  }, context)

/** The next provider is turned to. */
export const fellBack = (from: Target, to: Target, error: CallError): Effect.Effect<void> =>
  whenOpen((call, fiber) => {
    const next = [to.provider, to.model].filter((name) => name !== undefined).join(" ")
    call.fallbacks += 1
    chatEvent(fiber.currentContext, "resilience.fallback", { to: next })
    return both(logFailed(call, { fallbackTo: next }), emit(call, () => ({ _tag: "FellBack", from, to, error })))
  })

/** An answer that was cut is gone on with, or begun anew. */
export const resumed = (
  how: "continuation" | "restart",
  from: Target,
  to: Target,
  error: CallError
): Effect.Effect<void> =>
  whenOpen((call, fiber) => {
    if (how === "continuation") {
      call.continuations += 1
    } else {
      call.restarts += 1
    }
    chatEvent(fiber.currentContext, "resilience.resumed", { how })
    return emit(call, () => ({ _tag: "Resumed", how, from, to, error }))
  })
