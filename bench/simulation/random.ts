/**
 * Seeded numbers. Each part of the world draws from a stream of its own, so that one more draw in one of them leaves the
 * others as they were.
 */
import * as Hash from "effect/Hash"
import { PCGRandom } from "effect/Utils"

/** Uniform in [0, 1). */
export type Uniform = () => number

/** The stream of that name under that seed. */
export const stream = (seed: number, name: string): Uniform => {
  const generator = new PCGRandom(Hash.string(`${seed} ${name}`))
  return () => generator.number()
}

/** How long something takes, in milliseconds. */
export type Duration = (uniform: Uniform) => number

export const constant = (millis: number): Duration => () => millis

/** Time between events that know nothing of each other, and the textbook's service time. */
export const exponential = (mean: number): Duration => (uniform) => -mean * Math.log(1 - uniform())

/** Many quick answers and a long tail, as measured latencies of language models look. */
export const logNormal = (median: number, sigma: number): Duration => (uniform) => {
  const normal = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
  return median * Math.exp(sigma * normal)
}
