import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { rememberLast } from "../../src/internal/rememberLast.js"

describe("rememberLast", () => {
  it("works out again only what differs from what it was asked last", () => {
    const asked: Array<string> = []
    const joined = rememberLast((left: string, right: number) => {
      asked.push(`${left}${right}`)
      return { text: `${left}${right}` }
    })
    const args: ReadonlyArray<[string, number]> = [["a", 1], ["a", 1], ["b", 1], ["b", 2], ["b", 2], ["a", 1]]
    const given = args.map((args) => joined(...args))
    deepStrictEqual(given.map(({ text }) => text), ["a1", "a1", "b1", "b2", "b2", "a1"])
    deepStrictEqual(asked, ["a1", "b1", "b2", "a1"])
  })

  it("remembers that nothing came of it", () => {
    let times = 0
    const nothing = rememberLast((_: undefined): undefined => {
      times += 1
    })
    deepStrictEqual([nothing(undefined), nothing(undefined), times], [undefined, undefined, 1])
  })
})
