import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import type { Charge, Key, Rules } from "../../src/internal/retryLedger.js"
import { Ledger } from "../../src/internal/retryLedger.js"

const rules = (given: Partial<Rules> = {}): Rules => ({
  ratio: 0,
  initial: 0,
  minPerSecond: 0,
  ttl: 10_000,
  hardCap: undefined,
  capacity: 10_000,
  ...given
})

const left = (ledger: Ledger, keys: ReadonlyArray<Key>, now = 0) => keys.map((key) => ledger.available(key, now))

describe("several keys", () => {
  it("pay one token each", () => {
    const ledger = new Ledger(rules({ initial: 3 }))
    strictEqual(ledger.withdraw("retry", ["user", "feature"], 0), true)
    deepStrictEqual(left(ledger, ["user", "feature", undefined]), [2, 2, 3])
  })

  for (const keys of [["poor", "rich"], ["rich", "poor"]]) {
    it(`pay nothing when one has no token: ${keys.join(", ")}`, () => {
      const ledger = new Ledger(rules({ ratio: 1 }))
      ledger.deposit("rich", 0)
      strictEqual(ledger.withdraw("retry", keys, 0), false)
      deepStrictEqual(left(ledger, ["rich", "poor"]), [1, 0])
      ledger.deposit("poor", 0)
      strictEqual(ledger.withdraw("retry", keys, 0), true)
      deepStrictEqual(left(ledger, ["rich", "poor"]), [0, 0])
    })
    it(`pay nothing when one is at its hard cap: ${keys.join(", ")}`, () => {
      const ledger = new Ledger(rules({ initial: 3, hardCap: { limit: 2, per: 1000 } }))
      ledger.withdraw("retry", ["poor"], 0)
      ledger.withdraw("hard cap only", ["poor"], 0)
      for (const charge of ["retry", "hard cap only"] as const) {
        strictEqual(ledger.withdraw(charge, keys, 0), false)
      }
      deepStrictEqual(left(ledger, ["rich", "poor"]), [2, 0])
      deepStrictEqual(left(ledger, ["rich", "poor"], 1000), [2, 2])
    })
  }

  it("the account without a name is no key's, whatever the key", () => {
    const ledger = new Ledger(rules({ initial: 1 }))
    strictEqual(ledger.withdraw("retry", [undefined], 0), true)
    deepStrictEqual(left(ledger, [undefined, "", "undefined"]), [0, 1, 1])
  })
})

describe("the hard cap", () => {
  it("counts attempts that cost no token, and takes none for them", () => {
    const ledger = new Ledger(rules({ initial: 5, hardCap: { limit: 3, per: 1000 } }))
    strictEqual(ledger.withdraw("hard cap only", ["k"], 0), true)
    strictEqual(ledger.withdraw("hard cap only", ["k"], 0), true)
    strictEqual(ledger.withdraw("retry", ["k"], 0), true)
    strictEqual(ledger.withdraw("hard cap only", ["k"], 999), false)
    strictEqual(ledger.withdraw("retry", ["k"], 999), false)
    strictEqual(ledger.available("k", 1000), 3)
    strictEqual(ledger.withdraw("retry", ["k"], 1000), true)
    strictEqual(ledger.withdraw("retry", ["k"], 1000), true)
    strictEqual(ledger.withdraw("retry", ["k"], 1000), true)
    strictEqual(ledger.available("k", 2000), 1)
  })

  it("is no refusal where there is none: an attempt that costs no token is always granted", () => {
    const ledger = new Ledger(rules())
    strictEqual(ledger.withdraw("hard cap only", ["k"], 0), true)
    strictEqual(ledger.withdraw("retry", ["k"], 0), false)
  })

  it.prop(
    "holds for every stretch of time and every key, and refuses nothing beyond that",
    [
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 1000 }),
      fc.array(
        fc.record({
          after: fc.nat({ max: 300 }),
          charge: fc.constantFrom<Charge>("retry", "hard cap only"),
          keys: fc.subarray<Key>(["a", "b", "c"], { minLength: 1 })
        }),
        { maxLength: 60 }
      )
    ],
    ([limit, per, steps]) => {
      const ledger = new Ledger(rules({ initial: 1000, hardCap: { limit, per } }))
      const granted: Array<{ readonly at: number; readonly keys: ReadonlyArray<Key> }> = []
      let now = 0
      for (const { after, charge, keys } of steps) {
        now += after
        const recent = (key: Key) => granted.filter((one) => one.keys.includes(key) && now - one.at < per).length
        const expected = keys.every((key) => recent(key) < limit)
        strictEqual(ledger.withdraw(charge, keys, now), expected)
        if (expected) {
          granted.push({ at: now, keys })
        }
      }
    }
  )
})

describe("a clock that jumps back", () => {
  const ledger = () =>
    new Ledger(rules({ ratio: 1, initial: 10, minPerSecond: 1, hardCap: { limit: 5, per: 4000 }, ttl: 10_000 }))

  it("neither gives nor takes, and time goes on from there", () => {
    const jumped = ledger()
    const steady = ledger()
    const both = (f: (ledger: Ledger, now: number) => unknown, now: number, jump: number) =>
      deepStrictEqual(f(jumped, now - jump), f(steady, now))
    both((ledger, now) => [1, 2, 3, 4, 5].map(() => ledger.withdraw("retry", ["k"], now)), 1e6, 0)
    both((ledger, now) => ledger.deposit("k", now), 1e6 + 100, 0)
    // An hour back, at the very moment of the last look.
    for (const after of [100, 2000, 3999, 4000, 5000, 9000, 10_100, 20_000]) {
      both((ledger, now) => ledger.available("k", now), 1e6 + after, 3_600_000)
    }
  })

  it("again and again never forges a token", () => {
    const jumping = new Ledger(rules({ initial: 2, minPerSecond: 1 }))
    strictEqual(jumping.withdraw("retry", ["k"], 5000), true)
    strictEqual(jumping.withdraw("retry", ["k"], 5000), true)
    for (let jump = 0; jump < 100; jump++) {
      strictEqual(jumping.withdraw("retry", ["k"], 5000 - jump), false)
    }
    strictEqual(jumping.withdraw("retry", ["k"], 5900), false)
    strictEqual(jumping.withdraw("retry", ["k"], 5901), true)
  })
})

describe("memory", () => {
  it("100,000 keys keep the accounts of the latest 10,000", () => {
    const ledger = new Ledger(rules({ initial: 10 }))
    let most = 0
    for (let user = 0; user < 100_000; user++) {
      ledger.deposit(`user:${user}`, user)
      ledger.withdraw("retry", [`user:${user}`], user)
      most = Math.max(most, ledger.size)
    }
    strictEqual(most, 10_000)
    strictEqual(ledger.available("user:99999", 100_000), 9)
    strictEqual(ledger.available("user:90000", 100_000), 9)
    strictEqual(ledger.available("user:89999", 100_000), 10)
  })

  it("the key least recently used goes first, and starts anew", () => {
    const ledger = new Ledger(rules({ initial: 2, capacity: 2 }))
    ledger.withdraw("retry", ["a"], 0)
    ledger.withdraw("retry", ["b"], 0)
    ledger.deposit("a", 0)
    ledger.withdraw("retry", ["c"], 0)
    deepStrictEqual(left(ledger, ["a", "b", "c"]), [1, 2, 1])
  })

  it("a look is no use of a key, and keeps none", () => {
    const ledger = new Ledger(rules({ initial: 2, capacity: 2 }))
    ledger.withdraw("retry", ["a"], 0)
    ledger.withdraw("retry", ["b"], 0)
    deepStrictEqual(left(ledger, ["z", "a"]), [2, 1])
    strictEqual(ledger.size, 2)
    ledger.withdraw("retry", ["c"], 0)
    deepStrictEqual(left(ledger, ["a", "b", "c"]), [2, 1, 1])
  })

  it("the account without a name is never forgotten", () => {
    const ledger = new Ledger(rules({ initial: 1, capacity: 1 }))
    ledger.withdraw("retry", [undefined], 0)
    for (let user = 0; user < 10; user++) {
      ledger.deposit(`user:${user}`, 0)
    }
    strictEqual(ledger.available(undefined, 0), 0)
  })
})
