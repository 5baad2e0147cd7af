import { describe, it } from "@effect/vitest"
import { assertTrue, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import { Overlap } from "../../src/internal/overlap.js"

const join = (delivered: string, ...pieces: ReadonlyArray<string>): string => {
  const overlap = new Overlap(delivered)
  return pieces.map((piece) => overlap.push(piece)).join("") + overlap.end()
}

const isClear = (text: string, length: number): boolean => length >= 12 || (length === text.length && length >= 4)

/** Tries every length, from the longest. */
const reference = (delivered: string, continuation: string): string => {
  const text = delivered.trimEnd()
  let rest = continuation
  for (let length = Math.min(text.length, continuation.length); length > 0; length--) {
    if (isClear(text, length) && text.endsWith(continuation.slice(0, length))) {
      rest = continuation.slice(length)
      break
    }
  }
  for (const char of delivered.slice(text.length)) {
    if (!rest.startsWith(char)) break
    rest = rest.slice(1)
  }
  return rest
}

const cut = (text: string, places: ReadonlyArray<number>): ReadonlyArray<string> => {
  const ends = [...places.map((place) => place % (text.length + 1)).sort((a, b) => a - b), text.length]
  return ends.map((end, index) => text.slice(ends[index - 1] ?? 0, end))
}

describe("Overlap", () => {
  const delivered = "The capital of Switzerland is"
  const cases: ReadonlyArray<readonly [promise: string, delivered: string, continuation: string, fresh: string]> = [
    ["leaves a continuation that just goes on", delivered, " Bern.", " Bern."],
    ["takes out the last words", delivered, "Switzerland is Bern.", " Bern."],
    ["takes out an answer started anew", delivered, `${delivered} Bern.`, " Bern."],
    ["takes out 12 characters, in the middle of a word", delivered, "itzerland is Bern.", " Bern."],
    ["leaves 11 characters", delivered, "tzerland is Bern.", "tzerland is Bern."],
    ["leaves letters that are the same by chance", "I al", "lo", "lo"],
    ["takes out a short text that comes again as a whole", "Well", "Well, no.", ", no."],
    ["leaves a whole text of 3 characters", "No.", "No. Never.", "No. Never."],
    ["leaves the beginning of a short text", "Well, ", "We", "We"],
    ["takes out the longest of several overlaps", "x-abcabcabcabcabc", "abcabcabcabcabcd", "d"],
    ["leaves an answer started anew in other words", delivered, "The capital of France is", "The capital of France is"],
    ["does not give the trimmed space again", "One, two, \n", "\nthree", "\nthree"],
    ["takes out as much of the trimmed whitespace as comes again", "One, two:\n\n", "\n- three", "- three"],
    ["takes out no more whitespace than was trimmed", "One, two:\n", "\n\n- three", "\n- three"],
    ["takes out the whitespace after repeated words too", "Once upon a summer\n\n", "upon a summer\n\nthere", "there"],
    ["leaves everything where nothing was delivered", "", "\n a", "\n a"],
    ["takes out whitespace where nothing else was delivered", " \n", " \n a", " a"],
    ["has nothing for a continuation that says nothing new", delivered, "Switzerland is", ""],
    ["has nothing for an empty continuation", delivered, "", ""],
    ["gives what was held back when the continuation ends", delivered, "The capital", "The capital"]
  ]
  for (const [promise, delivered, continuation, fresh] of cases) {
    it(promise, () => {
      strictEqual(join(delivered, continuation), fresh)
      strictEqual(join(delivered, ...continuation), fresh)
    })
  }

  it("holds back what may be repeated and no more, and nothing afterwards", () => {
    const overlap = new Overlap(delivered)
    strictEqual(overlap.push("Switz"), "")
    strictEqual(overlap.push("erland"), "")
    strictEqual(overlap.push(" is"), "")
    strictEqual(overlap.push(" Be"), " Be")
    strictEqual(overlap.push("Switzerland"), "Switzerland")
    strictEqual(overlap.end(), "")
  })

  it("does not wait for an overlap that would be too short", () => {
    strictEqual(new Overlap(delivered).push("d is"), "d is")
    strictEqual(new Overlap("Oh").push("O"), "O")
  })

  const letters = (alphabet: string, maxLength: number) => fc.string({ unit: fc.constantFrom(...alphabet), maxLength })
  const places = fc.array(fc.nat(), { maxLength: 20 })

  const text = fc.oneof(letters("ab \n", 60), letters("a ", 40), letters("ab", 40), fc.string({ maxLength: 40 }))
  const continuation = (delivered: string) =>
    fc.tuple(fc.nat(delivered.length), text, fc.boolean()).map(([from, rest, trimmed]) =>
      (trimmed ? delivered.trimEnd() : delivered).slice(from) + rest
    )
  const asked = text.chain((delivered) => fc.tuple(fc.constant(delivered), fc.oneof(text, continuation(delivered))))

  it.prop(
    "gives what trying every length would, however the continuation is cut",
    [asked, places],
    ([[delivered, continuation], places]) => {
      const fresh = reference(delivered, continuation)
      strictEqual(join(delivered, continuation), fresh)
      strictEqual(join(delivered, ...cut(continuation, places)), fresh)
      strictEqual(join(delivered, ...continuation.split("")), fresh)
    },
    { fastCheck: { numRuns: 2000 } }
  )

  it.prop("holds back only what was delivered before", [asked], ([[delivered, continuation]]) => {
    const overlap = new Overlap(delivered)
    let pushed = ""
    for (const char of continuation.split("")) {
      pushed += char
      if (overlap.push(char) !== "") break
      assertTrue(delivered.includes(pushed))
    }
  })

  it.prop("an answer started anew goes on where it was cut", [text, text, places], ([delivered, rest, places]) => {
    fc.pre(delivered.trimEnd().length >= 4)
    strictEqual(join(delivered, ...cut(delivered + rest, places)), rest)
  })

  const words = fc.uniqueArray(fc.stringMatching(/^[a-z]{4,8}$/), { minLength: 4, maxLength: 12 })
    .map((words) => words.join(" "))
  it.prop(
    "no character is lost or repeated when a text that does not repeat itself is repeated in part",
    [words, fc.nat(), fc.constantFrom("", " ", "\n", "\n\n"), fc.stringMatching(/^[A-Z.][a-z ]{0,20}$/), places],
    ([text, from, space, rest, places]) => {
      const repeated = text.slice(from % (text.length - 12)) + space
      strictEqual(join(text + space, ...cut(repeated + rest, places)), rest)
      strictEqual(join(text + space, ...cut(space + rest, places)), rest)
    }
  )

  it("takes a hundred thousand characters that repeat themselves in the time of a hundred thousand", () => {
    const many = "a".repeat(100_000)
    strictEqual(join(many, ...many.slice(1), "b"), "b")
    strictEqual(join(`${many}b`, ...`${many}c`), `${many}c`)
    const half = `${"a".repeat(50_000)}b`
    strictEqual(join(half + half, ...half, ...half, "c"), "c")
  })
})
