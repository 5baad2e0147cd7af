import { Elapsed } from "./elapsed.js"

/**
 * Values by key, made when first asked for, and never more than so many of them.
 *
 * Keys may come from requests, so their number is bounded for good. What holds nothing goes first and a value that was
 * not used for longest before others, but one that still matters is never pushed out by a newcomer: it is the newcomer
 * that is not kept then. Nothing runs in the background; each new key clears away what has been idle for long.
 */

/** Among how many of those not used for longest it is worth looking for one that holds nothing. */
const LOOK = 8

/** What would be lost with a value: nothing, something, or something that others rely on. */
export type Worth = "nothing" | "something" | "much"

interface Entry<V> {
  readonly value: V
  usedAt: number
}

/** Each reading is of a clock in milliseconds; `worth` is given the same one. */
export class Keyed<V> {
  /** The one that was not used for longest comes first. */
  private readonly entries = new Map<string, Entry<V>>()
  private readonly elapsed = new Elapsed()
  private newest: Entry<V> | undefined

  constructor(
    private readonly capacity: number,
    private readonly idleFor: number,
    private readonly worth: (value: V, reading: number) => Worth
  ) {}

  get(key: string, reading: number, make: (key: string) => V): V {
    const now = this.elapsed.at(reading)
    const known = this.entries.get(key)
    if (known !== undefined) {
      known.usedAt = now
      if (known !== this.newest) {
        this.entries.delete(key)
        this.entries.set(key, known)
        this.newest = known
      }
      return known.value
    }
    const value = make(key)
    this.dropIdle(now, reading)
    if (this.entries.size < this.capacity || this.makeRoom(reading)) {
      this.newest = { value, usedAt: now }
      this.entries.set(key, this.newest)
    }
    return value
  }

  /** What is kept now, least recently used first. */
  kept(reading: number): ReadonlyArray<readonly [key: string, value: V]> {
    this.dropIdle(this.elapsed.at(reading), reading)
    return [...this.entries].map(([key, { value }]) => [key, value] as const)
  }

  private dropIdle(now: number, reading: number): void {
    for (const [key, { usedAt, value }] of this.entries) {
      if (now - usedAt < this.idleFor) {
        break
      }
      if (this.worth(value, reading) === "nothing") {
        this.entries.delete(key)
      }
    }
  }

  private makeRoom(reading: number): boolean {
    let dispensable: string | undefined
    let seen = 0
    for (const [key, { value }] of this.entries) {
      seen += 1
      if (seen > LOOK && dispensable !== undefined) {
        break
      }
      const worth = this.worth(value, reading)
      if (worth === "nothing") {
        return this.entries.delete(key)
      }
      if (worth === "something") {
        dispensable ??= key
      }
    }
    return dispensable !== undefined && this.entries.delete(dispensable)
  }
}
