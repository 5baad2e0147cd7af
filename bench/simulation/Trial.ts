/**
 * One contender in one scenario under one seed: the calls it was given, and what became of them.
 */
import * as Arr from "effect/Array"
import type { Options as ProviderOptions } from "./Provider.js"
import { endOf, isHealthy, Provider } from "./Provider.js"
import type { Uniform } from "./random.js"
import { exponential, stream } from "./random.js"
import type { Simulator } from "./Simulator.js"

/** When calls begin, in milliseconds. */
export type Arrivals = (uniform: Uniform) => ReadonlyArray<number>

/** Calls that know nothing of each other. */
export const poisson = (perSecond: number, millis: number): Arrivals => (uniform) => {
  const gap = exponential(1000 / perSecond)
  const arrivals: Array<number> = []
  for (let at = gap(uniform); at < millis; at += gap(uniform)) {
    arrivals.push(Math.ceil(at))
  }
  return arrivals
}

/** A crowd. */
export const atOnce = (calls: number): Arrivals => () => Arr.makeBy(calls, () => 0)

export interface Scenario {
  readonly id: string
  readonly title: string
  readonly arrivals: Arrivals
  /** The primary, and what there is to fall back to. */
  readonly providers: Arr.NonEmptyReadonlyArray<ProviderOptions>
  /** In milliseconds, the same for every contender. */
  readonly attemptTimeout: number
  readonly deadline?: number | undefined
  /** Is there something to see over time? */
  readonly drawn?: boolean | undefined
  /** Several share the account: one makes this share of the calls, so many quiet ones the rest. */
  readonly tenants?: { readonly noisyShare: number; readonly quiet: number } | undefined
}

/** The tenant that makes most calls. */
export const NOISY = "noisy"

/** A call that has begun: on whose behalf, and whom to tell what became of it. */
export interface Begun {
  readonly tenant: string | undefined
  /** The reader saw something of the answer. */
  readonly onOutput: () => void
  readonly onEnd: (succeeded: boolean) => void
}

export interface Measured {
  readonly calls: number
  /** The share of calls that were answered, within the deadline if there is one. */
  readonly success: number
  /** Requests that arrived, for each call. */
  readonly primaryAttempts: number
  readonly attempts: number
  /** How long the user waited for whatever came, in milliseconds. */
  readonly p50: number
  readonly p99: number
  /** The success of the calls that began in the last 10 seconds. */
  readonly lastTenSeconds: number
  /** Milliseconds from the end of the fault to the time from which success stays; Infinity if that never comes. */
  readonly backAfter: number | undefined
  /** The most requests that arrived at the primary in one second after the fault. */
  readonly peakAfter: number | undefined
  /** The share of calls that failed although some provider was healthy all the while. */
  readonly failedInVain: number
  /** The success of the quiet tenants' calls. */
  readonly quietSuccess: number | undefined
  /** How long the reader of a streamed answer waited for the first of it, in the middle. */
  readonly firstOutput: number | undefined
  /** For each second: calls that succeeded in it, and requests that arrived at the primary. */
  readonly goodput: ReadonlyArray<number>
  readonly requests: ReadonlyArray<number>
}

interface Outcome {
  readonly tenant: string | undefined
  readonly at: number
  readonly latency: number
  readonly firstOutput: number | undefined
  readonly succeeded: boolean
}

/** Who is measured. */
export interface Contender {
  readonly name: string
  /** Is there anything in the scenario that it does in a way of its own? Default: it belongs into every one. */
  readonly suits?: ((scenario: Scenario) => boolean) | undefined
  /** Runs the scenario in virtual time of the contender's own kind. */
  readonly measure: (scenario: Scenario, seed: number) => Promise<Measured>
}

const WINDOW = 5000
const GOOD = 0.9

export class Trial {
  readonly providers: Arr.NonEmptyReadonlyArray<Provider>
  private readonly arrivals: ReadonlyArray<number>
  private readonly tenants: ReadonlyArray<string | undefined>
  private readonly outcomes: Array<Outcome> = []

  constructor(
    private readonly scenario: Scenario,
    seed: number,
    private readonly simulator: Simulator
  ) {
    this.providers = Arr.map(scenario.providers, (options) => new Provider(options, seed, simulator))
    this.arrivals = scenario.arrivals(stream(seed, "arrivals"))
    this.tenants = tenantsOf(scenario, this.arrivals.length, stream(seed, "tenants"))
  }

  /** Begins every call at its time. */
  start(call: (begun: Begun) => void): void {
    const { now, sleep } = this.simulator
    this.arrivals.forEach((at, i) => {
      const tenant = this.tenants[i]
      let firstOutput: number | undefined
      sleep(at, () =>
        call({
          tenant,
          onOutput: () => {
            firstOutput ??= now() - at
          },
          onEnd: (succeeded) => {
            const latency = now() - at
            this.outcomes.push({
              tenant,
              at,
              latency,
              firstOutput: succeeded ? firstOutput ?? latency : firstOutput,
              succeeded
            })
          }
        }))
    })
  }

  readonly isOver = (): boolean => this.outcomes.length >= this.arrivals.length

  measured(): Measured {
    const { deadline, providers: [primary], tenants } = this.scenario
    const { outcomes } = this
    const calls = outcomes.length
    const latency = quantiles(outcomes.map((outcome) => outcome.latency))
    const received = this.providers.map((provider) => provider.received)
    const end = Math.max(...this.arrivals)
    const [requests] = Arr.map(this.providers, ({ perSecond }) => Array.from(perSecond, (count = 0) => count))
    const over = primary.fault === undefined ? Infinity : endOf(primary.fault)
    return {
      calls,
      success: successOf(outcomes),
      primaryAttempts: (received[0] ?? NaN) / calls,
      attempts: received.reduce((sum, one) => sum + one, 0) / calls,
      p50: latency(0.5),
      p99: latency(0.99),
      lastTenSeconds: successOf(outcomes.filter((outcome) => outcome.at > end - 10_000)),
      backAfter: over > end ? undefined : this.backAfter(over, end),
      peakAfter: over > end ? undefined : Math.max(0, ...requests.slice(Math.ceil(over / 1000))),
      failedInVain: outcomes.filter((outcome) => !outcome.succeeded && this.wasInVain(outcome)).length / calls,
      quietSuccess: tenants === undefined
        ? undefined
        : successOf(outcomes.filter(({ tenant }) => tenant !== NOISY)),
      firstOutput: primary.streamed === undefined
        ? undefined
        : quantiles(outcomes.flatMap(({ firstOutput = deadline ?? Infinity }) => firstOutput))(0.5),
      goodput: countedBySecond(outcomes.filter(({ succeeded }) => succeeded).map(({ at, latency }) => at + latency)),
      requests
    }
  }

  /** By the success of the calls that began in each window of 5 seconds after the fault. */
  private backAfter(over: number, end: number): number {
    let back = Infinity
    for (let from = Math.floor((end - WINDOW - over) / 1000) * 1000 + over; from >= over; from -= 1000) {
      if (successOf(this.outcomes.filter(({ at }) => at >= from && at < from + WINDOW)) < GOOD) {
        break
      }
      back = from - over
    }
    return back
  }

  private wasInVain({ at, latency }: Outcome): boolean {
    return this.scenario.providers.some((provider) => isHealthy(provider, at, at + latency))
  }
}

const tenantsOf = (
  { tenants }: Scenario,
  calls: number,
  uniform: Uniform
): ReadonlyArray<string | undefined> =>
  tenants === undefined ?
    [] :
    Arr.makeBy(calls, () => uniform() < tenants.noisyShare ? NOISY : `quiet ${Math.floor(uniform() * tenants.quiet)}`)

const quantiles = (numbers: ReadonlyArray<number>): (q: number) => number => {
  const sorted = [...numbers].sort((a, b) => a - b)
  return (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN
}

const countedBySecond = (moments: ReadonlyArray<number>): ReadonlyArray<number> => {
  const counts: Array<number> = []
  for (const at of moments) {
    const second = Math.floor(at / 1000)
    counts[second] = (counts[second] ?? 0) + 1
  }
  return Array.from(counts, (count = 0) => count)
}

const successOf = (outcomes: ReadonlyArray<Outcome>): number =>
  outcomes.length === 0 ? NaN : outcomes.filter((outcome) => outcome.succeeded).length / outcomes.length
