/**
 * What a circuit breaker remembers of recent outcomes: how many calls, and how many of them failed.
 *
 * Windows are immutable, so that a breaker can ask what an outcome would change before it changes anything. A window
 * over time keeps counts per tenth of its length and not the outcomes themselves: its size does not depend on the
 * traffic, and an outcome counts for at least nine tenths of the length and never for longer than it. What is too old is
 * left out whenever it is read, so a gap without calls needs no timer.
 */

/** What was counted. */
export interface Counts {
  readonly calls: number
  readonly failures: number
}

/** Times are milliseconds of one clock that never goes back. */
export interface SlidingWindow {
  readonly record: (now: number, failed: boolean) => SlidingWindow
  readonly counts: (now: number) => Counts
  /** Does it hold all that it can, or was it empty too short a time ago? */
  readonly isFull: (now: number) => boolean
}

const BUCKETS = 10

interface Bucket extends Counts {
  /** Which tenth since time 0 it counts. */
  readonly tenth: number
}

/** The outcomes of the last so many milliseconds. */
export class TimeWindow implements SlidingWindow {
  constructor(
    private readonly millis: number,
    private readonly buckets: ReadonlyArray<Bucket> = [],
    /** When something was recorded while it was empty, the last time. */
    private readonly from: number = Infinity
  ) {}

  private tenthOf(now: number): number {
    return Math.floor(now / (this.millis / BUCKETS))
  }

  record(now: number, failed: boolean): TimeWindow {
    const tenth = this.tenthOf(now)
    const kept = this.buckets.filter((bucket) => bucket.tenth > tenth - BUCKETS)
    const from = kept.length === 0 ? now : this.from
    const newest = kept.at(-1)?.tenth === tenth ? kept.pop() : undefined
    kept.push({
      tenth,
      calls: (newest?.calls ?? 0) + 1,
      failures: (newest?.failures ?? 0) + (failed ? 1 : 0)
    })
    return new TimeWindow(this.millis, kept, from)
  }

  counts(now: number): Counts {
    const tenth = this.tenthOf(now)
    let calls = 0
    let failures = 0
    for (const bucket of this.buckets) {
      if (bucket.tenth > tenth - BUCKETS) {
        calls += bucket.calls
        failures += bucket.failures
      }
    }
    return { calls, failures }
  }

  isFull(now: number): boolean {
    return now - this.from >= this.millis
  }
}

/** The last so many outcomes, however old: one bit each (1 for a failure), the newest lowest. */
export class CallWindow implements SlidingWindow {
  constructor(
    private readonly size: number,
    private readonly bits: bigint = 0n,
    private readonly known: Counts = { calls: 0, failures: 0 }
  ) {}

  record(_now: number, failed: boolean): CallWindow {
    const full = this.known.calls === this.size
    const forgotten = full ? Number(this.bits >> BigInt(this.size - 1)) : 0
    return new CallWindow(
      this.size,
      BigInt.asUintN(this.size, (this.bits << 1n) | (failed ? 1n : 0n)),
      {
        calls: full ? this.size : this.known.calls + 1,
        failures: this.known.failures + (failed ? 1 : 0) - forgotten
      }
    )
  }

  counts(): Counts {
    return this.known
  }

  isFull(): boolean {
    return this.known.calls === this.size
  }
}

/** The failures since the last success. */
export class Streak implements SlidingWindow {
  constructor(private readonly length: number = 0) {}

  record(_now: number, failed: boolean): Streak {
    return failed ? new Streak(this.length + 1) : this.length === 0 ? this : new Streak()
  }

  counts(): Counts {
    return { calls: this.length, failures: this.length }
  }

  isFull(): boolean {
    return true
  }
}
