/**
 * One contender in one scenario under one seed: the calls it was given, and what became of them.
 */
import * as Arr from "effect/Array"
import type { Options as ProviderOptions } from "./Provider.js"
import { Provider } from "./Provider.js"
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
}

/** What a call must look like to be counted. */
export type Call = (onEnd: (succeeded: boolean) => void) => void

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
}

interface Outcome {
  readonly at: number
  readonly latency: number
  readonly succeeded: boolean
}

/** Who is measured. */
export interface Contender {
  readonly name: string
  /** Runs the scenario in virtual time of the contender's own kind. */
  readonly measure: (scenario: Scenario, seed: number) => Promise<Measured>
}

const WINDOW = 5000
const GOOD = 0.9

export class Trial {
  readonly providers: Arr.NonEmptyReadonlyArray<Provider>
  private readonly arrivals: ReadonlyArray<number>
  private readonly outcomes: Array<Outcome> = []

  constructor(
    private readonly scenario: Scenario,
    seed: number,
    private readonly simulator: Simulator
  ) {
    this.providers = Arr.map(scenario.providers, (options) => new Provider(options, seed, simulator))
    this.arrivals = scenario.arrivals(stream(seed, "arrivals"))
  }

  /** Begins every call at its time. */
  start(call: Call): void {
    const { now, sleep } = this.simulator
    for (const at of this.arrivals) {
      sleep(at, () =>
        call((succeeded) => {
          this.outcomes.push({ at, latency: now() - at, succeeded })
        }))
    }
  }

  readonly isOver = (): boolean => this.outcomes.length >= this.arrivals.length

  measured(): Measured {
    const calls = this.outcomes.length
    const latencies = this.outcomes.map((outcome) => outcome.latency).sort((a, b) => a - b)
    const quantile = (q: number): number => latencies[Math.min(calls - 1, Math.floor(q * calls))] ?? NaN
    const received = this.providers.map((provider) => provider.received)
    const end = Math.max(...this.arrivals)
    return {
      calls,
      success: successOf(this.outcomes),
      primaryAttempts: (received[0] ?? NaN) / calls,
      attempts: received.reduce((sum, one) => sum + one, 0) / calls,
      p50: quantile(0.5),
      p99: quantile(0.99),
      lastTenSeconds: successOf(this.outcomes.filter((outcome) => outcome.at > end - 10_000)),
      backAfter: this.backAfter(end)
    }
  }

  /** By the success of the calls that began in each window of 5 seconds after the fault. */
  private backAfter(end: number): number | undefined {
    const until = this.scenario.providers[0].fault?.until
    if (until === undefined) {
      return undefined
    }
    let back = Infinity
    for (let from = Math.floor((end - WINDOW - until) / 1000) * 1000 + until; from >= until; from -= 1000) {
      if (successOf(this.outcomes.filter(({ at }) => at >= from && at < from + WINDOW)) < GOOD) {
        break
      }
      back = from - until
    }
    return back
  }
}

const successOf = (outcomes: ReadonlyArray<Outcome>): number =>
  outcomes.length === 0 ? NaN : outcomes.filter((outcome) => outcome.succeeded).length / outcomes.length
