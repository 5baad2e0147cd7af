import { parseDelayMillis, parseDelaySeconds, wholeMillis } from "./duration.js"
import { parseHttpDate } from "./httpDate.js"

/**
 * When a server asks to be called again, as it says so in `retry-after-ms` (decimal milliseconds; OpenAI, Azure) or in
 * `Retry-After` (RFC 9110 10.2.3: seconds, or an HTTP-date). A date is measured from the response's own `Date`, so that
 * a client's wrong clock does no harm. Fetch joins repeated fields with commas, although both are singletons: when
 * every member is valid the longest wait counts, because the first may be too early for whoever added the second; when
 * one is not, nothing is known and the field is absent.
 */

/** Header values by their lower-case names. */
export type HeaderRecord = Readonly<Record<string, string | undefined>>

const isBlank = (char: string | undefined): boolean => char === " " || char === "\t"

/** Without the optional whitespace of RFC 9110 5.6.3; by hand, since `/[ \t]+$/` is quadratic in a run of blanks. */
const trim = (value: string): string => {
  let start = 0
  let end = value.length
  while (isBlank(value[start])) start++
  while (end > start && isBlank(value[end - 1])) end--
  return value.slice(start, end)
}

const weekday = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*$/

/** The members of a joined field; the comma inside an HTTP-date stands after a weekday and joins none. */
const members = (value: string): ReadonlyArray<string> => {
  const result: Array<string> = []
  let pending: string | undefined
  for (const piece of value.split(",")) {
    const member = trim(piece)
    if (pending !== undefined) {
      result.push(trim(`${pending},${piece}`))
      pending = undefined
    } else if (weekday.test(member)) {
      pending = member
    } else {
      result.push(member)
    }
  }
  return pending === undefined ? result : [...result, pending]
}

const longest = (value: string | undefined, parse: (member: string) => number | undefined): number | undefined => {
  let result: number | undefined
  for (const member of value === undefined ? [] : members(value)) {
    const wait = parse(member)
    if (wait === undefined) return undefined
    result = Math.max(result ?? 0, wait)
  }
  return result
}

/** The wait in milliseconds, 0 or more; absent when neither field says one. */
export const retryAfterFromHeaders = (headers: HeaderRecord, now: number): number | undefined => {
  const date = headers["date"]
  const sent = (date === undefined ? undefined : parseHttpDate(trim(date), now)) ?? now
  const untilDate = (member: string): number | undefined => {
    const time = parseHttpDate(member, now)
    return time === undefined ? undefined : wholeMillis(Math.max(0, time - sent))
  }
  return longest(headers["retry-after-ms"], parseDelayMillis) ??
    longest(headers["retry-after"], (member) => parseDelaySeconds(member) ?? untilDate(member))
}
