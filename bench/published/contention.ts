/**
 * Clients that all want to change the same row at once, as in Marc Brooker's "Exponential Backoff And Jitter" (AWS
 * Architecture Blog, 2015) and its simulator, github.com/aws-samples/aws-arch-backoff-simulator.
 *
 * A client reads the version of the row and writes with it; the write fails when another one came first, and then the
 * client waits and reads again, until it succeeded once. Each message takes |N(10, 2)| ms. The article shows plots and no
 * numbers, so its formulas run beside our schedules, in the same world.
 */
import { Backoff } from "effect-resilience"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleIntervals from "effect/ScheduleIntervals"
import TinyQueue from "tinyqueue"
import type { Uniform } from "../simulation/random.js"
import { stream } from "../simulation/random.js"

/** How long one client waits, in milliseconds: after its first failure, its second, and so on, each time it is run. */
export type Waits = Effect.Effect<number>

/** A kind of backoff, as this library has it and by the formula of the source; each client has its own waits. */
export interface Algorithm {
  readonly name: string
  readonly ours: () => Waits
  readonly source: () => Waits
}

/** What all clients together needed. */
export interface Outcome {
  /** Writes that arrived at the server. */
  readonly calls: number
  /** Until the last client knew that it had succeeded. */
  readonly millis: number
}

const BASE = 5
const CAP = 2000

/** A schedule taken step by step, as `Effect.retry` takes it. */
const stepping = <Out>(schedule: Schedule.Schedule<Out>) => (): Waits => {
  let state = schedule.initial
  return Effect.suspend(() =>
    Effect.map(schedule.step(0, undefined, state), ([next, , decision]) => {
      state = next
      if (ScheduleDecision.isDone(decision)) {
        throw new Error("a backoff for ever came to its end")
      }
      return Math.max(0, ScheduleIntervals.start(decision.intervals))
    })
  )
}

/** A formula for the wait after failure n, counted from 1; `previous` is the wait before it, at first the base. */
const formula = (wait: (n: number, u: number, previous: number) => number) => (): Waits => {
  let failures = 0
  let previous = BASE
  return Effect.map(Random.next, (u) => previous = wait(++failures, u, previous))
}

const grown = (n: number): number => Math.min(CAP, BASE * 2 ** n)

// The source's first wait is of up to twice its base, since it counts failures from 1.
const exponential = (jitter: Backoff.Jitter): () => Waits =>
  stepping(Backoff.exponential({ base: BASE * 2, cap: CAP, jitter }))

export const algorithms = [
  { name: "none", ours: stepping(Schedule.forever), source: formula(() => 0) },
  { name: "exponential", ours: exponential("none"), source: formula(grown) },
  { name: "equal jitter", ours: exponential("equal"), source: formula((n, u) => grown(n) / 2 * (1 + u)) },
  { name: "full jitter", ours: exponential("full"), source: formula((n, u) => grown(n) * u) },
  {
    name: "decorrelated jitter",
    ours: stepping(Backoff.decorrelated({ base: BASE, cap: CAP })),
    source: formula((_, u, previous) => Math.min(CAP, BASE + (previous * 3 - BASE) * u))
  }
] as const satisfies ReadonlyArray<Algorithm>

const network = (uniform: Uniform) => (): number => {
  const normal = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
  return Math.abs(10 + 2 * normal)
}

/** A message that arrives at the server: a read, or a write with the version that was read. */
interface Message {
  readonly at: number
  readonly waits: Waits
  readonly version: number | undefined
}

/** One trial: so many clients start together, and all go on until they succeeded. */
const contend = (clients: number, join: () => Waits, delay: () => number): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const messages = new TinyQueue<Message>([], (a, b) => a.at - b.at)
    for (let i = 0; i < clients; i++) {
      messages.push({ at: delay(), waits: join(), version: undefined })
    }
    let current = 0
    let calls = 0
    let millis = 0
    for (let message = messages.pop(); message !== undefined; message = messages.pop()) {
      const { at, version, waits } = message
      const answered = at + delay()
      if (version === undefined) {
        messages.push({ at: answered + delay(), waits, version: current })
        continue
      }
      calls += 1
      if (version === current) {
        current += 1
        millis = Math.max(millis, answered)
      } else {
        messages.push({ at: answered + delay() + (yield* waits), waits, version: undefined })
      }
    }
    return { calls, millis }
  })

/** The mean of so many trials. Whoever is measured meets the same network, and draws the same numbers. */
export const measure = (clients: number, join: () => Waits, trials: number): Outcome => {
  const outcomes = Array.from(
    { length: trials },
    (_, trial) =>
      contend(clients, join, network(stream(trial, `network of ${clients}`))).pipe(
        Effect.withRandom(Random.make(`waits of ${clients}, ${trial}`)),
        Effect.runSync
      )
  )
  const mean = (of: (outcome: Outcome) => number) => outcomes.reduce((sum, one) => sum + of(one), 0) / trials
  return { calls: mean(({ calls }) => calls), millis: mean(({ millis }) => millis) }
}
