/**
 * Who asked to be left alone, and until when.
 *
 * A server that answers 429 with Retry-After speaks to everyone who uses that model with that account, not only to the
 * call that happened to hear it. So its word is kept here, for all calls to see before they send anything. It is kept
 * for at most so long, that one absurd header does not silence a provider for good, and for at most so many models,
 * since their names come from requests.
 */

/** No pause is longer: then it is worth one more answer whether the server still means it. */
export const MAX_PAUSE_MILLIS = 5 * 60_000

const CAPACITY = 1000

/** The pauses in force, by model; moments are nanoseconds of the monotonic clock. */
export class Pauses {
  private readonly until = new Map<string, bigint>()

  /** Is none in force? Most of the time it is so, and this is all a call pays. */
  get none(): boolean {
    return this.until.size === 0
  }

  /** Nobody asks `key` before so many milliseconds have passed. A pause is never shortened. */
  pause(key: string, millis: number, now: bigint): void {
    const until = now + BigInt(Math.ceil(Math.min(millis, MAX_PAUSE_MILLIS) * 1e6))
    if (until <= (this.until.get(key) ?? now)) {
      return
    }
    // Deleted first, so that the map stays in the order of pausing, and the oldest goes when there are too many.
    this.until.delete(key)
    this.until.set(key, until)
    if (this.until.size > CAPACITY) {
      const [oldest] = this.until.keys()
      this.until.delete(oldest ?? key)
    }
  }

  /** How many milliseconds are left of the pause of `key`. */
  left(key: string, now: bigint): number {
    const until = this.until.get(key)
    if (until === undefined) {
      return 0
    }
    const left = Number(until - now) / 1e6
    // More than any pause lasts is left only where the clock has jumped back.
    if (left <= 0 || left > MAX_PAUSE_MILLIS) {
      this.until.delete(key)
      return 0
    }
    return left
  }
}
