/**
 * A bucket of retries: calls pay a fraction of a retry in, retries take whole ones out.
 *
 * What calls paid in expires, so that a quiet night does not pay for a storm in the morning; beside it there is a small
 * reserve that time fills up, so that a program that makes few calls may retry at all. Everything is counted in whole
 * millionths of a retry, since sums of 0.1 are never quite 1. Deposits are kept in tenths of their lifetime, not one by
 * one, so a bucket is ten numbers however many calls there were; a deposit lives for at least nine tenths of `ttl` and
 * never longer than that. Times are milliseconds that do not go back; no timer is needed, since every look brings the
 * bucket up to date first.
 *
 * Source: the windowed token bucket of Finagle's RetryBudget (which counts in thousandths) and of tower's TpsBudget.
 */

/** One retry, in the unit everything is counted in. */
const TOKEN = 1_000_000

const SLOTS = 10

/** How a bucket fills. */
export interface Filling {
  /** Retries earned by a call. */
  readonly ratio: number
  /** Retries in reserve at first, and at most. */
  readonly initial: number
  /** Retries the reserve regains in a second. */
  readonly minPerSecond: number
  /** How long a deposit lasts, in milliseconds. */
  readonly ttl: number
}

const units = (tokens: number): number => Math.min(Math.round(tokens * TOKEN), Number.MAX_SAFE_INTEGER)

/** The retries of one key. */
export class TokenBucket {
  private readonly deposits = Array<number>(SLOTS).fill(0)
  private slot: number
  private reserve: number
  private reserveAt: number

  constructor(private readonly filling: Filling, now: number) {
    this.slot = this.slotAt(now)
    this.reserve = units(filling.initial)
    this.reserveAt = now
  }

  /** A call was made. */
  deposit(now: number): void {
    this.expire(now)
    const newest = this.slot % SLOTS
    this.deposits[newest] = Math.min(this.at(newest) + units(this.filling.ratio), Number.MAX_SAFE_INTEGER)
  }

  /** How many retries could be taken now. */
  tokens(now: number): number {
    return Math.floor(this.balance(now) / TOKEN)
  }

  /** Takes one retry, which must be there: from the deposits that expire soonest, then from the reserve. */
  take(now: number): void {
    this.expire(now)
    let due = TOKEN
    for (let i = 1; i <= SLOTS && due > 0; i++) {
      const oldest = (this.slot + i) % SLOTS
      const part = Math.min(due, this.at(oldest))
      this.deposits[oldest] = this.at(oldest) - part
      due -= part
    }
    if (due > 0) {
      this.reserve = this.reserveNow(now) - due
      this.reserveAt = now
    }
  }

  private balance(now: number): number {
    this.expire(now)
    return this.deposits.reduce((sum, deposit) => sum + deposit, this.reserveNow(now))
  }

  /** Rounded down, so that no sequence of looks and withdrawals adds up to more than was regained. */
  private reserveNow(now: number): number {
    const regained = (now - this.reserveAt) * this.filling.minPerSecond * TOKEN / 1000
    return Math.min(Math.floor(this.reserve + regained), units(this.filling.initial))
  }

  private at(index: number): number {
    return this.deposits[index] ?? 0
  }

  private slotAt(now: number): number {
    return Math.floor(now / (this.filling.ttl / SLOTS))
  }

  private expire(now: number): void {
    const slot = this.slotAt(now)
    const passed = Math.min(slot - this.slot, SLOTS)
    for (let i = 1; i <= passed; i++) {
      this.deposits[(this.slot + i) % SLOTS] = 0
    }
    this.slot = slot
  }
}
