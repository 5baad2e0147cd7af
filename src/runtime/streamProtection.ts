/**
 * A stream under all policies: the call that opens it, and what lasts until it ends.
 *
 * The opening is a protected call like any other, in a manner of its own: its time is that until the first output, and
 * what the call holds (permit, slot, the records) it leaves to the stream's lease.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import { Activity } from "../internal/activity.js"
import type { Target } from "../ProviderError.js"
import { Alternatives } from "./alternatives.js"
import { asCaller } from "./caller.js"
import type { Lease, Opened } from "./lease.js"
import { leased } from "./lease.js"
import { CurrentActivity, Held, openStream, pullsOf } from "./opening.js"
import type { Bounds, Manner, Protect, Settings } from "./protection.js"
import { attemptBounds, shareOf } from "./protection.js"
import type { Raised } from "./raised.js"
import type { Chat } from "./recorder.js"
import { chatStream } from "./recorder.js"

/** While another provider is left, a stream is not waited for any longer. In milliseconds. */
const FIRST_TOKEN = 10_000

/** What is known of a stream. */
export interface Streamed<A> {
  readonly target: Target
  readonly isOutput: (element: A) => boolean
  /** Does the request ask the model to reason? */
  readonly reasons: boolean
  /** If it is a chat that is to be recorded. */
  readonly chat?: Chat | undefined
}

/** Protects a stream. */
export type ProtectStream = <A, E, R>(
  self: Stream.Stream<A, E, R>,
  streamed: Streamed<A>
) => Stream.Stream<A, E | Raised, R>

/** The bounds of an attempt that may turn out to bring a stream: what comes of it is counted, and its silence measured. */
export const bodyBounds = (settings: Settings) => <R>(context: Context.Context<R>, now: bigint): Bounds<R> => {
  const activity = new Activity(now)
  return { activity, ...attemptBounds(settings)(Context.add(context, CurrentActivity, activity), now) }
}

export const build = (settings: Settings, protect: Protect): ProtectStream => {
  const firstTokenOf = (context: Context.Context<never>, reasons: boolean): number =>
    reasons || settings.reasoning
      ? Infinity
      : settings.firstToken ?? (Context.get(context, Alternatives).left > 0 ? FIRST_TOKEN : Infinity)

  const manner = <A, E>(lease: Lease, reasons: boolean): Manner<Opened<A, E>> => ({
    bounds: <R>(context: Context.Context<R>, now: bigint, clock: Clock.Clock): Bounds<R> => {
      const activity = new Activity(now, Context.get(context, CurrentActivity))
      const firstToken = firstTokenOf(context, reasons)
      const limit = Math.min(settings.attemptTimeout, firstToken, shareOf(context, now))
      const began = () => activity.firstOutputAt !== undefined
      return {
        context: Context.add(context, CurrentActivity, activity),
        limit,
        // Where the whole answer is awaited, it may take as long as it likes once it began to come.
        more: Context.get(context, Held)
          ? () => began() ? activity.left(settings.idle, clock.unsafeCurrentTimeNanos()) : 0
          : undefined,
        late: () =>
          began()
            ? { scope: "Idle", after: settings.idle }
            : { scope: limit === firstToken ? "FirstToken" : "Attempt", after: limit },
        activity
      }
    },
    lasting: { lease, close: (opened) => opened.close }
  })

  return (self, { chat, isOutput, reasons, target }) =>
    leased((lease) => {
      const open = (lease: Lease) =>
        Effect.map(
          asCaller(protect(
            openStream(self, lease.scope, { isOutput, idle: settings.idle, target }),
            target,
            manner(lease, reasons)
          )),
          pullsOf
        )
      return chat === undefined ? open(lease) : chatStream(lease, chat, isOutput, open)
    })
}
