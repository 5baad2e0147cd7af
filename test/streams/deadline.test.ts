import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Either, Option, Stream } from "effect"
import { ChatProvider, Deadline, Fallback } from "effect-resilience"
import {
  badDurations,
  clientError,
  fromJson,
  infiniteDurations,
  nameOf,
  overloaded,
  refuses,
  simulate,
  zeroDurations
} from "../utils.js"
import { read, request, scripted, texts } from "./reading.js"

/** How long it took, and how it ended. */
const ended = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.gen(function*() {
    const { at, exit } = yield* simulate(Effect.either(Stream.runCollect(stream)))
    const either = yield* exit
    return [at, Either.isRight(either) ? [...either.right].length : nameOf(either.left)]
  })

describe("withinStream", () => {
  it.effect("covers the way to the first output: what comes then may take its time", () =>
    Effect.gen(function*() {
      deepStrictEqual(
        yield* ended(Deadline.withinStream(texts(["a", "b", "c"], 2000), "3 seconds")),
        [6000, 3]
      )
    }))

  it.effect("fails when the first output is late", () =>
    Effect.gen(function*() {
      deepStrictEqual(
        yield* ended(texts(["a"], 4000).pipe(Deadline.withinStream("3 seconds"))),
        [3000, "Timeout Deadline"]
      )
    }))

  it.effect("covers the whole, if that is asked for", () =>
    Effect.gen(function*() {
      deepStrictEqual(
        yield* ended(texts(["a", "b", "c"], 2000).pipe(Deadline.withinStream("5 seconds", { covers: "whole" }))),
        [5000, "Timeout Deadline"]
      )
    }))

  it.effect("a whole stream in time is passed through", () =>
    Effect.gen(function*() {
      deepStrictEqual(
        yield* ended(texts(["a", "b", "c"], 1000).pipe(Deadline.withinStream("5 seconds", { covers: "whole" }))),
        [3000, 3]
      )
    }))

  it.effect("is known inside, and the earlier of two counts", () =>
    Effect.gen(function*() {
      const left = Stream.fromEffect(Deadline.remaining)
      const inner = left.pipe(Deadline.withinStream("20 seconds"), Deadline.withinStream("5 seconds"))
      const { exit } = yield* simulate(Stream.runHead(inner))
      deepStrictEqual(Option.map(Option.flatten(yield* exit), Duration.toMillis), Option.some(5000))
    }))

  it.effect("gives a chain's streams a deadline to their first output", () =>
    Effect.gen(function*() {
      const slow = yield* scripted("a", Stream.never)
      const backup = yield* scripted("b", texts(["a ", "b ", "c"], 3000))
      const seen = yield* read(Fallback.layer({ deadline: "8 seconds" }, slow.layer, backup.layer))
      // Half of the deadline for the first, and then the second begins in time and ends after it.
      deepStrictEqual([seen.text, seen.end, seen.at.at(-1)], ["a b c", "whole", 4000 + 9000])
    }))

  it.effect("has nothing to say any more once it was met: what breaks later may be continued", () =>
    Effect.gen(function*() {
      const cut = texts(["one ", "two ", "three "], 4000, overloaded())
      const chains = [
        Effect.gen(function*() {
          const [a, b] = [yield* scripted("a", cut, clientError("PermissionDenied")), yield* scripted("b", "four")]
          return yield* read(
            Fallback.layer({ onCut: "continue" }, a.layer, b.layer),
            ChatProvider.stream(request).pipe(Deadline.withinStream("10 seconds"))
          )
        }),
        Effect.gen(function*() {
          const [a, b] = [yield* scripted("a", cut, clientError("PermissionDenied")), yield* scripted("b", "four")]
          return yield* read(Fallback.layer({ onCut: "continue", deadline: "10 seconds" }, a.layer, b.layer))
        })
      ]
      for (const chain of chains) {
        const seen = yield* chain
        deepStrictEqual([seen.text, seen.end], ["one two three four", "whole"])
        strictEqual(seen.report.denials.some(({ by }) => by === "deadline"), false)
      }
    }))

  it.effect("a call that it cuts is reported as timed out", () =>
    Effect.gen(function*() {
      const slow = yield* scripted("a", texts(["a ", "b ", "c"], 3000))
      const seen = yield* read(
        slow.layer,
        ChatProvider.stream(request).pipe(Deadline.withinStream("5 seconds", { covers: "whole" }))
      )
      deepStrictEqual([seen.text, seen.end, seen.report.outcome], ["a ", "Timeout Deadline", "Timeout"])
    }))

  it("refuses what cannot be meant", () => {
    for (const [, input] of [...badDurations, ...zeroDurations, ...infiniteDurations]) {
      refuses("deadline", () => Deadline.withinStream(Stream.empty, input))
    }
    refuses("covers", () => Deadline.withinStream(Stream.empty, 1, { covers: fromJson("\"all\"") }))
    strictEqual(typeof Deadline.withinStream("1 second"), "function")
  })
})
