/**
 * Who is compared: no retry, the loop one finds in textbooks, what Effect itself has, cockatiel as its README shows it,
 * other libraries and SDKs, and this library with its defaults. All get the attempt timeout and the deadline of the
 * scenario; who has no fallback of his own gets the one people write by hand: first the primary with its policy, then the
 * secondary with its own.
 */
import * as cockatiel from "cockatiel"
import type { ProviderError, RetryPolicy } from "effect-resilience"
import { ChatProvider, CircuitBreaker, Deadline, Fallback, Resilience, RetryBudget } from "effect-resilience"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionPlan from "effect/ExecutionPlan"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { Link } from "./EffectContender.js"
import { Caller, effectContender, readStream, request } from "./EffectContender.js"
import { peers } from "./Peers.js"
import type { Send } from "./PromiseContender.js"
import { inTurn, promiseContender } from "./PromiseContender.js"
import type { Contender } from "./Trial.js"

type Policy = (link: Link) => Effect.Effect<unknown, ProviderError.ProviderError>

/** A policy around each provider, one after the other, and a timeout around all. */
const handWritten = (name: string, policy: Policy): Contender =>
  effectContender(name, (links, { deadline }) => {
    const chain = Arr.map(links, policy).reduce((first, second) => Effect.orElse(first, () => second))
    return Effect.succeed(deadline === undefined ? chain : Effect.timeout(chain, deadline))
  })

const TEXTBOOK_ATTEMPTS = 5

/** Five attempts, full jitter up to 1, 2, 4, 8 seconds (never over 60), and not before Retry-After. */
const textbook: Policy = ({ send }) => {
  const attempt = (n: number): ReturnType<Policy> =>
    n === TEXTBOOK_ATTEMPTS ? send : Effect.catchAll(send, ({ retryAfter = 0 }) =>
      Effect.flatMap(Random.next, (u) => {
        const backoff = u * Math.min(60_000, 1000 * 2 ** (n - 1))
        return Effect.zipRight(Effect.sleep(Duration.max(backoff, retryAfter)), attempt(n + 1))
      }))
  return attempt(1)
}

class Sender extends Context.Tag("bench/Sender")<Sender, Link["send"]>() {}

/** Four retries, exponential with jitter, and an execution plan where there is another provider. */
const plainEffect = effectContender("Effect.retry, ExecutionPlan", ([first, ...rest], { deadline }) => {
  const schedule = Schedule.exponential("1 second").pipe(Schedule.jittered, Schedule.intersect(Schedule.recurs(4)))
  const step = ({ send }: Link) => ({ provide: Context.make(Sender, send), schedule })
  const call = rest.length === 0
    ? Effect.retry(first.send, schedule)
    : Effect.withExecutionPlan(Effect.flatten(Sender), ExecutionPlan.make(step(first), ...rest.map(step)))
  return Effect.succeed(deadline === undefined ? call : Effect.timeout(call, deadline))
})

/** Retry and circuit breaker as in cockatiel's README, with the breaker given and four retries. */
const withCockatiel = (name: string, breaker: () => cockatiel.IBreaker): Contender =>
  promiseContender(name, (links, { attemptTimeout, deadline }) => {
    const chain = inTurn(Arr.map(links, ({ send }): Send => {
      const policy = cockatiel.wrap(
        cockatiel.retry(cockatiel.handleAll, { maxAttempts: 4, backoff: new cockatiel.ExponentialBackoff() }),
        cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter: 10_000, breaker: breaker() }),
        cockatiel.timeout(attemptTimeout, cockatiel.TimeoutStrategy.Aggressive)
      )
      return (signal) => policy.execute((context) => send(context.signal), signal)
    }))
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
  /** Is the budget divided by tenant? */
  readonly keyed: boolean
}

export const defaults: Tuning = { retry: {}, chain: {}, trip: {}, openFor: {}, budget: undefined, keyed: false }

const keyed = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Caller, ({ tenant }) => tenant === undefined ? call : RetryBudget.withKey(call, tenant))

const OURS = "effect-resilience"

/** This library with its defaults, unless a sweep changes them. */
export const ours = (name = OURS, tuning: Tuning = defaults): Contender =>
  effectContender(name, (links, { attemptTimeout, deadline, providers: [{ streamed }] }) => {
    const [first, ...rest] = Arr.map(links, ({ service }) =>
      Layer.succeed(ChatProvider.ChatProvider, service).pipe(
        Resilience.layer({
          retry: tuning.retry,
          attemptTimeout,
          circuitBreaker: { trip: CircuitBreaker.failureRate(tuning.trip), openFor: tuning.openFor }
        })
      ))
    const budget = tuning.budget === undefined ? undefined : RetryBudget.unsafeMake(tuning.budget)
    const asked = streamed === undefined
      ? ChatProvider.complete(request)
      : readStream(ChatProvider.stream(request), streamed.pieces)
    const call = (tuning.keyed ? keyed(asked) : asked).pipe(
      Effect.provideService(RetryBudget.CurrentBudget, budget)
    )
    const limited = deadline === undefined ? call : Deadline.within(call, deadline)
    const isChain = rest.length > 0 || tuning.chain.onCut !== undefined
    return Effect.map(
      Layer.build(isChain ? Fallback.layer(tuning.chain, first, ...rest) : first),
      (context) => Effect.provide(limited, context)
    )
  })

/** This library with an option that only some scenarios give a meaning. */
const variant = (option: string, suits: Contender["suits"], tuning: Partial<Tuning>): Contender => ({
  ...ours(`${OURS}, ${option}`, { ...defaults, ...tuning }),
  suits
})

const isStreamed: Contender["suits"] = ({ providers: [{ streamed }] }) => streamed !== undefined

export const contenders: ReadonlyArray<Contender> = [
  handWritten("no retry", ({ read }) => read),
  handWritten("textbook loop", textbook),
  plainEffect,
  withCockatiel("cockatiel (consecutive)", () => new cockatiel.ConsecutiveBreaker(5)),
  withCockatiel("cockatiel (sampling)", () => new cockatiel.SamplingBreaker({ threshold: 0.2, duration: 30_000 })),
  ...peers,
  ours(),
  variant("onCut: continue", isStreamed, { chain: { onCut: "continue" } }),
  variant("onCut: hold", isStreamed, { chain: { onCut: "hold" } }),
  variant("a budget key per tenant", ({ tenants }) => tenants !== undefined, { keyed: true })
]
