/**
 * The options of this library that a sweep can change, by the names used on the command line.
 *
 * One line each, in the library's own types, so that a name that does not exist is refused and not silently ignored.
 */
import type { CircuitBreaker, Fallback, RetryBudget, RetryPolicy } from "effect-resilience"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { Tuning } from "./Contenders.js"
import { defaults, ours } from "./Contenders.js"
import type { Contender } from "./Trial.js"

type Setter = (tuning: Tuning, value: string) => Tuning

const duration = (value: string): Duration.Duration =>
  Option.getOrThrowWith(
    Duration.decodeUnknown(value),
    () => new RangeError(`expected a duration such as "5 seconds", got "${value}"`)
  )

const retry = (options: (value: string) => RetryPolicy.Options): Setter => (tuning, value) => ({
  ...tuning,
  retry: { ...tuning.retry, ...options(value) }
})

const chain = (options: (value: string) => Fallback.Options): Setter => (tuning, value) => ({
  ...tuning,
  chain: { ...tuning.chain, ...options(value) }
})

const trip = (options: (value: string) => CircuitBreaker.FailureRateOptions): Setter => (tuning, value) => ({
  ...tuning,
  trip: { ...tuning.trip, ...options(value) }
})

const openFor = (options: (value: string) => CircuitBreaker.Growth): Setter => (tuning, value) => ({
  ...tuning,
  openFor: { ...tuning.openFor, ...options(value) }
})

const budget = (options: (value: string) => RetryBudget.Options): Setter => (tuning, value) => ({
  ...tuning,
  budget: { ...tuning.budget, ...options(value) }
})

const parameters: Readonly<Record<string, Setter>> = {
  "retry.maxAttempts": retry((value) => ({ maxAttempts: Number(value) })),
  "retry.base": retry((value) => ({ base: duration(value) })),
  "retry.factor": retry((value) => ({ factor: Number(value) })),
  "retry.cap": retry((value) => ({ cap: duration(value) })),
  "retry.maxRetryAfter": retry((value) => ({ maxRetryAfter: duration(value) })),
  "fallback.patience": chain((value) => ({ patience: duration(value) })),
  "breaker.threshold": trip((value) => ({ threshold: Number(value) })),
  "breaker.minimumCalls": trip((value) => ({ minimumCalls: Number(value) })),
  "breaker.window": trip((value) => ({ window: duration(value) })),
  "breaker.base": openFor((value) => ({ base: duration(value) })),
  "breaker.cap": openFor((value) => ({ cap: duration(value) })),
  "budget.ratio": budget((value) => ({ ratio: Number(value) })),
  "budget.initial": budget((value) => ({ initial: Number(value) })),
  "budget.minPerSecond": budget((value) => ({ minPerSecond: Number(value) })),
  "budget.ttl": budget((value) => ({ ttl: duration(value) }))
}

interface Variant {
  readonly name: string
  readonly tuning: Tuning
}

/** The variants that one more `name=value,value` makes of each. */
const vary = (variants: ReadonlyArray<Variant>, sweep: string): ReadonlyArray<Variant> => {
  const [name = "", values = ""] = sweep.split("=")
  const set = parameters[name]
  if (set === undefined || values === "") {
    throw new RangeError(
      `--sweep: expected name=value,value with a name of ${Object.keys(parameters).join(", ")}, got "${sweep}"`
    )
  }
  return variants.flatMap((variant) =>
    values.split(",").map((value) => ({
      name: [variant.name, `${name} = ${value}`].filter((part) => part !== "").join(", "),
      tuning: set(variant.tuning, value)
    }))
  )
}

/** This library with every combination of the values swept. */
export const swept = (sweeps: ReadonlyArray<string>): ReadonlyArray<Contender> =>
  sweeps.reduce(vary, [{ name: "", tuning: defaults }]).map(({ name, tuning }) => ours(name, tuning))
