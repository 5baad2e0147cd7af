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
  /** Why it refused, where the status alone does not say it. */
  readonly code?: "insufficient_quota" | undefined
  /** Did the connection break before the answer was whole? */
  readonly cut?: boolean | undefined
}

/** What the server knows of who asks, and whom it tells of an answer that comes in pieces. */
export interface Asking {
  /** On whose behalf, where several share an account. */
  readonly tenant?: string | undefined
  /** So many pieces of the answer are known already. */
  readonly begun?: number | undefined
  /** Told of each piece, by its place in the answer. */
  readonly onPiece?: ((place: number) => void) | undefined
}

/** Answers come in so many pieces, one every so many milliseconds; this share of them breaks off on the way. */
export interface Streamed {
  readonly pieces: number
  readonly gap: number
  readonly cutRate: number
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
 * the queue and works on none, `brownOut` takes so many times as long for each, `quota` answers that the account has spent
 * what it may. It may come back, so many `times` in all, one beginning `every` so many milliseconds.
 */
export interface Fault {
  readonly kind: "refuse" | "hang" | "stall" | "brownOut" | "quota"
  readonly from: number
  readonly until: number
  readonly slowdown?: number
  readonly times?: number
  readonly every?: number
}

/** When the fault is over for good. */
export const endOf = ({ every = 0, times = 1, until }: Fault): number => until + (times - 1) * every

/** Is there anything of the fault between these two moments? */
const strikes = (fault: Fault, from: number, until: number): boolean => {
  const { every = 0, times = 1 } = fault
  return Array.from({ length: times }, (_, i) => i * every).some((later) =>
    until >= fault.from + later && from < fault.until + later
  )
}

export interface Options {
  readonly name: string
  /** Default: none. */
  readonly capacity?: Capacity | undefined
  /** How long an answer takes that no queue delays. */
  readonly latency?: Duration | undefined
  /** The share of requests answered 500, of all or of each tenant, and after how long. */
  readonly failureRate?: number | ((tenant: string | undefined) => number) | undefined
  readonly failureLatency?: Duration | undefined
  readonly limit?: Limit | undefined
  readonly fault?: Fault | undefined
  /** Default: answers come whole. */
  readonly streamed?: Streamed | undefined
}

/** Would it have answered whatever it was asked between these two moments, if it was not asked too much? */
export const isHealthy = (
  { failureRate, fault, limit, streamed }: Options,
  from: number,
  until: number
): boolean =>
  failureRate === undefined && limit === undefined && (streamed?.cutRate ?? 0) === 0 &&
  (fault === undefined || !strikes(fault, from, until))

/** An answer that needs no model: a refusal, a rejection. */
const SHORT_LATENCY = 20

export class Provider {
  readonly name: string
  /** Requests that arrived. */
  received = 0
  /** The same, for each second. */
  readonly perSecond: Array<number> = []
  private readonly uniform: Uniform
  private readonly take: () => number | undefined
  private readonly waiting: Array<() => void> = []
  private busy = 0

  constructor(private readonly options: Options, seed: number, private readonly simulator: Simulator) {
    this.name = options.name
    this.uniform = stream(seed, `provider ${options.name}`)
    this.take = limiter(options.limit, simulator)
    if (options.fault?.kind === "stall") {
      simulator.sleep(endOf(options.fault), () => this.work())
    }
  }

  /** Sends a request. Calling what it returns is to stop waiting for the answer; the server is not told. */
  request(onAnswer: (answer: Answer) => void, { begun = 0, onPiece, tenant }: Asking = {}): () => void {
    let listening = true
    const told = (answer: Answer): void => {
      if (listening) {
        onAnswer(answer)
      }
    }
    const { streamed } = this.options
    const deliver = streamed === undefined ? told : (answer: Answer): void => {
      if (answer.status !== 200) {
        return told(answer)
      }
      this.stream(streamed, begun, (cut) => told({ status: 200, cut }), (place) => {
        if (listening) {
          onPiece?.(place)
        }
        return listening
      })
    }
    this.serve(deliver, tenant)
    return () => {
      listening = false
    }
  }

  /** Tells piece after piece, as long as somebody listens. The connection is as likely to break after any. */
  private stream(
    { cutRate, gap, pieces }: Streamed,
    begun: number,
    onEnd: (cut: boolean) => void,
    onPiece: (place: number) => boolean
  ): void {
    const breaks = 1 - (1 - cutRate) ** (1 / pieces)
    const next = (place: number): void => {
      if (place >= pieces || !onPiece(place)) {
        return onEnd(false)
      }
      if (this.uniform() < breaks) {
        return onEnd(true)
      }
      this.after(gap, () => next(place + 1))
    }
    next(begun)
  }

  private serve(answer: (answer: Answer) => void, tenant: string | undefined): void {
    const { capacity, failureLatency = constant(SHORT_LATENCY), failureRate = 0, latency = constant(0) } = this.options
    const second = Math.floor(this.simulator.now() / 1000)
    this.received += 1
    this.perSecond[second] = (this.perSecond[second] ?? 0) + 1
    const fault = this.faultNow()
    if (fault === "hang") {
      return
    }
    if (fault === "quota") {
      return this.after(SHORT_LATENCY, () => answer({ status: 429, code: "insufficient_quota" }))
    }
    if (fault === "refuse") {
      return this.after(SHORT_LATENCY, () => answer({ status: 503 }))
    }
    const wait = this.take()
    if (wait !== undefined) {
      return this.after(SHORT_LATENCY, () => answer({ status: 429, retryAfter: Math.ceil(wait / 1000) }))
    }
    if (this.uniform() < (typeof failureRate === "number" ? failureRate : failureRate(tenant))) {
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
    return fault !== undefined && strikes(fault, now, now) ? fault.kind : undefined
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
