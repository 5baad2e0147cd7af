import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, deepStrictEqual } from "@effect/vitest/utils"
import { Duration, Redacted } from "effect"
import type { CallReport, CircuitBreaker } from "effect-resilience"
import { ProviderError } from "effect-resilience"
import * as Live from "../../../src/cli/ask/live.js"
import { plain } from "../terminal.js"

const target = { provider: "openai", model: "gpt-4o" }
const WIDTH = 18

const attempt = (fields: Partial<CallReport.Attempt> = {}): CallReport.Attempt => ({
  ...target,
  number: 1,
  resend: 0,
  outcome: "Success",
  status: 200,
  requestId: "req_1",
  dropped: [],
  error: undefined,
  chunks: 0,
  skippedFrames: 0,
  timeToFirstChunk: undefined,
  startedAfter: Duration.millis(2),
  duration: Duration.millis(1234),
  waitedBefore: Duration.zero,
  ...fields
})

const ended = (fields: Partial<CallReport.Attempt>): CallReport.Event => ({
  _tag: "AttemptEnded",
  attempt: attempt(fields)
})

const shown = (event: CallReport.Event) => plain(Live.lines(WIDTH)(event))

const denied = (by: CallReport.DeniedBy): CallReport.Event => ({ _tag: "Denied", denial: { ...target, by } })

describe("live", () => {
  it("shows an attempt under the names of its columns", () => {
    deepStrictEqual(plain([Live.heading(WIDTH), ...Live.lines(WIDTH)(ended({}))]), [
      "   #       at  asked               status  outcome                          took  request id",
      "   1     2 ms  openai gpt-4o       200     Success                        1.23 s  req_1"
    ])
  })

  it("shows tag and reason of an error, and the wait it asks for", () => {
    const error = new ProviderError.ServerError({
      message: "overloaded",
      reason: "Overloaded",
      retryAfter: Duration.seconds(20)
    })
    deepStrictEqual(shown(ended({ number: 12, outcome: "ServerError", status: 503, error })), [
      "  12     2 ms  openai gpt-4o       503     ServerError (Overloaded)       1.23 s  req_1",
      "               asks for a wait of 20 s (Retry-After)"
    ])
  })

  it("shows which limit ran out, and a dash for what never came", () => {
    const error = ProviderError.timedOut("Attempt", Duration.seconds(2), target)
    deepStrictEqual(shown(ended({ outcome: "Timeout", status: undefined, requestId: undefined, error })), [
      "   1     2 ms  openai gpt-4o       -       Timeout (Attempt)              1.23 s  -"
    ])
  })

  it("shows what came of a stream, if anything did", () => {
    const error = ProviderError.timedOut("Idle", Duration.seconds(1), target)
    deepStrictEqual(
      shown(ended({ outcome: "Timeout", error, chunks: 12, timeToFirstChunk: Duration.millis(35), skippedFrames: 1 })),
      [
        "   1     2 ms  openai gpt-4o       200     Timeout (Idle)                 1.23 s  req_1",
        "               12 chunks, the first after 35 ms, 1 frame that could not be read"
      ]
    )
  })

  it("shows who goes on with a stream that broke, and that what came is taken back when it begins anew", () => {
    const error = new ProviderError.ServerError({ message: "cut", reason: "Truncated" })
    const resumed = (how: "continuation" | "restart") =>
      shown({ _tag: "Resumed", how, from: target, to: target, error })
    deepStrictEqual(resumed("continuation"), ["               continued by openai gpt-4o"])
    deepStrictEqual([...resumed("restart"), ...plain([Live.takenBack])], [
      "               begun anew by openai gpt-4o",
      "               taken back: forget what came so far, a new answer follows"
    ])
  })

  it("shows an outcome without an error of the library by its name", () => {
    assertInclude(shown(ended({ outcome: "Interrupted", status: undefined }))[0], "Interrupted")
  })

  it("shows how long is waited and why", () => {
    const waiting = (reason: CallReport.WaitReason): CallReport.Event => ({
      _tag: "Waiting",
      target,
      delay: Duration.millis(143.4),
      reason
    })
    deepStrictEqual(shown(waiting("backoff")), [
      "               wait 143 ms (backoff), then ask openai gpt-4o again"
    ])
    deepStrictEqual(shown(waiting("Retry-After")), [
      "               wait 143 ms (Retry-After), then ask openai gpt-4o again"
    ])
    deepStrictEqual(shown(waiting("pause")), [
      "               wait 143 ms (pause), as everyone was asked to, then ask openai gpt-4o"
    ])
    deepStrictEqual(shown(waiting("bulkhead")), [
      "               wait in line for 143 ms at most (bulkhead), then ask openai gpt-4o"
    ])
  })

  it("explains each denial", () => {
    const all: ReadonlyArray<CallReport.DeniedBy> = [
      "attempts",
      "budget",
      "bulkhead",
      "circuit",
      "deadline",
      "not retryable",
      "patience",
      "pause",
      "Retry-After too long",
      "unsupported"
    ]
    all.forEach((by) => {
      const [line = ""] = shown(denied(by))
      assertInclude(line, `denied by ${by}: `)
      assertTrue(line.length <= 100, line)
    })
  })

  it("shows who is asked next", () => {
    const error = new ProviderError.RateLimited({ message: "slow down" })
    deepStrictEqual(shown({ _tag: "FellBack", from: target, to: { ...target, model: "gpt-4o-mini" }, error }), [
      "               fallback to openai gpt-4o-mini"
    ])
  })

  it("shows where a circuit goes, and what opened it", () => {
    const opened: CircuitBreaker.Transition = {
      circuit: "openai gpt-4o",
      from: "Closed",
      to: "Open",
      openedBy: { tag: "ServerError", reason: "Overloaded", status: 503 }
    }
    deepStrictEqual(
      plain([
        Live.transition(opened),
        Live.transition({ ...opened, openedBy: { tag: "Timeout" } }),
        Live.transition({ circuit: "openai gpt-4o", from: "HalfOpen", to: "Closed" })
      ]),
      [
        "               circuit openai gpt-4o: Closed > Open (ServerError Overloaded 503)",
        "               circuit openai gpt-4o: Closed > Open (Timeout)",
        "               circuit openai gpt-4o: HalfOpen > Closed"
      ]
    )
  })

  it("says which of several calls the next lines are about, and how one of them failed", () => {
    const limited = new ProviderError.RateLimited({ message: "slow down", detail: Redacted.make("the prompt") })
    deepStrictEqual(
      plain([
        Live.titleOf(1, 3),
        Live.titleOf(2, 3, { after: "2 seconds" }),
        Live.titleOf(3, 3, { user: "anna" }),
        Live.noAnswer(limited)
      ]),
      ["Call 1 of 3", "Call 2 of 3, 2 s later", "Call 3 of 3, by anna", "               no answer: RateLimited"]
    )
  })

  it("shows an attempt under way as a passing line, and nothing lasting", () => {
    const asked = { _tag: "AttemptStarted", number: 3, resend: 0, startedAfter: Duration.zero, target } as const
    deepStrictEqual(plain([Live.asking(asked, WIDTH)]), ["   3     0 ms  openai gpt-4o       asking …"])
    deepStrictEqual(shown(asked), [])
  })
})
