/**
 * One latency ceiling for a whole call.
 *
 * A timeout per attempt says nothing about how long a caller waits: three attempts of a minute and the waits between
 * them are four minutes. A deadline is set once, around everything, and everything below reads it: attempts and waits
 * shrink to what remains, a retry that could not finish is not begun, and at the deadline itself whatever runs is
 * interrupted. It is a point on the monotonic clock, carried as an ambient value, so it crosses functions and fibers
 * without appearing in their types.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual, identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { isOutput } from "./internal/chunks.js"
import type { Timeout } from "./ProviderError.js"
import { timedOut } from "./ProviderError.js"
import type { Caller, ForCaller } from "./runtime/caller.js"
import { asCaller } from "./runtime/caller.js"
import type { Pull } from "./runtime/lease.js"
import { leased } from "./runtime/lease.js"
import { openStream, pullsOf } from "./runtime/opening.js"
import * as OptionsOf from "./runtime/options.js"
import { timeLimit } from "./runtime/timeLimit.js"

/**
 * The moment a call must be over.
 *
 * @since 0.1.0
 * @category models
 */
export interface Deadline {
  /** In nanoseconds of `Clock.currentTimeNanos`. */
  readonly at: bigint
  /** How long the call was given. */
  readonly total: Duration.Duration
  /** How much must be left for a retry, or for the next provider, to be worth starting; none if not chosen. */
  readonly reserve: Option.Option<Duration.Duration>
  /** Has it interrupted what ran? */
  readonly expired: () => boolean
}

/**
 * The deadline in force, if there is one.
 *
 * @since 0.1.0
 * @category references
 */
export class CurrentDeadline extends Context.Reference<CurrentDeadline>()(
  "effect-resilience/Deadline/CurrentDeadline",
  { defaultValue: (): Option.Option<Deadline> => Option.none() }
) {}

/**
 * Options of `within`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * How much time must be left for a retry, or for the next provider of a chain, to be worth starting. Default: 500
   * milliseconds, or for retries the provider's median latency once 20 answers of the last 5 minutes are known.
   */
  readonly reserve?: Duration.DurationInput | undefined
}

/**
 * The reserve when neither `within` nor the provider's own latency says otherwise: 500 milliseconds.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultReserve: Duration.Duration = Duration.millis(500)

const unlessMet = (deadline: Deadline | undefined): Deadline | undefined =>
  deadline instanceof Running && deadline.met ? unlessMet(deadline.outer) : deadline

/**
 * The deadline that what runs in the context has to keep.
 *
 * @internal
 */
export const deadlineIn = (context: Context.Context<never>): Option.Option<Deadline> =>
  Option.flatMap(Context.get(context, CurrentDeadline), (deadline) => Option.fromNullable(unlessMet(deadline)))

const inForce: Effect.Effect<Option.Option<Deadline>> = Effect.map(Effect.context<never>(), deadlineIn)

/** What is left until `at`, never negative. */
const until = (at: bigint, now: bigint): Duration.Duration => Duration.nanos(at > now ? at - now : 0n)

/**
 * What is left of the deadline in force: none without one, zero once it passed.
 *
 * @example
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Deadline } from "effect-resilience"
 *
 * const program = Effect.gen(function*() {
 *   const left = yield* Deadline.remaining
 *   yield* Effect.log(Option.isSome(left) ? `${left.value} left` : "no deadline")
 * }).pipe(Deadline.within("10 seconds"))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const remaining: Effect.Effect<Option.Option<Duration.Duration>> = Effect.flatMap(
  inForce,
  Option.match({
    onNone: () => Effect.succeedNone,
    onSome: (deadline) => Effect.map(Clock.currentTimeNanos, (now) => Option.some(until(deadline.at, now)))
  })
)

/**
 * Is there enough time to begin something after `wait`? Not if the wait ends at or past the deadline, nor if less than
 * the reserve would be left then. `reserve` is the one to use when `within` was not given one.
 *
 * @since 0.1.0
 * @category accessors
 */
export const hasTimeFor = (
  wait: Duration.Duration,
  reserve: Duration.Duration = defaultReserve
): Effect.Effect<boolean> =>
  Effect.flatMap(
    inForce,
    Option.match({
      onNone: () => Effect.succeed(true),
      onSome: (deadline) =>
        Effect.map(Clock.currentTimeNanos, (now) => {
          const after = Duration.subtract(until(deadline.at, now), wait)
          const needed = Option.getOrElse(deadline.reserve, () => reserve)
          return Duration.greaterThan(after, Duration.zero) && Duration.greaterThanOrEqualTo(after, needed)
        })
    })
  )

/** A deadline in force. */
class Running implements Deadline {
  fired = false
  /** A stream's, whose first output came in time: it is no business any more of what comes after. */
  met = false
  constructor(
    readonly at: bigint,
    readonly total: Duration.Duration,
    readonly reserve: Option.Option<Duration.Duration>,
    readonly outer: Deadline | undefined
  ) {}
  readonly expired = (): boolean => this.fired || (this.outer !== undefined && this.outer.expired())
  readonly late = (): Timeout => timedOut("Deadline", this.total)
}

/** Checks the options, and gives what begins such a deadline in a context: the earlier of it and the one in force there. */
const prepare = (duration: Duration.DurationInput, options: Options) => {
  const total = OptionsOf.finitePositiveDuration("deadline", duration)
  const nanos = Option.getOrThrow(Duration.toNanos(total))
  const reserve = options.reserve === undefined
    ? Option.none()
    : Option.some(OptionsOf.finiteDuration("reserve", options.reserve))
  return (context: Context.Context<never>, now: bigint): Running => {
    const outer = Option.getOrUndefined(deadlineIn(context))
    const own = now + nanos
    const earlier = outer !== undefined && outer.at < own ? outer : { at: own, total }
    const orOuter = Option.orElse(reserve, () => outer === undefined ? Option.none() : outer.reserve)
    return new Running(earlier.at, earlier.total, orOuter, outer)
  }
}

/** Runs the effect until the deadline at most, and fails with what `failure` makes of that. */
const limited = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  deadline: Running,
  caller: Caller<R>,
  failure: (late: Timeout) => E2
): Effect.Effect<A, E | E2> => {
  const { clock, context } = caller
  const left = () => Number(deadline.at - clock.unsafeCurrentTimeNanos()) / 1e6
  const late = () => failure(deadline.late())
  return left() <= 0 ? Effect.failSync(late) : timeLimit(self, {
    caller,
    context: Context.add(context, CurrentDeadline, Option.some(deadline)),
    limit: left(),
    onTimeout: late,
    onEnd: () => {
      deadline.fired = left() <= 0
    },
    then: (exit: Exit.Exit<A, E | E2>) => {
      const decided = Exit.isSuccess(exit) || Option.isSome(Cause.failureOption(exit.cause))
      return decided && left() <= 0 ? Effect.failSync(late) : exit
    }
  })
}

/**
 * Gives an effect, and everything in it, so long and no longer. At the deadline whatever runs is interrupted and the
 * result is `Timeout` with scope `Deadline`; an outcome that comes at that very moment is too late as well, so that the
 * clock decides and not the order in which timers wake. Within another deadline the earlier one holds. Raises `Timeout`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ChatProvider, Deadline } from "effect-resilience"
 *
 * const answer = ChatProvider.complete({ messages: [{ role: "user", content: "Hello" }] }).pipe(
 *   Deadline.within("10 seconds", { reserve: "1 second" })
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const within: {
  (
    duration: Duration.DurationInput,
    options?: Options
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Timeout, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    duration: Duration.DurationInput,
    options?: Options
  ): Effect.Effect<A, E | Timeout, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    duration: Duration.DurationInput,
    options?: Options
  ): Effect.Effect<A, E | Timeout, R> => asCaller(withinFor(self, duration, options))
)

/**
 * `within` for a caller.
 *
 * @internal
 */
export const withinFor = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  duration: Duration.DurationInput,
  options: Options = {}
): ForCaller<A, E | Timeout, R> => {
  const begin = prepare(duration, options)
  return (caller) => limited(self, begin(caller.context, caller.clock.unsafeCurrentTimeNanos()), caller, identity)
}

/**
 * `within` for what opens a stream: once that has succeeded in time, the deadline binds nothing any more.
 *
 * @internal
 */
export const withinOpening = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  duration: Duration.DurationInput
): Effect.Effect<A, E | Timeout, R> => {
  const begin = prepare(duration, {})
  return asCaller<A, E | Timeout, R>((caller) => {
    const deadline = begin(caller.context, caller.clock.unsafeCurrentTimeNanos())
    return Effect.map(limited(self, deadline, caller, identity), (opened) => {
      deadline.met = true
      return opened
    })
  })
}

/**
 * Options of `withinStream`.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamOptions extends Options {
  /**
   * What has to be there in time: the `"first output"` (the first element, or of a chat the first chunk in which the model
   * says something), since an answer that comes may take as long as it is long; or the `"whole"` stream. Default
   * `"first output"`.
   */
  readonly covers?: "first output" | "whole" | undefined
}

/**
 * `within` for a stream. The time begins when the stream is run. Fails with `Timeout` (`Deadline`); throws a `RangeError`
 * that names a bad option.
 *
 * @example
 * ```ts
 * import { ChatProvider, Deadline } from "effect-resilience"
 *
 * const answer = ChatProvider.stream({ messages: [{ role: "user", content: "Hello" }] }).pipe(
 *   Deadline.withinStream("10 seconds")
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const withinStream: {
  (
    duration: Duration.DurationInput,
    options?: StreamOptions
  ): <A, E, R>(self: Stream.Stream<A, E, R>) => Stream.Stream<A, E | Timeout, R>
  <A, E, R>(
    self: Stream.Stream<A, E, R>,
    duration: Duration.DurationInput,
    options?: StreamOptions
  ): Stream.Stream<A, E | Timeout, R>
} = dual(
  (args) => Predicate.hasProperty(args[0], Stream.StreamTypeId),
  <A, E, R>(
    self: Stream.Stream<A, E, R>,
    duration: Duration.DurationInput,
    options: StreamOptions = {}
  ): Stream.Stream<A, E | Timeout, R> => {
    const begin = prepare(duration, options)
    const whole = OptionsOf.oneOf("covers", ["first output", "whole"], options.covers ?? "first output") === "whole"
    return leased((lease) =>
      asCaller<Pull<A, E | Timeout>, E | Timeout, R>((caller) => {
        const deadline = begin(caller.context, caller.clock.unsafeCurrentTimeNanos())
        const opening = openStream(self, lease.scope, { isOutput })
        return Effect.map(limited(opening, deadline, caller, identity), (opened) => {
          lease.atEnd(() => opened.close)
          deadline.met = !whole
          const rest = asCaller<Chunk.Chunk<A>, Option.Option<E | Timeout>, never>((caller) =>
            limited(opened.rest, deadline, caller, Option.some)
          )
          return pullsOf(whole ? { first: opened.first, rest } : opened)
        })
      })
    )
  }
)
