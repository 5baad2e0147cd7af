import { describe, it } from "@effect/vitest"
import { strictEqual } from "@effect/vitest/utils"
import { FastCheck } from "effect"
import { parseHttpDate, parseTimestamp } from "../../src/internal/httpDate.js"

const now = Date.UTC(2026, 10, 22, 12, 0, 0)
const expected = Date.UTC(2026, 10, 22, 12, 0, 20)

describe("parseHttpDate", () => {
  describe("reads the three forms of RFC 9110", () => {
    const dates: ReadonlyArray<readonly [string, number]> = [
      ["Sun, 22 Nov 2026 12:00:20 GMT", expected],
      ["Sunday, 22-Nov-26 12:00:20 GMT", expected],
      ["Sun Nov 22 12:00:20 2026", expected],
      ["Sun Nov  6 08:49:37 1994", Date.UTC(1994, 10, 6, 8, 49, 37)],
      ["Sun, 06 Nov 1994 08:49:37 GMT", Date.UTC(1994, 10, 6, 8, 49, 37)],
      ["Thu, 29 Feb 2024 00:00:00 GMT", Date.UTC(2024, 1, 29)],
      ["Sat, 31 Dec 2016 23:59:60 GMT", Date.UTC(2017, 0, 1)],
      ["Sat, 01 Jan 0050 00:00:00 GMT", Date.parse("0050-01-01T00:00:00Z")],
      // A weekday that does not fit its date is redundant, and the date is clear.
      ["Mon, 22 Nov 2026 12:00:20 GMT", expected]
    ]
    for (const [value, time] of dates) {
      it(value, () => strictEqual(parseHttpDate(value, now), time))
    }
  })

  describe("reads a two-digit year as the latest that is at most 50 years ahead", () => {
    const years: ReadonlyArray<readonly [string, number, number]> = [
      ["26", 2026, 2026],
      ["76", 2026, 2076],
      ["77", 2026, 1977],
      ["99", 2026, 1999],
      ["00", 2026, 2000],
      ["10", 2080, 2110],
      ["94", 1994, 1994],
      ["01", 1999, 2001]
    ]
    for (const [digits, year, result] of years) {
      it(`${digits} in ${year}`, () =>
        strictEqual(
          parseHttpDate(`Sunday, 22-Nov-${digits} 12:00:00 GMT`, Date.UTC(year, 10, 22, 12)),
          Date.UTC(result, 10, 22, 12)
        ))
    }

    it("29 February exists only in the leap year", () => {
      strictEqual(parseHttpDate("Tuesday, 29-Feb-00 00:00:00 GMT", now), Date.UTC(2000, 1, 29))
      strictEqual(parseHttpDate("Tuesday, 29-Feb-26 00:00:00 GMT", now), undefined)
    })
  })

  describe("takes nothing else", () => {
    const values = [
      "",
      "Sun, 22 Nov 2026 12:00:20",
      "Sun, 22 Nov 2026 12:00:20 UTC",
      "Sun, 22 Nov 2026 12:00:20 gmt",
      "Sun, 22 Nov 2026 12:00:20 +0000",
      "Sun, 22 Nov 2026 12:00:20 GMT ",
      "sun, 22 nov 2026 12:00:20 GMT",
      "Sunday, 22 Nov 2026 12:00:20 GMT",
      "Sun, 22-Nov-26 12:00:20 GMT",
      "Xyz, 22 Nov 2026 12:00:20 GMT",
      "22 Nov 2026 12:00:20 GMT",
      "Sun, 22 November 2026 12:00:20 GMT",
      "Sun, 31 Nov 2026 12:00:20 GMT",
      "Sun, 29 Feb 2026 12:00:20 GMT",
      "Sun, 00 Nov 2026 12:00:20 GMT",
      "Sun, 22 Nov 2026 24:00:00 GMT",
      "Sun, 22 Nov 2026 12:60:00 GMT",
      "Sun, 22 Nov 2026 12:00:61 GMT",
      "Sun, 2 Nov 2026 12:00:20 GMT",
      "Sun, 22 Nov 26 12:00:20 GMT",
      "Sun Nov 2 12:00:20 2026",
      "Sun Nov 22 12:00:20 2026 GMT",
      "2026-11-22T12:00:20Z",
      "11/22/2026 12:00:20",
      "1795348820"
    ]
    for (const value of values) {
      it(JSON.stringify(value), () => strictEqual(parseHttpDate(value, now), undefined))
    }
  })

  it("reads back every date, whatever the machine's time zone", () => {
    const seconds = FastCheck.integer({ min: 0, max: 4_102_444_800 })
    FastCheck.assert(FastCheck.property(seconds, (second) => {
      const date = new Date(second * 1000)
      strictEqual(parseHttpDate(date.toUTCString(), now), date.getTime())
    }))
  })

  it("never throws and never invents a number", () => {
    FastCheck.assert(FastCheck.property(FastCheck.string(), (value) => {
      strictEqual(parseHttpDate(value, now), undefined)
    }))
  })
})

describe("parseTimestamp", () => {
  const timestamps: ReadonlyArray<readonly [string, number | undefined]> = [
    ["2026-11-22T12:00:20Z", expected],
    ["2026-11-22t12:00:20z", expected],
    ["2026-11-22T12:00:20.0001Z", expected + 1],
    ["2026-11-22T12:00:20.250Z", expected + 250],
    ["2026-11-22T14:00:20+02:00", expected],
    ["2026-11-22T06:30:20-05:30", expected],
    ["2026-11-22T12:00:20", undefined],
    ["2026-11-22", undefined],
    ["2026-11-31T12:00:20Z", undefined],
    ["2026-13-22T12:00:20Z", undefined],
    ["2026-11-22T12:00:20+2", undefined],
    ["2026-11-22T12:00:20+24:00", undefined],
    ["Sun, 22 Nov 2026 12:00:20 GMT", undefined]
  ]
  for (const [value, time] of timestamps) {
    it(`${value} is ${time === undefined ? "no timestamp" : "read"}`, () => strictEqual(parseTimestamp(value), time))
  }
})
