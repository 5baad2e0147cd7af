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

/** Runs uninterruptibly what is made for the fiber that gets here. */
export const asCaller = <A, E, R>(make: (caller: Caller<R>) => Effect.Effect<A, E>): Effect.Effect<A, E, R> =>
  Effect.contextWithEffect((context: Context.Context<R>) =>
    Effect.withFiberRuntime<A, E>((fiber, { runtimeFlags }) =>
      Effect.uninterruptibleMask((restore) =>
        make({ fiber, clock: clockOf(fiber), context, flags: runtimeFlags, restore })
      )
    )
  )
