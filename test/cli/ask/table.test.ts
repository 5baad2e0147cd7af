import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Either, Redacted } from "effect"
import type { CallReport } from "effect-resilience"
import { ProviderError } from "effect-resilience"
import * as Table from "../../../src/cli/ask/table.js"
import { plain } from "../terminal.js"

const attempt = (fields: Partial<CallReport.Attempt>): CallReport.Attempt => ({
  provider: "demo",
  model: "gpt-4o",
  number: 1,
  resend: 0,
  outcome: "ServerError",
  status: 503,
  requestId: "req_1",
  dropped: [],
  error: undefined,
  chunks: 0,
  skippedFrames: 0,
  timeToFirstChunk: undefined,
  startedAfter: Duration.zero,
  duration: Duration.millis(10),
  waitedBefore: Duration.zero,
  ...fields
})

const report: CallReport.CallReport = {
  outcome: "Success",
  error: undefined,
  attempts: [
    attempt({}),
    attempt({ number: 2, resend: 1, waitedBefore: Duration.millis(150) }),
    attempt({ number: 3, model: "gpt-4o-mini", outcome: "Success", status: 200, duration: Duration.seconds(2) })
  ],
  answeredBy: { provider: "demo", model: "gpt-4o-mini" },
  waits: [{
    provider: "demo",
    model: "gpt-4o",
    reason: "backoff",
    startedAfter: Duration.millis(10),
    delay: Duration.millis(149),
    duration: Duration.millis(150)
  }],
  retries: 1,
  fallbacks: 1,
  continuations: 0,
  restarts: 0,
  timeToFirstChunk: undefined,
  denials: [{ provider: "demo", model: "gpt-4o", by: "attempts" }],
  stoppedBy: undefined,
  duration: Duration.millis(2190),
  waited: Duration.millis(150),
  worked: Duration.millis(2020)
}

describe("table", () => {
  it("has a row for each provider and one for all of them", () => {
    deepStrictEqual(plain(Table.summary([report], report.duration, 16)), [
      "Summary",
      "                    attempts   retries    worked    waited  denied by",
      "  demo gpt-4o              2         1     20 ms    150 ms  attempts",
      "  demo gpt-4o-mini         1         0       2 s      0 ms  -",
      "  in all                   3         1    2.02 s    150 ms",
      "  1 fallback, 2.19 s from first to last"
    ])
  })

  it("has a row for a provider that was denied before it was asked", () => {
    const denials: CallReport.CallReport["denials"] = [{ provider: "demo", model: "late", by: "deadline" }]
    deepStrictEqual(
      plain(Table.summary([{ ...report, denials }], report.duration, 16))[4],
      "  demo late                0         0      0 ms      0 ms  deadline"
    )
  })

  it("says each reason for a denial once", () => {
    const by = (by: CallReport.DeniedBy) => ({ provider: "demo", model: "gpt-4o", by })
    const denials = [by("attempts"), by("attempts"), by("deadline")]
    assertTrue(plain(Table.summary([{ ...report, denials }], report.duration, 16))[2]?.endsWith("  attempts, deadline"))
  })

  it("sums several calls up, and says how many were answered, by whom", () => {
    const failed = {
      outcome: Either.left("down"),
      report: { ...report, attempts: [attempt({})], waits: [], answeredBy: undefined }
    }
    const calls = [failed, { outcome: Either.right("Hello"), report }]
    deepStrictEqual(plain(Table.answers(calls)), ["1 of 2 calls answered, 1 by demo gpt-4o-mini"])
    deepStrictEqual(plain(Table.answers([failed])), ["0 of 1 calls answered"])
    deepStrictEqual(plain(Table.summary(calls.map(({ report }) => report), Duration.seconds(5), 16)), [
      "Summary",
      "                    attempts   retries    worked    waited  denied by",
      "  demo gpt-4o              3         1     30 ms    150 ms  attempts",
      "  demo gpt-4o-mini         1         0       2 s      0 ms  -",
      "  in all                   4         2    4.04 s    300 ms",
      "  2 fallbacks, 5 s from first to last"
    ])
  })

  it("counts chunks, continuations and restarts where there are any, and says when the first chunk came", () => {
    const streamed: CallReport.CallReport = {
      ...report,
      attempts: [attempt({ chunks: 3 }), attempt({ model: "gpt-4o-mini", chunks: 4 })],
      continuations: 1,
      restarts: 2,
      timeToFirstChunk: Duration.millis(40)
    }
    deepStrictEqual(plain(Table.summary([streamed], report.duration, 16)), [
      "Summary",
      "                    attempts   retries    worked    waited    chunks  denied by",
      "  demo gpt-4o              1         0     10 ms    150 ms         3  attempts",
      "  demo gpt-4o-mini         1         0     10 ms      0 ms         4  -",
      "  in all                   2         1    2.02 s    150 ms         7",
      "  1 fallback, 1 continuation, 2 restarts, the first chunk after 40 ms, 2.19 s from first to last"
    ])
    const late = { ...streamed, timeToFirstChunk: Duration.seconds(2) }
    assertInclude(
      plain(Table.summary([late, report, streamed], report.duration, 16)).join("\n"),
      "first chunks after 40 ms to 2 s"
    )
  })

  it("names everyone who wrote a part of an answer that was continued", () => {
    const attempts = [attempt({ chunks: 3 }), attempt({}), attempt({ model: "gpt-4o-mini", chunks: 4 })]
    deepStrictEqual(plain(Table.answer("Hello.", { ...report, attempts, continuations: 1 })), [
      "Answer from demo gpt-4o and demo gpt-4o-mini",
      "  Hello."
    ])
  })

  it("does not repeat an answer that was read as it came, and says so when only a part of it was", () => {
    deepStrictEqual(plain(Table.answer("Hello.", report, true)), ["Answer from demo gpt-4o-mini, as it came, above"])
    const cut = new ProviderError.ServerError({ message: "cut", reason: "Truncated" })
    deepStrictEqual(plain(Table.failure(cut, true))[0], "No whole answer: what came, above, is a part")
  })

  it("shows the answer and who gave it", () => {
    deepStrictEqual(plain(Table.answer("Hello.\n\nBye.", report)), [
      "Answer from demo gpt-4o-mini",
      "  Hello.",
      "",
      "  Bye."
    ])
    deepStrictEqual(plain(Table.answer("", report)), ["Answer from demo gpt-4o-mini", "  (no text)"])
  })

  it("keeps what a terminal would obey out of the answer", () => {
    deepStrictEqual(plain(Table.answer("a\u001b[2Jb\r\nc\u009b31md\te", report)), [
      "Answer from demo gpt-4o-mini",
      "  a[2Jb",
      "  c31md\te"
    ])
  })

  it("shows an error in plain words", () => {
    const error = new ProviderError.ServerError({
      message: "demo gpt-4o: overloaded (503)",
      reason: "Overloaded",
      requestId: "req_1",
      retryAfter: Duration.seconds(2)
    })
    deepStrictEqual(plain(Table.failure(error)), [
      "No answer",
      "  error        ServerError",
      "  reason       Overloaded",
      "  message      demo gpt-4o: overloaded (503)",
      "  request id   req_1",
      "  retry after  2 s"
    ])
  })

  it("leaves out what an error does not say, and what the provider wrote", () => {
    const limited = new ProviderError.RateLimited({ message: "rate limited", detail: Redacted.make("the prompt") })
    deepStrictEqual(plain(Table.failure(limited)), [
      "No answer",
      "  error        RateLimited",
      "  message      rate limited"
    ])
    deepStrictEqual(plain(Table.failure(ProviderError.timedOut("Deadline", Duration.seconds(3)))).slice(1, 3), [
      "  error        Timeout",
      "  scope        Deadline"
    ])
    const rejected = new ProviderError.CircuitOpen({ message: "circuit open", circuit: "openai" })
    deepStrictEqual(plain(Table.failure(rejected))[1], "  error        CircuitOpen")
  })
})
