/**
 * The situations in which policies show what they are worth.
 *
 * Numbers are those of a middling service: answers take about a second, tens of calls a second. What is compared is
 * contenders under the same numbers, so their choice matters less than that each scenario strains one thing.
 */
import type { Fault } from "./Provider.js"
import { exponential, logNormal } from "./random.js"
import type { Scenario } from "./Trial.js"
import { atOnce, NOISY, poisson } from "./Trial.js"

const second = 1000
const minute = 60 * second

const latency = logNormal(800, 0.5)
const failureLatency = logNormal(150, 0.5)

const secondary = { name: "secondary", latency: logNormal(1000, 0.5) }

const failing = (percent: number): Scenario => ({
  id: `fail-${percent}`,
  title: `${percent} % of requests fail at random`,
  arrivals: poisson(25, 40 * second),
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

/** Something wrong with the primary, which answers a call that nothing disturbs in a second. */
const faulty = (id: string, title: string, fault: Fault, arrivals = poisson(20, minute)): Scenario => ({
  id,
  title,
  arrivals,
  providers: [{ name: "primary", latency, fault }],
  attemptTimeout: minute
})

const brownOut: Scenario = {
  ...faulty(
    "brown-out-minute",
    "the primary takes ten times as long for a minute, from 10 s to 70 s; deadline 30 s",
    { kind: "brownOut", from: 10 * second, until: 70 * second, slowdown: 10 },
    poisson(10, 90 * second)
  ),
  deadline: 30 * second
}

const down: Scenario = {
  ...faulty(
    "down-minute",
    "the primary refuses connections for a minute, from 10 s to 70 s",
    { kind: "refuse", from: 10 * second, until: 70 * second },
    poisson(10, 90 * second)
  ),
  drawn: true
}

const flapping: Scenario = {
  ...faulty(
    "flapping",
    "the primary refuses connections for 5 s and answers for 5 s, in turns, from 5 s to 50 s",
    { kind: "refuse", from: 5 * second, until: 10 * second, times: 5, every: 10 * second }
  ),
  drawn: true
}

const quota = faulty(
  "quota",
  "the account has no quota left from 10 s on (429, insufficient_quota)",
  { kind: "quota", from: 10 * second, until: Infinity }
)

const streamed = { pieces: 10, gap: 400 }

const cut: Scenario = {
  id: "streams-cut",
  title: "answers are streamed in 10 pieces over 4 s, and 20 % of the streams are cut on the way; deadline 30 s",
  arrivals: poisson(6, minute),
  providers: [{ name: "primary", latency, streamed: { ...streamed, cutRate: 0.2 } }],
  attemptTimeout: minute,
  deadline: 30 * second
}

const tenants: Scenario = {
  id: "noisy-tenant",
  title: "one tenant makes 90 % of the calls, and 60 % of its requests fail; 10 % of those of nine quiet ones; " +
    "all share a rate limit of 60/s",
  arrivals: poisson(40, 40 * second),
  tenants: { noisyShare: 0.9, quiet: 9 },
  providers: [{
    name: "primary",
    latency,
    failureLatency,
    failureRate: (tenant) => tenant === NOISY ? 0.6 : 0.1,
    limit: { kind: "bucket", perSecond: 60, burst: 60 }
  }],
  attemptTimeout: minute
}

const outage = (kind: "refuse" | "stall", what: string): Scenario => ({
  id: `outage-${kind}`,
  title: `280 calls/s at a server that does 300/s; it ${what} from 5 s to 15 s; client timeout 1 s`,
  arrivals: poisson(280, 35 * second),
  providers: [{
    name: "primary",
    capacity: { workers: 30, serviceTime: exponential(100), queue: 3000 },
    fault: { kind, from: 5 * second, until: 15 * second }
  }],
  attemptTimeout: second,
  drawn: true
})

export const scenarios: ReadonlyArray<Scenario> = [
  failing(1),
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
  brownOut,
  withSecondary(brownOut),
  withSecondary(down),
  flapping,
  withSecondary(flapping),
  quota,
  withSecondary(quota),
  cut,
  {
    ...withSecondary(cut),
    providers: [cut.providers[0], { ...secondary, streamed: { ...streamed, cutRate: 0 } }]
  },
  tenants,
  outage("refuse", "refuses connections"),
  outage("stall", "takes requests and works on none")
]
