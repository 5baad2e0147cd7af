import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import { Elapsed } from "../../src/internal/elapsed.js"

describe("Elapsed", () => {
  it("follows a clock that goes forward", () => {
    const elapsed = new Elapsed()
    deepStrictEqual([5, 5, 7.5, 1e9].map((reading) => elapsed.at(reading)), [5, 5, 7.5, 1e9])
  })

  it("takes a step back for no time at all, and goes on from there", () => {
    const elapsed = new Elapsed()
    deepStrictEqual([100, 40, 41, 60, 59, 60].map((reading) => elapsed.at(reading)), [100, 100, 101, 120, 120, 121])
  })

  it.prop(
    "never goes back, and adds up the steps forward",
    [fc.array(fc.integer({ min: -1e6, max: 1e6 }))],
    ([steps]) => {
      const elapsed = new Elapsed()
      let reading = elapsed.at(0)
      let expected = 0
      for (const step of steps) {
        reading += step
        expected += Math.max(0, step)
        strictEqual(elapsed.at(reading), expected)
      }
    }
  )
})
