/**
 * How long the sender of a stream has been silent, as its reader sees it.
 *
 * There are two kinds of silence: no byte at all, and bytes that carry nothing (keep-alives), which is what a server sends
 * whose model hangs. The second may last longer, since a proxy that sends them tells that somebody is still waiting. Time
 * counts only while somebody reads: what a slow reader has not fetched yet is not missing. Moments are nanoseconds of a
 * monotonic clock, results are milliseconds.
 */

/** How many times as long nothing but keep-alives may come as nothing at all. */
const KEEP_ALIVES = 4

const millis = (nanos: bigint): number => Number(nanos) / 1e6

export class Activity {
  /** How many elements with output came. */
  outputs = 0
  /** When the first of them did. */
  firstOutputAt: bigint | undefined
  private heardAt = 0n
  private quietSince = 0n
  private readUntil = 0n

  /** @param around that of an attempt in which this one is made, and which hears whatever this one hears */
  constructor(now: bigint, private readonly around?: Activity) {
    this.heardAt = this.quietSince = this.readUntil = now
  }

  /** Somebody waits for the next element from now on. */
  beginRead(now: bigint): void {
    this.quietSince += now - this.readUntil
    this.heardAt = now
  }

  /** Elements came, so many of them with output. */
  endRead(now: bigint, outputs: number): void {
    this.heardAt = this.readUntil = now
    if (outputs > 0) {
      this.outputs += outputs
      this.firstOutputAt ??= now
      this.quietSince = now
    }
  }

  /** A byte came, whatever it is good for. */
  heard(now: bigint): void {
    this.heardAt = now
    this.around?.heard(now)
  }

  /** How much longer the silence may last, where nothing at all may come for `idle` milliseconds. */
  left(idle: number, now: bigint): number {
    return Math.min(idle - millis(now - this.heardAt), idle * KEEP_ALIVES - millis(now - this.quietSince))
  }
}
