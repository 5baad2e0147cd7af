import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Either, FastCheck as fc } from "effect"
import { read } from "../../src/gateway/internal/document.js"

const refusal = (text: string): string =>
  Either.match(read(text), { onLeft: ({ path, reason }) => `${path}: ${reason}`, onRight: () => "accepted" })

const runsOn = "this value runs on into another key: a comma, quotes or an indentation is missing"

describe("the text of a configuration", () => {
  it.prop(
    "in JSON means what JSON says, in any layout",
    [fc.jsonValue(), fc.constantFrom(undefined, 2, "\t")],
    ([value, indent]) => {
      const text = JSON.stringify(value, null, indent)
      deepStrictEqual(read(text), Either.right(JSON.parse(text)))
    }
  )

  it("in YAML has comments, anchors, and words that are no booleans", () => {
    deepStrictEqual(
      read(
        "# The gateway\nfast: &fast { deadline: 20 seconds }\nslow: *fast\non: yes\nport: 8080\nnone:\nlist: [\n  1\n]\n"
      ),
      Either.right({
        fast: { deadline: "20 seconds" },
        slow: { deadline: "20 seconds" },
        on: "yes",
        port: 8080,
        none: null,
        list: [1]
      })
    )
  })

  for (
    const [text, said] of [
      ["{\n  \"a\": 1\n  \"b\": 2\n}", `line 2, column 8: ${runsOn}`],
      ["{\n  \"a\": \"x\"\n  \"b\": 2\n}", "line 3, column 3: Missing , between flow map items"],
      ["{ \"a\": 1", "line 1, column 9: Flow map must end with a }"],
      [
        "{ \"a\": [1, 2 }",
        "line 1, column 14: Flow sequence in block collection must be sufficiently indented and end with a ]"
      ],
      ["{ \"a\": \"b }", "line 1, column 12: Missing closing \"quote"],
      ["{ \"a\", \"b\": 1 }", "line 1, column 3: expected a colon and a value after this"],
      ["{ \"a\": 1,\n  \"a\": 2 }", "line 2, column 3: this key stands here twice"],
      ["{ \"a\": \"\\q\" }", "line 1, column 9: no such escape sequence"],
      ["a:\n  b: 1\n c: 2", "line 3, column 1: All mapping items must start at the same column"],
      ["a:\n\tb: 1", "line 2, column 1: a tab cannot indent, use spaces"],
      ["a: b: c", `line 1, column 4: ${runsOn}`],
      ["a: @b", "line 1, column 4: a value cannot begin with this character, unless it is quoted"],
      ["a: *b", "line 1, column 4: an alias without an anchor before it; a text that begins with * needs quotes"],
      ["a: !b c", "line 1, column 4: a tag that means nothing here"],
      ["a: 1\n---\na: 2", "line 2, column 1: a second document begins here, expected one"]
    ] as const
  ) {
    it(`${JSON.stringify(text)} is refused with line and column`, () => deepStrictEqual(refusal(text), said))
  }

  it("is refused when its aliases would grow without end", () => {
    const grown = [..."bcdefgh"].map((name, level) =>
      `${name}: &${name} [${Array(9).fill(`*${"abcdefg"[level]}`).join()}]`
    )
    deepStrictEqual(refusal(["a: &a [x, x, x, x, x, x, x, x, x]", ...grown].join("\n")), ": too many aliases")
  })

  it.prop("is read or refused, whatever it is", [fc.string({ unit: "binary", maxLength: 50 })], ([text]) => {
    read(text)
  })
})
