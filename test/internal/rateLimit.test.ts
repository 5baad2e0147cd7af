import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck } from "effect"
import { parseRateLimits, type RateLimitBucket, resetHint } from "../../src/internal/rateLimit.js"
import type { HeaderRecord } from "../../src/internal/retryAfter.js"
import { parseList } from "../../src/internal/structuredField.js"

const now = Date.UTC(2026, 10, 22, 12, 0, 0)

/** Without the parts that are absent. */
const buckets = (headers: HeaderRecord): ReadonlyArray<Partial<RateLimitBucket>> =>
  parseRateLimits(headers, now).map((bucket) =>
    Object.fromEntries(Object.entries(bucket).filter(([, value]) => value !== undefined))
  )

describe("parseRateLimits", () => {
  const tables: ReadonlyArray<readonly [string, HeaderRecord, ReadonlyArray<RateLimitBucket>]> = [
    [
      "OpenAI and Groq: Go durations until the bucket is full",
      {
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-reset-requests": "8.64s",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6m0s"
      },
      [
        { name: "requests", resets: "full", limit: 10_000, remaining: 9_999, resetMs: 8_640 },
        { name: "tokens", resets: "full", limit: 200_000, remaining: 0, resetMs: 360_000 }
      ]
    ],
    [
      "Azure: whole seconds, -1 for unknown, and a misspelt name",
      {
        "x-ratelimit-limit-tokens": "-1",
        "x-ratelimit-remaining-tokens": "-1",
        "x-rate-limit-reset-tokens": "55"
      },
      [{ name: "tokens", resets: "full", resetMs: 55_000 }]
    ],
    [
      "OpenRouter: the window's end in milliseconds since the epoch",
      { "x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(now + 1_500) },
      [{ name: "default", resets: "available", limit: 20, remaining: 0, resetMs: 1_500 }]
    ],
    [
      "Anthropic: RFC 3339, when the bucket is full",
      {
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2026-11-22T12:00:30Z",
        "anthropic-ratelimit-requests-reset": "2026-11-22T12:00:30",
        "anthropic-priority-output-tokens-reset": "2026-11-22T14:00:30+02:00"
      },
      [
        { name: "input-tokens", resets: "full", limit: 40_000, remaining: 0, resetMs: 30_000 },
        { name: "requests", resets: "full" },
        { name: "priority-output-tokens", resets: "full", resetMs: 30_000 }
      ]
    ],
    [
      "Anthropic's plans: the window's end in seconds since the epoch",
      {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": String(now / 1000 + 90)
      },
      [{ name: "unified", resets: "available", remaining: 0, resetMs: 90_000 }]
    ],
    [
      "RateLimit and RateLimit-Policy",
      {
        "ratelimit": "\"default\";r=50;t=30, \"burst\";r=0;t=2",
        "ratelimit-policy": "\"burst\";q=100;w=60;qu=\"requests\""
      },
      [
        { name: "default", resets: "available", remaining: 50, resetMs: 30_000 },
        { name: "burst", resets: "available", limit: 100, remaining: 0, resetMs: 2_000 }
      ]
    ],
    [
      "the older RateLimit fields",
      { "ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "0", "ratelimit-reset": "7" },
      [{ name: "default", resets: "available", limit: 100, remaining: 0, resetMs: 7_000 }]
    ],
    ["a point in time that has passed", { "ratelimit-reset": "1700000000" }, [
      { name: "default", resets: "available", resetMs: 0 }
    ]],
    ["nothing of the kind", { "content-type": "application/json", "retry-after": "5" }, []]
  ]
  for (const [name, headers, expected] of tables) {
    it(name, () => deepStrictEqual(buckets(headers), expected))
  }

  describe("leaves out what makes no sense", () => {
    const values = ["-1", "NaN", "", "1e9", "soon", "0x10", "1.5.5", "9".repeat(30), "\u0661"]
    for (const value of values) {
      it(
        JSON.stringify(value),
        () =>
          deepStrictEqual(buckets({ "x-ratelimit-remaining-requests": value }), [{ name: "requests", resets: "full" }])
      )
    }
  })
})

describe("parseList", () => {
  it("reads names and numeric parameters", () => {
    const list = parseList("\"a\\\"b;,\";r=1;pk=:YWJj:;x;y=?1;z=tok ,\tc; t=1.5") ?? []
    deepStrictEqual(list.map(({ name, numbers }) => [name, [...numbers]]), [
      ["a\"b;,", [["r", 1]]],
      ["c", [["t", 1.5]]]
    ])
  })

  for (
    const value of [
      "",
      "\"a",
      "\"a\";",
      "\"a\";r=",
      "\"a\",",
      "\"a\" \"b\"",
      "a ;r=1",
      "(a b)",
      "\"a\";R=1",
      "\u00e4",
      "5"
    ]
  ) {
    it(`ignores ${JSON.stringify(value)} as a whole`, () => strictEqual(parseList(value), undefined))
  }

  it("the last of repeated parameters counts", () =>
    deepStrictEqual([...(parseList("a;r=1;r=2")?.[0]?.numbers ?? [])], [["r", 2]]))
})

describe("resetHint", () => {
  const hints: ReadonlyArray<readonly [string, HeaderRecord, number | undefined]> = [
    ["an empty window", { "ratelimit": "\"a\";r=0;t=30" }, 30_000],
    ["a window with room", { "ratelimit": "\"a\";r=1;t=30" }, undefined],
    ["all empty windows", { "ratelimit": "\"a\";r=0;t=30, \"b\";r=0;t=5, \"c\";r=9;t=99" }, 30_000],
    ["an unknown remainder", { "ratelimit": "\"a\";t=30" }, undefined],
    ["an unknown reset", { "ratelimit-remaining": "0" }, undefined],
    ["OpenRouter's window", { "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(now + 2_000) }, 2_000],
    ["a full bucket is an upper bound", {
      "x-ratelimit-remaining-tokens": "0",
      "x-ratelimit-reset-tokens": "6m0s",
      "anthropic-ratelimit-requests-remaining": "0",
      "anthropic-ratelimit-requests-reset": "2026-11-22T12:00:30Z"
    }, undefined],
    ["nothing", {}, undefined]
  ]
  for (const [name, headers, expected] of hints) {
    it(`${name}: ${expected ?? "absent"}`, () => strictEqual(resetHint(headers, now), expected))
  }

  it("is a safe whole number, not negative, or absent, for any headers", () => {
    const name = FastCheck.constantFrom(
      "x-ratelimit-remaining",
      "x-ratelimit-reset",
      "ratelimit",
      "ratelimit-policy",
      "ratelimit-remaining",
      "ratelimit-reset",
      "anthropic-ratelimit-unified-status",
      "anthropic-ratelimit-unified-reset"
    )
    const value = FastCheck.oneof(
      FastCheck.string(),
      FastCheck.constantFrom("0", "rejected", "\"a\";r=0;t=5", "\"a\";r=0;t=-5", "9".repeat(40)),
      FastCheck.bigInt().map(String),
      FastCheck.double().map(String)
    )
    FastCheck.assert(FastCheck.property(FastCheck.dictionary(name, value), (headers) => {
      const wait = resetHint(headers, now)
      assertTrue(wait === undefined || (Number.isSafeInteger(wait) && wait >= 0))
    }))
  })
})
