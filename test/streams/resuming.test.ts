/** Who goes on with an answer that keeps breaking, and which of its errors the reader gets. */
import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, Stream } from "effect"
import { ChatProvider, Fallback, ProviderError } from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { failureOf, overloaded, simulate } from "../utils.js"

const request: ChatProvider.ChatRequest = { model: "m", messages: [{ role: "user", content: "Count." }] }

const broken = (text: string, reason: "Truncated" | "Overloaded" = "Truncated") =>
  Stream.concat(Stream.make(text), new ProviderError.ServerError({ message: reason, reason }))

/** An answer whose end was said, but not by the protocol. */
const unconfirmed = Stream.concat(
  Stream.make("One two", { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }),
  new ProviderError.ServerError({ message: "cut", reason: "Truncated" })
)

const ask = (
  onCut: "continue" | "restart",
  ...scripts: readonly [ReadonlyArray<ScriptedProvider.Step>, ...Array<ReadonlyArray<ScriptedProvider.Step>>]
) =>
  Effect.gen(function*() {
    const [first, ...others] = yield* Effect.forEach(scripts, (script) => ScriptedProvider.make(script))
    const seen: Array<string> = []
    const { exit } = yield* simulate(
      (onCut === "restart" ? ChatProvider.streamWithRestarts(request) : ChatProvider.stream(request)).pipe(
        Stream.map((event) => event instanceof ChatProvider.Restarted ? " | " : ChatProvider.deltaText(event)),
        Stream.runForEach((text) => Effect.sync(() => seen.push(text))),
        Effect.provide(
          Fallback.layer(
            { onCut: onCut === "restart" ? "fail" : onCut },
            first.layer,
            ...others.map((other) => other.layer)
          )
        )
      )
    )
    const asked = yield* Effect.forEach([first, ...others], (one) => Effect.map(one.asked, (asked) => asked.length))
    return { exit, seen: seen.join(""), asked }
  })

describe("a provider that breaks its answer again and again", () => {
  it.effect("is passed over after the second time: another continues", () =>
    Effect.gen(function*() {
      const { asked, seen } = yield* ask("continue", [broken("One "), broken("two "), "never"], ["three."])
      deepStrictEqual([seen, asked], ["One two three.", [2, 1]])
    }))

  it.effect("is passed over after the second time: another begins anew", () =>
    Effect.gen(function*() {
      const { asked, seen } = yield* ask("restart", [broken("One "), broken("One "), "never"], ["One two three."])
      deepStrictEqual([seen, asked], ["One  | One  | One two three.", [2, 1]])
    }))

  it.effect("is asked again if it is the last one", () =>
    Effect.gen(function*() {
      const { asked, seen } = yield* ask("continue", [broken("One "), broken("two "), "three."])
      deepStrictEqual([seen, asked], ["One two three.", [3]])
    }))
})

describe("the error of an answer that nobody could end", () => {
  it.effect("is the one that cut it first, whatever cut the continuations", () =>
    Effect.gen(function*() {
      const script = [broken("One ", "Overloaded"), broken("two "), broken("three "), broken("four ")]
      const { exit, seen } = yield* ask("continue", script)
      strictEqual(seen, "One two three four ")
      deepStrictEqual(failureOf(exit), new ProviderError.ServerError({ message: "Overloaded", reason: "Overloaded" }))
    }))

  it.effect("is that of the last answer, where each began anew", () =>
    Effect.gen(function*() {
      const script = [broken("1"), broken("2"), broken("3"), broken("4", "Overloaded")]
      const { exit, seen } = yield* ask("restart", script)
      strictEqual(seen, "1 | 2 | 3 | 4")
      deepStrictEqual(failureOf(exit), new ProviderError.ServerError({ message: "Overloaded", reason: "Overloaded" }))
    }))

  it.effect("is that of the last answer too, where nobody begins anew", () =>
    Effect.gen(function*() {
      const { exit } = yield* ask("restart", [
        broken("1"),
        broken("2", "Overloaded"),
        ...Array.from({ length: 9 }, () => overloaded())
      ])
      deepStrictEqual(failureOf(exit), new ProviderError.ServerError({ message: "Overloaded", reason: "Overloaded" }))
    }))
})

describe("an answer that said it was ended, and then broke", () => {
  it.effect("is begun anew for a reader who can take it back", () =>
    Effect.gen(function*() {
      const { asked, seen } = yield* ask("restart", [unconfirmed, "One two."])
      deepStrictEqual([seen, asked], ["One two | One two.", [2]])
    }))

  it.effect("is not continued, for nothing is missing", () =>
    Effect.gen(function*() {
      const { asked, exit, seen } = yield* ask("continue", [unconfirmed, "never"])
      deepStrictEqual([seen, asked], ["One two", [1]])
      strictEqual(failureOf(exit)._tag, "ServerError")
    }))
})
