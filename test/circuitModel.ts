/**
 * What a circuit breaker has to do, said a second time and in another way: nothing is aggregated or pruned. The model
 * keeps every outcome and every permit there ever was, and works out the answer from all of them each time it is asked.
 */
import { FastCheck as fc } from "effect"

/** Durations are in milliseconds. */
export interface Setup {
  readonly trip:
    | {
      readonly threshold: number
      readonly minimumCalls: number
      readonly window: { readonly millis: number } | { readonly calls: number }
    }
    | { readonly consecutive: number }
  readonly openFor: { readonly base: number; readonly factor: number; readonly cap: number; readonly jitter: boolean }
  readonly maxOpenFor: number
  readonly permits: number
  readonly successes: number
  readonly probeTimeout: number
  /** What chance says at each opening. */
  readonly u: number
}

/** How a call ends; a number is a failure that asks for so long a wait. */
export type Ending = "success" | "failure" | "neutral" | "at once" | number

/** One thing done to a breaker. Permits and isolations are named by the order in which they were issued. */
export type Command =
  | readonly ["admit", racers: number]
  | readonly ["done", permit: number, ending: Ending]
  | readonly ["call", ending: Ending, times: number]
  | readonly ["wait", millis: number]
  | readonly ["isolate"]
  | readonly ["release", isolation: number]
  | readonly ["reset"]

const ending: fc.Arbitrary<Ending> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Ending>("failure") },
  { weight: 4, arbitrary: fc.constant<Ending>("success") },
  { weight: 2, arbitrary: fc.constant<Ending>("neutral") },
  { weight: 1, arbitrary: fc.constant<Ending>("at once") },
  { weight: 1, arbitrary: fc.constantFrom<Array<Ending>>(1, 7000, 1_000_000) }
)

// Rather the newest permits than any: an old one is settled already, or of an earlier period.
const which = fc.oneof({ weight: 4, arbitrary: fc.nat({ max: 3 }) }, { weight: 1, arbitrary: fc.nat({ max: 30 }) })

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(fc.constant("admit" as const), fc.integer({ min: 1, max: 4 })) },
  { weight: 8, arbitrary: fc.tuple(fc.constant("done" as const), which, ending) },
  { weight: 5, arbitrary: fc.tuple(fc.constant("call" as const), ending, fc.integer({ min: 1, max: 5 })) },
  {
    weight: 6,
    arbitrary: fc.tuple(
      fc.constant("wait" as const),
      fc.oneof(
        fc.integer({ min: 1, max: 3500 }),
        fc.constantFrom(1000, 4000, 5000, 10_000, 15_000, 30_000, 60_000, 300_000),
        fc.integer({ min: -20_000, max: 0 })
      )
    )
  },
  { weight: 1, arbitrary: fc.constant<Command>(["isolate"]) },
  { weight: 1, arbitrary: fc.tuple(fc.constant("release" as const), fc.nat({ max: 3 })) },
  { weight: 1, arbitrary: fc.constant<Command>(["reset"]) }
)

export const commands: fc.Arbitrary<ReadonlyArray<Command>> = fc.array(command, { maxLength: 60, size: "max" })

export const setups: fc.Arbitrary<Setup> = fc.record({
  trip: fc.oneof(
    fc.record({
      threshold: fc.constantFrom(0.3, 0.5, 0.8, 1),
      minimumCalls: fc.integer({ min: 1, max: 4 }),
      window: fc.constantFrom({ millis: 30_000 }, { millis: 7000 }, { calls: 4 }, { calls: 7 })
    }),
    fc.record({ consecutive: fc.integer({ min: 1, max: 4 }) })
  ),
  openFor: fc.constantFrom(
    { base: 5000, factor: 1, cap: 5000, jitter: false },
    { base: 5000, factor: 2, cap: 15_000, jitter: true }
  ),
  maxOpenFor: fc.constantFrom(300_000, 6000),
  permits: fc.integer({ min: 1, max: 3 }),
  successes: fc.integer({ min: 1, max: 3 }),
  probeTimeout: fc.constantFrom(60_000, 4000),
  u: fc.constantFrom(0, 0.25, 0.999)
})

/** The answer to an admission: a permit, or how long to stay away (undefined when nobody knows). */
export type Answer = "admitted" | { readonly retryAfter: number | undefined }

interface Period {
  readonly kind: "Closed" | "Open" | "HalfOpen" | "Isolated"
  readonly from: number
  /** For how long, if it is open. */
  readonly lasts: number
}

interface IssuedPermit {
  readonly period: Period
  readonly at: number
  ending: Ending | undefined
  endedAt: number
}

const isFailure = (ending: Ending | undefined): boolean =>
  ending !== undefined && ending !== "success" && ending !== "neutral"

const periodOf = (kind: Period["kind"], from: number, lasts = 0): Period => ({ kind, from, lasts })

export class Model {
  readonly transitions: Array<string> = []
  private now = 0
  private history: Array<Period> = [periodOf("Closed", 0)]
  private permits: Array<IssuedPermit> = []
  private isolations: Array<{ readonly period: Period; held: boolean }> = []

  constructor(private readonly setup: Setup) {}

  private get period(): Period {
    return this.history[this.history.length - 1] ?? periodOf("Closed", 0)
  }

  private turn(kind: Period["kind"], lasts = 0): void {
    if (kind !== this.period.kind) {
      this.transitions.push(`${this.period.kind} > ${kind}`)
    }
    this.history.push(periodOf(kind, this.now, lasts))
  }

  private ofThisPeriod(): ReadonlyArray<IssuedPermit> {
    return this.permits.filter((permit) => permit.period === this.period)
  }

  wait(millis: number): void {
    this.now += Math.max(0, millis)
  }

  get stays(): number {
    return this.period.from + this.period.lasts - this.now
  }

  get state(): string {
    return this.period.kind !== "Open" ? this.period.kind : this.stays > 0 ? `Open for ${this.stays}` : "HalfOpen"
  }

  get inFlight(): number {
    return this.permits.filter((permit) => permit.ending === undefined).length
  }

  admit(): Answer {
    const { kind } = this.period
    if (kind === "Isolated") {
      return { retryAfter: undefined }
    }
    if (kind === "Open" && this.stays > 0) {
      return { retryAfter: this.stays }
    }
    if (kind === "Open") {
      this.turn("HalfOpen")
    }
    if (this.period.kind === "HalfOpen") {
      const underWay = this.ofThisPeriod().filter((permit) =>
        permit.ending === undefined && this.now < permit.at + this.setup.probeTimeout
      )
      if (underWay.length >= this.setup.permits) {
        return { retryAfter: undefined }
      }
    }
    this.permits.push({ period: this.period, at: this.now, ending: undefined, endedAt: 0 })
    return "admitted"
  }

  done(index: number, ending: Ending): void {
    const permit = this.permits[index]
    if (permit === undefined || permit.ending !== undefined) {
      return
    }
    permit.ending = ending
    permit.endedAt = this.now
    // A permit that is settled again and again stays where it was: the order of outcomes is the order of the list.
    this.outcomes.push(permit)
    if (permit.period !== this.period || ending === "neutral") {
      return
    }
    const failed = ending !== "success"
    switch (this.period.kind) {
      case "Closed":
        return ending === "at once" || this.tooMuch() ? this.open(ending) : undefined
      case "HalfOpen": {
        const successes = this.ofThisPeriod().filter((permit) => permit.ending === "success").length
        return failed ? this.open(ending) : successes === this.setup.successes ? this.turn("Closed") : undefined
      }
    }
  }

  private outcomes: Array<IssuedPermit> = []

  private tooMuch(): boolean {
    const { trip } = this.setup
    const counted = this.outcomes.filter((permit) => permit.period === this.period && permit.ending !== "neutral")
    const failures = (permits: ReadonlyArray<IssuedPermit>) => permits.filter(({ ending }) => isFailure(ending)).length
    if ("consecutive" in trip) {
      const last = counted.slice(-trip.consecutive)
      return last.length === trip.consecutive && failures(last) === last.length
    }
    const { window } = trip
    const tenth = (at: number) => "millis" in window ? Math.floor(10 * at / window.millis) : 0
    const recent = "calls" in window
      ? counted.slice(-window.calls)
      : counted.filter((permit) => tenth(this.now) - tenth(permit.endedAt) < 10)
    const unheard = this.isFull(counted) ? 0 : this.unheard()
    return recent.length >= trip.minimumCalls && failures(recent) / (recent.length + unheard) >= trip.threshold
  }

  /** Has the window been filling for all its length, without a gap in which it became empty? */
  private isFull(counted: ReadonlyArray<IssuedPermit>): boolean {
    const { trip } = this.setup
    if ("consecutive" in trip) {
      return true
    }
    const { window } = trip
    if ("calls" in window) {
      return counted.length >= window.calls
    }
    const tenth = (at: number) => Math.floor(10 * at / window.millis)
    const intoEmpty = counted.filter(({ endedAt }, i) => {
      const before = counted[i - 1]
      return before === undefined || tenth(endedAt) - tenth(before.endedAt) >= 10
    })
    return this.now - (intoEmpty.at(-1)?.endedAt ?? this.now) >= window.millis
  }

  /** Of the calls up to the newest that failed, so many are under way, if calls end in the order in which they began. */
  private unheard(): number {
    const calls = this.ofThisPeriod()
    const failed = calls.map(({ ending }) => isFailure(ending)).lastIndexOf(true)
    return Math.max(0, failed + 1 - calls.filter(({ ending }) => ending !== undefined).length)
  }

  private open(ending: Ending): void {
    const { maxOpenFor, openFor, u } = this.setup
    const lastClosed = this.history.map((period) => period.kind).lastIndexOf("Closed")
    const nth = this.history.slice(lastClosed).filter((period) => period.kind === "Open").length
    const full = Math.min(openFor.cap, openFor.base * openFor.factor ** nth)
    const own = openFor.jitter ? Math.round(full * (1 + u) / 2) : full
    this.turn("Open", Math.max(own, Math.min(maxOpenFor, typeof ending === "number" ? ending : 0)))
  }

  isolate(): void {
    if (this.period.kind !== "Isolated") {
      this.turn("Isolated")
    }
    this.isolations.push({ period: this.period, held: true })
  }

  release(index: number): void {
    const isolation = this.isolations[index]
    if (isolation === undefined || !isolation.held) {
      return
    }
    isolation.held = false
    const holds = this.isolations.some(({ held, period }) => held && period === this.period)
    if (isolation.period === this.period && !holds) {
      this.turn("Closed")
    }
  }

  reset(): void {
    this.turn("Closed")
  }
}

/** A breaker under test, in the model's words. */
export interface System {
  readonly state: string
  readonly wait: (millis: number) => void
  readonly admit: () => Answer
  readonly done: (permit: number, ending: Ending) => void
  readonly isolate: () => void
  readonly release: (isolation: number) => void
  readonly reset: () => void
}

/** What a command lets one see. */
export type Seen = ReadonlyArray<Answer | string>

/**
 * Runs the commands; what can be seen before the first and after each, in order. The look at the beginning is a reading of
 * the clock: until there was one, it cannot be seen to go back.
 */
export const observe = (system: System, commands: ReadonlyArray<Command>): ReadonlyArray<Seen> => {
  let permits = 0
  let isolations = 0
  const admit = (): Answer => {
    const answer = system.admit()
    permits += answer === "admitted" ? 1 : 0
    return answer
  }
  const run = (command: Command): ReadonlyArray<Answer> => {
    switch (command[0]) {
      case "admit":
        return Array.from({ length: command[1] }, admit)
      case "done":
        system.done(permits - 1 - command[1], command[2])
        return []
      case "call":
        return Array.from({ length: command[2] }, () => {
          const answer = admit()
          if (answer === "admitted") {
            system.done(permits - 1, command[1])
          }
          return answer
        })
      case "wait":
        system.wait(command[1])
        return []
      case "isolate":
        isolations++
        system.isolate()
        return []
      case "release":
        system.release(isolations - 1 - command[1])
        return []
      case "reset":
        system.reset()
        return []
    }
  }
  return [[system.state], ...commands.map((command) => [...run(command), system.state])]
}
