import { describe, it } from "@effect/vitest"
import { assertTrue, strictEqual } from "@effect/vitest/utils"
import { FastCheck } from "effect"
import {
  leadingDuration,
  parseDelayMillis,
  parseDelaySeconds,
  parseGoDuration,
  parseProtobufDuration
} from "../../src/internal/duration.js"
import { messageRetryHint } from "../../src/internal/messageHint.js"

type Table = ReadonlyArray<readonly [string, number | undefined]>

const check = (parse: (value: string) => number | undefined, table: Table) => {
  for (const [value, millis] of table) {
    it(`${JSON.stringify(value)} is ${millis ?? "absent"}`, () => strictEqual(parse(value), millis))
  }
}

describe("parseGoDuration", () => {
  check(parseGoDuration, [
    ["6m0s", 360_000],
    ["20ms", 20],
    ["2m59.56s", 179_560],
    ["1h2m3s", 3_723_000],
    ["1s", 1_000],
    ["0s", 0],
    ["7.66s", 7_660],
    ["2.01s", 2_010],
    ["1.1s", 1_100],
    ["500\u00b5s", 1],
    ["1500us", 2],
    ["1001\u03bcs", 2],
    ["250\u00c2\u00b5s", 1],
    ["1ns", 1],
    ["1h", 3_600_000],
    ["1m", 60_000],
    ["1ms", 1],
    ["", undefined],
    ["6", undefined],
    ["-6s", undefined],
    ["+6s", undefined],
    ["6S", undefined],
    ["6 s", undefined],
    ["6d", undefined],
    ["6m0", undefined],
    ["s", undefined],
    ["1.s", undefined],
    [".5s", undefined],
    ["1e3s", undefined],
    ["6m, 0s", undefined],
    ["NaN", undefined]
  ])
})

describe("parseProtobufDuration", () => {
  check(parseProtobufDuration, [
    ["34.4s", 34_400],
    ["36.429760048s", 36_430],
    ["36s", 36_000],
    ["900ms", 900],
    ["0s", 0],
    ["-3s", undefined],
    ["1m2s", undefined],
    ["5", undefined],
    ["", undefined]
  ])
})

describe("parseDelaySeconds", () => {
  check(parseDelaySeconds, [
    ["120", 120_000],
    ["0", 0],
    ["007", 7_000],
    ["1.5", 2_000],
    ["1.0", 1_000],
    ["2.00000000000000000001", 3_000],
    ["9999999999", 9_999_999_999_000],
    ["9".repeat(400), Number.MAX_SAFE_INTEGER],
    ["-10", undefined],
    ["+5", undefined],
    ["1e3", undefined],
    ["0x10", undefined],
    ["1.", undefined],
    [".5", undefined],
    ["5s", undefined],
    ["", undefined]
  ])
})

describe("parseDelayMillis", () => {
  check(parseDelayMillis, [["12.75", 13], ["0", 0], ["250", 250], ["abc", undefined], ["-5", undefined], [
    "",
    undefined
  ]])
})

describe("leadingDuration", () => {
  check(leadingDuration, [
    ["1m2.5s", 62_500],
    ["6 seconds. Then", 6_000],
    ["1 hour and 3 minutes", 3_780_000],
    ["2 days, 1 hour", 176_400_000],
    ["5 apples", undefined],
    ["soon", undefined]
  ])
})

describe("messageRetryHint", () => {
  check(messageRetryHint, [
    ["Rate limit reached. Please try again in 634ms. Visit https://example.com", 634],
    ["have exceeded token rate limit. Please retry after 6 seconds. Please go here", 6_000],
    ["Please retry in 36.429760048s.", 36_430],
    ["Please try again in 1m2.5s.", 62_500],
    ["Please try again in 7m12s. Need more tokens?", 432_000],
    ["Please try again in 7h12m0s.", 25_920_000],
    ["Try again in 5 minutes", 300_000],
    ["Please wait 30 seconds before sending another request", 30_000],
    ["Please wait for 2 minutes and 5 seconds.", 125_000],
    ["Retry your request after 20 s", 20_000],
    ["Please try again in about 1 hour", 3_600_000],
    ["retry-after: 3s", 3_000],
    ["Try again in 2s, or try again in 10s with the other model", 10_000],
    ["Limit 200000, Used 199821, Requested 2295.", undefined],
    ["Please try again later.", undefined],
    ["Please try again in a moment", undefined],
    ["You may retry 3 times", undefined],
    ["Retry after 6", undefined],
    ["Too many tokens, please wait before trying again.", undefined],
    ["wait -5 seconds", undefined],
    ["", undefined]
  ])
})

describe("a duration that was written is never read as a shorter one", () => {
  const millis = FastCheck.integer({ min: 0, max: 10_000_000_000 })
  const micros = FastCheck.integer({ min: 0, max: 999 })

  const within = (asked: number, parsed: number | undefined, rounding: number) => {
    assertTrue(parsed !== undefined && parsed >= asked && parsed - asked <= rounding, `${asked} became ${parsed}`)
  }

  const goDuration = (total: number, fraction: number): string => {
    const hours = Math.floor(total / 3_600_000)
    const minutes = Math.floor(total / 60_000) % 60
    const seconds = `${Math.floor(total / 1000) % 60}.${String(total % 1000).padStart(3, "0")}${
      String(fraction).padStart(3, "0")
    }`
    return `${hours > 0 ? `${hours}h` : ""}${hours + minutes > 0 ? `${minutes}m` : ""}${seconds}s`
  }

  const decimalSeconds = (total: number, fraction: number): string =>
    `${Math.floor(total / 1000)}.${String(total % 1000).padStart(3, "0")}${String(fraction).padStart(3, "0")}`

  it("Go and protobuf durations, decimal milliseconds, delay-seconds", () => {
    FastCheck.assert(FastCheck.property(millis, micros, (total, fraction) => {
      const asked = total + fraction / 1000
      within(asked, parseGoDuration(goDuration(total, fraction)), 1)
      within(asked, parseProtobufDuration(`${decimalSeconds(total, fraction)}s`), 1)
      within(asked, parseDelayMillis(`${total}.${String(fraction).padStart(3, "0")}`), 1)
      within(asked, parseDelaySeconds(decimalSeconds(total, fraction)), 1000)
    }))
  })

  it("whole numbers exactly", () => {
    FastCheck.assert(FastCheck.property(millis, (total) => {
      strictEqual(parseGoDuration(goDuration(total, 0)), total)
      strictEqual(parseGoDuration(`${total}ms`), total)
      strictEqual(parseDelayMillis(String(total)), total)
      strictEqual(messageRetryHint(`Please try again in ${goDuration(total, 0)}.`), total)
      strictEqual(messageRetryHint(`Please retry after ${total} seconds.`), total * 1000)
    }))
  })

  it("any text gives a whole number of milliseconds, or nothing", () => {
    const pieces = FastCheck.constantFrom("1", "9", ".", "s", "m", "h", "ms", "-", " ", "e", "try again in ", "seconds")
    const text = FastCheck.oneof(FastCheck.string(), FastCheck.array(pieces).map((parts) => parts.join("")))
    const parsers = [parseGoDuration, parseProtobufDuration, parseDelaySeconds, parseDelayMillis, messageRetryHint]
    FastCheck.assert(FastCheck.property(text, FastCheck.constantFrom(...parsers), (value, parse) => {
      const result = parse(value)
      assertTrue(result === undefined || (Number.isSafeInteger(result) && result >= 0))
    }))
  })
})
