/**
 * What is needed of JSON beyond `JSON.parse`: to parse without throwing, and to tell a text that was cut from one that
 * never was JSON. A cut answer is a broken connection, anything else a server that answers with something else, and the
 * difference is only visible by reading: a text is cut when it is a proper beginning of an object or an array. The
 * reader keeps its own stack and looks at every character once, so depth and size of a hostile body cost no more than
 * its length.
 */

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The parsed value in a box, since `null` is a value too; undefined when the text is not JSON. */
export const parseJson = (text: string): { readonly value: unknown } | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return { value }
  } catch {
    return undefined
  }
}

const isNested = (value: unknown): value is object => typeof value === "object" && value !== null

/**
 * Has the value more than so many levels? What writes or walks it by recursion ends with the stack, so this goes level by
 * level.
 */
export const isDeeper = (value: unknown, levels: number): boolean => {
  let level: Array<object> = isNested(value) ? [value] : []
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === levels) return true
    const next: Array<object> = []
    for (const part of level) {
      for (const inner of Object.values(part)) {
        if (isNested(inner)) next.push(inner)
      }
    }
    level = next
  }
  return false
}

/** What may come next: `first…` stands right after an opening bracket, where the closing one may come too. */
type State = "value" | "firstValue" | "key" | "firstKey" | "colon" | "next" | "end"

const space = /[ \t\n\r]*/y
const scalar = /[-+.0-9A-Za-z]+/y
const number = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/
const numberPrefix = /^-?\d*(?:\.\d*)?(?:[eE][+-]?\d*)?$/
const literals = ["true", "false", "null"]

const skip = (pattern: RegExp, text: string, from: number): number => {
  pattern.lastIndex = from
  return pattern.test(text) ? pattern.lastIndex : from
}

/**
 * Where the string that opens at `from` ends: infinitely far off when the text ends first, undefined when it is none.
 */
const skipString = (text: string, from: number): number | undefined => {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x22) return at + 1
    if (code < 0x20) return undefined
    if (code === 0x5c) {
      at++
      if (at < text.length && !"\"\\/bfnrtu".includes(text.charAt(at))) return undefined
    }
  }
  return Number.POSITIVE_INFINITY
}

/** Whether the text is a proper beginning of a JSON object or array; of an empty body every byte is missing. */
export const isCutJson = (text: string): boolean => {
  const open: Array<"{" | "["> = []
  let state: State = "value"
  let at = skip(space, text, text.startsWith("\ufeff") ? 1 : 0)
  if (at < text.length && !"{[".includes(text.charAt(at))) return false
  const afterValue = (): State => open.length === 0 ? "end" : "next"
  while (at < text.length) {
    const char = text.charAt(at)
    const inKey: boolean = state === "key" || state === "firstKey"
    const closes = state === "next" || state === "firstKey" || state === "firstValue"
    if (closes && char === (open.at(-1) === "{" ? "}" : "]")) {
      open.pop()
      state = afterValue()
      at++
    } else if (state === "next") {
      if (char !== ",") return false
      state = open.at(-1) === "{" ? "key" : "value"
      at++
    } else if (state === "colon") {
      if (char !== ":") return false
      state = "value"
      at++
    } else if (inKey || (char === "\"" && state !== "end")) {
      if (char !== "\"") return false
      const end = skipString(text, at)
      if (end === undefined) return false
      if (end > text.length) return true
      state = inKey ? "colon" : afterValue()
      at = end
    } else if (state === "end") {
      return false
    } else if (char === "{" || char === "[") {
      open.push(char)
      state = char === "{" ? "firstKey" : "firstValue"
      at++
    } else {
      const end = skip(scalar, text, at)
      const word = text.slice(at, end)
      if (end === text.length) return numberPrefix.test(word) || literals.some((literal) => literal.startsWith(word))
      if (!literals.includes(word) && !number.test(word)) return false
      state = afterValue()
      at = end
    }
    at = skip(space, text, at)
  }
  return state !== "end"
}
