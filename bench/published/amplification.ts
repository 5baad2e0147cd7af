/**
 * How many requests a failing service gets for each call, as in "Site Reliability Engineering" (Google, 2016): chapter 21,
 * "Handling Overload", for one layer with and without a retry budget, and chapter 22, "Addressing Cascading Failures", for
 * layers that each retry.
 *
 * Programs retry with `RetryPolicy` and `RetryBudget` as applications do, in virtual time. What fails, fails at random,
 * with an error that is worth retrying.
 */
import { ProviderError, Resilience, RetryBudget, RetryPolicy } from "effect-resilience"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { stream } from "../simulation/random.js"
import { simulate } from "../simulation/VirtualClock.js"

/** What came of so many calls. */
export interface Amplified {
  /** Requests at the service that fails, for each call. */
  readonly attempts: number
  /** The share of calls that succeeded. */
  readonly success: number
}

type Call = Effect.Effect<void, ProviderError.CallError>

/** What stands between the user and the service; made once. */
export type Stack = (service: Call) => Call

const INTERVAL = 10

const down = new ProviderError.ServerError({ message: "503", reason: "Overloaded" })

/** So many calls, a hundred per second, at a service that refuses this share of its requests. */
export const measure = (stack: Stack, failing: number, calls: number, seed: number): Promise<Amplified> =>
  simulate(seed, () =>
    Effect.gen(function*() {
      const uniform = stream(seed, "service")
      let attempts = 0
      let succeeded = 0
      const call = stack(Effect.suspend(() => {
        attempts += 1
        return uniform() < failing ? Effect.fail(down) : Effect.void
      }))
      const counted = Effect.match(call, {
        onFailure: () => {},
        onSuccess: () => {
          succeeded += 1
        }
      })
      yield* Effect.forEach(
        Array.from({ length: calls }, (_, n) => n * INTERVAL),
        (at) => Effect.zipRight(Effect.sleep(at), counted),
        { concurrency: "unbounded", discard: true }
      )
      return { attempts: attempts / calls, success: succeeded / calls }
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None)))

/** A budget of this share of the calls and nothing else: no reserve. */
const budgetOf = (ratio: number): RetryBudget.RetryBudget =>
  RetryBudget.unsafeMake({ ratio, initial: 0, minPerSecond: 0 })

const retrying = (maxAttempts: number): Stack => {
  const policy = RetryPolicy.make({ maxAttempts })
  return (service) => RetryBudget.track(Effect.retry(service, policy))
}

const within = (stack: Stack, budget: RetryBudget.RetryBudget): Stack => (service) =>
  Effect.provideService(stack(service), RetryBudget.CurrentBudget, budget)

const layered = (layers: number, layer: () => Stack): Stack => (service) =>
  Array.from({ length: layers }, layer).reduce((inner, stack) => stack(inner), service)

/** Up to three attempts of each call. */
export const threeAttempts = (): Stack => retrying(3)

/** The same, and retries of at most a tenth of the calls. */
export const threeAttemptsInBudget = (): Stack => within(retrying(3), budgetOf(0.1))

/** The library's defaults: up to five attempts, retries of a fifth of the calls, ten in reserve. */
export const defaults = (): Stack => within(retrying(5), RetryBudget.unsafeMake())

/** Three layers, each of which makes up to four attempts. */
export const layers = (): Stack => layered(3, () => retrying(4))

/** The same, each with a budget of its own, as in three processes. */
export const layersInBudgets = (): Stack => layered(3, () => within(retrying(4), budgetOf(0.1)))

/** The same in one process, with one budget for all. */
export const layersInBudget = (): Stack => within(layers(), budgetOf(0.1))

/** Three `Resilience`s around each other, without breakers and budget: only the outermost retries. */
export const nestedResilience = (): Stack =>
  within(
    layered(3, () => {
      const resilience = Resilience.unsafeMake({ retry: { maxAttempts: 4 }, circuitBreaker: false })
      return (service) => resilience.protect(service)
    }),
    RetryBudget.unlimited
  )
