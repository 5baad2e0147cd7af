import { describe, it } from "@effect/vitest"
import { strictEqual } from "@effect/vitest/utils"
import { FastCheck } from "effect"
import { classifyUnreadable } from "../../src/internal/classify.js"
import { isDeeper, parseJson } from "../../src/internal/json.js"

describe("classifyUnreadable", () => {
  const bodies: ReadonlyArray<readonly [string, "Malformed" | "Truncated"]> = [
    ["{\"id\":\"chatcmpl-1\",\"choices\":[{\"message\":{\"content\":\"Hel", "Truncated"],
    ["{\"a\":1,", "Truncated"],
    ["{\"a\"", "Truncated"],
    ["{\"a\\", "Truncated"],
    ["{\"a\":tr", "Truncated"],
    ["{\"a\":-", "Truncated"],
    ["{\"a\":1.", "Truncated"],
    ["[", "Truncated"],
    ["[[[[{}", "Truncated"],
    ["", "Truncated"],
    [" \n", "Truncated"],
    ["\ufeff{\"a\":", "Truncated"],
    ["<html><body>502 Bad Gateway</body></html>", "Malformed"],
    ["upstream connect error", "Malformed"],
    ["data: {\"id\":\"chatcmpl-1\"", "Malformed"],
    ["{\"a\":1}}", "Malformed"],
    ["{\"a\":1} {", "Malformed"],
    ["{\"a\":1]", "Malformed"],
    ["{'a': 1", "Malformed"],
    ["{a:1", "Malformed"],
    ["{\"a\":undefined,", "Malformed"],
    ["{\"a\":01,", "Malformed"],
    ["{,", "Malformed"],
    ["[1,]", "Malformed"],
    ["[12ab", "Malformed"],
    ["{\"a\" 1", "Malformed"],
    ["{\"a\nb", "Malformed"],
    ["{\"a\\x", "Malformed"],
    ["{\"choices\":[]}", "Malformed"],
    ["tru", "Malformed"],
    ["\u0000\u0001\u0002", "Malformed"]
  ]
  for (const [body, expected] of bodies) {
    it(`${JSON.stringify(body)} is ${expected}`, () => strictEqual(classifyUnreadable(body), expected))
  }

  it("every proper beginning of an object is a cut one, however it is indented", () => {
    const values = FastCheck.dictionary(FastCheck.string(), FastCheck.jsonValue(), { minKeys: 1 })
    const indentation = FastCheck.constantFrom(0, 2)
    FastCheck.assert(FastCheck.property(values, indentation, FastCheck.nat(), (value, indent, at) => {
      const text = JSON.stringify(value, null, indent)
      strictEqual(classifyUnreadable(text.slice(0, at % text.length)), "Truncated")
      strictEqual(classifyUnreadable(text), "Malformed")
    }))
  })

  it("reads the deepest body without recursion", () => {
    strictEqual(classifyUnreadable("[".repeat(1_000_000)), "Truncated")
    strictEqual(classifyUnreadable(`{"a":"${"\\\"".repeat(500_000)}`), "Truncated")
  })
})

describe("isDeeper", () => {
  const counted: ReadonlyArray<readonly [json: string, levels: number]> = [
    ["null", 0],
    ["1", 0],
    [`"[[[["`, 0],
    ["{}", 1],
    ["[1,[2],{}]", 2],
    [`{"a":1,"b":{"c":[null,{"d":[]}]}}`, 5],
    ["[".repeat(100_000) + "]".repeat(100_000), 100_000]
  ]
  for (const [json, levels] of counted) {
    it(`counts ${levels} levels in ${json.slice(0, 40)}`, () => {
      const value = parseJson(json)?.value
      strictEqual(isDeeper(value, levels), false)
      strictEqual(levels > 0 && isDeeper(value, levels - 1), levels > 0)
    })
  }
})
