/**
 * The situations in which policies show what they are worth.
 *
 * Numbers are those of a middling service: answers take about a second, tens of calls a second. What is compared is
 * contenders under the same numbers, so their choice matters less than that each scenario strains one thing.
 */
import { exponential, logNormal } from "./random.js"
import type { Scenario } from "./Trial.js"
import { atOnce, poisson } from "./Trial.js"

const second = 1000
const minute = 60 * second

const latency = logNormal(800, 0.5)
const failureLatency = logNormal(150, 0.5)

const secondary = { name: "secondary", latency: logNormal(1000, 0.5) }

const failing = (percent: number): Scenario => ({
  id: `fail-${percent}`,
  title: `${percent} % of requests fail at random`,
  arrivals: poisson(25, minute),
  providers: [{ name: "primary", latency, failureLatency, failureRate: percent / 100 }],
  attemptTimeout: minute
})

const withSecondary = (scenario: Scenario): Scenario => ({
  ...scenario,
  id: `${scenario.id}-fallback`,
  title: `${scenario.title}, with a healthy secondary`,
  providers: [scenario.providers[0], secondary]
})

const rates = [10, 30, 50, 100].map(failing)

const hanging = (attemptTimeout: number): Scenario => ({
  id: `hang-${attemptTimeout / second}s`,
  title: `the primary hangs from 10 s to 40 s; deadline 10 s, attempt timeout ${attemptTimeout / second} s`,
  arrivals: poisson(20, minute),
  providers: [{ name: "primary", latency, fault: { kind: "hang", from: 10 * second, until: 40 * second } }],
  attemptTimeout,
  deadline: 10 * second
})

const slow: Scenario = {
  id: "brown-out",
  title: "the primary takes eight times as long from 10 s to 40 s; deadline 10 s, attempt timeout 60 s",
  arrivals: poisson(20, minute),
  providers: [{
    name: "primary",
    latency,
    fault: { kind: "brownOut", from: 10 * second, until: 40 * second, slowdown: 8 }
  }],
  attemptTimeout: minute,
  deadline: 10 * second
}

const hangs = [hanging(minute), hanging(3 * second), slow]

const outage = (kind: "refuse" | "stall", what: string): Scenario => ({
  id: `outage-${kind}`,
  title: `280 calls/s at a server that does 300/s; it ${what} from 10 s to 20 s; client timeout 1 s`,
  arrivals: poisson(280, minute),
  providers: [{
    name: "primary",
    capacity: { workers: 30, serviceTime: exponential(100), queue: 3000 },
    fault: { kind, from: 10 * second, until: 20 * second }
  }],
  attemptTimeout: second
})

export const scenarios: ReadonlyArray<Scenario> = [
  ...rates,
  ...rates.map(withSecondary),
  {
    id: "limit-second",
    title: "1,000 calls at once, 100 are let through in each second, Retry-After says when the next second begins",
    arrivals: atOnce(1000),
    providers: [{ name: "primary", latency, limit: { kind: "window", limit: 100, millis: second } }],
    attemptTimeout: minute
  },
  {
    id: "limit-bucket",
    title: "1,000 calls at once, 100 are let through and then 50/s; Retry-After says 1 s whoever waits",
    arrivals: atOnce(1000),
    providers: [{ name: "primary", latency, limit: { kind: "bucket", perSecond: 50, burst: 100 } }],
    attemptTimeout: minute
  },
  {
    id: "limit-minute",
    title: "1,000 calls at once, 20 s into a minute in which 500 are let through",
    arrivals: atOnce(1000),
    providers: [{
      name: "primary",
      latency,
      limit: { kind: "window", limit: 500, millis: minute, startedBefore: 20 * second }
    }],
    attemptTimeout: minute
  },
  ...hangs,
  ...hangs.map(withSecondary),
  outage("refuse", "refuses connections"),
  outage("stall", "takes requests and works on none")
]
