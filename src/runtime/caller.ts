/**
 * The fiber on whose behalf something runs, made uninterruptible once for all that has to be undone or noted at the end.
 *
 * A mask for each thing that must not be forgotten is the simple way, and most of what a protected call would cost. So
 * whoever begins makes one, and everything below is told what gives the caller back its own interruptibility: only what
 * waits needs that.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as RuntimeFlags from "effect/RuntimeFlags"
import { providing } from "./bracket.js"

/** A fiber that is uninterruptible for the time being. */
export interface Caller<R> {
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  readonly clock: Clock.Clock
  readonly context: Context.Context<R>
  /** What it was before. */
  readonly flags: RuntimeFlags.RuntimeFlags
  /** As interruptible as it was before. */
  readonly restore: <A, E, R2>(effect: Effect.Effect<A, E, R2>) => Effect.Effect<A, E, R2>
}

/** The clock of a program that chose none. */
export const liveClock = Context.get(DefaultServices.liveServices, Clock.Clock)

/** The `Clock` service of a running fiber. */
export const clockOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): Clock.Clock =>
  Context.get(fiber.currentDefaultServices, Clock.Clock)

/**
 * The context of a fiber that runs what needs this of it. To ask for that as the types would have it, with an effect of its
 * own, takes as many steps as all else that a caller is.
 */
function contextOf<R>(fiber: Fiber.RuntimeFiber<unknown, unknown>): Context.Context<R>
function contextOf(fiber: Fiber.RuntimeFiber<unknown, unknown>): Context.Context<never> {
  return fiber.currentContext
}

/** What is done for a caller, in the context that it hands on. */
export type ForCaller<A, E, R> = (caller: Caller<R>) => Effect.Effect<A, E>

/** The effect, in the context that a caller hands on. */
export const forCaller = <A, E, R>(self: Effect.Effect<A, E, R>): ForCaller<A, E, R> => ({ context, restore }) =>
  providing(() => context)(restore(self))

/** Does it uninterruptibly for the fiber that gets here. */
export const asCaller = <A, E, R>(make: ForCaller<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber, { runtimeFlags }) =>
    Effect.uninterruptibleMask((restore) =>
      make({ fiber, clock: clockOf(fiber), context: contextOf(fiber), flags: runtimeFlags, restore })
    )
  )
