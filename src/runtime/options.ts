/**
 * Reads what users pass as options, and refuses what cannot be meant.
 *
 * `Duration.decode` turns NaN and negative numbers into zero without a word, and a zero timeout or a zero backoff is the
 * kind of silent default that takes a program down. So every option passes here once, when a policy is made, and a bad
 * one throws with its name.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

const show = (input: unknown): string =>
  typeof input === "string" ? `"${input}"` : typeof input === "bigint" ? `${input}n` : Array.isArray(input)
    ? `[${input.join(", ")}]`
    : String(input)

const refuse = (option: string, expected: string, input: unknown): never => {
  throw new RangeError(`${option}: expected ${expected}, got ${show(input)}`)
}

const isNegativeOrNaN = (input: unknown): boolean => {
  switch (typeof input) {
    case "number":
      return Number.isNaN(input) || input < 0
    case "bigint":
      return input < 0n
    case "string":
      return input.trim().startsWith("-")
    default:
      return Array.isArray(input) && input.some((part) => typeof part !== "number" || isNegativeOrNaN(part))
  }
}

const decode = (option: string, expected: string, input: unknown): Duration.Duration => {
  const decoded = isNegativeOrNaN(input) ? Option.none() : Duration.decodeUnknown(input)
  return Option.isSome(decoded) ? decoded.value : refuse(option, expected, input)
}

/** A duration above zero; an infinite one is allowed, and means no limit. */
export const positiveDuration = (option: string, input: Duration.DurationInput): Duration.Duration => {
  const expected = `a duration above zero, such as "10 seconds"`
  const duration = decode(option, expected, input)
  return Duration.greaterThan(duration, Duration.zero) ? duration : refuse(option, expected, input)
}

/** A duration of zero or more that ends. */
export const finiteDuration = (option: string, input: Duration.DurationInput): Duration.Duration => {
  const expected = `a finite duration, such as "10 seconds"`
  const duration = decode(option, expected, input)
  return Duration.isFinite(duration) ? duration : refuse(option, expected, input)
}

/** A duration above zero that ends. */
export const finitePositiveDuration = (option: string, input: Duration.DurationInput): Duration.Duration =>
  finiteDuration(option, positiveDuration(option, input))

/** A whole number of at least one. */
export const positiveCount = (option: string, input: number): number =>
  Number.isSafeInteger(input) && input >= 1 ? input : refuse(option, "a whole number of at least 1", input)

/** A whole number of at least one and at most `maximum`. */
export const countUpTo = (option: string, maximum: number, input: number): number =>
  positiveCount(option, input) <= maximum ? input : refuse(option, `at most ${maximum}`, input)

/** A finite number of at least `minimum`. */
export const numberAtLeast = (option: string, minimum: number, input: number): number =>
  Number.isFinite(input) && input >= minimum ? input : refuse(option, `a number of at least ${minimum}`, input)

/** One of a closed list of words. */
export const oneOf = <const A extends string>(option: string, words: ReadonlyArray<A>, input: A): A =>
  words.includes(input) ? input : refuse(option, words.map((word) => `"${word}"`).join(" or "), input)

/** A part of a whole, above 0 and at most 1. */
export const share = (option: string, input: number): number =>
  Number.isFinite(input) && input > 0 && input <= 1 ? input : refuse(option, "a number above 0 and at most 1", input)
