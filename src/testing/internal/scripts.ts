/**
 * Which behaviour the next request for a model meets.
 *
 * Every model has a script, its own or the one that its name stands for; the nth request gets the nth fault and the last
 * one repeats. A pattern is a pure function of how many requests met it before and how long ago the first one did, so
 * the only state is a count and a time per model.
 */
import * as Duration from "effect/Duration"
import * as Fault from "../Fault.js"
import * as ModelNames from "./modelNames.js"
import { draw } from "./random.js"

interface Script {
  readonly faults: ReadonlyArray<Fault.Fault>
  served: number
  /** When the last fault, the one that repeats, was met first. */
  repeatsSince: bigint
}

/** What a fault is for the nth request (from 0) that meets it, `elapsed` milliseconds after the first. */
const pick = (fault: Fault.Fault, nth: number, elapsed: number): Fault.Behaviour => {
  switch (fault._tag) {
    case "Flapping": {
      const turn = Math.floor(
        typeof fault.every === "number" ? nth / fault.every : elapsed / Duration.toMillis(fault.every)
      )
      return turn % 2 === 0 ? fault.bad : fault.good
    }
    case "Outage":
      return elapsed < Duration.toMillis(fault.lasts) ? fault.fault : Fault.ok()
    case "Random":
      return draw(fault.seed, nth) < fault.rate ? fault.fault : Fault.ok()
    default:
      return fault
  }
}

export interface Scripts {
  /** Replaces a model's script and starts its count over; without faults the model's name decides again. */
  readonly set: (model: string, faults: ReadonlyArray<Fault.Fault>) => void
  /** The behaviour for the request that has just come; undefined for a `fault-…` name that means nothing. */
  readonly next: (model: string) => Fault.Behaviour | undefined
  readonly models: () => Iterable<string>
  readonly clear: () => void
}

/** `now` is a monotonic time in nanoseconds. */
export const make = (now: () => bigint): Scripts => {
  const scripts = new Map<string, Script>()

  const set = (model: string, faults: ReadonlyArray<Fault.Fault>) => {
    if (faults.length === 0) {
      scripts.delete(model)
    } else {
      scripts.set(model, { faults, served: 0, repeatsSince: 0n })
    }
  }

  const next = (model: string): Fault.Behaviour | undefined => {
    if (!scripts.has(model)) {
      const named = ModelNames.faultFor(model)
      set(model, named === undefined ? [] : [named])
    }
    const script = scripts.get(model)
    const last = (script?.faults.length ?? 0) - 1
    const fault = script?.faults[Math.min(script.served, last)]
    if (script === undefined || fault === undefined) {
      return undefined
    }
    const nth = Math.max(0, script.served - last)
    const time = now()
    if (nth === 0) {
      script.repeatsSince = time
    }
    script.served += 1
    return pick(fault, nth, Number(time - script.repeatsSince) / 1e6)
  }

  return { set, next, models: () => scripts.keys(), clear: () => scripts.clear() }
}
