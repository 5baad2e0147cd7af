import type { Growth, Jitter } from "./backoff.js"
import { exponential, jittered } from "./backoff.js"
import type { Counts, SlidingWindow } from "./slidingWindow.js"

/**
 * The circuit breaker as a machine: immutable state in, new state and decision out; no clock, no chance, no fiber.
 *
 * Every period (closed, open, half-open, isolated) is a generation, and a permit remembers the one it was issued in. An
 * outcome is believed in its own generation only: a call that began before the circuit opened says nothing about
 * whether the provider is well again now. All times are milliseconds of one clock that never goes back.
 */

/** The window to begin with, and when what it counts is too much. */
export interface Trip {
  readonly empty: SlidingWindow
  readonly trips: (counts: Counts) => boolean
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

/** The right to make one call. `probe` numbers those that were issued half-open. */
export interface Permit {
  readonly generation: number
  readonly probe: number | undefined
}

interface Probe {
  readonly id: number
  readonly until: number
}

interface HalfOpen {
  readonly _tag: "HalfOpen"
  readonly openedBy: OpenedBy | undefined
  readonly issued: number
  /** Those that stand in the way of others. */
  readonly probes: ReadonlyArray<Probe>
  readonly successes: number
}

type Phase =
  | { readonly _tag: "Closed"; readonly window: SlidingWindow; readonly lastFailure: OpenedBy | undefined }
  | { readonly _tag: "Open"; readonly until: number; readonly openedBy: OpenedBy | undefined }
  | HalfOpen
  | { readonly _tag: "Isolated"; readonly holders: number }

export interface State {
  readonly generation: number
  /** Permits of any generation that have no outcome yet. */
  readonly inFlight: number
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

const closed = (settings: Settings): Phase => ({ _tag: "Closed", window: settings.trip.empty, lastFailure: undefined })

export const initial = (settings: Settings): State => ({
  generation: 0,
  inFlight: 0,
  openings: 0,
  phase: closed(settings)
})

// Fields are written out rather than spread: this is on the way of every call, and V8 takes many times as long to copy.
const stay = (state: State, phase: Phase, inFlight: number): State => ({
  generation: state.generation,
  inFlight,
  openings: state.openings,
  phase
})

const unchanged = (state: State): Step => ({ state, transition: undefined })

const enter = (state: State, phase: Phase, openings: number): Step => ({
  state: { generation: state.generation + 1, inFlight: state.inFlight, openings, phase },
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
  probe: number | undefined
): Admitted => ({
  state: stay(state, phase, state.inFlight + 1),
  transition,
  permit: { generation: state.generation, probe }
})

const probe = (settings: Settings, step: Step, phase: HalfOpen, now: number): Admitted => {
  const id = phase.issued
  const probes = [...phase.probes, { id, until: now + settings.probeTimeout }]
  return issue(step, { ...phase, issued: id + 1, probes }, id)
}

/** The first admission at or after the end of an opening makes it half-open. */
export const admit = (settings: Settings, state: State, now: number): Admitted | Rejected => {
  const { phase } = state
  switch (phase._tag) {
    case "Closed":
      return issue(unchanged(state), phase, undefined)
    case "Open": {
      if (now < phase.until) {
        return {
          permit: undefined,
          phase: "Open",
          retryAfter: Math.ceil(phase.until - now),
          openedBy: phase.openedBy
        }
      }
      const half: HalfOpen = { _tag: "HalfOpen", openedBy: phase.openedBy, issued: 0, probes: [], successes: 0 }
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
  const state = stay(before, phase, before.inFlight - 1)
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
      return (failed && outcome.atOnce) || settings.trip.trips(window.counts(now))
        ? open(settings, state, now, lastFailure, failed ? outcome.retryAfter : undefined, u)
        : unchanged(stay(state, { _tag: "Closed", window, lastFailure }, state.inFlight))
    }
    case "HalfOpen": {
      if (outcome._tag === "Failure") {
        return open(settings, state, now, outcome.by, outcome.retryAfter, u)
      }
      const successes = phase.successes + (outcome._tag === "Success" ? 1 : 0)
      if (successes >= settings.successes) {
        return close(settings, state)
      }
      const probes = phase.probes.filter((probe) => probe.id !== permit.probe)
      return unchanged(stay(state, { ...phase, probes, successes }, state.inFlight))
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
    ? unchanged(stay(state, { _tag: "Isolated", holders: state.phase.holders + 1 }, state.inFlight))
    : enter(state, { _tag: "Isolated", holders: 1 }, 0)

/** Lets go of an isolation of that generation; the last one closes. */
export const release = (settings: Settings, state: State, generation: number): Step => {
  const { phase } = state
  if (phase._tag !== "Isolated" || generation !== state.generation) {
    return unchanged(state)
  }
  return phase.holders === 1
    ? close(settings, state)
    : unchanged(stay(state, { _tag: "Isolated", holders: phase.holders - 1 }, state.inFlight))
}

/** Closes, whatever it was, and forgets everything. */
export const reset = close

/** Would a fresh circuit behave the same? */
export const isFresh = (state: State, now: number): boolean =>
  state.phase._tag === "Closed" && state.inFlight === 0 && state.phase.window.counts(now).calls === 0
