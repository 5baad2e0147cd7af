/**
 * Reads a stream up to its first output, as one effect, and the rest within limits of silence.
 *
 * Until the first output a stream is a call like any other: nobody has seen anything of it yet, so it can be made again,
 * here or elsewhere. That part is an effect, which the policies of calls protect as they do any; what came meanwhile is
 * kept, and the rest is pulled from where it was left. Whoever sees bytes that are no elements (keep-alives) tells the
 * attempt's `Activity`, so that a server that hangs is told from one that is slow.
 */
import * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { Activity } from "../internal/activity.js"
import type { Target, Timeout } from "../ProviderError.js"
import { timedOut } from "../ProviderError.js"
import { givenTo, providing } from "./bracket.js"
import { asCaller, clockOf } from "./caller.js"
import type { Opened, Pull } from "./lease.js"
import { matchPull, noMore, toPullIn } from "./lease.js"
import { timeLimit } from "./timeLimit.js"

/** The activity of the attempt that this runs in, if somebody minds. */
export class CurrentActivity extends Context.Reference<CurrentActivity>()(
  "effect-resilience/CurrentActivity",
  { defaultValue: (): Activity | undefined => undefined }
) {}

/** Is nothing of an answer to be released before it is whole? Then all of it is its opening. */
export class Held extends Context.Reference<Held>()("effect-resilience/Held", { defaultValue: () => false }) {}

/** How a stream is read. */
export interface Reading<A> {
  readonly isOutput: (element: A) => boolean
  /** How long nothing may come, in milliseconds, for the policy whose attempt it is: what comes is counted then, too. */
  readonly idle?: number | undefined
  /** Whom it comes from. */
  readonly target?: Target | undefined
}

const outputsIn = <A>(elements: Iterable<A>, isOutput: (element: A) => boolean): number => {
  let outputs = 0
  for (const element of elements) {
    if (isOutput(element)) {
      outputs += 1
    }
  }
  return outputs
}

/** A pull whose output is counted. */
export const counted = <A, E>(
  pull: Pull<A, E>,
  isOutput: (element: A) => boolean,
  activity: Activity
): Pull<A, E> =>
  Effect.withFiberRuntime((fiber) =>
    Effect.map(pull, (elements) => {
      activity.endRead(clockOf(fiber).unsafeCurrentTimeNanos(), outputsIn(elements, isOutput))
      return elements
    })
  )

/** A pull that is counted, in the context it needs, and ends with `Timeout` when nothing comes. */
const limited = <A, E, R>(
  pull: Pull<A, E, R>,
  insideOf: (outside: Context.Context<never>) => Context.Context<R>,
  { idle, isOutput, target }: Reading<A> & { readonly idle: number },
  activity: Activity
): Pull<A, E | Timeout> =>
  asCaller((caller) => {
    const now = () => caller.clock.unsafeCurrentTimeNanos()
    const left = () => activity.left(idle, now())
    activity.beginRead(now())
    return timeLimit(pull, {
      caller,
      context: insideOf(caller.context),
      limit: Math.max(0, left()),
      more: left,
      onTimeout: () => Option.some(timedOut("Idle", Duration.millis(idle), target)),
      onEnd: () => {},
      then: (exit: Exit.Exit<Chunk.Chunk<A>, Option.Option<E | Timeout>>) => {
        activity.endRead(now(), Exit.isSuccess(exit) ? outputsIn(exit.value, isOutput) : 0)
        return exit
      }
    })
  })

interface Read<A> {
  readonly first: Chunk.Chunk<A>
  readonly over: boolean
}

const untilOutput = <A, E, R>(
  pull: Pull<A, E, R>,
  isOutput: (element: A) => boolean,
  activity: Activity,
  clock: Clock.Clock,
  before: Chunk.Chunk<A> = Chunk.empty()
): Effect.Effect<Read<A>, E, R> =>
  Effect.suspend(() => {
    activity.beginRead(clock.unsafeCurrentTimeNanos())
    return matchPull(pull, {
      onElements: (elements): Effect.Effect<Read<A>, E, R> => {
        const outputs = outputsIn(elements, isOutput)
        const first = Chunk.appendAll(before, elements)
        activity.endRead(clock.unsafeCurrentTimeNanos(), outputs)
        return outputs > 0
          ? Effect.succeed({ first, over: false })
          : untilOutput(pull, isOutput, activity, clock, first)
      },
      onEnd: () => Effect.succeed({ first: before, over: true }),
      onError: (error) => Effect.fail(error)
    })
  })

/** All of it, after what was read before. */
const untilEnd = <A, E>({ first, rest }: Pick<Opened<A, E>, "first" | "rest">): Effect.Effect<Chunk.Chunk<A>, E> =>
  matchPull(rest, {
    onElements: (elements) => untilEnd({ first: Chunk.appendAll(first, elements), rest }),
    onEnd: () => Effect.succeed(first),
    onError: (error) => Effect.fail(error)
  })

/**
 * Runs the stream up to its first output, or to its end where the answer is held back. What it needs of the world lives
 * in a scope of its own within `scope`, which is closed when that fails. What comes after is limited by `idle` where an
 * attempt's activity is known.
 */
export const openStream = <A, E, R>(
  self: Stream.Stream<A, E, R>,
  scope: Scope.Scope,
  reading: Reading<A>
): Effect.Effect<Opened<A, E | Timeout>, E | Timeout, R> =>
  Effect.contextWithEffect((context: Context.Context<R>) =>
    Effect.clockWith((clock) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Scope.fork(scope, ExecutionStrategy.sequential), (own) => {
          const close = (exit: Exit.Exit<unknown, unknown>) => Effect.asVoid(Effect.exit(Scope.close(own, exit)))
          const { idle } = reading
          const known = idle === undefined ? undefined : Context.get(context, CurrentActivity)
          const activity = known ?? new Activity(clock.unsafeCurrentTimeNanos())
          const insideOf = givenTo(context)
          const rest = (pull: Pull<A, E, R>): Pull<A, E | Timeout> =>
            known === undefined || idle === undefined
              ? providing(insideOf)(pull)
              : idle === Infinity
              ? counted(providing(insideOf)(pull), reading.isOutput, known)
              : limited(pull, insideOf, { ...reading, idle }, known)
          const begun = Effect.flatMap(
            toPullIn(self, own),
            (pull) =>
              Effect.map(untilOutput(pull, reading.isOutput, activity, clock), ({ first, over }) => ({
                first,
                rest: over ? noMore : rest(pull)
              }))
          )
          const read = Context.get(context, Held)
            ? Effect.map(Effect.flatMap(begun, untilEnd), (first) => ({ first, rest: noMore }))
            : begun
          return restore(read).pipe(
            Effect.onError((cause) => close(Exit.failCause(cause))),
            Effect.map((read) => ({ close: close(Exit.void), ...read }))
          )
        })
      )
    )
  )

/** Reads up to the first output, or to the end if there is none. */
export const readFirst = <A, E>(
  pull: Pull<A, E>,
  isOutput: (element: A) => boolean
): Effect.Effect<Pick<Opened<A, E>, "first" | "rest">, E> =>
  Effect.clockWith((clock) =>
    Effect.map(
      untilOutput(pull, isOutput, new Activity(clock.unsafeCurrentTimeNanos()), clock),
      ({ first, over }) => ({ first, rest: over ? noMore : pull })
    )
  )

/** The pulls of a stream that was opened. */
export const pullsOf = <A, E>({ first, rest }: Pick<Opened<A, E>, "first" | "rest">): Pull<A, E> => {
  let given = Chunk.isEmpty(first)
  return Effect.suspend(() => {
    if (given) {
      return rest
    }
    given = true
    return Effect.succeed(first)
  })
}
