/**
 * Lists of structured fields (RFC 9651 3.1), as far as headers about rate limits use them: members that are strings or
 * tokens, with parameters. A field that does not parse is ignored as a whole, which the RFC demands (4.2) and which
 * keeps half-understood limits out; so is one longer than any real one.
 */

/** A member of a list, with its parameters by name; a parameter's value matters here only when it is a number. */
export interface Member {
  readonly name: string
  readonly numbers: ReadonlyMap<string, number>
}

const maxLength = 8_192

const string = "\"((?:[\\x20-\\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\"\\\\])*)\""
const token = "([A-Za-z*][\\w!#$%&'*+\\-.^`|~:/]*)"

export const parseList = (value: string): ReadonlyArray<Member> | undefined => {
  if (value.length > maxLength) return undefined
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    const match = pattern.exec(value)
    if (match === null) return undefined
    at = pattern.lastIndex
    return match
  }
  const name = new RegExp(`${string}|${token}`, "y")
  const key = / *([a-z*][a-z0-9_\-.*]*)/y
  const number = /(-?\d{1,15}(?:\.\d{1,3})?)/y
  const otherValue = new RegExp(`${string}|${token}|:[A-Za-z0-9+/=]*:|\\?[01]`, "y")

  const result: Array<Member> = []
  take(/ */y)
  do {
    const item = take(name)
    if (item === undefined) return undefined
    const numbers = new Map<string, number>()
    while (take(/;/y) !== undefined) {
      const parameter = take(key)?.[1]
      if (parameter === undefined) return undefined
      numbers.delete(parameter)
      if (take(/=/y) !== undefined) {
        const digits = take(number)?.[1]
        if (digits !== undefined) numbers.set(parameter, Number(digits))
        else if (take(otherValue) === undefined) return undefined
      }
    }
    result.push({ name: item[1]?.replace(/\\(.)/g, "$1") ?? item[2] ?? "", numbers })
  } while (take(/[ \t]*,[ \t]*/y) !== undefined)
  take(/ */y)
  return at === value.length ? result : undefined
}
