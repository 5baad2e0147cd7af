/**
 * A configuration file as a value.
 *
 * JSON is YAML (1.2), so one parser reads both, says the line and the column of what it cannot read in either, and
 * refuses a key that stands there twice, of which `JSON.parse` would drop the first in silence. Its own messages quote
 * the text, which may be a key, so they are not shown.
 */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { Document, ErrorCode } from "yaml"
import { isNode, LineCounter, parseDocument, visit } from "yaml"
import type { Problem } from "./problems.js"

const runsOn = "this value runs on into another key: a comma, quotes or an indentation is missing"

/** The codes whose messages are fixed texts. */
const plain: ReadonlyArray<ErrorCode> = ["BAD_INDENT", "MISSING_CHAR"]

const reasons: Partial<Record<ErrorCode, string>> = {
  BAD_DQ_ESCAPE: "no such escape sequence",
  BAD_SCALAR_START: "a value cannot begin with this character, unless it is quoted",
  BLOCK_AS_IMPLICIT_KEY: runsOn,
  BLOCK_IN_FLOW: runsOn,
  DUPLICATE_KEY: "this key stands here twice",
  MULTILINE_IMPLICIT_KEY: runsOn,
  MULTIPLE_DOCS: "a second document begins here, expected one",
  NON_STRING_KEY: "expected text for a key",
  TAB_AS_INDENT: "a tab cannot indent, use spaces",
  TAG_RESOLVE_FAILED: "a tag that means nothing here"
}

/** What is wrong, and at which character. */
interface Mistake {
  readonly offset: number
  readonly reason: string
}

/** The first only: what follows is most often a consequence. Of the warnings, the others are about looks. */
const syntaxMistake = ({ errors, warnings }: Document.Parsed): Option.Option<Mistake> =>
  Option.map(
    Option.fromNullable([...errors, ...warnings.filter(({ code }) => code === "TAG_RESOLVE_FAILED")][0]),
    ({ code, message, pos: [offset] }) => ({
      offset,
      reason: plain.includes(code) ? message : reasons[code] ?? "unexpected here"
    })
  )

/** What YAML allows and nobody means. A key without a value is mostly a value that lost its key: it may be a secret. */
const oddity = (document: Document.Parsed): Option.Option<Mistake> => {
  const mistakes: Array<Mistake> = []
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) === undefined) {
        mistakes.push({
          offset: alias.range?.[0] ?? 0,
          reason: "an alias without an anchor before it; a text that begins with * needs quotes"
        })
      }
    },
    Pair: (_, { key, value }) => {
      if (value === null) {
        mistakes.push({
          offset: isNode(key) ? key.range?.[0] ?? 0 : 0,
          reason: "expected a colon and a value after this"
        })
      }
    }
  })
  return Option.fromNullable(mistakes[0])
}

/** The value of a text in JSON or YAML, or where it stops being either. */
export const read = (text: string): Either.Either<unknown, Problem> => {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true, logLevel: "error" })
  const mistake = Option.orElse(syntaxMistake(document), () => oddity(document))
  if (Option.isSome(mistake)) {
    const { col, line } = lines.linePos(mistake.value.offset)
    return Either.left({ path: `line ${line}, column ${col}`, reason: mistake.value.reason })
  }
  return Either.try({
    try: (): unknown => document.toJS(),
    catch: () => ({ path: "", reason: "too many aliases" })
  })
}
