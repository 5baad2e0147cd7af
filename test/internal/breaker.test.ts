import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import * as breaker from "../../src/internal/breaker.js"
import { Elapsed } from "../../src/internal/elapsed.js"
import { CallWindow, Streak, TimeWindow } from "../../src/internal/slidingWindow.js"
import { type Answer, commands, type Ending, Model, observe, type Setup, setups, type System } from "../circuitModel.js"

const tripOf = (trip: Setup["trip"]): breaker.Trip => {
  if ("consecutive" in trip) {
    return { empty: new Streak(), trips: ({ failures }) => failures >= trip.consecutive }
  }
  const { minimumCalls, threshold, window } = trip
  return {
    empty: "calls" in window ? new CallWindow(window.calls) : new TimeWindow(window.millis),
    trips: ({ calls, failures }, underWay) => calls >= minimumCalls && failures / (calls + underWay) >= threshold
  }
}

const settingsOf = (setup: Setup): breaker.Settings => ({
  ...setup,
  trip: tripOf(setup.trip),
  jitter: setup.openFor.jitter ? "equal" : "none"
})

const outcomeOf = (ending: Ending): breaker.Outcome =>
  ending === "success"
    ? { _tag: "Success" }
    : ending === "neutral"
    ? { _tag: "Neutral" }
    : {
      _tag: "Failure",
      by: { tag: `${ending}` },
      retryAfter: typeof ending === "number" ? ending : undefined,
      atOnce: ending === "at once"
    }

/** The machine with as little around it as will drive it. */
class Machine implements System {
  readonly transitions: Array<string> = []
  private readonly settings: breaker.Settings
  private readonly elapsed = new Elapsed()
  private current: breaker.State
  private clock = 0
  private readonly permits: Array<breaker.Permit | "settled"> = []
  private readonly isolations: Array<number | "released"> = []

  constructor(private readonly setup: Setup) {
    this.settings = settingsOf(setup)
    this.current = breaker.initial(this.settings)
  }

  private take({ state, transition }: breaker.Step): void {
    this.current = state
    if (transition !== undefined) {
      this.transitions.push(`${transition.from} > ${transition.to}`)
    }
  }

  private get now(): number {
    return this.elapsed.at(this.clock)
  }

  get state(): string {
    const view = breaker.view(this.current, this.now)
    return view._tag === "Open" ? `Open for ${view.retryAfter}` : view._tag
  }

  get inFlight(): number {
    return this.current.inFlight
  }

  wait(millis: number): void {
    this.clock += millis
  }

  admit(): Answer {
    const answer = breaker.admit(this.settings, this.current, this.now)
    if (answer.permit === undefined) {
      return { retryAfter: answer.retryAfter }
    }
    this.take(answer)
    this.permits.push(answer.permit)
    return "admitted"
  }

  done(index: number, ending: Ending): void {
    const permit = this.permits[index]
    if (permit !== undefined && permit !== "settled") {
      this.permits[index] = "settled"
      this.take(breaker.settle(this.settings, this.current, this.now, permit, outcomeOf(ending), this.setup.u))
    }
  }

  isolate(): void {
    this.take(breaker.isolate(this.current))
    this.isolations.push(this.current.generation)
  }

  release(index: number): void {
    const generation = this.isolations[index]
    if (generation !== undefined && generation !== "released") {
      this.isolations[index] = "released"
      this.take(breaker.release(this.settings, this.current, generation))
    }
  }

  reset(): void {
    this.take(breaker.reset(this.settings, this.current))
  }
}

describe("the breaker", () => {
  it("does what the model does, whatever is done to it in whatever order", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(setups, commands, (setup, commands) => {
        const model = new Model(setup)
        const machine = new Machine(setup)
        deepStrictEqual(observe(machine, commands), observe(model, commands))
        deepStrictEqual(machine.transitions, model.transitions)
        strictEqual(machine.inFlight, model.inFlight)
        model.transitions.forEach((transition) => seen.add(transition))
      }),
      { numRuns: 10_000 }
    )
    // It would be no wonder that they agree if nothing ever happened.
    deepStrictEqual([...seen].sort(), [
      "Closed > Isolated",
      "Closed > Open",
      "HalfOpen > Closed",
      "HalfOpen > Isolated",
      "HalfOpen > Open",
      "Isolated > Closed",
      "Open > Closed",
      "Open > HalfOpen",
      "Open > Isolated"
    ])
  }, 60_000)
})
