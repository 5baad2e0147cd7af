/**
 * What is wrong with a configuration, as lines that can be shown to anybody.
 *
 * The formatters of `effect/ParseResult` quote the value that was refused, and here that may be a key, or an object
 * that holds one. So issues are read anew: each becomes a path and a reason, and no reason says more of a value than
 * its kind, but for a number out of range, a word that is none of a list, and what a check chose to say itself. Of the
 * members of a union, the one that seems to be meant is explained, and not all of them.
 */
import * as Arr from "effect/Array"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import type * as ParseResult from "effect/ParseResult"
import * as AST from "effect/SchemaAST"

/** Something that is wrong: where, and why. */
export interface Problem {
  readonly path: string
  readonly reason: string
}

/** The keys and indices that lead to a place. */
export type Path = ReadonlyArray<PropertyKey>

const segment = (key: PropertyKey): string => {
  const name = String(key)
  return typeof key === "number" ? `[${name}]` : /^[\w-]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`
}

/** A problem at a place: `models.chat.chain[0]`, or `models["gpt-4.1"]` where a dot would mislead. */
export const problem = (path: Path, reason: string): Problem => ({
  path: path.map(segment).join("").replace(/^\./, ""),
  reason
})

/** `a, b or c`. */
const listed = (words: ReadonlyArray<string>): string =>
  words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`

const members = (ast: AST.AST): ReadonlyArray<AST.AST> =>
  AST.isUnion(ast) ? ast.types.flatMap(members) : AST.isUndefinedKeyword(ast) ? [] : [ast]

const describe = (ast: AST.AST): string => {
  switch (ast._tag) {
    case "TypeLiteral":
      return "an object"
    case "TupleType":
      return "a list"
    case "Literal":
      return JSON.stringify(ast.literal)
    case "Union":
      return listed(Arr.dedupe(members(ast).map(describe)))
    case "Refinement":
    case "Transformation":
      return Option.getOrElse(AST.getDescriptionAnnotation(ast), () => describe(ast.from))
    default:
      return Option.getOrElse(AST.getDescriptionAnnotation(ast), () => String(ast))
  }
}

const kindOf = (value: unknown): string => {
  if (value === null || typeof value === "boolean") {
    return String(value)
  }
  return Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : `a ${typeof value}`
}

/** A value of another kind than the one that was expected. */
const mismatch = (ast: AST.AST, actual: unknown): string => {
  const isWord = typeof actual === "string" && members(ast).every(AST.isLiteral)
  return `expected ${describe(ast)}, got ${isWord ? JSON.stringify(actual) : kindOf(actual)}`
}

/** A value of that kind which cannot be meant. Text may be a key. */
const outOfRange = (ast: AST.AST, actual: unknown): string =>
  `expected ${describe(ast)}${typeof actual === "number" ? `, got ${actual}` : ""}`

type Located = Exclude<ParseResult.ParseIssue, ParseResult.Pointer | ParseResult.Unexpected | ParseResult.Missing>

/** Was a value refused before anything in it was looked at? */
const isMismatch = (issue: ParseResult.ParseIssue): issue is Located => {
  switch (issue._tag) {
    case "Type":
      return issue.message === undefined
    case "Refinement":
      return issue.kind === "From" && isMismatch(issue.issue)
    case "Transformation":
      return issue.kind === "Encoded" && isMismatch(issue.issue)
    case "Composite":
      return AST.isUnion(issue.ast) && Arr.ensure(issue.issues).every(isMismatch)
    default:
      return false
  }
}

const unexpected = (ast: AST.AST): string => {
  if (!AST.isTypeLiteral(ast)) {
    return "unexpected"
  }
  const names = ast.propertySignatures.map(({ name }) => JSON.stringify(name))
  return Arr.match(ast.indexSignatures, {
    onEmpty: () => `unknown key, expected ${listed(names)}`,
    onNonEmpty: ([{ parameter }]) => `expected ${describe(parameter)}`
  })
}

/** How far a value is from a member of a union, by its keys. */
const strangeness = (issue: ParseResult.ParseIssue): number =>
  issue._tag !== "Composite" ?
    0 :
    Arr.ensure(issue.issues).filter((part) =>
      part._tag === "Pointer" && (part.issue._tag === "Unexpected" || part.issue._tag === "Missing")
    ).length

const byStrangeness = Order.mapInput(Order.number, strangeness)

const ofMember = (issues: ReadonlyArray<ParseResult.ParseIssue>): ReadonlyArray<ParseResult.ParseIssue> =>
  Arr.sort(issues.filter((issue) => !isMismatch(issue)), byStrangeness).slice(0, 1)

/** The problems of an issue that was found at `path`. `within` is the struct or record it was found in. */
export const problemsOf = (
  issue: ParseResult.ParseIssue,
  path: Path = [],
  within?: AST.AST
): ReadonlyArray<Problem> => {
  const refused = isMismatch(issue) ? issue : undefined
  if (refused !== undefined) {
    return [problem(path, mismatch(refused.ast, refused.actual))]
  }
  switch (issue._tag) {
    case "Pointer":
      return problemsOf(issue.issue, [...path, ...Arr.ensure(issue.path)], within)
    case "Composite": {
      const issues = Arr.ensure(issue.issues)
      return (AST.isUnion(issue.ast) ? ofMember(issues) : issues).flatMap((part) => problemsOf(part, path, issue.ast))
    }
    case "Transformation":
      return problemsOf(issue.issue, path)
    case "Refinement":
      return issue.kind === "Predicate" && issue.issue._tag === "Type"
        ? [problem(path, issue.issue.message ?? outOfRange(issue.ast, issue.actual))]
        : problemsOf(issue.issue, path)
    case "Missing":
      return [problem(path, "is missing")]
    case "Unexpected":
      return [problem(path, within === undefined ? "unexpected" : unexpected(within))]
    case "Type":
    case "Forbidden":
      return [problem(path, issue.message ?? "cannot be read")]
  }
}
