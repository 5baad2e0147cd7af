/**
 * What lasts as long as a stream is read: a connection, a permit, a slot, the records of an attempt and of a call.
 *
 * An effect gives back what it holds when it ends; a stream is made of many effects, and ends in one of three ways: by
 * itself, with an error, or because nobody reads on. So whatever has to be done then is noted in a lease, by whoever
 * opens something on the stream's behalf, and done once, in the order noted. Most streams are a pull and a lease: pulls
 * are what `Stream` is made of, and leave room for limits, records and second tries in between.
 */
import * as Cause from "effect/Cause"
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { andThen } from "./bracket.js"

/** The next elements; fails with none at the end, and with an error otherwise. */
export type Pull<A, E, R = never> = Effect.Effect<Chunk.Chunk<A>, Option.Option<E>, R>

/** What follows on what a pull gives. Defects and interruptions pass. */
export const matchPull = <A, E, R, B, E2, R2>(
  pull: Pull<A, E, R>,
  { onElements, onEnd, onError }: {
    readonly onElements: (elements: Chunk.Chunk<A>) => Effect.Effect<B, E2, R2>
    readonly onEnd: () => Effect.Effect<B, E2, R2>
    readonly onError: (error: E) => Effect.Effect<B, E2, R2>
  }
): Effect.Effect<B, E2, R | R2> =>
  Effect.matchCauseEffect(pull, {
    onSuccess: onElements,
    onFailure: (cause) =>
      Either.match(Cause.failureOrCause(cause), {
        onLeft: Option.match({ onNone: onEnd, onSome: onError }),
        onRight: (cause) => Effect.failCause(cause)
      })
  })

/** Nothing comes any more. */
export const noMore: Pull<never, never> = Effect.fail(Option.none())

/** What is to be done when a stream ends. */
export type AtEnd = (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>

/** What is held for a stream. */
export class Lease {
  private readonly steps: Array<AtEnd> = []
  private ended = false

  /** `scope` is closed at the end of the stream at the latest. */
  constructor(readonly scope: Scope.Scope) {}

  /** Notes what is to be done at the end. */
  atEnd(step: AtEnd): void {
    this.steps.push(step)
  }

  /** A lease for what is to be given back before whatever is noted here from now on. */
  within(): Lease {
    const inner = new Lease(this.scope)
    this.atEnd((exit) => inner.end(exit))
    return inner
  }

  get isOver(): boolean {
    return this.ended
  }

  /**
   * Ends it, once. To be called by who is uninterruptible. A step that dies (the tracer is the program's) neither keeps the
   * others from being done, nor hides how the stream ended.
   */
  end(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    if (this.ended) {
      return Effect.void
    }
    this.ended = true
    return this.steps
      .map((step) => Effect.ignoreLogged(Effect.suspend(() => step(exit))))
      .reduce((all, step) => Effect.zipRight(all, step), Effect.void)
  }
}

/** How a pull that failed ends its stream. */
const exitOf = <E>(cause: Cause.Cause<Option.Option<E>>): Exit.Exit<void, E> =>
  Either.match(Cause.failureOrCause(cause), {
    onLeft: Option.match({ onNone: () => Exit.void, onSome: (error) => Exit.fail(error) }),
    onRight: (cause) => Exit.failCause(cause)
  })

/** A stream of pulls that ends the lease, whichever way it ends itself. */
const reading = <A, E, R>(pull: Pull<A, E, R>, lease: Lease): Pull<A, E, R> =>
  Effect.catchAllCause(
    pull,
    (cause) => Effect.uninterruptible(andThen(lease.end(exitOf(cause)), () => Effect.failCause(cause)))
  )

/** How a stream ended that was closed before its end: its reader's failure is none of whoever was to answer. */
const unread = Exit.interrupt(FiberId.none)

/**
 * A lease that ends at the latest when the scope closes, and then as if in the fiber that opened it, with that one's
 * loggers and tracer. `Effect.acquireRelease` does so too, but compares all references of both fibers even where the
 * stream was read to its end and nothing is left to do.
 */
const openLease = (scope: Scope.Scope): Effect.Effect<Lease> =>
  Effect.withFiberRuntime((fiber, { runtimeFlags }) => {
    const context = fiber.currentContext
    const fiberRefs = fiber.getFiberRefs()
    const lease = new Lease(scope)
    const end = Effect.suspend(() =>
      lease.isOver
        ? Effect.void
        : Fiber.await(
          Runtime.runFork(Runtime.make({ context, fiberRefs, runtimeFlags }))(Effect.uninterruptible(lease.end(unread)))
        )
    )
    return Effect.as(Scope.addFinalizer(scope, end), lease)
  })

/**
 * A stream of pulls that were opened already, and held by the lease since. A reader who stops where `isWhole` says that
 * the answer ended has read all of it, whatever the connection may still bring.
 */
export const readLease = <A, E, R>(
  pull: Pull<A, E, R>,
  lease: Lease,
  isWhole: () => boolean
): Stream.Stream<A, E, R> =>
  Stream.fromPull(
    Effect.as(Effect.addFinalizer(() => lease.end(isWhole() ? Exit.void : unread)), reading(pull, lease))
  )

const pulledKey: unique symbol = Symbol("effect-resilience/pulled")

/** A stream that still knows the pulls it is made of. */
interface Leased<A, E, R> extends Stream.Stream<A, E, R> {
  readonly [pulledKey]: (scope: Scope.Scope) => Effect.Effect<Pull<A, E, R>, never, R>
}

const isLeased = <A, E, R>(stream: Stream.Stream<A, E, R>): stream is Leased<A, E, R> => pulledKey in stream

/**
 * A stream of what `open` gives the pulls of. It is opened when the first element is asked for. One that nobody reads on
 * ends as interrupted, even if it is because the reader failed: that says nothing about whoever was to answer.
 */
export const leased = <A, E, R>(
  open: (lease: Lease) => Effect.Effect<Pull<A, E, R>, E, R>
): Stream.Stream<A, E, R> => {
  const pulledIn = (scope: Scope.Scope) =>
    Effect.map(openLease(scope), (lease) => {
      let pull: Pull<A, E, R> = Effect.flatMap(Effect.mapError(open(lease), Option.some), (opened) => {
        pull = opened
        return opened
      })
      return reading(Effect.suspend(() => pull), lease)
    })
  return Object.assign(Stream.fromPull(Effect.flatMap(Effect.scope, pulledIn)), { [pulledKey]: pulledIn })
}

/**
 * `Stream.toPull`, with what it holds in this scope. What policies go around is mostly a stream that was made here, and to
 * make a stream of its pulls only to pull from it again would be a good part of what a chunk costs on its way.
 */
export const toPullIn = <A, E, R>(
  stream: Stream.Stream<A, E, R>,
  scope: Scope.Scope
): Effect.Effect<Pull<A, E, R>, never, R> =>
  isLeased(stream) ? stream[pulledKey](scope) : Scope.extend(Stream.toPull(stream), scope)

/** A stream that was read up to its first output. */
export interface Opened<A, E> {
  /** What came up to it, and with it. */
  readonly first: Chunk.Chunk<A>
  readonly rest: Pull<A, E>
  /** Lets go of whoever sends it. */
  readonly close: Effect.Effect<void>
}
