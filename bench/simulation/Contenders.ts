/**
 * Who is compared: no retry, the loop one finds in textbooks, cockatiel as its README shows it, and this library with
 * its defaults. All get the attempt timeout and the deadline of the scenario; who has no fallback of his own gets the one
 * people write by hand: first the primary with its policy, then the secondary with its own.
 */
import * as cockatiel from "cockatiel"
import type { ProviderError, RetryPolicy } from "effect-resilience"
import { ChatProvider, CircuitBreaker, Deadline, Fallback, Resilience, RetryBudget } from "effect-resilience"
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { Link } from "./EffectContender.js"
import { effectContender, request } from "./EffectContender.js"
import type { Send } from "./PromiseContender.js"
import { promiseContender } from "./PromiseContender.js"
import type { Contender } from "./Trial.js"

type Policy = (send: Link["send"]) => Effect.Effect<unknown, ProviderError.ProviderError>

/** A policy around each provider, one after the other, and a timeout around all. */
const handWritten = (name: string, policy: Policy): Contender =>
  effectContender(name, (links, { deadline }) => {
    const chain = Arr.map(links, ({ send }) => policy(send)).reduce((first, second) =>
      Effect.orElse(first, () => second)
    )
    return Effect.succeed(deadline === undefined ? chain : Effect.timeout(chain, deadline))
  })

const TEXTBOOK_ATTEMPTS = 5

/** Five attempts, full jitter up to 1, 2, 4, 8 seconds (never over 60), and not before Retry-After. */
const textbook: Policy = (send) => {
  const attempt = (n: number): ReturnType<Policy> =>
    n === TEXTBOOK_ATTEMPTS ? send : Effect.catchAll(send, ({ retryAfter = 0 }) =>
      Effect.flatMap(Random.next, (u) => {
        const backoff = u * Math.min(60_000, 1000 * 2 ** (n - 1))
        return Effect.zipRight(Effect.sleep(Duration.max(backoff, retryAfter)), attempt(n + 1))
      }))
  return attempt(1)
}

/** Retry and circuit breaker as in cockatiel's README, with the breaker given and four retries. */
const withCockatiel = (name: string, breaker: () => cockatiel.IBreaker): Contender =>
  promiseContender(name, (sends, { attemptTimeout, deadline }) => {
    const links = Arr.map(sends, (send): Send => {
      const policy = cockatiel.wrap(
        cockatiel.retry(cockatiel.handleAll, { maxAttempts: 4, backoff: new cockatiel.ExponentialBackoff() }),
        cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: 10_000, breaker: breaker() }),
        cockatiel.timeout(attemptTimeout, cockatiel.TimeoutStrategy.Aggressive)
      )
      return (signal) => policy.execute((context) => send(context.signal), signal)
    })
    const chain = links.reduce((first, second) => (signal) =>
      first(signal).catch((error) => signal.aborted ? Promise.reject(error) : second(signal))
    )
    if (deadline === undefined) {
      return () => chain(new AbortController().signal)
    }
    const limit = cockatiel.timeout(deadline, cockatiel.TimeoutStrategy.Aggressive)
    return () => limit.execute(({ signal }) => chain(signal))
  })

/** What of this library a sweep may change. */
export interface Tuning {
  readonly retry: RetryPolicy.Options
  readonly chain: Fallback.Options
  readonly trip: CircuitBreaker.FailureRateOptions
  readonly openFor: CircuitBreaker.Growth
  /** Undefined: each provider has one of its own, with the defaults. */
  readonly budget: RetryBudget.Options | undefined
}

export const defaults: Tuning = { retry: {}, chain: {}, trip: {}, openFor: {}, budget: undefined }

/** This library with its defaults, unless a sweep changes them. */
export const ours = (name = "effect-resilience", tuning: Tuning = defaults): Contender =>
  effectContender(name, (links, { attemptTimeout, deadline }) => {
    const [first, ...rest] = Arr.map(links, ({ service }) =>
      Layer.succeed(ChatProvider.ChatProvider, service).pipe(
        Resilience.layer({
          retry: tuning.retry,
          attemptTimeout,
          circuitBreaker: { trip: CircuitBreaker.failureRate(tuning.trip), openFor: tuning.openFor }
        })
      ))
    const budget = tuning.budget === undefined ? undefined : RetryBudget.unsafeMake(tuning.budget)
    const call = ChatProvider.complete(request).pipe(Effect.provideService(RetryBudget.CurrentBudget, budget))
    const limited = deadline === undefined ? call : Deadline.within(call, deadline)
    return Effect.map(
      Layer.build(rest.length === 0 ? first : Fallback.layer(tuning.chain, first, ...rest)),
      (context) => Effect.provide(limited, context)
    )
  })

export const contenders: ReadonlyArray<Contender> = [
  handWritten("no retry", (send) => send),
  handWritten("textbook loop", textbook),
  withCockatiel("cockatiel (consecutive)", () => new cockatiel.ConsecutiveBreaker(5)),
  withCockatiel("cockatiel (sampling)", () => new cockatiel.SamplingBreaker({ threshold: 0.2, duration: 30_000 })),
  ours()
]
