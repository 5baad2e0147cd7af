import { describe, it } from "@effect/vitest"
import { assertTrue, strictEqual } from "@effect/vitest/utils"
import { FastCheck } from "effect"
import { type Classified, classifyInBand, classifyResponse, classifyTransport } from "../../src/internal/classify.js"

const now = Date.UTC(2026, 10, 22, 12, 0, 0)

const serverReasons = [
  "Internal",
  "Overloaded",
  "Unavailable",
  "BadGateway",
  "Conflict",
  "FailedDependency",
  "Connection",
  "Malformed",
  "Truncated"
]
const clientReasons = [
  "InvalidRequest",
  "Authentication",
  "PermissionDenied",
  "NotFound",
  "RequestTooLarge",
  "ContextLengthExceeded",
  "ContentFiltered",
  "QuotaExhausted"
]

const isPlain = (value: string | undefined, length: number): boolean =>
  value === undefined || (value.length <= length && /^[\w.:/-]+$/.test(value))

const assertSound = (classified: Classified) => {
  switch (classified._tag) {
    case "ServerError":
      assertTrue(serverReasons.includes(classified.reason))
      break
    case "ClientError":
      assertTrue(clientReasons.includes(classified.reason))
      break
    default:
      assertTrue(classified._tag === "RateLimited" || classified._tag === "Timeout")
  }
  const wait = classified.retryAfterMs
  assertTrue(wait === undefined || (Number.isSafeInteger(wait) && wait >= 0), `a wait of ${wait}`)
  assertTrue(isPlain(classified.code, 64) && isPlain(classified.requestId, 128))
  assertTrue((classified.detail?.length ?? 0) <= 2_000)
}

const word = FastCheck.constantFrom(
  "insufficient_quota",
  "rate_limit_exceeded",
  "RESOURCE_EXHAUSTED",
  "overloaded_error",
  "error",
  "36s",
  "-1s",
  "RequestsPerDay",
  "please try again in 5s",
  "limit: 0",
  "<html>",
  "{\"error\":{\"message\":\"inner\"}}"
)
const key = FastCheck.constantFrom(
  "error",
  "errors",
  "message",
  "type",
  "code",
  "status",
  "detail",
  "details",
  "metadata",
  "raw",
  "response",
  "choices",
  "retryDelay",
  "violations",
  "quotaId",
  "reason",
  "__type",
  "__proto__",
  "constructor"
)
const { tree } = FastCheck.letrec<{ tree: unknown }>((tie) => ({
  tree: FastCheck.oneof(
    { maxDepth: 6 },
    FastCheck.oneof(word, FastCheck.string(), FastCheck.double(), FastCheck.constant(null), FastCheck.boolean()),
    FastCheck.array(tie("tree"), { maxLength: 3 }),
    FastCheck.dictionary(key, tie("tree"), { maxKeys: 6 })
  )
}))
const headers = FastCheck.dictionary(
  FastCheck.constantFrom(
    "retry-after",
    "retry-after-ms",
    "date",
    "x-request-id",
    "x-amzn-errortype",
    "x-should-retry",
    "ratelimit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset"
  ),
  FastCheck.oneof(FastCheck.string(), word, FastCheck.integer().map(String))
)
const status = FastCheck.oneof(
  FastCheck.integer({ min: 100, max: 999 }),
  FastCheck.constantFrom(200, 400, 403, 429, 503)
)

describe("whatever comes over the wire", () => {
  it("any bytes are classified", () => {
    const bytes = FastCheck.oneof(FastCheck.string(), FastCheck.string({ unit: "binary" }))
    FastCheck.assert(FastCheck.property(status, headers, bytes, (status, headers, body) => {
      assertSound(classifyResponse({ status, headers, body, now }))
    }))
  })

  it("any JSON is classified, as a body and in band", () => {
    FastCheck.assert(
      FastCheck.property(status, headers, tree, (status, headers, value) => {
        const body = JSON.stringify(value)
        assertSound(classifyResponse({ status, headers, body, now }))
        assertSound(classifyResponse({ status, headers, body: body.slice(0, body.length / 2), now }))
        const decoded: unknown = JSON.parse(body)
        const inBand = classifyInBand(decoded, headers, now)
        if (inBand !== undefined) assertSound(inBand)
      }),
      { numRuns: 500 }
    )
  })

  it("a 4xx other than 408, 409, 424 and 429 is final, whatever is in it", () => {
    const final = FastCheck.integer({ min: 400, max: 499 }).filter((status) => ![408, 409, 424, 429].includes(status))
    FastCheck.assert(FastCheck.property(final, headers, tree, (status, headers, value) => {
      strictEqual(classifyResponse({ status, headers, body: JSON.stringify(value), now })._tag, "ClientError")
    }))
  })

  it("every 402 is an exhausted quota", () => {
    FastCheck.assert(FastCheck.property(headers, tree, (headers, value) => {
      const classified = classifyResponse({ status: 402, headers, body: JSON.stringify(value), now })
      assertTrue(classified._tag === "ClientError" && classified.reason === "QuotaExhausted")
    }))
  })

  it("any transport failure is classified", () => {
    const failure = FastCheck.record(
      { code: FastCheck.string(), message: FastCheck.string(), bodyStarted: FastCheck.boolean() },
      { requiredKeys: [] }
    )
    FastCheck.assert(FastCheck.property(failure, (failure) => assertSound(classifyTransport(failure))))
  })
})

describe("a hostile megabyte is classified at once", () => {
  const size = 1_000_000
  const fill = (piece: string) => piece.repeat(Math.ceil(size / piece.length))
  const bodies: ReadonlyArray<readonly [string, string]> = [
    ["deep arrays", `${"[".repeat(size / 2)}${"]".repeat(size / 2)}`],
    ["deep objects", `${"{\"error\":".repeat(size / 10)}1${"}".repeat(size / 10)}`],
    ["deep arrays in an error", `{"error":${"[".repeat(size / 2)}${"]".repeat(size / 2)}}`],
    ["open brackets", fill("[")],
    ["backslashes", `{"error":"${fill("\\\\")}"}`],
    ["spaces", `{"error":{"message":"x${" ".repeat(size)}x"}}`],
    ["plain spaces", `x${" ".repeat(size)}x`],
    ["digits", `{"error":{"message":"try again in ${fill("1")}"}}`],
    [
      "durations",
      `{"error":{"retryDelay":"${fill("1")}","details":[{"metadata":{"quotaResetDelay":"${fill("1s")}"}}]}}`
    ],
    ["words", `{"error":{"message":"${fill("prompt tokens exceed context ")}"}}`],
    ["retries", `{"error":{"message":"${fill("try again ")}"}}`],
    ["URLs", `{"error":{"message":"${fill("https://")}"}}`],
    ["slashes in a type", `{"type":"https:${fill("/")}x","title":"x"}`],
    ["quotas", `{"error":{"details":[{"violations":[${fill("{\"quotaId\":\"perperper\"},")}{}]}]}}`],
    ["many errors", `{"errors":[${fill("{\"a\":1},")}{}]}`],
    ["many elements", `[${fill("{\"a\":1},")}{}]`],
    ["many choices", `{"choices":[${fill("{\"a\":1},")}{}]}`],
    [
      "objects that have no text",
      "{\"detail\":[{\"msg\":\"m\",\"loc\":[{\"toString\":1}]}],\"details\":[{\"retryDelay\":" +
      "{\"seconds\":{\"toString\":1,\"valueOf\":1}}}],\"status\":{\"toString\":1}}"
    ],
    [
      "deep arrays where a text is expected",
      `{"detail":[{"msg":"m","loc":[${"[".repeat(size / 2)}${"]".repeat(size / 2)}]}]}`
    ],
    ["HTML", fill("<html>")],
    ["JSON in text", `x{${fill("}{")}}`]
  ]
  for (const [name, body] of bodies) {
    it(name, () => {
      const started = performance.now()
      for (const status of [200, 400, 403, 429, 503]) assertSound(classifyResponse({ status, headers: {}, body, now }))
      assertTrue(performance.now() - started < 5_000)
    }, 60_000)
  }

  it("headers too", () => {
    const started = performance.now()
    for (const name of ["retry-after", "ratelimit", "x-ratelimit-reset", "x-amzn-errortype", "x-request-id", "date"]) {
      for (const piece of ["1", "5,", "a;b=1,", " ", "\"", "Sun, "]) {
        assertSound(classifyResponse({ status: 429, headers: { [name]: fill(piece) }, body: "", now }))
      }
    }
    assertTrue(performance.now() - started < 10_000)
  }, 60_000)
})
