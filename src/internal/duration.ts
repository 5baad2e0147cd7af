/**
 * Durations as servers write them, in whole milliseconds. Every one is a wait that somebody asked for, so it is rounded
 * up, never down, and what is not clearly a duration is absent rather than guessed. Decimals are scaled by their
 * exponent and not by a multiplication, since `2.01 * 1000` is more than 2010 and would round to 2011. Values beyond
 * what a number holds exactly become the greatest safe integer: still a number, for the policy to refuse.
 */

/** A unit of time: its milliseconds are `factor * 10 ** exponent`. */
interface Unit {
  readonly exponent: number
  readonly factor: number
}

const nanosecond: Unit = { exponent: -6, factor: 1 }
const microsecond: Unit = { exponent: -3, factor: 1 }
const millisecond: Unit = { exponent: 0, factor: 1 }
const second: Unit = { exponent: 3, factor: 1 }
const minute: Unit = { exponent: 4, factor: 6 }
const hour: Unit = { exponent: 5, factor: 36 }
const day: Unit = { exponent: 5, factor: 864 }

/** Whole milliseconds, not fewer than asked for, and safe to calculate with. */
export const wholeMillis = (millis: number): number => Math.min(Math.ceil(millis), Number.MAX_SAFE_INTEGER)

const scale = (decimal: string, unit: Unit): number => Number(`${decimal}e${unit.exponent}`) * unit.factor

const goUnits: ReadonlyMap<string, Unit> = new Map([
  ["ns", nanosecond],
  ["us", microsecond],
  ["\u00b5s", microsecond],
  ["\u03bcs", microsecond],
  // What is left of a UTF-8 micro sign in a header, whose bytes Fetch decodes as Latin-1.
  ["\u00c2\u00b5s", microsecond],
  ["ms", millisecond],
  ["s", second],
  ["m", minute],
  ["h", hour]
])

/** Go's `time.Duration` (`6m0s`, `2m59.56s`, `20ms`): parts with units, without a sign. */
export const parseGoDuration = (value: string): number | undefined => {
  const part = /(\d+(?:\.\d+)?)([^\d.]+)/y
  let total = 0
  while (part.lastIndex < value.length) {
    const [, decimal = "", name = ""] = part.exec(value) ?? []
    const unit = goUnits.get(name)
    if (unit === undefined) return undefined
    total += scale(decimal, unit)
  }
  return value === "" ? undefined : wholeMillis(total)
}

/** A protobuf `Duration` in JSON (`34.4s`), and the milliseconds that Google sends in its place (`900ms`). */
export const parseProtobufDuration = (value: string): number | undefined =>
  /^\d+(?:\.\d+)?m?s$/.test(value) ? parseGoDuration(value) : undefined

/**
 * The delay-seconds of RFC 9110 10.2.3, in milliseconds. Many servers send a fraction that the grammar does not have:
 * it is taken up to the next whole second, so never earlier than asked.
 */
export const parseDelaySeconds = (value: string): number | undefined => {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(value)
  if (match === null) return undefined
  const [, whole = "", fraction = ""] = match
  return wholeMillis((Number(whole) + (/[1-9]/.test(fraction) ? 1 : 0)) * 1000)
}

/** A decimal number of milliseconds. */
export const parseDelayMillis = (value: string): number | undefined =>
  /^\d+(?:\.\d+)?$/.test(value) ? wholeMillis(Number(value)) : undefined

const words: ReadonlyArray<readonly [RegExp, Unit]> = [
  [/^(?:ns|nanos(?:econds?)?)$/, nanosecond],
  [/^(?:us|\u00b5s|\u03bcs|micros(?:econds?)?)$/, microsecond],
  [/^(?:ms|msecs?|millis(?:econds?)?)$/, millisecond],
  [/^(?:s|secs?|seconds?)$/, second],
  [/^(?:m|mins?|minutes?)$/, minute],
  [/^(?:h|hrs?|hours?)$/, hour],
  [/^(?:d|days?)$/, day]
]

/** The duration that a text begins with, in units or in words: `1m2.5s`, `6 seconds`, `1 hour and 3 minutes`. */
export const leadingDuration = (text: string): number | undefined => {
  const part = /(?:\s*,?\s*(?:and\s+)?)(\d+(?:\.\d+)?)\s*([a-z\u00b5\u03bc]+)/iy
  let total: number | undefined
  for (let match = part.exec(text); match !== null; match = part.exec(text)) {
    const name = (match[2] ?? "").toLowerCase()
    const unit = words.find(([word]) => word.test(name))?.[1]
    if (unit === undefined) break
    total = (total ?? 0) + scale(match[1] ?? "", unit)
  }
  return total === undefined ? undefined : wholeMillis(total)
}
