/** What streams promise together with what is around them: their readers, other policies, chains, tracers. */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Chunk, Context, Effect, Exit, FiberRef, Layer, Stream, Tracer } from "effect"
import { CallReport, ChatProvider, CircuitBreaker, Fallback, Resilience } from "effect-resilience"
import type { ProviderError } from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { OpenAiStream } from "../../src/internal/openAiStream.js"
import { chunksOf } from "../../src/runtime/eventStream.js"
import { CurrentActivity } from "../../src/runtime/opening.js"
import { onlyReport, overloaded, simulate } from "../utils.js"
import { read, request, scripted, texts } from "./reading.js"

type Texts = Stream.Stream<string, ProviderError.CallError>

const chunk = (content: string): ChatProvider.ChatChunk => ({ choices: [{ index: 0, delta: { content } }] })

describe("a reader that fails", () => {
  const failed = Effect.fail(overloaded())
  const readers: ReadonlyArray<readonly [string, (texts: Texts) => Effect.Effect<unknown, unknown>]> = [
    ["with an error", (texts) => Stream.runForEach(texts, () => failed)],
    ["with an error in a stream made of it", (texts) => Stream.runDrain(Stream.mapEffect(texts, () => failed))],
    ["with a stream beside it", (texts) => Stream.runDrain(Stream.zip(texts, Stream.concat(Stream.make(1), failed)))],
    ["with a defect", (texts) => Stream.runForEach(texts, () => Effect.dieMessage("reader"))]
  ]
  for (const [how, reading] of readers) {
    it.effect(`says nothing about the provider: ${how}`, () =>
      Effect.gen(function*() {
        const circuitBreaker = yield* CircuitBreaker.make({ trip: CircuitBreaker.consecutiveFailures(1) })
        const { protectStream } = yield* Resilience.make({ circuitBreaker })
        const { reports } = yield* CallReport.collect(reading(protectStream(texts(["a", "b", "c"]))))
        strictEqual(onlyReport(reports).outcome, "Interrupted")
        strictEqual((yield* circuitBreaker.state)._tag, "Closed")
      }))
  }
})

describe("what is given back", () => {
  it.effect("is given back although the tracer throws, and the answer is what it was", () =>
    Effect.gen(function*() {
      const tracer = Tracer.make({
        span: (name, parent, context, links, startTime, kind) => ({
          _tag: "Span",
          name,
          spanId: "1",
          traceId: "1",
          parent,
          context,
          links,
          sampled: true,
          kind,
          status: { _tag: "Started", startTime },
          attributes: new Map(),
          attribute: () => {},
          event: () => {},
          addLinks: () => {},
          end: () => {
            throw new Error("tracer")
          }
        }),
        context: (f) => f()
      })
      const provider = yield* scripted("a", "one", "two", "three")
      const context = yield* Layer.build(provider.layer.pipe(Resilience.layer({ maxConcurrent: 1 })))
      const ask = Effect.exit(Stream.runDrain(ChatProvider.stream(request))).pipe(
        Effect.provide(context),
        Effect.withTracer(tracer)
      )
      const { at, exit } = yield* simulate(Effect.all([ask, ask, ask]))
      assertTrue((yield* exit).every(Exit.isSuccess))
      strictEqual(at, 0)
    }).pipe(Effect.scoped))
})

describe("a continuation", () => {
  it.effect("that ends without a reason, in words that were said before, loses none of them", () =>
    Effect.gen(function*() {
      const answers = [
        Stream.concat(Stream.make(chunk("Once upon a time there was")), Stream.fail(overloaded())),
        Stream.make(chunk("Once "), chunk("upon"))
      ].values()
      const provider = Layer.succeed(ChatProvider.ChatProvider, {
        provider: "a",
        model: "m",
        complete: () => Effect.dieMessage("only streams"),
        stream: () => Stream.suspend(() => answers.next().value ?? Stream.empty)
      })
      const seen = yield* read(Fallback.layer({ onCut: "continue" }, provider))
      deepStrictEqual([seen.text, seen.end], ["Once upon a time there wasOnce upon", "whole"])
    }))
})

describe("a continuation that repeats", () => {
  it.effect("loses its words, but not the usage that comes with them", () =>
    Effect.gen(function*() {
      const usage = { total_tokens: 7 }
      const repeating = Stream.make(chunk("upon a time "), { ...chunk("there was"), usage }, chunk(" a king"))
      const provider = yield* scripted("a", texts(["Once upon a time there was"], 0, overloaded()), repeating)
      const { exit } = yield* simulate(
        ChatProvider.collect(ChatProvider.stream(request)).pipe(
          Effect.provide(Fallback.layer({ onCut: "continue" }, provider.layer))
        )
      )
      const answer = yield* exit
      strictEqual(ChatProvider.text(answer), "Once upon a time there was a king")
      strictEqual(answer.usage?.total_tokens, 7)
    }))
})

describe("an answer that is collected again", () => {
  it.effect("is put together anew each time, as a retry needs it", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", texts(["one ", "two"]), texts(["one ", "two"]))
      const collected = ChatProvider.collect(ChatProvider.stream(request)).pipe(Effect.map(ChatProvider.text))
      const answers = yield* Effect.all([collected, collected]).pipe(Effect.provide(provider.layer))
      deepStrictEqual(answers, ["one two", "one two"])
    }))
})

describe("a scripted answer", () => {
  it.effect("with two choices has both of them when it is streamed", () =>
    Effect.gen(function*() {
      const { choices: [choice] } = ScriptedProvider.answer("one two")
      const provider = yield* scripted("a", { choices: [choice, { ...choice, index: 1 }] })
      const answer = yield* ChatProvider.collect(ChatProvider.stream(request)).pipe(Effect.provide(provider.layer))
      deepStrictEqual(answer.choices.map(({ message }) => message.content), ["one two", "one two"])
    }))
})

describe("what surrounds a stream", () => {
  it.effect("is seen by every pull, and so is what the pulls change", () =>
    Effect.gen(function*() {
      class Name extends Context.Tag("Name")<Name, string>() {}
      const sum = FiberRef.unsafeMake(0)
      const { protectStream } = yield* Resilience.make()
      const names = Stream.mapEffect(Stream.make(1, 2, 3), (n) =>
        Effect.zipRight(Effect.delay(FiberRef.update(sum, (total) => total + n), 10), Name))
      const reading = Stream.runCollect(Stream.provideService(protectStream(names), Name, "a"))
      const { exit } = yield* simulate(Effect.zip(reading, FiberRef.get(sum)))
      const [read, total] = yield* exit
      deepStrictEqual([[...read], total], [["a", "a", "a"], 6])
    }))
})

describe("keep-alives", () => {
  it.effect("are heard by every policy around, and not only by the innermost", () =>
    Effect.gen(function*() {
      const ping = Effect.flatMap(
        Effect.all([CurrentActivity, Effect.clock]),
        ([activity, clock]) => Effect.sync(() => activity?.heard(clock.unsafeCurrentTimeNanos()))
      ).pipe(Effect.delay("10 seconds"))
      const pinging = Stream.concat(Stream.make("a"), Stream.fromEffect(Effect.as(Effect.repeatN(ping, 2), "b")))
      const outer = yield* Resilience.make()
      const inner = yield* Resilience.make()
      const { at, exit } = yield* simulate(Stream.runCount(outer.protectStream(inner.protectStream(pinging))))
      deepStrictEqual([yield* exit, at], [2, 30_000])
    }))

  it.effect("after the end of the answer do not keep its stream open", () =>
    Effect.gen(function*() {
      const bytes = (text: string) => Chunk.of(new TextEncoder().encode(text))
      const frame = JSON.stringify({ choices: [{ index: 0, delta: { content: "a" }, finish_reason: "stop" }] })
      const pieces = Stream.concat(
        Stream.make(bytes(`data: ${frame}\n\n`)),
        Stream.repeatEffect(Effect.delay(Effect.succeed(bytes(": ping\n\n")), 500))
      ).pipe(Stream.flattenChunks, Stream.rechunk(1))
      const chunks = Stream.unwrapScoped(Effect.map(Stream.toPull(pieces), (bytes) =>
        Stream.fromPull(Effect.succeed(chunksOf({
          bytes,
          reader: new OpenAiStream(),
          inBand: () => undefined,
          malformed: overloaded,
          truncated: overloaded,
          onWhole: () => {},
          onSkipped: () => {},
          activity: undefined
        })))))
      const { at, exit } = yield* simulate(Stream.runCount(chunks))
      deepStrictEqual([yield* exit, at], [1, 1000])
    }))
})

describe("the record", () => {
  it.effect("of a stream in a plain call under policies counts its chunks", () =>
    Effect.gen(function*() {
      const provider = yield* scripted("a", texts(["a", "b"], 100))
      const { protect } = yield* Resilience.make()
      const call = protect(Stream.runDrain(ChatProvider.stream(request)))
      const { exit } = yield* simulate(CallReport.collect(Effect.provide(call, provider.layer)))
      const { attempts } = onlyReport((yield* exit).reports)
      deepStrictEqual(attempts.map(({ chunks, outcome }) => [outcome, chunks]), [["Success", 2]])
    }))

  it.effect("of a chain within policies says of each provider what became of it", () =>
    Effect.gen(function*() {
      const failing = yield* scripted("a", overloaded())
      const backup = yield* scripted("b", "Hello")
      const seen = yield* read(failing.layer.pipe(Fallback.orElse(backup.layer), Resilience.layer()))
      deepStrictEqual(
        seen.report.attempts.map(({ chunks, outcome, provider }) => [provider, outcome, chunks]),
        [["a", "ServerError", 0], ["b", "Success", 1]]
      )
    }))

  it.effect("of an attempt that a policy ended says why, whoever was asked in it", () =>
    Effect.gen(function*() {
      const slow = yield* scripted("a", Stream.concat(Stream.make("Hello"), Stream.never))
      const { protectStream } = yield* Resilience.make({ idle: "3 seconds" })
      const seen = yield* read(slow.layer, protectStream(ChatProvider.stream(request)))
      deepStrictEqual([seen.end, seen.at.at(-1)], ["Timeout Idle", 3000])
      deepStrictEqual(seen.report.attempts.map(({ chunks, outcome }) => [outcome, chunks]), [["Timeout", 1]])
    }))
})
