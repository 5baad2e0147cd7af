/**
 * Something to do when an effect has ended, and another context until then.
 *
 * `Effect.onExit` around `Effect.provideService` says the same in two masks and two finalizers, each an effect of its own
 * even where there is nothing left to do. Calls pay for it one by one, so here it is one of each.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Predicate from "effect/Predicate"
import { rememberLast } from "../internal/rememberLast.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/** One after the other, at no cost if nothing is left to do first. */
export const andThen = <A, E>(left: Effect.Effect<void>, next: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  left === Effect.void ? next() : Effect.zipRight(left, Effect.suspend(next))

/** The exit, once what is left to do is done. */
export const after = <A, E>(left: Effect.Effect<void>, exit: Exit.Exit<A, E>): Effect.Effect<A, E> =>
  left === Effect.void ? exit : Effect.zipRight(left, exit)

/** Nothing is left to do at the end. */
export const nothing = (): Effect.Effect<void> => Effect.void

/** What `end` makes of the exit of `self`, for whoever is uninterruptible already. */
export const ending = <A, E, R, B, E2>(
  self: Effect.Effect<A, E, R>,
  end: (exit: Exit.Exit<A, E>) => Effect.Effect<B, E2>
): Effect.Effect<B, E2, R> =>
  Effect.matchCauseEffect(self, {
    onFailure: (cause) => end(Exit.failCause(cause)),
    onSuccess: (value) => end(Exit.succeed(value))
  })

/** `Effect.onExit`; what `onExit` does itself, and not by the effect it returns, costs next to nothing. */
export const atEnd = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  onExit: (exit: Exit.Exit<A, E>) => Effect.Effect<void>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) => ending(restore(self), (exit) => after(onExit(exit), exit)))

/**
 * Runs `self` in `inside`, and then, back in `outside`, `onExit`. Both hold what `self` needs: they are the fiber's own
 * context, and that with something added.
 */
export const bracket = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  { inside, onExit, outside }: {
    readonly outside: Context.Context<never>
    readonly inside: Context.Context<never>
    readonly onExit: (exit: Exit.Exit<A, E>) => Effect.Effect<void>
  }
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      FiberRef.set(FiberRef.currentContext, inside),
      () =>
        ending(
          restore(self),
          (exit) => Effect.flatMap(FiberRef.set(FiberRef.currentContext, outside), () => after(onExit(exit), exit))
        )
    )
  )

/** `Effect.mapInputContext` in half the steps, for what is given something and still needs what it needed. */
export const inContext = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  insideOf: (outside: Context.Context<never>, fiber: AnyFiber) => Context.Context<never>
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const outside = fiber.currentContext
    const inside = insideOf(outside, fiber)
    return inside === outside ? self : bracket(self, { outside, inside, onExit: nothing })
  })

/** What another context becomes when it is given this one: for what is run again and again, so merged once for each. */
export const givenTo = <R>(context: Context.Context<R>) =>
  rememberLast((outside: Context.Context<never>): Context.Context<R> =>
    outside === context ? context : Context.merge(outside, context)
  )

/** `Effect.provide` of such a context. */
export function providing<R>(
  insideOf: (outside: Context.Context<never>) => Context.Context<R>
): <A, E>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E>
export function providing(insideOf: (outside: Context.Context<never>) => Context.Context<never>) {
  return <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> => inContext(self, insideOf)
}

/** What gives a reference of the fiber another value, and what gives it back its own; nothing if that is the same. */
type Change = (fiber: AnyFiber) => {
  readonly enter: Effect.Effect<void>
  readonly leave: Effect.Effect<void>
} | undefined

export const changing = <V>(ref: FiberRef.FiberRef<V>, insideOf: (outside: V) => V): Change => (fiber) => {
  const outside = fiber.getFiberRef(ref)
  const inside = insideOf(outside)
  return inside === outside ? undefined : { enter: FiberRef.set(ref, inside), leave: FiberRef.set(ref, outside) }
}

const inOrder = (effects: ReadonlyArray<Effect.Effect<void>>): Effect.Effect<void> =>
  effects.reduce((all, next) => Effect.zipRight(all, next))

/** `Effect.locallyWith`, likewise, for several references at once, each of them another one. */
export const locally = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  ...changes: ReadonlyArray<Change>
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const made = changes.map((change) => change(fiber)).filter(Predicate.isNotUndefined)
    const leave = made.map(({ leave }) => leave)
    return made.length === 0 ? self : Effect.uninterruptibleMask((restore) =>
      Effect.zipRight(
        inOrder(made.map(({ enter }) => enter)),
        ending(restore(self), (exit) => Effect.zipRight(inOrder(leave), exit))
      )
    )
  })
