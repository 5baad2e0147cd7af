/** The options of a circuit breaker, checked and in the machine's own terms. */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type { Growth, Options, Trip } from "../CircuitBreaker.js"
import type * as machine from "../internal/breaker.js"
import { CallWindow, Streak, TimeWindow } from "../internal/slidingWindow.js"
import * as OptionsOf from "./options.js"

/** A window over so many calls, where another is over time. */
export const isCalls = (
  window: Duration.DurationInput | { readonly calls: number }
): window is { readonly calls: number } => Predicate.hasProperty(window, "calls")

const millis = (duration: Duration.Duration): number => Math.ceil(Duration.toMillis(duration))

const tripOf = (trip: Trip): machine.Trip => {
  switch (trip._tag) {
    case "FailureRate": {
      const { minimumCalls, threshold, window } = trip
      return {
        empty: isCalls(window) ? new CallWindow(window.calls) : new TimeWindow(Duration.toMillis(window)),
        trips: ({ calls, failures }, underWay) => calls >= minimumCalls && failures / (calls + underWay) >= threshold
      }
    }
    case "ConsecutiveFailures":
      return { empty: new Streak(), trips: ({ failures }) => failures >= trip.failures }
  }
}

const isGrowth = (input: Duration.DurationInput | Growth): input is Growth =>
  Predicate.isRecord(input) && !Duration.isDuration(input)

const openForOf = (input: Duration.DurationInput | Growth): Pick<machine.Settings, "openFor" | "jitter"> => {
  if (!isGrowth(input)) {
    const base = millis(OptionsOf.finitePositiveDuration("openFor", input))
    return { openFor: { base, factor: 1, cap: base }, jitter: "none" }
  }
  const base = millis(OptionsOf.finitePositiveDuration("openFor.base", input.base ?? "5 seconds"))
  const cap = input.cap === undefined
    ? Math.max(base, 10_000)
    : millis(OptionsOf.finitePositiveDuration("openFor.cap", input.cap))
  return {
    openFor: { base, factor: OptionsOf.numberAtLeast("openFor.factor", 1, input.factor ?? 2), cap },
    jitter: "equal"
  }
}

/** Throws a `RangeError` that names a bad option. */
export const settingsOf = (options: Options, trip: Trip): machine.Settings => ({
  ...openForOf(options.openFor ?? {}),
  trip: tripOf(trip),
  maxOpenFor: millis(OptionsOf.finitePositiveDuration("maxOpenFor", options.maxOpenFor ?? "5 minutes")),
  permits: OptionsOf.positiveCount("halfOpen.permits", options.halfOpen?.permits ?? 1),
  successes: OptionsOf.positiveCount("halfOpen.successes", options.halfOpen?.successes ?? 1),
  probeTimeout: millis(
    OptionsOf.positiveDuration("halfOpen.probeTimeout", options.halfOpen?.probeTimeout ?? "60 seconds")
  )
})
