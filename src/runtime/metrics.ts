/**
 * Feeds the metrics of `Telemetry`.
 *
 * Effect finds a metric in its registry by hashing name and tags, too slow for the way of every call, but remembers what
 * it found for an array of tags. So the arrays are made once for each provider and model, and handed out again. Models
 * come from requests, and the registry forgets nothing, so the pairs are bounded.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import type * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import type { DeniedBy, Outcome } from "../CallReport.js"
import type { Target } from "../ProviderError.js"
import * as Telemetry from "../Telemetry.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>
type Labels = ReadonlyArray<MetricLabel.MetricLabel>

/** How many pairs of provider and model, and how many circuits, are told apart. */
const CAPACITY = 1000

const OTHER = "_OTHER"

const labels = (tags: ReadonlyArray<readonly [key: string, value: string]>): Labels =>
  tags.map(([key, value]) => MetricLabel.make(key, value))

/** The same labels and one more, made once for each value: the values are from closed lists. */
class OneMore {
  private readonly made = new Map<string, Labels>()
  constructor(private readonly base: Labels, private readonly key: string) {}
  with(value: string): Labels {
    let found = this.made.get(value)
    if (found === undefined) {
      found = [...this.base, MetricLabel.make(this.key, value)]
      this.made.set(value, found)
    }
    return found
  }
}

/** The labels of one provider and model. */
interface Series {
  readonly plain: Labels
  readonly outcome: OneMore
  readonly reason: OneMore
  readonly by: OneMore
  readonly chat: Labels
  readonly chatError: OneMore
}

const seriesFor = (provider: string, model: string): Series => {
  const plain = labels([["provider", provider], ["model", model]])
  const chat = labels([
    ["gen_ai.operation.name", "chat"],
    ["gen_ai.provider.name", provider],
    ["gen_ai.request.model", model]
  ])
  return {
    plain,
    outcome: new OneMore(plain, "outcome"),
    reason: new OneMore(plain, "reason"),
    by: new OneMore(plain, "by"),
    chat,
    chatError: new OneMore(chat, "error.type")
  }
}

const known = new Map<string, Map<string, Series>>()
let pairs = 0

const find = (provider: string, model: string): Series | undefined => known.get(provider)?.get(model)

const add = (provider: string, model: string): Series => {
  const series = seriesFor(provider, model)
  const models = known.get(provider)
  if (models === undefined) {
    known.set(provider, new Map([[model, series]]))
  } else {
    models.set(model, series)
  }
  pairs += 1
  return series
}

const seriesOf = ({ model = "unknown", provider = "unknown" }: Target): Series => {
  const found = find(provider, model)
  if (found !== undefined) {
    return found
  }
  if (pairs < CAPACITY) {
    return add(provider, model)
  }
  // Providers are few, unless a program makes their names up as it goes.
  const counted = known.has(provider) ? provider : OTHER
  return find(counted, OTHER) ?? add(counted, OTHER)
}

const update = <Type, In, Out>(fiber: AnyFiber, metric: Metric.Metric<Type, In, Out>, value: In, labels: Labels) => {
  const own = fiber.getFiberRef(FiberRef.currentMetricLabels)
  metric.unsafeUpdate(value, own.length === 0 ? labels : [...labels, ...own])
}

/** An attempt ended; `reason` is what made it, if it was a retry. */
export const attemptEnded = (
  fiber: AnyFiber,
  target: Target,
  outcome: Outcome,
  reason: Outcome | undefined
): void => {
  const series = seriesOf(target)
  update(fiber, Telemetry.attempts, 1, series.outcome.with(outcome))
  if (reason !== undefined) {
    update(fiber, Telemetry.retries, 1, series.reason.with(reason))
  }
}

/** A call ran to its end. */
export const callEnded = (fiber: AnyFiber, target: Target, outcome: Telemetry.CallOutcome): void =>
  update(fiber, Telemetry.calls, 1, seriesOf(target).outcome.with(outcome))

/** A retry was decided, after so many seconds. */
export const retryDelayed = (fiber: AnyFiber, target: Target, seconds: number): void =>
  update(fiber, Telemetry.retryDelay, seconds, seriesOf(target).plain)

/** A retry or a fallback was not made. */
export const retryDenied = (fiber: AnyFiber, target: Target, by: DeniedBy): void =>
  update(fiber, Telemetry.retryDenied, 1, seriesOf(target).by.with(by))

/** A chat ran to its end in so many seconds. */
export const chatEnded = (fiber: AnyFiber, target: Target, outcome: Outcome, seconds: number): void => {
  const series = seriesOf(target)
  const labels = outcome === "Success" ? series.chat : series.chatError.with(outcome)
  update(fiber, Telemetry.operationDuration, seconds, labels)
}

/** The first output of a streamed chat came after so many seconds. */
export const firstChunkArrived = (fiber: AnyFiber, target: Target, seconds: number): void =>
  update(fiber, Telemetry.timeToFirstChunk, seconds, seriesOf(target).chat)

const circuitStates = {
  Closed: { value: 0, name: "closed" },
  HalfOpen: { value: 1, name: "half_open" },
  Open: { value: 2, name: "open" },
  Isolated: { value: 3, name: "isolated" }
} as const

/** The states of a circuit, by the tags of its `State`. */
export type CircuitState = keyof typeof circuitStates

const circuits = new Set<string>()

/** A circuit breaker went from one state to another. */
export const circuitTransitioned = (circuit: string, from: CircuitState, to: CircuitState): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    if (circuits.size < CAPACITY) {
      circuits.add(circuit)
    }
    const name = circuits.has(circuit) ? circuit : OTHER
    // The transitions of several circuits add up; their states do not.
    if (name === circuit) {
      update(fiber, Telemetry.circuitState, circuitStates[to].value, labels([["circuit", name]]))
    }
    update(
      fiber,
      Telemetry.circuitTransitions,
      1,
      labels([["circuit", name], ["from", circuitStates[from].name], ["to", circuitStates[to].name]])
    )
    return Effect.void
  })
