/**
 * What happened: every attempt, wait and outcome of a call.
 *
 * "It failed" is not enough to run a program on: which provider was asked, what did it say, how long was waited and why,
 * and what ended the retries? The policies know, each a part of it, so they all write to one recorder, found in the
 * context. Whoever begins the outermost part of a call (a fallback chain, a resilient or a bare provider, a protected
 * effect) opens it, and everything inside joins, so that one logical call is one report. Metrics, spans and logs
 * (`Telemetry`) are fed from the same record; events and reports are built only where somebody listens, which keeps the
 * way of a call that succeeds short. A report holds no prompt and no answer.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import { dual } from "effect/Function"
import type { CallError, Target } from "./ProviderError.js"
import { inContext } from "./runtime/bracket.js"

/**
 * How an attempt or a call ended: `Success`, the tag of the error it failed with, `Interrupted`, `OtherError` (a typed
 * error that is not of this library) or `Defect`.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "Success" | CallError["_tag"] | "Interrupted" | "OtherError" | "Defect"

/**
 * One attempt: one request at one provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attempt extends Target {
  /** Its place among all attempts of the call, from 1. */
  readonly number: number
  /** How often the same provider had been asked before within this call. */
  readonly resend: number
  readonly outcome: Outcome
  readonly status: number | undefined
  readonly requestId: string | undefined
  /** The fields of the request that mean nothing to this provider and were left out, or brought into its range. */
  readonly dropped: ReadonlyArray<string>
  /** What it failed with, if that is an error of this library. */
  readonly error: CallError | undefined
  /** How many chunks with output it delivered, if it was a stream; what a failed one delivered is paid for as well. */
  readonly chunks: number
  /** How many frames of its stream could not be read, and were left out. */
  readonly skippedFrames: number
  /** From its beginning to its first output, if it was a stream that had any. */
  readonly timeToFirstChunk: Duration.Duration | undefined
  /** From the beginning of the call. */
  readonly startedAfter: Duration.Duration
  readonly duration: Duration.Duration
  /** How long was waited right before it. */
  readonly waitedBefore: Duration.Duration
}

/**
 * Why something that could have been tried was not.
 *
 * @since 0.1.0
 * @category models
 */
export type DeniedBy =
  | "attempts"
  | "budget"
  | "bulkhead"
  | "circuit"
  | "deadline"
  | "not retryable"
  | "patience"
  | "pause"
  | "Retry-After too long"
  | "unsupported"

/**
 * An attempt, a retry or a fallback that was not made, and what stood against it. Nothing was sent, so it is no attempt.
 *
 * @since 0.1.0
 * @category models
 */
export interface Denial extends Target {
  readonly by: DeniedBy
}

/**
 * What decided the length of a wait.
 *
 * @since 0.1.0
 * @category models
 */
export type WaitReason = "backoff" | "bulkhead" | "pause" | "Retry-After"

/**
 * A wait, for the provider that was to be asked after it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wait extends Target {
  readonly reason: WaitReason
  /** From the beginning of the call. */
  readonly startedAfter: Duration.Duration
  /** As it was decided. */
  readonly delay: Duration.Duration
  /** As it came to be: until the next attempt, or the end of the call. */
  readonly duration: Duration.Duration
}

/**
 * One logical call, from its beginning to its end.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallReport {
  readonly outcome: Outcome
  /** What the caller got, if that is an error of this library. */
  readonly error: CallError | undefined
  /** Who answered; undefined when nobody did. */
  readonly answeredBy: Target | undefined
  readonly attempts: ReadonlyArray<Attempt>
  readonly waits: ReadonlyArray<Wait>
  /** Attempts made because the one before at the same provider failed. */
  readonly retries: number
  /** How often the next provider was turned to. */
  readonly fallbacks: number
  /** How often a stream that was cut was gone on with. */
  readonly continuations: number
  /** How often a stream that was cut was begun anew, before its reader's eyes. */
  readonly restarts: number
  /** From the beginning of the call to the first output, if it was a stream that had any. */
  readonly timeToFirstChunk: Duration.Duration | undefined
  readonly denials: ReadonlyArray<Denial>
  /** What ended the retries at the provider asked last; undefined when nothing had to. */
  readonly stoppedBy: DeniedBy | undefined
  readonly duration: Duration.Duration
  /** Spent waiting between attempts. */
  readonly waited: Duration.Duration
  /** Spent in attempts. */
  readonly worked: Duration.Duration
}

/**
 * What a listener sees, as it happens.
 *
 * @since 0.1.0
 * @category models
 */
export type Event =
  | {
    readonly _tag: "AttemptStarted"
    readonly number: number
    readonly resend: number
    readonly startedAfter: Duration.Duration
    readonly target: Target
  }
  | { readonly _tag: "AttemptEnded"; readonly attempt: Attempt }
  | {
    readonly _tag: "Waiting"
    readonly target: Target
    readonly delay: Duration.Duration
    readonly reason: WaitReason
  }
  | { readonly _tag: "Denied"; readonly denial: Denial }
  | { readonly _tag: "FellBack"; readonly from: Target; readonly to: Target; readonly error: CallError }
  | {
    readonly _tag: "Resumed"
    readonly how: "continuation" | "restart"
    readonly from: Target
    readonly to: Target
    readonly error: CallError
  }
  | { readonly _tag: "CallEnded"; readonly report: CallReport }

/**
 * Where the recorder of a call sends what it sees; `observe` and `collect` provide it.
 *
 * @internal
 */
export interface Sink {
  readonly emit: (event: Event) => Effect.Effect<void>
  /** A call begins; `end` ends it with an exit, if it has not ended by itself. */
  readonly opened: (end: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>) => void
}

/**
 * The sinks in force, outermost first. By default there are none, and then no report is built.
 *
 * @internal
 */
export class CurrentSinks extends Context.Reference<CurrentSinks>()(
  "effect-resilience/CallReport/CurrentSinks",
  { defaultValue: (): ReadonlyArray<Sink> => [] }
) {}

const adding = (sink: Sink) => <R>(context: Context.Context<R>): Context.Context<R> =>
  Context.add(context, CurrentSinks, [...Context.get(context, CurrentSinks), sink])

const withSink = <A, E, R>(self: Effect.Effect<A, E, R>, sink: Sink): Effect.Effect<A, E, R> =>
  inContext(self, adding(sink))

/**
 * `observe` for a context that is about to be provided anyway, and a listener that only takes note: it is no effect and
 * cannot fail.
 *
 * @internal
 */
export const noting = (listener: (event: Event) => void) =>
  adding({
    emit: (event) => {
      listener(event)
      return Effect.void
    },
    opened: () => {}
  })

/**
 * Calls `listener` with each event of the calls inside, as it happens and in the fiber of the call: a slow listener
 * slows the call, so hand over to a `Queue` where that matters. A listener that fails is logged at debug level and
 * changes nothing.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CallReport, ChatProvider } from "effect-resilience"
 *
 * const answer = ChatProvider.complete({ messages: [{ role: "user", content: "Hello" }] }).pipe(
 *   CallReport.observe((event) =>
 *     event._tag === "AttemptEnded"
 *       ? Effect.logInfo(`${event.attempt.provider}: ${event.attempt.outcome}`)
 *       : Effect.void
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const observe: {
  <R2>(
    listener: (event: Event) => Effect.Effect<void, never, R2>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2>
  <A, E, R, R2>(
    self: Effect.Effect<A, E, R>,
    listener: (event: Event) => Effect.Effect<void, never, R2>
  ): Effect.Effect<A, E, R | R2>
} = dual(2, <A, E, R, R2>(
  self: Effect.Effect<A, E, R>,
  listener: (event: Event) => Effect.Effect<void, never, R2>
): Effect.Effect<A, E, R | R2> =>
  Effect.contextWithEffect((context: Context.Context<R2>) => {
    // The listener runs as if outside of the call: what it calls itself is not for it to observe.
    const outside = Context.add(context, CurrentSinks, [])
    return withSink(self, {
      emit: (event) =>
        Effect.suspend(() => listener(event)).pipe(
          Effect.mapInputContext((_: Context.Context<never>) => outside),
          Effect.ignoreLogged
        ),
      opened: () => {}
    })
  }))

/**
 * Runs the effect and gives its exit together with the reports of the calls inside, in the order they ended. Calls still
 * open when the effect ends (abandoned at a deadline) are reported as they stand then.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { CallReport, ChatProvider } from "effect-resilience"
 *
 * const program = Effect.gen(function*() {
 *   const { exit, reports } = yield* CallReport.collect(
 *     ChatProvider.complete({ messages: [{ role: "user", content: "Hello" }] })
 *   )
 *   yield* Effect.log(`${reports[0]?.attempts.length} attempts`)
 *   return yield* exit
 * })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const collect = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<{ readonly exit: Exit.Exit<A, E>; readonly reports: ReadonlyArray<CallReport> }, never, R> =>
  Effect.suspend(() => {
    const reports: Array<CallReport> = []
    const open: Array<(exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>> = []
    const sink: Sink = {
      emit: (event) =>
        Effect.sync(() => {
          if (event._tag === "CallEnded") {
            reports.push(event.report)
          }
        }),
      opened: (end) => {
        open.push(end)
      }
    }
    return Effect.exit(withSink(self, sink)).pipe(
      Effect.tap((exit) => {
        // A call that outlives an effect that succeeded was left behind, and did not succeed itself.
        const left = Exit.isSuccess(exit) ? Exit.interrupt(FiberId.none) : exit
        return Effect.forEach(open, (end) => end(left), { discard: true })
      }),
      // What a fiber that outlives the effect still does belongs to no report that was handed out.
      Effect.map((exit) => ({ exit, reports: [...reports] }))
    )
  })
