import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import { RecentKeys } from "../../src/internal/recentKeys.js"

describe("RecentKeys", () => {
  it.prop(
    "keeps exactly the keys used last, each with the value it was first given",
    [fc.integer({ min: 1, max: 5 }), fc.array(fc.constantFrom(..."abcdefgh"), { maxLength: 60 })],
    ([capacity, uses]) => {
      const keys = new RecentKeys<number>(capacity)
      let expected: ReadonlyArray<readonly [key: string, value: number]> = []
      uses.forEach((key, n) => {
        const known = expected.find(([other]) => other === key)
        const used = [key, known?.[1] ?? n] as const
        expected = [...expected.filter((one) => one !== known), used].slice(-capacity)
        strictEqual(keys.use(key, () => n), used[1])
        strictEqual(keys.size, expected.length)
        deepStrictEqual(
          [..."abcdefgh"].flatMap((key) => {
            const value = keys.peek(key)
            return value === undefined ? [] : [[key, value] as const]
          }),
          [...expected].sort(([a], [b]) => a < b ? -1 : 1)
        )
      })
    }
  )

  it("a new key costs the same, however many there are", () => {
    const microsPerKey = (capacity: number): number => {
      const keys = new RecentKeys<number>(capacity)
      const names = Array.from({ length: 30_000 }, (_, n) => `user:${n}`)
      const start = performance.now()
      names.forEach((name) => keys.use(name, () => 0))
      return performance.now() - start
    }
    const best = (capacity: number) => Math.min(...Array.from({ length: 5 }, () => microsPerKey(capacity)))
    const [few, many] = [best(10), best(10_000)]
    assertTrue(many < few * 15, `${few} ms for few, ${many} ms for many`)
  })
})
