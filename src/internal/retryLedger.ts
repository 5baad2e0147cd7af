/**
 * The accounts of a retry budget, one for each key: a token bucket and, where there is a hard cap, the times of the
 * latest extra attempts. One account has no name; it is for calls without a key, and is never forgotten.
 *
 * An attempt that several keys pay for is paid by all of them or by none, so every account is asked before any is
 * charged; the program cannot be interrupted in between, since nothing here is asynchronous.
 */
import { RecentKeys } from "./recentKeys.js"
import type { Filling } from "./tokenBucket.js"
import { TokenBucket } from "./tokenBucket.js"

/** At most so many extra attempts in any `per` milliseconds. */
export interface HardCap {
  readonly limit: number
  readonly per: number
}

/** The rules of all accounts of a budget. */
export interface Rules extends Filling {
  readonly hardCap: HardCap | undefined
  /** How many keys are kept. */
  readonly capacity: number
}

/** What an extra attempt is charged: a token, and one of the hard cap's attempts; or the latter alone. */
export type Charge = "retry" | "hard cap only"

/** The times of the extra attempts of the last `per`, oldest first; never more of them than the limit. */
class ExtraAttempts {
  private readonly times: Array<number> = []

  constructor(private readonly cap: HardCap) {}

  left(now: number): number {
    const firstRecent = this.times.findIndex((at) => now - at < this.cap.per)
    this.times.splice(0, firstRecent === -1 ? this.times.length : firstRecent)
    return this.cap.limit - this.times.length
  }

  add(now: number): void {
    this.times.push(now)
  }
}

/** A bucket under a hard cap, in one object, since there may be a hundred thousand of them. */
class Account extends TokenBucket {
  private readonly extra: ExtraAttempts | undefined

  constructor(rules: Rules, now: number) {
    super(rules, now)
    this.extra = rules.hardCap === undefined ? undefined : new ExtraAttempts(rules.hardCap)
  }

  /** How many attempts could be charged now. */
  affords(charge: Charge, now: number): number {
    const tokens = charge === "retry" ? this.tokens(now) : Infinity
    return this.extra === undefined ? tokens : Math.min(tokens, this.extra.left(now))
  }

  charge(charge: Charge, now: number): void {
    if (charge === "retry") {
      this.take(now)
    }
    this.extra?.add(now)
  }
}

/** The account of a key, or the one without a name. */
export type Key = string | undefined

/** The accounts of a budget. Times are milliseconds of one clock. */
export class Ledger {
  private nameless: Account | undefined
  private readonly accounts: RecentKeys<Account>
  private latest = -Infinity
  private behind = 0

  constructor(private readonly rules: Rules) {
    this.accounts = new RecentKeys(rules.capacity)
  }

  /** Pays in for a call. */
  deposit(key: Key, at: number): void {
    const now = this.forward(at)
    this.account(key, now).deposit(now)
  }

  /** Charges an extra attempt to every key, or to none when one of them cannot afford it. */
  withdraw(charge: Charge, keys: ReadonlyArray<Key>, at: number): boolean {
    const now = this.forward(at)
    const accounts = keys.map((key) => this.account(key, now))
    if (accounts.some((account) => account.affords(charge, now) < 1)) {
      return false
    }
    accounts.forEach((account) => account.charge(charge, now))
    return true
  }

  /** How many retries a key could make now. A look creates no account and is no use of it. */
  available(key: Key, at: number): number {
    const now = this.forward(at)
    const account = key === undefined ? this.nameless : this.accounts.peek(key)
    return (account ?? new Account(this.rules, now)).affords("retry", now)
  }

  /** How many keys have an account. */
  get size(): number {
    return this.accounts.size
  }

  private account(key: Key, now: number): Account {
    return key === undefined
      ? this.nameless ??= new Account(this.rules, now)
      : this.accounts.use(key, () => new Account(this.rules, now))
  }

  /** A clock that jumps back stands still for that moment, and goes on from there at its own pace. */
  private forward(at: number): number {
    if (at < this.latest) {
      this.behind += this.latest - at
    }
    this.latest = at
    return at + this.behind
  }
}
