import type { Growth, Jitter } from "./backoff.js"
import { exponential, jittered } from "./backoff.js"
import type { Counts, SlidingWindow } from "./slidingWindow.js"

/**
 * The circuit breaker as a machine: immutable state in, new state and decision out; no clock, no chance, no fiber.
 *
 * Every period (closed, open, half-open, isolated) is a generation, and a permit remembers the one it was issued in. An
 * outcome is believed in its own generation only: a call that began before the circuit opened says nothing about
 * whether the provider is well again now. All times are milliseconds of one clock that never goes back.
 *
 * Outcomes do not come in the order of the calls. Where failures are quick and answers take long, the first outcomes of a
 * period are failures, however few calls fail. Until its window is full a breaker therefore also counts the calls that
 * began before the newest that failed and are still under way. Where a provider hangs there are none, since the oldest
 * calls fail first; and in a full window each kind of outcome comes as often as the calls that end so.
 */

/** The window to begin with, and when what it counts is too much. */
export interface Trip {
  readonly empty: SlidingWindow
  /** Besides what was counted, so many calls are `underWay` that may yet succeed. */
  readonly trips: (counts: Counts, underWay: number) => boolean
}

export interface Settings {
  readonly trip: Trip
  readonly openFor: Growth
  readonly jitter: Jitter
  /** The longest that a server's Retry-After can keep it open. */
  readonly maxOpenFor: number
  readonly permits: number
  readonly successes: number
  readonly probeTimeout: number
}

/** What opened a circuit, in words that may be shown. */
export interface OpenedBy {
  readonly tag: string
  readonly reason?: string | undefined
  readonly status?: number | undefined
}

export type Outcome =
  | { readonly _tag: "Success" }
  | { readonly _tag: "Neutral" }
  | {
    readonly _tag: "Failure"
    readonly by: OpenedBy
    readonly retryAfter: number | undefined
    /** No rate has to be awaited: the next call would fail the same way. */
    readonly atOnce: boolean
  }

/** The right to make one call. */
export interface Permit {
  readonly generation: number
  /** Its place among those of its generation, from 1. */
  readonly nth: number
  /** Was it issued half-open? */
  readonly probe: boolean
}

interface Probe {
  readonly nth: number
  readonly until: number
}

interface HalfOpen {
  readonly _tag: "HalfOpen"
  readonly openedBy: OpenedBy | undefined
  /** Those that stand in the way of others. */
  readonly probes: ReadonlyArray<Probe>
  readonly successes: number
}

type Phase =
  | {
    readonly _tag: "Closed"
    readonly window: SlidingWindow
    readonly lastFailure: OpenedBy | undefined
    /** The newest permit whose call failed, by its place. */
    readonly newestFailed: number
  }
  | { readonly _tag: "Open"; readonly until: number; readonly openedBy: OpenedBy | undefined }
  | HalfOpen
  | { readonly _tag: "Isolated"; readonly holders: number }

export interface State {
  readonly generation: number
  /** Permits of any generation that have no outcome yet. */
  readonly inFlight: number
  /** Permits of this generation, and those of them that have an outcome. */
  readonly issued: number
  readonly settled: number
  /** How often it opened since it was last closed. */
  readonly openings: number
  readonly phase: Phase
}

export interface Transition {
  readonly from: Phase["_tag"]
  readonly to: Phase["_tag"]
  readonly openedBy: OpenedBy | undefined
}

/** A new state, and the transition that led to it if the phase is another one now. */
export interface Step {
  readonly state: State
  readonly transition: Transition | undefined
}

/** What an admission would find. `retryAfter` is how long it stays open, in milliseconds. */
export type View =
  | { readonly _tag: "Closed" | "HalfOpen" | "Isolated" }
  | { readonly _tag: "Open"; readonly retryAfter: number; readonly openedBy: OpenedBy | undefined }

export interface Admitted extends Step {
  readonly permit: Permit
}

export interface Rejected {
  readonly permit: undefined
  readonly phase: "Open" | "HalfOpen" | "Isolated"
  /** In milliseconds; undefined when nobody knows. */
  readonly retryAfter: number | undefined
  readonly openedBy: OpenedBy | undefined
}

const closed = (settings: Settings): Phase => ({
  _tag: "Closed",
  window: settings.trip.empty,
  lastFailure: undefined,
  newestFailed: 0
})

export const initial = (settings: Settings): State => ({
  generation: 0,
  inFlight: 0,
  issued: 0,
  settled: 0,
  openings: 0,
  phase: closed(settings)
})

// Fields are written out rather than spread: this is on the way of every call, and V8 takes many times as long to copy.
const stay = (state: State, phase: Phase): State => ({
  generation: state.generation,
  inFlight: state.inFlight,
  issued: state.issued,
  settled: state.settled,
  openings: state.openings,
  phase
})

const unchanged = (state: State): Step => ({ state, transition: undefined })

const enter = (state: State, phase: Phase, openings: number): Step => ({
  state: { generation: state.generation + 1, inFlight: state.inFlight, issued: 0, settled: 0, openings, phase },
  transition: state.phase._tag === phase._tag ? undefined : {
    from: state.phase._tag,
    to: phase._tag,
    openedBy: phase._tag === "Open" ? phase.openedBy : undefined
  }
})

const close = (settings: Settings, state: State): Step => enter(state, closed(settings), 0)

/** Opens for its turn in the row of openings, jittered; a server's Retry-After can only lengthen that. */
const open = (
  settings: Settings,
  state: State,
  now: number,
  openedBy: OpenedBy | undefined,
  retryAfter: number | undefined,
  u: number
): Step => {
  const own = jittered(exponential(settings.openFor, state.openings), settings.jitter, u)
  const asked = Math.min(retryAfter ?? 0, settings.maxOpenFor)
  return enter(state, { _tag: "Open", until: now + Math.max(own, asked), openedBy }, state.openings + 1)
}

export const view = (state: State, now: number): View => {
  const { phase } = state
  if (phase._tag !== "Open") {
    return { _tag: phase._tag }
  }
  return now < phase.until
    ? { _tag: "Open", retryAfter: Math.ceil(phase.until - now), openedBy: phase.openedBy }
    : { _tag: "HalfOpen" }
}

const issue = (
  { state, transition }: Step,
  phase: Phase,
  probe: boolean
): Admitted => ({
  state: {
    generation: state.generation,
    inFlight: state.inFlight + 1,
    issued: state.issued + 1,
    settled: state.settled,
    openings: state.openings,
    phase
  },
  transition,
  permit: { generation: state.generation, nth: state.issued + 1, probe }
})

const probe = (settings: Settings, step: Step, phase: HalfOpen, now: number): Admitted => {
  const probes = [...phase.probes, { nth: step.state.issued + 1, until: now + settings.probeTimeout }]
  return issue(step, { ...phase, probes }, true)
}

/** The first admission at or after the end of an opening makes it half-open. */
export const admit = (settings: Settings, state: State, now: number): Admitted | Rejected => {
  const { phase } = state
  switch (phase._tag) {
    case "Closed":
      return issue(unchanged(state), phase, false)
    case "Open": {
      if (now < phase.until) {
        return {
          permit: undefined,
          phase: "Open",
          retryAfter: Math.ceil(phase.until - now),
          openedBy: phase.openedBy
        }
      }
      const half: HalfOpen = { _tag: "HalfOpen", openedBy: phase.openedBy, probes: [], successes: 0 }
      return probe(settings, enter(state, half, state.openings), half, now)
    }
    case "HalfOpen": {
      const running = phase.probes.filter((probe) => now < probe.until)
      return running.length < settings.permits
        ? probe(settings, unchanged(state), { ...phase, probes: running }, now)
        : { permit: undefined, phase: "HalfOpen", retryAfter: undefined, openedBy: phase.openedBy }
    }
    case "Isolated":
      return { permit: undefined, phase: "Isolated", retryAfter: undefined, openedBy: undefined }
  }
}

const withOutcomeOf = (state: State, { generation }: Permit): State => ({
  generation: state.generation,
  inFlight: state.inFlight - 1,
  issued: state.issued,
  settled: generation === state.generation ? state.settled + 1 : state.settled,
  openings: state.openings,
  phase: state.phase
})

/** The outcome of a permit, to be called once for each. `u` is a random number in [0, 1), used if this opens it. */
export const settle = (
  settings: Settings,
  before: State,
  now: number,
  permit: Permit,
  outcome: Outcome,
  u: number
): Step => {
  const { phase } = before
  const state = withOutcomeOf(before, permit)
  if (permit.generation !== state.generation) {
    return unchanged(state)
  }
  switch (phase._tag) {
    case "Closed": {
      if (outcome._tag === "Neutral") {
        return unchanged(state)
      }
      const failed = outcome._tag === "Failure"
      const window = phase.window.record(now, failed)
      const lastFailure = failed ? outcome.by : phase.lastFailure
      const newestFailed = failed ? Math.max(phase.newestFailed, permit.nth) : phase.newestFailed
      // Those that began later and ended already make it too few, never too many.
      const underWay = window.isFull(now) ? 0 : Math.max(0, newestFailed - state.settled)
      return (failed && outcome.atOnce) || settings.trip.trips(window.counts(now), underWay)
        ? open(settings, state, now, lastFailure, failed ? outcome.retryAfter : undefined, u)
        : unchanged(stay(state, { _tag: "Closed", window, lastFailure, newestFailed }))
    }
    case "HalfOpen": {
      if (outcome._tag === "Failure") {
        return open(settings, state, now, outcome.by, outcome.retryAfter, u)
      }
      const successes = phase.successes + (outcome._tag === "Success" ? 1 : 0)
      if (successes >= settings.successes) {
        return close(settings, state)
      }
      const probes = phase.probes.filter((probe) => probe.nth !== permit.nth)
      return unchanged(stay(state, { ...phase, probes, successes }))
    }
    // Nothing is admitted here, so no permit is of this generation.
    case "Open":
    case "Isolated":
      return unchanged(state)
  }
}

/** Held by several at once it stays isolated until the last lets go. */
export const isolate = (state: State): Step =>
  state.phase._tag === "Isolated"
    ? unchanged(stay(state, { _tag: "Isolated", holders: state.phase.holders + 1 }))
    : enter(state, { _tag: "Isolated", holders: 1 }, 0)

/** Lets go of an isolation of that generation; the last one closes. */
export const release = (settings: Settings, state: State, generation: number): Step => {
  const { phase } = state
  if (phase._tag !== "Isolated" || generation !== state.generation) {
    return unchanged(state)
  }
  return phase.holders === 1
    ? close(settings, state)
    : unchanged(stay(state, { _tag: "Isolated", holders: phase.holders - 1 }))
}

/** Closes, whatever it was, and forgets everything. */
export const reset = close

/** Would a fresh circuit behave the same? */
export const isFresh = (state: State, now: number): boolean =>
  state.phase._tag === "Closed" && state.inFlight === 0 && state.phase.window.counts(now).calls === 0
