import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect, Layer } from "effect"
import { CallReport, ChatProvider, Fallback, ProviderError, Resilience } from "effect-resilience"
import { failureOf, nameOf, notStreamed, onlyReport, overloaded } from "./utils.js"

const request: ChatProvider.ChatRequest = {
  model: "m",
  messages: [{ role: "user", content: "Hello" }],
  response_format: { type: "json_object" }
}

/** A provider that answers with its name, or fails; `without` names the fields it cannot honour. */
const provider = (name: string, without: ReadonlyArray<string> = [], error?: ProviderError.CallError) => {
  const target = { provider: name, model: "m" }
  const unsupported = (request: ChatProvider.ChatRequest) => without.filter((field) => field in request)
  return Layer.succeed(ChatProvider.ChatProvider, {
    ...target,
    unsupported,
    stream: notStreamed,
    complete: (request) => {
      const [field] = unsupported(request)
      return field !== undefined
        ? Effect.fail(ProviderError.invalidRequest(`cannot honour ${field}`, target))
        : error !== undefined
        ? Effect.fail(error)
        : Effect.succeed({ choices: [{ message: { content: name } }] })
    }
  })
}

const ask = (chain: Layer.Layer<ChatProvider.ChatProvider>, asked = request) =>
  ChatProvider.complete(asked).pipe(Effect.map(ChatProvider.text), Effect.provide(chain))

describe("a provider that cannot honour what is asked", () => {
  it.effect("is skipped, and the report says so", () =>
    Effect.gen(function*() {
      const chain = Fallback.layer(provider("a", ["response_format"]), provider("b"))
      const { exit, reports } = yield* CallReport.collect(ask(chain))
      strictEqual(yield* exit, "b")
      deepStrictEqual(onlyReport(reports).denials, [{ by: "unsupported", provider: "a", model: "m" }])
    }))

  it.effect("is asked when the request needs nothing it lacks", () =>
    Effect.gen(function*() {
      const chain = Fallback.layer(provider("a", ["response_format"]), provider("b"))
      strictEqual(yield* ask(chain, { messages: request.messages }), "a")
    }))

  it.effect("leaves the one before it the last of the chain, with the patience of one", () =>
    Effect.gen(function*() {
      let left = -1
      const last = Layer.succeed(ChatProvider.ChatProvider, {
        provider: "a",
        model: "m",
        stream: notStreamed,
        complete: () =>
          Effect.flatMap(Fallback.Alternatives, (alternatives) => {
            left = alternatives.left
            return Effect.fail(overloaded())
          })
      })
      yield* Effect.exit(ask(last.pipe(Fallback.orElse(provider("b", ["response_format"])))))
      strictEqual(left, 0)
    }))

  it.effect("behind policies and in a chain of chains it is skipped all the same", () =>
    Effect.gen(function*() {
      const unable = () => provider("a", ["response_format"])
      const inner = Fallback.layer({ deadline: "10 seconds" }, unable(), unable())
      const chain = inner.pipe(Fallback.orElse(unable().pipe(Resilience.layer())), Fallback.orElse(provider("b")))
      strictEqual(yield* ask(chain), "b")
    }))

  it.effect("says so itself when no other is left", () =>
    Effect.gen(function*() {
      const chain = Fallback.layer(provider("a", ["response_format"]), provider("b", ["response_format"]))
      const error = failureOf(yield* Effect.exit(ask(chain)))
      strictEqual(error.message, "a m: cannot honour response_format")
    }))

  it.effect("is no first provider: the next one's word that the request is invalid ends the chain", () =>
    Effect.gen(function*() {
      const invalid = new ProviderError.ClientError({ message: "400", reason: "InvalidRequest" })
      const chain = Fallback.layer(provider("a", ["response_format"]), provider("b", [], invalid), provider("c"))
      strictEqual(nameOf(failureOf(yield* Effect.exit(ask(chain)))), "ClientError")
    }))
})
