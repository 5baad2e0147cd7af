/**
 * How long a provider's answers took lately, and the median of that.
 *
 * A retry that cannot finish before the deadline is a wasted request, and the best guess at how long one takes is how
 * long the last ones took. A ring of the newest samples is enough for a median and costs nothing on the way of a call
 * that succeeds; the sort happens only when something failed under a deadline.
 */

const CAPACITY = 64
const MINIMUM_SAMPLES = 20
const MAXIMUM_AGE = 5 * 60 * 1000

interface Sample {
  readonly at: number
  readonly took: number
}

/** The newest samples, all in milliseconds of one monotonic clock. */
export class LatencyWindow {
  private readonly samples: Array<Sample> = []
  private next = 0

  add(at: number, took: number): void {
    this.samples[this.next] = { at, took }
    this.next = (this.next + 1) % CAPACITY
  }

  /** The median over the last 5 minutes, or undefined below 20 samples. */
  median(now: number): number | undefined {
    const fresh = this.samples.filter((sample) => now - sample.at <= MAXIMUM_AGE).map((sample) => sample.took)
    if (fresh.length < MINIMUM_SAMPLES) {
      return undefined
    }
    fresh.sort((a, b) => a - b)
    return fresh[Math.floor((fresh.length - 1) / 2)]
  }
}
