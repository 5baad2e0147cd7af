import { describe, it } from "@effect/vitest"
import { assertTrue, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import type { Filling } from "../../src/internal/tokenBucket.js"
import { TokenBucket } from "../../src/internal/tokenBucket.js"

const TTL = 10_000
const MILLION = 1_000_000

const filling = (given: Partial<Filling> = {}): Filling => ({
  ratio: 0,
  initial: 0,
  minPerSecond: 0,
  ttl: TTL,
  ...given
})

/** Takes a retry if there is one. */
const tryTake = (bucket: TokenBucket, now: number): boolean => {
  const granted = bucket.tokens(now) >= 1
  if (granted) {
    bucket.take(now)
  }
  return granted
}

/** Takes all there are, and counts them. */
const drain = (bucket: TokenBucket, now: number): number => {
  let taken = 0
  while (tryTake(bucket, now)) {
    taken++
  }
  return taken
}

describe("of 10,000 calls that each would retry, exactly the ratio may", () => {
  const ratios = [
    0,
    0.0001,
    0.001,
    0.01,
    0.0157,
    0.1,
    0.2,
    0.25,
    0.3,
    1 / 3,
    0.5,
    0.7,
    0.75,
    0.9,
    0.99,
    0.999,
    0.9999,
    1
  ]
  for (const ratio of ratios) {
    const expected = Math.floor(10_000 * ratio)
    it(`${ratio}: ${expected}`, () => {
      const bucket = new TokenBucket(filling({ ratio }), 0)
      strictEqual(tryTake(bucket, 0), false)
      let taken = 0
      for (let call = 0; call < 10_000; call++) {
        bucket.deposit(0)
        taken += tryTake(bucket, 0) ? 1 : 0
      }
      strictEqual(taken, expected)
    })
    it(`${ratio}: ${expected + 50} with a reserve of 50`, () => {
      const bucket = new TokenBucket(filling({ ratio, initial: 50 }), 0)
      for (let call = 0; call < 10_000; call++) {
        bucket.deposit(0)
      }
      strictEqual(bucket.tokens(0), expected + 50)
      strictEqual(drain(bucket, 0), expected + 50)
    })
  }

  it("a ratio above 1 earns several retries a call", () => {
    const bucket = new TokenBucket(filling({ ratio: 2.5 }), 0)
    bucket.deposit(0)
    strictEqual(drain(bucket, 0), 2)
    bucket.deposit(0)
    strictEqual(drain(bucket, 0), 3)
  })
})

describe("what calls paid in", () => {
  it.prop(
    "lasts for nine tenths of ttl, whenever it came, and is gone after ttl",
    [fc.integer({ min: 0, max: 1e13 }), fc.integer({ min: 1, max: 100_000 })],
    ([at, tenth]) => {
      const bucket = new TokenBucket(filling({ ratio: 1, ttl: tenth * 10 }), 0)
      bucket.deposit(at)
      strictEqual(bucket.tokens(at + tenth * 9), 1)
      strictEqual(bucket.tokens(at + tenth * 10), 0)
    }
  )

  it("expires for good: a later deposit does not bring it back", () => {
    const bucket = new TokenBucket(filling({ ratio: 1 }), 0)
    bucket.deposit(0)
    bucket.deposit(TTL * 3)
    strictEqual(bucket.tokens(TTL * 3), 1)
  })

  it("is taken before it expires: the oldest deposit first", () => {
    const bucket = new TokenBucket(filling({ ratio: 1 }), 0)
    bucket.deposit(0)
    bucket.deposit(TTL / 2)
    bucket.take(TTL / 2)
    strictEqual(bucket.tokens(TTL), 1)
  })

  it("is taken before the reserve, which does not expire", () => {
    const bucket = new TokenBucket(filling({ ratio: 1, initial: 1 }), 0)
    bucket.deposit(0)
    bucket.take(0)
    strictEqual(bucket.tokens(TTL * 100), 1)
  })

  it("pays for nothing once it expired, though nobody looked since", () => {
    const bucket = new TokenBucket(filling({ ratio: 1, initial: 1 }), 0)
    bucket.deposit(0)
    bucket.take(TTL)
    strictEqual(bucket.tokens(TTL), 0)
  })

  it("and the reserve may pay one retry together", () => {
    const bucket = new TokenBucket(filling({ ratio: 0.4, initial: 1 }), 0)
    bucket.deposit(0)
    strictEqual(drain(bucket, 0), 1)
    bucket.deposit(0)
    bucket.deposit(0)
    strictEqual(drain(bucket, 0), 1)
  })

  it("lasts for ever with an infinite ttl", () => {
    const bucket = new TokenBucket(filling({ ratio: 1, ttl: Infinity }), 0)
    bucket.deposit(0)
    strictEqual(bucket.tokens(1e15), 1)
  })
})

describe("the reserve", () => {
  const reserve = filling({ initial: 10, minPerSecond: 0.1 })

  it("is there from the beginning, whenever that is", () => {
    strictEqual(new TokenBucket(reserve, 0).tokens(0), 10)
    strictEqual(drain(new TokenBucket(reserve, 1.8e12), 1.8e12), 10)
  })

  it("regains one retry every 10 seconds at 0.1 a second, not a moment sooner", () => {
    const bucket = new TokenBucket(reserve, 0)
    drain(bucket, 0)
    strictEqual(bucket.tokens(9999), 0)
    strictEqual(bucket.tokens(9999.999), 0)
    strictEqual(bucket.tokens(10_000), 1)
    strictEqual(bucket.tokens(29_999), 2)
    strictEqual(drain(bucket, 30_000), 3)
    strictEqual(bucket.tokens(39_999), 0)
    strictEqual(bucket.tokens(40_000), 1)
  })

  it("never holds more than it began with", () => {
    const bucket = new TokenBucket(reserve, 0)
    drain(bucket, 0)
    strictEqual(bucket.tokens(1e12), 10)
    strictEqual(drain(bucket, 1e12), 10)
  })

  it("loses nothing to looks and refusals, however many", () => {
    const bucket = new TokenBucket(reserve, 0)
    drain(bucket, 0)
    for (let now = 0; now < 10_000; now += 0.7) {
      strictEqual(tryTake(bucket, now), false)
    }
    strictEqual(bucket.tokens(10_000), 1)
  })

  it("stays empty where nothing is regained", () => {
    const bucket = new TokenBucket(filling({ initial: 2 }), 0)
    strictEqual(drain(bucket, 0), 2)
    strictEqual(bucket.tokens(1e15), 0)
  })
})

/** The obvious bucket: a list of deposits with the times they expire, and a reserve that grows with each tick. */
class Reference {
  private deposits: Array<{ readonly until: number; left: number }> = []
  private reserve: number
  private now = 0
  constructor(private readonly filling: Filling) {
    this.reserve = filling.initial * MILLION
  }
  private tick(now: number): void {
    const { initial, minPerSecond } = this.filling
    this.reserve = Math.min(initial * MILLION, this.reserve + (now - this.now) * minPerSecond * 1000)
    this.deposits = this.deposits.filter(({ left, until }) => until > now && left > 0)
    this.now = now
  }
  deposit(now: number): void {
    this.tick(now)
    const tenth = this.filling.ttl / 10
    this.deposits.push({ until: now - now % tenth + this.filling.ttl, left: this.filling.ratio * MILLION })
  }
  tokens(now: number): number {
    this.tick(now)
    return Math.floor(this.deposits.reduce((sum, { left }) => sum + left, this.reserve) / MILLION)
  }
  take(now: number): void {
    this.tick(now)
    let due = MILLION
    for (const deposit of this.deposits) {
      const part = Math.min(due, deposit.left)
      deposit.left -= part
      due -= part
    }
    this.reserve -= due
  }
}

describe("any history", () => {
  const step = fc.record({
    after: fc.oneof({ weight: 4, arbitrary: fc.nat({ max: 700 }) }, { weight: 1, arbitrary: fc.nat({ max: 25_000 }) }),
    action: fc.constantFrom("deposit", "deposit", "take")
  })
  const steps = fc.array(step, { minLength: 1, maxLength: 120 })

  it.prop(
    "leaves what a list of dated deposits would leave",
    [
      fc.record({
        // Whole millionths, so that the reference counts exactly too.
        ratio: fc.nat({ max: 2000 }).map((n) => n / 1000),
        initial: fc.nat({ max: 5 }),
        minPerSecond: fc.nat({ max: 20 }).map((n) => n / 10),
        ttl: fc.integer({ min: 1, max: 1000 }).map((n) => n * 10)
      }),
      steps
    ],
    ([given, steps]) => {
      const exact = (n: number) => Math.round(n * 1000) / 1000
      const rules = { ...given, ratio: exact(given.ratio) }
      const bucket = new TokenBucket(rules, 0)
      const reference = new Reference(rules)
      let now = 0
      for (const { action, after } of steps) {
        now += after
        if (action === "deposit") {
          bucket.deposit(now)
          reference.deposit(now)
        } else if (tryTake(bucket, now)) {
          reference.take(now)
        }
        strictEqual(bucket.tokens(now), reference.tokens(now))
      }
    },
    { fastCheck: { numRuns: 400 } }
  )

  it.prop(
    "never grants more than was there, earned and regained",
    [
      fc.record({
        ratio: fc.double({ min: 0, max: 3, noNaN: true }),
        initial: fc.double({ min: 0, max: 5, noNaN: true }),
        minPerSecond: fc.double({ min: 0, max: 5, noNaN: true }),
        ttl: fc.double({ min: 0.001, max: 20_000, noNaN: true })
      }),
      fc.double({ min: 0, max: 1.8e12, noNaN: true }),
      steps
    ],
    ([rules, start, steps]) => {
      const bucket = new TokenBucket(rules, start)
      let now = start
      let calls = 0
      let taken = 0
      for (const { action, after } of steps) {
        now += after / 7
        if (action === "deposit") {
          bucket.deposit(now)
          calls++
        } else {
          taken += drain(bucket, now)
        }
        // Rounding a ratio to millionths gives away half of one per call.
        const most = rules.initial + calls * (rules.ratio + 1e-6) + (now - start) / 1000 * rules.minPerSecond
        assertTrue(taken <= most + 1e-6, `${taken} of ${most}`)
      }
    },
    { fastCheck: { numRuns: 300 } }
  )

  it("takes a ttl below what clocks can tell", () => {
    const start = 1.8e12
    for (const ttl of [1e-6, 2.5e-4, 1e-3, 2e-3]) {
      const bucket = new TokenBucket(filling({ ratio: 1, ttl }), start)
      for (let now = start; now < start + 0.01; now += 0.00025) {
        bucket.deposit(now)
      }
      strictEqual(bucket.tokens(start + 1), 0)
    }
  }, 2000)

  it.prop(
    "is a number, whatever the options",
    [
      fc.record({
        ratio: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
        initial: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
        minPerSecond: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
        ttl: fc.double({ min: 0, minExcluded: true, noNaN: true })
      }),
      steps
    ],
    ([rules, steps]) => {
      const bucket = new TokenBucket(rules, 0)
      let now = 0
      for (const { action, after } of steps) {
        now += after
        if (action === "deposit") {
          bucket.deposit(now)
        } else {
          tryTake(bucket, now)
        }
        assertTrue(bucket.tokens(now) >= 0, `${bucket.tokens(now)}`)
      }
    }
  )
})
