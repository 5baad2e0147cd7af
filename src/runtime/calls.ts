/** Records calls: whoever begins the outermost part of one opens it, and everything inside joins. */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import { CurrentSinks } from "../CallReport.js"
import type { ChatRequest } from "../ChatProvider.js"
import { deadlineIn } from "../Deadline.js"
import { isChunk } from "../internal/chunks.js"
import type { Target } from "../ProviderError.js"
import { isCallError } from "../ProviderError.js"
import { end } from "./attempts.js"
import { after, andThen, bracket, ending, inContext, nothing } from "./bracket.js"
import type { Caller, ForCaller } from "./caller.js"
import { clockOf } from "./caller.js"
import type { OpenCall } from "./callRecord.js"
import { both, callOutcome, CurrentCall, emit, logFailed, openCall, reportOf, stopWaiting } from "./callRecord.js"
import type { Lease, Pull } from "./lease.js"
import * as metrics from "./metrics.js"
import { pullsOf, readFirst } from "./opening.js"
import { settle } from "./outcome.js"
import type { OpenChat } from "./spans.js"
import { openChat } from "./spans.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

const endCall = (call: OpenCall, fiber: AnyFiber) => (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
  if (call.ended) {
    return Effect.void
  }
  stopWaiting(call, call.clock.unsafeCurrentTimeNanos())
  // What still runs was abandoned, by the deadline or by an interruption: the exit says which.
  return call.open.length === 0
    ? closeCall(call, exit, fiber)
    : Effect.zipRight(
      Effect.forEach([...call.open], (attempt) => end(attempt, call, abandoned(exit), fiber), { discard: true }),
      Effect.suspend(() => closeCall(call, exit, fiber))
    )
}

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
    deadline: deadlineIn(context),
    target
  })
  sinks.forEach((sink) => sink.opened((exit) => Effect.suspend(() => endCall(call, fiber)(exit))))
  return call
}

/** A call that was opened: the context it is made in, and what ends it. */
export interface Recording<R> {
  readonly inside: Context.Context<R>
  readonly end: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
}

/**
 * Opens a call, unless what the caller does is part of one already. It hands the context on by itself, to what it forks
 * and to what it only does after a failure: the fiber's own stays as it is, since to change it costs as much as all the
 * rest of recording a call.
 */
export const openRecording = <R>({ context, fiber }: Caller<R>): Recording<R> => {
  const call = callIn(fiber, context, undefined)
  return call === undefined
    ? { inside: context, end: nothing }
    : { inside: Context.add(context, CurrentCall, call), end: endCall(call, fiber) }
}

/** Whom a chat asks, and for what. */
export interface Chat extends Target {
  readonly request?: ChatRequest | undefined
}

/** What is recorded while it runs, as a call of its own unless it is part of one. */
interface OpenRecording<R> extends Recording<R> {
  /** The first output of a stream arrived. */
  readonly firstOutput: () => void
  /** A chunk of a stream arrived; only where somebody wants to know. */
  readonly chunk: OpenChat<R>["chunk"]
}

type Open<A> = <R>(fiber: AnyFiber, outside: Context.Context<R>, what: A) => OpenRecording<R> | undefined

/** A call and a chat that were opened; nothing if what runs is part of both already. */
const recordingOf = <R>(
  fiber: AnyFiber,
  outside: Context.Context<R>,
  call: OpenCall | undefined,
  chat: OpenChat<R> | undefined
): OpenRecording<R> | undefined => {
  if (call === undefined && chat === undefined) {
    return undefined
  }
  const inside = chat?.inside ?? outside
  return {
    inside: call === undefined ? inside : Context.add(inside, CurrentCall, call),
    firstOutput: () => {
      if (call !== undefined) {
        call.firstOutputAt = call.clock.unsafeCurrentTimeNanos()
      }
      chat?.firstOutput()
    },
    chunk: chat?.chunk,
    // The chat last: its attempts end with the call.
    end: (exit) =>
      andThen(call === undefined ? Effect.void : endCall(call, fiber)(exit), () => {
        chat?.end(exit)
        return Effect.void
      })
  }
}

/** Opens a chat, with a call of its own around it or within the one there is. */
const chatRecording = (withCall: boolean): Open<Chat> => (fiber, outside, { model, provider, request }) => {
  const target = { provider, model }
  return recordingOf(
    fiber,
    outside,
    withCall ? callIn(fiber, outside, target) : undefined,
    openChat(fiber, outside, target, request)
  )
}

const openCallAlone: Open<Target> = (fiber, outside, target) =>
  recordingOf(fiber, outside, callIn(fiber, outside, target), undefined)

const openChatCall = chatRecording(true)
const openChatAlone = chatRecording(false)

/** What is recorded may need more in its context, which is given to it at the same time. */
type Also = <R>(context: Context.Context<R>, fiber: AnyFiber) => Context.Context<R>

const recorded = <What>(open: Open<What>) =>
<A, E, R>(
  self: Effect.Effect<A, E, R>,
  what: What,
  also: Also = identity
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const outside = fiber.currentContext
    const recording = open(fiber, outside, what) ?? { inside: outside, end: nothing }
    const inside = also(recording.inside, fiber)
    return inside === outside ? self : bracket(self, { outside, inside, onExit: recording.end })
  })

/**
 * Records the effect as one call that is a chat, with a span, and the duration by the GenAI conventions; or as what it
 * is not yet part of.
 */
export const chatCall = recorded(openChatCall)

/** `chatCall` of what is done for a caller, to which the context is handed on: the fiber's own stays as it is. */
export const chatCallFor =
  <A, E, R>(make: ForCaller<A, E, R>, what: Chat, also: Also = identity): ForCaller<A, E, R> => (caller) => {
    const { context, fiber } = caller
    const recording = openChatCall(fiber, context, what)
    const made = make({ ...caller, context: also(recording?.inside ?? context, fiber) })
    return recording === undefined ? made : ending(made, (exit) => after(recording.end(exit), exit))
  }

/** Records the effect as one call, unless it is part of one already; whose span it is, somebody else knows. */
export const recordedCall = recorded(openCallAlone)

/** Records the effect as a chat within the call, unless it is part of one already. */
export const inChat = recorded(openChatAlone)

const recordedStream = <What>(open: Open<What>) =>
<A, E, R>(
  lease: Lease,
  what: What,
  isOutput: (element: A) => boolean,
  self: (lease: Lease) => Effect.Effect<Pull<A, E>, E, R>,
  also: Also = identity
): Effect.Effect<Pull<A, E>, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const outside = fiber.currentContext
    const recording = open(fiber, outside, what)
    if (recording === undefined) {
      return inContext(self(lease), also)
    }
    const { chunk } = recording
    const inside = also(recording.inside, fiber)
    const inner = lease.within()
    lease.atEnd(recording.end)
    return Effect.map(
      bracket(Effect.flatMap(self(inner), (pull) => readFirst(pull, isOutput)), { outside, inside, onExit: nothing }),
      (read) => {
        if (Chunk.some(read.first, isOutput)) {
          recording.firstOutput()
        }
        return chunk === undefined ? pullsOf(read) : Effect.map(pullsOf(read), (elements) => {
          for (const element of elements) {
            if (isChunk(element)) {
              chunk(element)
            }
          }
          return elements
        })
      }
    )
  })

/** `chatCall` for a stream whose pulls `self` opens: it lasts as long as the lease does. */
export const chatStream = recordedStream(openChatCall)

/** `inChat` for a stream whose pulls `self` opens: it lasts as long as the lease does. */
export const inChatStream = recordedStream(openChatAlone)

/** `recordedCall` for a stream whose pulls `self` opens: it lasts as long as the lease does. */
export const recordedCallStream = recordedStream(openCallAlone)
