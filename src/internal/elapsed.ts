/**
 * A clock that only goes forward.
 *
 * Even a monotonic clock may be a wall clock underneath (where the platform has no better one), and a long-lived value
 * may meet several clocks, one after the other. A step back counts as no time at all and what follows is measured from
 * there: to wait until the old reading comes round again could hold a circuit open for hours.
 */
export class Elapsed {
  private last = -Infinity
  private offset = 0

  /** The time that passed up to this reading of the clock, in the reading's unit. */
  at(reading: number): number {
    if (reading + this.offset < this.last) {
      this.offset = this.last - reading
    }
    this.last = reading + this.offset
    return this.last
  }
}
