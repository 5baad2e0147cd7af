/**
 * Runs an effect for at most so long, and lets go of it at that moment.
 *
 * `Effect.timeout` waits for uninterruptible regions and costs two forks. Here the effect runs in one fiber of its own;
 * when time is up that fiber is told to stop and is no longer waited for, so that a limit is a limit whatever the effect
 * does. When the caller is interrupted the fiber is interrupted and awaited, as Effect users expect. The timer is a bare
 * `setTimeout` while the `Clock` is the live one, and a sleep on the `Clock` service otherwise, so `TestClock` moves it.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"
import type { Caller } from "./caller.js"
import { liveClock } from "./caller.js"

/** The longest delay a timer takes: above it, `setTimeout` fires at once. */
export const MAX_TIMER_MILLIS = 2 ** 31 - 1

/** What `timeLimit` needs to know. */
export interface Options<A, E, R, E2, B, E3> {
  readonly caller: Caller<never>
  /** The context the effect runs in; the caller's own stays as it is. */
  readonly context: Context.Context<R>
  /** In milliseconds, rounded up to whole ones; Infinity for no limit. */
  readonly limit: number
  /** How many more milliseconds it has after all, asked whenever time seems to be up. By default none. */
  readonly more?: (() => number) | undefined
  /** What the effect fails with when time is up. */
  readonly onTimeout: () => E2
  /** Called when the effect has ended or is let go of. */
  readonly onEnd: () => void
  /** What to make of its end. Not interruptible, so always done. */
  readonly then: (exit: Exit.Exit<A, E | E2>) => Effect.Effect<B, E3>
}

/** Starts `onTimer` after `millis`, in as many turns as timers need for it, and returns what cancels it. */
const startTimer = (
  clock: Clock.Clock,
  runtime: () => Runtime.Runtime<never>,
  millis: number,
  onTimer: () => void
) => {
  const turn = Math.min(millis, MAX_TIMER_MILLIS)
  const onTurn = () => {
    if (turn === millis) {
      onTimer()
    } else {
      cancel = startTimer(clock, runtime, millis - turn, onTimer)
    }
  }
  let cancel: () => void
  if (clock === liveClock) {
    const timer = setTimeout(onTurn, turn)
    cancel = () => clearTimeout(timer)
  } else {
    const sleeper = Runtime.runFork(runtime())(Effect.interruptible(clock.sleep(Duration.millis(turn))))
    sleeper.addObserver((exit) => {
      if (exit._tag === "Success") {
        onTurn()
      }
    })
    cancel = () => sleeper.unsafeInterruptAsFork(FiberId.none)
  }
  return () => cancel()
}

/**
 * Has the fiber anything to hand back? Flags are its own, and the context never flows upward. A reference that it changed
 * for a while has its first value again, which most references have without being listed.
 */
const changed = (before: FiberRefs.FiberRefs, after: FiberRefs.FiberRefs): boolean => {
  for (const [fiberRef, [[, value]]] of after.locals) {
    const [[, earlier]] = before.locals.get(fiberRef) ?? [[undefined, FiberRefs.getOrDefault(before, fiberRef)]]
    if (earlier !== value && fiberRef !== FiberRef.currentRuntimeFlags && fiberRef !== FiberRef.currentContext) {
      return true
    }
  }
  return false
}

/** Runs `self` in the given context for at most `limit` milliseconds. */
export const timeLimit = <A, E, R, E2, B, E3>(
  self: Effect.Effect<A, E, R>,
  { caller: { clock, fiber, flags, restore }, context, limit, more, onEnd, onTimeout, then }: Options<
    A,
    E,
    R,
    E2,
    B,
    E3
  >
): Effect.Effect<B, E3> =>
  Effect.suspend(() => {
    const fiberRefs = fiber.getFiberRefs()
    const runtime = Runtime.make({ context, fiberRefs, runtimeFlags: flags })
    // The exit is the fiber's value: a fiber that fails with nobody waiting logs its whole cause.
    const child = Runtime.runFork(runtime)(Effect.exit(self))
    const ended = (exit: Exit.Exit<Exit.Exit<A, E>>): Effect.Effect<B, E3> =>
      changed(fiberRefs, child.getFiberRefs())
        ? child.inheritAll.pipe(
          Effect.zipRight(FiberRef.set(FiberRef.currentContext, fiber.currentContext)),
          Effect.zipRight(Effect.suspend(() => then(Exit.flatten(exit))))
        )
        : then(Exit.flatten(exit))
    const done = child.unsafePoll()
    if (done !== null) {
      onEnd()
      return ended(done)
    }
    let over = false
    let cancelTimer = () => {}
    let onExit: (exit: Exit.Exit<Exit.Exit<A, E>>) => void
    const wait = Effect.async<() => Effect.Effect<B, E3>>((resume) => {
      onExit = (exit) => {
        over = true
        cancelTimer()
        onEnd()
        resume(Effect.succeed(() => ended(exit)))
      }
      child.addObserver(onExit)
      if (limit !== Infinity) {
        const runtime = () => Runtime.make({ context: Context.empty(), fiberRefs, runtimeFlags: flags })
        const start = (millis: number) => {
          cancelTimer = startTimer(clock, runtime, Math.ceil(millis), () => {
            const left = more?.() ?? 0
            if (left > 0) {
              start(left)
              return
            }
            over = true
            onEnd()
            child.removeObserver(onExit)
            child.unsafeInterruptAsFork(fiber.id())
            resume(Effect.succeed(() => then(Exit.fail(onTimeout()))))
          })
        }
        start(limit)
      }
    })
    return Effect.matchCauseEffect(restore(wait), {
      onSuccess: (next) => next(),
      onFailure: (cause) => {
        if (over) {
          return then(Exit.failCause(cause))
        }
        onEnd()
        cancelTimer()
        child.removeObserver(onExit)
        return Effect.flatMap(Fiber.interruptAs(child, fiber.id()), () => then(Exit.failCause(cause)))
      }
    })
  })
