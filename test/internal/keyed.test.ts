import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import { Keyed, type Worth } from "../../src/internal/keyed.js"

interface Thing {
  worth: Worth
}

const keyed = (capacity: number, idleFor = Infinity) => {
  const things = new Keyed<Thing>(capacity, idleFor, (thing) => thing.worth)
  return {
    get: (key: string, worth: Worth, now = 0) => things.get(key, now, () => ({ worth })),
    keys: (now = 0) => things.kept(now).map(([key]) => key)
  }
}

describe("Keyed", () => {
  it("makes a value once, and only when it is asked for", () => {
    const things = new Keyed<Thing>(10, Infinity, (thing) => thing.worth)
    let made = 0
    const get = () =>
      things.get("a", 0, () => {
        made++
        return { worth: "nothing" }
      })
    strictEqual(made, 0)
    strictEqual(get(), get())
    strictEqual(made, 1)
  })

  it("makes room by dropping what holds nothing before what holds something, the least recently used first", () => {
    const { get, keys } = keyed(4)
    get("a", "something")
    get("b", "nothing")
    get("c", "something")
    get("d", "nothing")
    get("b", "nothing")
    get("e", "something")
    deepStrictEqual(keys(), ["a", "c", "b", "e"])
    get("f", "something")
    deepStrictEqual(keys(), ["a", "c", "e", "f"])
    get("a", "something")
    get("g", "something")
    deepStrictEqual(keys(), ["e", "f", "a", "g"])
  })

  it("keeps what matters, and not the newcomer, when everything matters", () => {
    const { get, keys } = keyed(2)
    const kept = get("a", "much")
    get("b", "much")
    const newcomer = get("c", "nothing")
    deepStrictEqual(keys(), ["a", "b"])
    strictEqual(get("a", "nothing"), kept)
    strictEqual(get("c", "nothing") === newcomer, false)
  })

  it("drops what holds nothing once it was not used for so long", () => {
    const { get, keys } = keyed(10, 1000)
    get("a", "nothing", 0)
    get("b", "much", 0)
    get("c", "nothing", 500)
    deepStrictEqual(keys(999), ["a", "b", "c"])
    deepStrictEqual(keys(1000), ["b", "c"])
    get("c", "nothing", 1200)
    deepStrictEqual(keys(2199), ["b", "c"])
    get("d", "nothing", 2200)
    deepStrictEqual(keys(2200), ["b", "d"])
  })

  it.prop(
    "never keeps more than its capacity, nor lets go of what matters",
    [
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.tuple(fc.nat({ max: 9 }), fc.constantFrom<Array<Worth>>("nothing", "something", "much")))
    ],
    ([capacity, uses]) => {
      const { get, keys } = keyed(capacity)
      for (const [key, worth] of uses) {
        const mattered = keys().filter((key) => get(key, "nothing").worth === "much")
        get(`${key}`, "something").worth = worth
        strictEqual(keys().length <= capacity, true)
        deepStrictEqual(mattered.filter((kept) => !keys().includes(kept)), [])
      }
    }
  )
})
