import { describe, it } from "@effect/vitest"
import { strictEqual } from "@effect/vitest/utils"
import { FastCheck } from "effect"
import { classifyUnreadable } from "../../src/internal/classify.js"

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
