/**
 * A reader who leaves: whenever and however that is, the provider notices at once, and what was held is free again.
 *
 * One slot and one probe are all there is, so that whoever kept either would stand in the way of the next call.
 */
import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { Anthropic, ChatProvider, CircuitBreaker, Fallback, OpenAi, Resilience } from "effect-resilience"
import { Fault, FaultServer } from "effect-resilience/testing"
import { clients } from "../providerOverHttp.js"

const request: ChatProvider.ChatRequest = { messages: [{ role: "user", content: "Count." }] }
const content = "One two three four."

const providers = {
  OpenAi: (url: string) => OpenAi.layer({ baseUrl: `${url}/v1`, model: "m" }),
  Anthropic: (url: string) => Anthropic.layer({ baseUrl: url, model: "m" })
}

/** Where a reader leaves, what the provider does there, and the text after which the reader is there. */
const places = [
  ["before the first content", Fault.stream({ content, firstAfter: "1 minute" }), undefined],
  ["between two chunks", Fault.stream({ content, every: "1 minute" }), "One"],
  ["during a stall", Fault.stream({ content, after: 2, then: "stall" }), "One two"],
  ["among keep-alives", Fault.stream({ content, after: 2, then: "pings", pingEvery: "5 millis" }), "One two"]
] as const

/** Runs the answer until the reader, who may go after `there`, has left. */
type Leave = <E>(
  answer: Stream.Stream<string, E>,
  there: Effect.Effect<void>
) => Effect.Effect<Exit.Exit<unknown, E | string>>

const ways: ReadonlyArray<readonly [string, Leave]> = [
  ["stops reading", (answer, there) => answer.pipe(Stream.interruptWhen(there), Stream.runDrain, Effect.exit)],
  ["is interrupted", (answer, there) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Stream.runDrain(answer))
      yield* there
      return yield* Fiber.interrupt(fiber)
    })],
  ["fails meanwhile", (answer, there) =>
    answer.pipe(
      Stream.interruptWhen(Effect.zipRight(there, Effect.fail("the reader's own"))),
      Stream.runDrain,
      Effect.exit
    )]
]

const atFirst: ReadonlyArray<readonly [string, Leave]> = [
  ["takes one chunk", (answer) => answer.pipe(Stream.take(1), Stream.runDrain, Effect.exit)],
  ["fails at a chunk", (answer) => answer.pipe(Stream.runForEach(() => Effect.fail("the reader's own")), Effect.exit)],
  ["dies at a chunk", (answer) => answer.pipe(Stream.runForEach(() => Effect.die("the reader's own")), Effect.exit)],
  ["is interrupted at a chunk", (answer, there) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Stream.runForEach(answer, () => Effect.never))
      yield* there
      return yield* Fiber.interrupt(fiber)
    })]
]

const soon = Effect.timeoutFail({ duration: "2 seconds", onTimeout: () => new Error("not within 2 seconds") })

const leaving = (format: keyof typeof providers, fault: Fault.Fault, at: string | undefined, leave: Leave) =>
  Effect.gen(function*() {
    const server = yield* FaultServer.make()
    yield* server.script("m", Fault.overloaded(), fault, Fault.ok({ content }))
    const protectedOnce = Resilience.layer({
      retry: { maxAttempts: 1 },
      maxConcurrent: 1,
      circuitBreaker: { trip: CircuitBreaker.consecutiveFailures(1), openFor: "1 millis" }
    })
    const context = yield* Layer.build(
      Fallback.layer({ onCut: "continue" }, protectedOnce(providers[format](server.url)))
    )
    const stream = Stream.map(ChatProvider.stream(request), ChatProvider.deltaText).pipe(
      Stream.filter((text) => text !== ""),
      Stream.provideContext(context)
    )
    // The circuit opens, and lets one probe at a time through once its millisecond is over.
    yield* Effect.exit(Stream.runDrain(stream))
    yield* Effect.sleep("5 millis")
    const arrived = yield* Deferred.make<void>()
    let text = ""
    const exit = yield* leave(
      Stream.tap(stream, (piece) => {
        text += piece
        return text === at ? Deferred.succeed(arrived, undefined) : Effect.void
      }),
      at === undefined
        ? Effect.asVoid(server.awaitAttempt((attempt) => attempt.id === "req_2" && attempt.fault !== undefined))
        : Deferred.await(arrived)
    )
    const left = yield* server.awaitAttempt((attempt) => attempt.id === "req_2" && attempt.end !== undefined).pipe(soon)
    yield* soon(server.awaitClosed)
    const next = yield* soon(Stream.mkString(stream))
    return { exit, how: left.end?.how, next, asked: (yield* server.attempts).length }
  }).pipe(Effect.scoped, Effect.provide(clients.fetch))

const check = (format: keyof typeof providers, fault: Fault.Fault, at: string | undefined, leave: Leave) =>
  Effect.gen(function*() {
    const { asked, exit, how, next } = yield* leaving(format, fault, at, leave)
    strictEqual(how, "closed by client")
    deepStrictEqual([next, asked], [content, 3])
    return exit
  })

for (const format of ["OpenAi", "Anthropic"] as const) {
  describe(`a reader of ${format} who leaves`, () => {
    for (const [place, fault, at] of places) {
      for (const [how, leave] of ways) {
        it.live(`${place}, since it ${how}, lets go of everything`, () => check(format, fault, at, leave))
      }
    }
    for (const [how, leave] of atFirst) {
      it.live(`at the first content, since it ${how}, lets go of everything`, () =>
        check(format, Fault.stream({ content, every: "1 minute" }), "One", leave))
    }

    it.live("gets its own failure, and no other", () =>
      Effect.gen(function*() {
        const fault = Fault.stream({ content, after: 2, then: "stall" })
        const exit = yield* check(format, fault, "One two", (answer) =>
          answer.pipe(
            Stream.runForEach((text) => text === " two" ? Effect.fail("the reader's own") : Effect.void),
            Effect.exit
          ))
        strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), "the reader's own")
      }))
  })
}
