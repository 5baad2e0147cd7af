import { describe, it } from "@effect/vitest"
import { assertTrue, strictEqual } from "@effect/vitest/utils"
import { FastCheck } from "effect"
import { type HeaderRecord, retryAfterFromHeaders } from "../../src/internal/retryAfter.js"

const now = Date.UTC(2026, 10, 22, 12, 0, 0)

describe("retry-after", () => {
  const values: ReadonlyArray<readonly [string, number | undefined]> = [
    ["120", 120_000],
    ["0", 0],
    [" 120 ", 120_000],
    ["\t5", 5_000],
    ["1.5", 2_000],
    ["0.2", 1_000],
    ["9999999999", 9_999_999_999_000],
    ["9".repeat(500), Number.MAX_SAFE_INTEGER],
    ["-10", undefined],
    ["-0", undefined],
    ["+5", undefined],
    ["1e3", undefined],
    ["1,5", 5_000],
    ["0x1F", undefined],
    ["NaN", undefined],
    ["Infinity", undefined],
    ["-Infinity", undefined],
    ["", undefined],
    [" ", undefined],
    ["soon", undefined],
    ["null", undefined],
    ["undefined", undefined],
    ["120s", undefined],
    ["120 seconds", undefined],
    ["120; comment", undefined],
    ["\"120\"", undefined],
    ["1 2", undefined],
    ["\u0661\u0662", undefined],
    ["\uff11\uff12", undefined],
    ["120\u00a0", undefined],
    ["PT2M", undefined],
    ["00:02:00", undefined],
    // Repeated fields, joined by Fetch: the longest wait, never the first; nothing if one of them is invalid.
    ["5, 10", 10_000],
    ["10,5", 10_000],
    ["5, 5", 5_000],
    ["5, soon", undefined],
    ["5,", undefined],
    [", 5", undefined],
    [",", undefined],
    ["5, Sun, 22 Nov 2026 12:00:20 GMT", 20_000],
    ["Sun, 22 Nov 2026 12:00:20 GMT, Sun, 22 Nov 2026 12:00:30 GMT", 30_000],
    ["Sunday, 22-Nov-26 12:00:20 GMT, 5", 20_000],
    ["Sun,22 Nov 2026 12:00:20 GMT", undefined],
    ["Sun", undefined],
    ["Sun,", undefined],
    ["Sun, 22 Nov 2026 12:00:20 GMT", 20_000],
    ["Sunday, 22-Nov-26 12:00:20 GMT", 20_000],
    ["Sun Nov 22 12:00:20 2026", 20_000],
    ["Sun, 22 Nov 2026 11:59:00 GMT", 0],
    ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
    ["Fri, 31 Dec 9999 23:59:59 GMT", Date.UTC(9999, 11, 31, 23, 59, 59) - now],
    ["Sun, 22 Nov 2026 12:00:20", undefined],
    ["Sun, 22 Nov 2026 12:00:20 EST", undefined],
    ["Sun, 31 Nov 2026 12:00:20 GMT", undefined],
    ["2026-11-22T12:00:20Z", undefined],
    ["2026-11-22", undefined]
  ]
  for (const [value, millis] of values) {
    it(`${JSON.stringify(value.slice(0, 80))} is ${millis ?? "absent"}`, () =>
      strictEqual(retryAfterFromHeaders({ "retry-after": value }, now), millis))
  }

  it("a date is measured from the response's own Date, not from a clock that may be wrong", () => {
    const date = "Sun, 22 Nov 2026 12:00:20 GMT"
    const wait = (sent: string | undefined) => retryAfterFromHeaders({ "retry-after": date, date: sent }, now)
    strictEqual(wait("Sun, 22 Nov 2026 12:00:15 GMT"), 5_000)
    strictEqual(wait("Sun, 22 Nov 2026 11:00:20 GMT"), 3_600_000)
    strictEqual(wait("Sun, 22 Nov 2026 12:00:21 GMT"), 0)
    strictEqual(wait("yesterday"), 20_000)
    strictEqual(wait(undefined), 20_000)
  })

  it("seconds are seconds, whatever the clocks say", () => {
    strictEqual(retryAfterFromHeaders({ "retry-after": "5", date: "Thu, 01 Jan 1970 00:00:00 GMT" }, now), 5_000)
  })
})

describe("retry-after-ms", () => {
  const fields: ReadonlyArray<readonly [string, string | undefined, number | undefined]> = [
    ["250", "1", 250],
    ["12.75", undefined, 13],
    ["0", "5", 0],
    ["250, 500", "1", 500],
    ["abc", "1", 1_000],
    ["-5", "1", 1_000],
    ["", "1", 1_000],
    ["1e3", "1", 1_000],
    ["NaN", undefined, undefined],
    ["Infinity", undefined, undefined],
    ["250ms", undefined, undefined],
    ["9".repeat(400), undefined, Number.MAX_SAFE_INTEGER]
  ]
  for (const [millis, seconds, expected] of fields) {
    it(`${JSON.stringify(millis.slice(0, 20))} beside ${seconds ?? "nothing"} is ${expected ?? "absent"}`, () =>
      strictEqual(retryAfterFromHeaders({ "retry-after-ms": millis, "retry-after": seconds }, now), expected))
  }
})

it("no headers, no wait", () => strictEqual(retryAfterFromHeaders({}, now), undefined))

describe("for any headers", () => {
  it("a wait is a safe whole number, not negative, or absent", () => {
    const piece = FastCheck.constantFrom(
      "1",
      "0",
      "9",
      ",",
      ".",
      "-",
      " ",
      "Sun",
      "22 Nov 2026 12:00:20 GMT",
      "e",
      "\u0000"
    )
    const value = FastCheck.oneof(
      FastCheck.string(),
      FastCheck.array(piece).map((pieces) => pieces.join("")),
      FastCheck.date({ noInvalidDate: true }).map((date) => date.toUTCString())
    )
    const headers: FastCheck.Arbitrary<HeaderRecord> = FastCheck.dictionary(
      FastCheck.constantFrom("retry-after", "retry-after-ms", "date"),
      value
    )
    FastCheck.assert(FastCheck.property(headers, (record) => {
      const wait = retryAfterFromHeaders(record, now)
      assertTrue(wait === undefined || (Number.isSafeInteger(wait) && wait >= 0))
    }))
  })

  it("a client never returns before the second that a date names", () => {
    const seconds = FastCheck.integer({ min: 0, max: 100_000 })
    FastCheck.assert(FastCheck.property(seconds, FastCheck.integer({ min: 0, max: 999 }), (wait, fraction) => {
      const at = new Date(now + wait * 1000)
      strictEqual(retryAfterFromHeaders({ "retry-after": at.toUTCString() }, now - fraction), wait * 1000 + fraction)
    }))
  })

  it("a megabyte of commas is no work", () => {
    const started = performance.now()
    strictEqual(retryAfterFromHeaders({ "retry-after": "5,".repeat(500_000) }, now), undefined)
    strictEqual(retryAfterFromHeaders({ "retry-after": `${" ".repeat(1_000_000)}x` }, now), undefined)
    strictEqual(retryAfterFromHeaders({ "retry-after": `x${" ".repeat(100_000)}x` }, now), undefined)
    assertTrue(performance.now() - started < 1_000)
  })
})
