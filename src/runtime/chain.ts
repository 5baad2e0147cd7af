/**
 * Asks one provider of a chain after the other, until one of them gives what is asked for.
 *
 * What that is (a whole answer, or a stream up to its first output), what a provider is, and which of ours is in an error
 * of its own kind, is the caller's to say; who is asked next, what is paid for it, what is waited for and which error
 * surfaces is the same for all.
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type { DeniedBy } from "../CallReport.js"
import * as Deadline from "../Deadline.js"
import * as IdempotencyKey from "../IdempotencyKey.js"
import { floored } from "../internal/backoff.js"
import type { CallError, Target } from "../ProviderError.js"
import { isFallbackable, isRetryable, wasSent } from "../ProviderError.js"
import * as RetryBudget from "../RetryBudget.js"
import type { AlternativesLeft } from "./alternatives.js"
import { Alternatives } from "./alternatives.js"
import type { ForCaller } from "./caller.js"
import { asCaller, clockOf } from "./caller.js"
import * as OptionsOf from "./options.js"
import { attemptAround, denied, fellBack, waiting } from "./recorder.js"

/** What a chain waits for. */
export interface Patience {
  readonly patience: Duration.Duration
  readonly maxRetryAfter: Duration.Duration
}

/** What a chain waits for unless it was told. */
export const defaultPatience: Patience = { patience: Duration.seconds(5), maxRetryAfter: Duration.seconds(60) }

/** The options of a chain that say what it waits for, checked. */
export const patienceOf = (options: {
  readonly patience?: Duration.DurationInput | undefined
  readonly maxRetryAfter?: Duration.DurationInput | undefined
}): Patience => ({
  patience: OptionsOf.finiteDuration("patience", options.patience ?? defaultPatience.patience),
  maxRetryAfter: OptionsOf.positiveDuration("maxRetryAfter", options.maxRetryAfter ?? defaultPatience.maxRetryAfter)
})

/** The option of a chain that limits its time, checked. */
export const deadlineOf = (options: {
  readonly deadline?: Duration.DurationInput | undefined
}): Duration.Duration | undefined =>
  options.deadline === undefined ? undefined : OptionsOf.finitePositiveDuration("deadline", options.deadline)

/** The context in which a chain is one call, whoever is asked: what `RetryBudget.track` and `IdempotencyKey.once` do. */
export const oneCall = <R>(context: Context.Context<R>, fiber: Fiber.RuntimeFiber<unknown, unknown>) =>
  RetryBudget.unsafeDeposit(IdempotencyKey.ensure(context), clockOf(fiber).unsafeCurrentTimeNanos())

/** A provider of a chain, and what it is called. */
export interface Candidate<S> {
  readonly service: S
  readonly target: Target
}

/** A provider in its place, and the moment it said it is ready again. */
export interface Link<S> extends Candidate<S> {
  readonly position: number
  readyAt: bigint | undefined
}

const earliest = (moments: ReadonlyArray<bigint | undefined>): bigint | undefined =>
  moments.reduce(
    (first, moment) => first === undefined || (moment !== undefined && moment < first) ? moment : first,
    undefined
  )

/** Can waiting cure it? Not a bad key, and not in the circuit that it opened either. */
const isPassing = (error: CallError): boolean =>
  error._tag === "CircuitOpen" ? error.openedBy?.tag !== "ClientError" : isRetryable(error)

/** When a provider that failed is worth asking again, by its own word: never, if waiting cannot cure it. */
const readyAgain = (error: CallError, now: bigint): bigint | undefined =>
  error.retryAfter !== undefined && Duration.isFinite(error.retryAfter) && isPassing(error)
    ? now + BigInt(Math.ceil(Duration.toMillis(error.retryAfter) * 1e6))
    : undefined

/** An error as the provider raised it, and as what it is for us. */
interface Failure<E> {
  readonly raised: E
  readonly error: CallError
}

/** Of two failures, the one that says more: nothing was sent behind a `CircuitOpen`, or during a pause. */
const telling = <E>(first: Failure<E> | undefined, failure: Failure<E>): Failure<E> =>
  first === undefined || !wasSent(first.error) && wasSent(failure.error) ? failure : first

/** What stands against waiting so long for a provider that asked for it. */
const objection = (
  delay: Duration.Duration,
  settings: Patience,
  outer: AlternativesLeft,
  now: bigint
): Effect.Effect<DeniedBy | undefined> =>
  Duration.greaterThan(delay, settings.maxRetryAfter)
    ? Effect.succeed("Retry-After too long")
    : outer.left > 0 && Duration.greaterThan(delay, outer.patience) ||
        outer.resumeAt !== undefined && Number(outer.resumeAt - now) / 1e6 < Duration.toMillis(delay)
    ? Effect.succeed("patience")
    : Effect.map(Deadline.hasTimeFor(delay), (fits) => fits ? undefined : "deadline")

/** What is asked of a chain, and where it begins. */
export interface Question<S, A, E, R> {
  /** Those that can do what is asked, in order. */
  readonly candidates: Arr.NonEmptyReadonlyArray<Candidate<S>>
  readonly settings: Patience
  readonly send: (service: S) => ForCaller<A, E, R>
  /** What is ours in an error; one with nothing of ours in it is no reason to ask somebody else. */
  readonly callErrorOf: (error: E) => Effect.Effect<CallError | undefined>
  /** How often the call was begun anew. */
  readonly round: number
  /** The provider to begin with, from 0. */
  readonly from: number
}

/** Who answered, and what. */
export interface Answered<S, A> {
  readonly link: Link<S>
  /** How many come after it. */
  readonly left: number
  readonly answer: A
}

export const ask = <S, A, E, R>(
  { callErrorOf, candidates, from, round, send, settings }: Question<S, A, E, R>
): Effect.Effect<Answered<S, A>, E, R> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<never>()
    const outer = Context.get(context, Alternatives)
    const links = Arr.map(candidates, (candidate, index): Link<S> => ({
      position: index + 1,
      readyAt: undefined,
      ...candidate
    }))
    let link = links[from] ?? links[0]
    let asked = 0
    // Inside another's attempt the retries are not the chain's, and to resume is one.
    let resumed = attemptAround(context) !== undefined
    let surfaced: Failure<E> | undefined = undefined
    // The first request of a call is free, and what a provider that was turned away from did not use pays for the next.
    const payFor = (error: CallError) =>
      asked > 0 && wasSent(error) ? RetryBudget.withdraw("hard cap only") : Effect.succeed(true)
    while (true) {
      const left = links.length - link.position
      const others = links.filter((other) => other !== link).map((other) => other.readyAt)
      const everyOtherWaits = left === 0 && !resumed && others.every((readyAt) => readyAt !== undefined)
      const alternatives = {
        left: left + outer.left,
        patience: left > 0 ? settings.patience : outer.patience,
        resumeAt: everyOtherWaits ? earliest([...others, outer.resumeAt]) : outer.resumeAt
      }
      // Every provider, and every new beginning, is sent another body.
      const keyed = IdempotencyKey.nth(link.position + round * links.length)
      const answering = send(link.service)
      const answer: Either.Either<A, E> = yield* Effect.either(
        asCaller<A, E, R>((caller) =>
          answering({ ...caller, context: keyed(Context.add(caller.context, Alternatives, alternatives)) })
        )
      )
      if (Either.isRight(answer)) {
        return { link, left, answer: answer.right }
      }
      const raised = answer.left
      const error = yield* callErrorOf(raised)
      // A request that was answered once was no invalid one: what is refused then is how it is gone on with.
      if (error === undefined || !isFallbackable(error, { first: asked === 0 && round === 0 })) {
        return yield* Effect.fail(raised)
      }
      asked += wasSent(error) ? 1 : 0
      surfaced = telling(surfaced, { raised, error })
      const now = yield* Clock.currentTimeNanos
      link.readyAt = readyAgain(error, now)
      const next = links.find(({ position, readyAt }) =>
        position > link.position && (readyAt === undefined || readyAt <= now)
      )
      if (next !== undefined) {
        if (!(yield* Deadline.hasTimeFor(Duration.zero))) {
          yield* denied("deadline", next.target)
          return yield* Effect.fail(surfaced.raised)
        }
        if (!(yield* payFor(error))) {
          yield* denied("budget", next.target)
          return yield* Effect.fail(surfaced.raised)
        }
        yield* fellBack(link.target, next.target, error)
        link = next
        continue
      }
      const readyAt = earliest(links.map((one) => one.readyAt))
      const first = links.find((other) => other.readyAt === readyAt)
      // Alone, a provider that was asked has been waited for by its own policies.
      const exhausted = resumed || (links.length === 1 && wasSent(error))
      if (exhausted || readyAt === undefined || first === undefined || links.some((one) => one.readyAt === undefined)) {
        return yield* Effect.fail(surfaced.raised)
      }
      const delay = Duration.millis(floored(0, Math.max(0, Number(readyAt - now) / 1e6), true, yield* Random.next))
      const objected = yield* objection(delay, settings, outer, now)
      if (objected !== undefined) {
        yield* denied(objected, first.target)
        return yield* Effect.fail(surfaced.raised)
      }
      if (!(yield* payFor(error))) {
        yield* denied("budget", first.target)
        return yield* Effect.fail(surfaced.raised)
      }
      yield* waiting(delay, "Retry-After", first.target)
      yield* Effect.sleep(delay)
      resumed = true
      link = first
    }
  })
