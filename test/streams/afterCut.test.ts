import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, Fiber, Ref, Stream, TestClock } from "effect"
import { ChatProvider, Fallback, Resilience, RetryBudget } from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { badDurations, clientError, fromJson, nameOf, overloaded, refuses, timeout } from "../utils.js"
import { read, request, scripted, silentAfter, texts } from "./reading.js"

const BEGUN = ["Once upon a time ", "there was a king "]
const cut = texts(BEGUN, 0, overloaded())
const THE_REST = "who had three daughters"
const WHOLE = [...BEGUN, THE_REST].join("")

const continuing: Fallback.Options = { onCut: "continue" }
const tool: ChatProvider.ChatChunk = {
  choices: [{ index: 0, delta: { tool_calls: [{ index: 0, id: "call_1", function: { name: "f", arguments: "{" } }] } }]
}

/** The last messages that a provider was sent, after the user's. */
const lastMessages = (asked: ReadonlyArray<ScriptedProvider.Asked>) =>
  asked.at(-1)?.request.messages.slice(1).map(({ content, role }) => [role, content])

describe("onCut: fail", () => {
  it.effect("is the default: what was delivered stays, and the error that cut it follows", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", cut)
      const backup = yield* scripted("b")
      const seen = yield* read(Fallback.layer(provider.layer, backup.layer))
      deepStrictEqual([seen.text, seen.end], [BEGUN.join(""), "ServerError"])
      deepStrictEqual(seen.report.attempts.map(({ chunks, outcome }) => [outcome, chunks]), [["ServerError", 2]])
    }))

  it.effect("a stream that falls silent fails after 15 seconds, and says so", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", silentAfter("Hel", "lo"))
      const seen = yield* read(provider.layer.pipe(Resilience.layer()))
      deepStrictEqual([seen.text, seen.end, seen.at.at(-1)], ["Hello", "Timeout Idle", 15_000])
    }))

  it.effect("a reader who is slow is not taken for a silent provider", () =>
    Effect.gen(function*() {
      const { protectStream } = yield* Resilience.make({ idle: "1 second" })
      const read = yield* Ref.make(0)
      const slow = Stream.runForEach(
        protectStream(texts(["a", "b", "c"], 500)),
        () => Effect.zipRight(Effect.sleep("1 minute"), Ref.update(read, (n) => n + 1))
      )
      const fiber = yield* Effect.fork(slow)
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(fiber)
      strictEqual(yield* Ref.get(read), 3)
    }))

  it.effect("chunks that say nothing are let through for four times as long", () =>
    Effect.gen(function*() {
      const nothing: ChatProvider.ChatChunk = { choices: [{ index: 0, delta: {} }] }
      const pings = Stream.forever(Stream.fromEffect(Effect.delay(Effect.succeed(nothing), "10 seconds")))
      const provider = yield* scripted("a", Stream.concat(Stream.make("Hello"), pings))
      const seen = yield* read(provider.layer.pipe(Resilience.layer()))
      deepStrictEqual([seen.text, seen.end, seen.at.at(-1)], ["Hello", "Timeout Idle", 60_000])
    }))
})

describe("onCut: continue", () => {
  it.effect("the rest is asked for from the same provider, which is told what it said", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", cut, THE_REST)
      const seen = yield* read(Fallback.layer(continuing, provider.layer))
      deepStrictEqual([seen.text, seen.end], [WHOLE, "whole"])
      deepStrictEqual([seen.report.continuations, seen.report.outcome], [1, "Success"])
      const asked = yield* provider.asked
      const messages = lastMessages(asked)
      deepStrictEqual(messages?.[0], ["assistant", BEGUN.join("").trimEnd()])
      strictEqual(messages?.[1]?.[0], "user")
      const [first, second] = asked.map((one) => one.idempotencyKey)
      strictEqual(second, `${first}-2`)
    }))

  it.effect("what the continuation repeats is left out", () =>
    Effect.gen(function*() {
      for (const repeated of ["there was a king ", "upon a time there was a king ", BEGUN.join("")]) {
        const provider = yield* scripted("a", cut, texts([...`${repeated}${THE_REST}`]))
        const seen = yield* read(Fallback.layer(continuing, provider.layer))
        deepStrictEqual([seen.text, seen.end], [WHOLE, "whole"])
      }
    }))

  it.effect("after a silence the next provider goes on, if there is one", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", silentAfter(...BEGUN))
      const backup = yield* scripted("b", THE_REST)
      const seen = yield* read(Fallback.layer(continuing, provider.layer, backup.layer))
      deepStrictEqual([seen.text, seen.end, seen.at.at(-1)], [WHOLE, "whole", 15_000])
    }))

  it.effect("max_tokens is less by what was delivered", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", cut, THE_REST)
      yield* read(
        Fallback.layer(continuing, provider.layer),
        ChatProvider.stream({ ...request, max_tokens: 100 })
      )
      const limits = (yield* provider.asked).map((one) => one.request.max_tokens)
      strictEqual(limits[0], 100)
      assertTrue((limits[1] ?? 0) < 100 && (limits[1] ?? 0) > 80)
    }))

  it.effect("three times at most", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", ...["1", "2", "3", "4"].map((n) => texts([n], 0, overloaded())))
      const seen = yield* read(Fallback.layer(continuing, provider.layer))
      deepStrictEqual([seen.text, seen.end, seen.report.continuations], ["1234", "ServerError", 3])
    }))

  it.effect("the error that cut the answer surfaces, not what became of the continuation", () =>
    Effect.gen(function*() {
      for (const failure of [clientError("InvalidRequest"), clientError("Authentication"), timeout("Attempt")]) {
        const provider = yield* scripted("a", cut, failure, failure)
        const seen = yield* read(Fallback.layer(continuing, provider.layer))
        deepStrictEqual([seen.text, seen.end], [BEGUN.join(""), "ServerError"])
      }
    }))

  it.effect("a continuation that is refused by one provider is asked of the next", () =>
    Effect.gen(function*() {
      for (const reason of ["PermissionDenied", "InvalidRequest"] as const) {
        const provider = yield* scripted("a", cut, clientError(reason))
        const backup = yield* scripted("b", THE_REST)
        const seen = yield* read(Fallback.layer(continuing, provider.layer, backup.layer))
        deepStrictEqual([seen.text, seen.end], [WHOLE, "whole"])
      }
    }))

  it.effect("it is paid for from the retry budget", () =>
    Effect.gen(function*() {
      const budget = yield* RetryBudget.make({ ratio: 0, initial: 1, minPerSecond: 0 })
      const provider = yield* scripted("a", ...["1", "2"].map((n) => texts([n], 0, overloaded())))
      const seen = yield* Effect.provideService(
        read(Fallback.layer(continuing, provider.layer)),
        RetryBudget.CurrentBudget,
        budget
      )
      deepStrictEqual([seen.text, seen.end], ["12", "ServerError"])
      deepStrictEqual(seen.report.denials.map(({ by }) => by), ["budget"])
    }))

  it.effect("what cannot be put together from two answers is not", () =>
    Effect.gen(function*() {
      const requests: ReadonlyArray<ChatProvider.ChatRequest> = [
        { ...request, response_format: { type: "json_object" } },
        { ...request, n: 2 },
        { ...request, logprobs: true }
      ]
      for (const one of requests) {
        const provider = yield* scripted("a", cut)
        const seen = yield* read(Fallback.layer(continuing, provider.layer), ChatProvider.stream(one))
        deepStrictEqual([seen.text, seen.end], [BEGUN.join(""), "ServerError"])
      }
      const provider = yield* scripted("a", Stream.concat(Stream.make(tool), Stream.fail(overloaded())))
      const seen = yield* read(Fallback.layer(continuing, provider.layer))
      strictEqual(seen.end, "ServerError")
    }))

  it.effect("nor is what no other provider would do otherwise", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", texts(BEGUN, 0, clientError("ContentFiltered")))
      const seen = yield* read(Fallback.layer(continuing, provider.layer))
      deepStrictEqual([seen.text, seen.end], [BEGUN.join(""), "ClientError"])
    }))

  it.effect("a reader who stops during the continuation lets go of it", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", cut, silentAfter("who had three "))
      const seen = yield* read(
        Fallback.layer(continuing, provider.layer),
        Stream.takeUntil(ChatProvider.stream(request), (chunk) => ChatProvider.deltaText(chunk).includes("three"))
      )
      deepStrictEqual([seen.text, seen.report.outcome], [`${BEGUN.join("")}who had three `, "Interrupted"])
    }))
})

describe("onCut: hold", () => {
  const holding: Fallback.Options = { onCut: "hold" }

  it.effect("nothing is released before the answer is whole, and every failure is retried", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", cut, texts([...BEGUN, THE_REST], 1000))
      const seen = yield* read(Fallback.layer(holding, provider.layer))
      deepStrictEqual([seen.text, seen.end, seen.report.retries], [WHOLE, "whole", 1])
      assertTrue(seen.at.every((at) => at === seen.at.at(-1)))
    }))

  it.effect("or falls over", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", silentAfter(...BEGUN))
      const backup = yield* scripted("b", WHOLE)
      const seen = yield* read(Fallback.layer(holding, provider.layer, backup.layer))
      deepStrictEqual([seen.text, seen.end, seen.report.fallbacks], [WHOLE, "whole", 1])
    }))

  it.effect("an answer may take longer than an attempt, while it comes", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", texts(Array.from({ length: 30 }, (_, n) => `${n} `), 5000))
      const seen = yield* read(Fallback.layer(holding, provider.layer))
      deepStrictEqual([seen.end, seen.at.at(-1), seen.report.attempts.length], ["whole", 150_000, 1])
    }))

  it.effect("the deadline covers all of it", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", texts(Array.from({ length: 30 }, (_, n) => `${n} `), 5000))
      const seen = yield* read(Fallback.layer({ ...holding, deadline: "20 seconds" }, provider.layer))
      deepStrictEqual([seen.text, seen.end, seen.at.at(-1)], ["", "Timeout Deadline", 20_000])
    }))
})

describe("streamWithRestarts", () => {
  const restarting = ChatProvider.streamWithRestarts(request)

  it.effect("says that it begins anew, and gives a whole answer", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", cut, WHOLE)
      const seen = yield* read(Fallback.layer(provider.layer), restarting)
      deepStrictEqual([seen.text, seen.end], [`${BEGUN.join("")}<restart>${WHOLE}`, "whole"])
      deepStrictEqual([seen.report.restarts, seen.report.continuations], [1, 0])
    }))

  it.effect("works for a provider with policies that is in no chain", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", cut, WHOLE)
      const seen = yield* read(provider.layer.pipe(Resilience.layer()), restarting)
      deepStrictEqual([seen.text, seen.end], [`${BEGUN.join("")}<restart>${WHOLE}`, "whole"])
    }))

  it.effect("a tool call, or a format, is no hindrance, since nothing is put together", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", Stream.concat(Stream.make("x", tool), Stream.fail(overloaded())), WHOLE)
      const seen = yield* read(
        Fallback.layer(provider.layer),
        ChatProvider.streamWithRestarts({ ...request, response_format: { type: "json_object" } })
      )
      deepStrictEqual([seen.text, seen.end], [`x<restart>${WHOLE}`, "whole"])
    }))

  it.effect("collect forgets what came before a restart", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", cut, WHOLE)
      const whole = yield* ChatProvider.collect(restarting).pipe(Effect.provide(Fallback.layer(provider.layer)))
      strictEqual(ChatProvider.text(whole), WHOLE)
    }))
})

describe("the options", () => {
  it("that cannot be meant are refused by name", () => {
    for (const [, input] of badDurations) {
      refuses("firstToken", () => Resilience.layer({ firstToken: input }))
      refuses("idle", () => Resilience.layer({ idle: input }))
    }
    refuses("onCut", () => Fallback.layer({ onCut: fromJson("\"resume\"") }, ScriptedProvider.layer([])))
  })
})

describe("an error in a stream", () => {
  it.effect("keeps its tag, whatever it is", () =>
    Effect.gen(function*() {
      for (const error of [overloaded(), timeout("Idle"), clientError("QuotaExhausted")]) {
        const provider = yield* scripted("a", texts(["a"], 0, error))
        const seen = yield* read(provider.layer.pipe(Resilience.layer()))
        strictEqual(seen.end, nameOf(error))
      }
    }))
})
