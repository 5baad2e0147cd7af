/**
 * A model provider as its clients see it: slow, limited, and broken now and then.
 *
 * It is a plain machine on virtual time, the same for every contender. What matters for overload is what it does *not*
 * do: it does not notice that a client stopped waiting. An abandoned request keeps its place in the queue and costs as
 * much work as any other, which is how a short outage can become a lasting one.
 *
 * Source: Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021.
 */
import type { Duration, Uniform } from "./random.js"
import { constant, stream } from "./random.js"
import type { Simulator } from "./Simulator.js"

/** What the server says, at the end. */
export interface Answer {
  readonly status: number
  /** In whole seconds, as the header has it. */
  readonly retryAfter?: number | undefined
}

/** A number of workers, and a queue in front of them. */
export interface Capacity {
  readonly workers: number
  readonly serviceTime: Duration
  /** So many requests wait at most; more are answered 503 at once. */
  readonly queue: number
}

/** So many requests are let through in each window, or so many a second after a burst. */
export type Limit =
  | { readonly kind: "window"; readonly limit: number; readonly millis: number; readonly startedBefore?: number }
  | { readonly kind: "bucket"; readonly perSecond: number; readonly burst: number }

/**
 * Between two moments, in milliseconds: `refuse` answers 503 at once, `hang` never answers, `stall` takes requests into
 * the queue and works on none, `brownOut` takes so many times as long for each.
 */
export interface Fault {
  readonly kind: "refuse" | "hang" | "stall" | "brownOut"
  readonly from: number
  readonly until: number
  readonly slowdown?: number
}

export interface Options {
  readonly name: string
  /** Default: none. */
  readonly capacity?: Capacity | undefined
  /** How long an answer takes that no queue delays. */
  readonly latency?: Duration | undefined
  /** The share of requests answered 500, and after how long. */
  readonly failureRate?: number | undefined
  readonly failureLatency?: Duration | undefined
  readonly limit?: Limit | undefined
  readonly fault?: Fault | undefined
}

/** An answer that needs no model: a refusal, a rejection. */
const SHORT_LATENCY = 20

export class Provider {
  readonly name: string
  /** Requests that arrived. */
  received = 0
  private readonly uniform: Uniform
  private readonly take: () => number | undefined
  private readonly waiting: Array<() => void> = []
  private busy = 0

  constructor(private readonly options: Options, seed: number, private readonly simulator: Simulator) {
    this.name = options.name
    this.uniform = stream(seed, `provider ${options.name}`)
    this.take = limiter(options.limit, simulator)
    if (options.fault?.kind === "stall") {
      simulator.sleep(options.fault.until, () => this.work())
    }
  }

  /** Sends a request. Calling what it returns is to stop waiting for the answer; the server is not told. */
  request(onAnswer: (answer: Answer) => void): () => void {
    let listening = true
    this.serve((answer) => {
      if (listening) {
        onAnswer(answer)
      }
    })
    return () => {
      listening = false
    }
  }

  private serve(answer: (answer: Answer) => void): void {
    const { capacity, failureLatency = constant(SHORT_LATENCY), failureRate = 0, latency = constant(0) } = this.options
    this.received += 1
    const fault = this.faultNow()
    if (fault === "hang") {
      return
    }
    if (fault === "refuse") {
      return this.after(SHORT_LATENCY, () => answer({ status: 503 }))
    }
    const wait = this.take()
    if (wait !== undefined) {
      return this.after(SHORT_LATENCY, () => answer({ status: 429, retryAfter: Math.ceil(wait / 1000) }))
    }
    if (this.uniform() < failureRate) {
      return this.after(failureLatency(this.uniform), () => answer({ status: 500 }))
    }
    if (capacity === undefined) {
      return this.after(latency(this.uniform) * this.slowdown(), () => answer({ status: 200 }))
    }
    if (this.waiting.length >= capacity.queue) {
      return this.after(SHORT_LATENCY, () => answer({ status: 503 }))
    }
    this.waiting.push(() => {
      this.after(capacity.serviceTime(this.uniform) * this.slowdown(), () => {
        answer({ status: 200 })
        this.busy -= 1
        this.work()
      })
    })
    this.work()
  }

  /** Gives queued requests to free workers, the oldest first. */
  private work(): void {
    while (this.busy < (this.options.capacity?.workers ?? 0) && this.faultNow() !== "stall") {
      const next = this.waiting.shift()
      if (next === undefined) {
        return
      }
      this.busy += 1
      next()
    }
  }

  private faultNow(): Fault["kind"] | undefined {
    const { fault } = this.options
    const now = this.simulator.now()
    return fault !== undefined && now >= fault.from && now < fault.until ? fault.kind : undefined
  }

  private slowdown(): number {
    return this.faultNow() === "brownOut" ? this.options.fault?.slowdown ?? 1 : 1
  }

  /** Timers of the globals know whole milliseconds only, so the model knows no others. */
  private after(millis: number, wake: () => void): void {
    this.simulator.sleep(Math.ceil(millis), wake)
  }
}

/** Lets a request through, or says in how many milliseconds the next one will be. */
const limiter = (limit: Limit | undefined, simulator: Simulator): () => number | undefined => {
  if (limit === undefined) {
    return () => undefined
  }
  let updatedAt = 0
  if (limit.kind === "bucket") {
    let tokens = limit.burst
    return () => {
      const now = simulator.now()
      tokens = Math.min(limit.burst, tokens + (now - updatedAt) * limit.perSecond / 1000)
      updatedAt = now
      if (tokens >= 1) {
        tokens -= 1
        return undefined
      }
      return (1 - tokens) * 1000 / limit.perSecond
    }
  }
  let used = 0
  return () => {
    const position = simulator.now() + (limit.startedBefore ?? 0)
    const window = Math.floor(position / limit.millis)
    if (window !== updatedAt) {
      used = 0
      updatedAt = window
    }
    used += 1
    return used <= limit.limit ? undefined : limit.millis - position % limit.millis
  }
}
