import { AiError, Chat, LanguageModel, Model, Telemetry, Tool, Toolkit } from "@effect/ai"
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual, throws } from "@effect/vitest/utils"
import { Cause, Duration, Effect, type Exit, Fiber, Layer, Option, Schema, Stream, TestClock } from "effect"
import { CallReport, Fallback, IdempotencyKey, ProviderError, ResilientHttpClient } from "effect-resilience"
import { LanguageModelFallback } from "effect-resilience/ai"
import { inspect } from "node:util"
import { failureOf, nameOf, onlyReport } from "../utils.js"
import { busy, calls, down, finish, raised, says, scripted, strange, streams, wrong } from "./scriptedModel.js"

const text = Effect.map(LanguageModel.generateText({ prompt: "Hello" }), (response) => response.text)

/** What a reader of the stream saw, the text of deltas and the names of the other parts, and how it ended. */
const read = <Part extends { readonly type: string }, E, R>(parts: Stream.Stream<Part, E, R>) =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    const end = yield* Effect.exit(Stream.runForEach(parts, (part) =>
      Effect.sync(() => {
        seen.push("delta" in part && typeof part.delta === "string" ? part.delta : part.type)
      })))
    return { seen, end }
  })

const streamed = Effect.suspend(() => read(LanguageModel.streamText({ prompt: "Hello" })))

/** The very error that was raised: within a span every failure comes in a wrapping of its own. */
const raisedBy = <A, E>(exit: Exit.Exit<A, E>): E => Cause.originalError(failureOf(exit))

const ours = (error: unknown): string => {
  const found = ResilientHttpClient.callError(error)
  return found === undefined ? "none" : nameOf(found)
}

const rateLimited = (retryAfter: Duration.DurationInput) =>
  raised(new ProviderError.RateLimited({ message: "busy", status: 429, retryAfter: Duration.decode(retryAfter) }))

const open = raised(new ProviderError.CircuitOpen({ message: "open", circuit: "c" }))

describe("an answer", () => {
  it.effect("comes from the next model when one gives up, and each model is built once", () =>
    Effect.gen(function*() {
      const first = scripted({ answers: [down] })
      const second = scripted({ answers: [busy] })
      const third = scripted({ answers: [says("third")] })
      const answers = yield* Effect.all([text, text]).pipe(
        Effect.provide(LanguageModelFallback.layer(first.layer, second.layer, third.layer))
      )
      deepStrictEqual(answers, ["third", "third"])
      deepStrictEqual([first, second, third].map(({ seen }) => [seen.built, seen.asked]), [[1, 2], [1, 2], [1, 2]])
    }))

  const errors: ReadonlyArray<readonly [string, AiError.AiError, boolean]> = [
    ["a rate limit", busy, true],
    ["an overload", down, true],
    ["a timeout", raised(new ProviderError.Timeout({ message: "late", scope: "Attempt" })), true],
    ["a deadline", raised(new ProviderError.Timeout({ message: "late", scope: "Deadline" })), false],
    ["a bad key", raised(new ProviderError.ClientError({ message: "key", reason: "Authentication" })), true],
    ["an exhausted quota", raised(new ProviderError.ClientError({ message: "quota", reason: "QuotaExhausted" })), true],
    ["filtered content", raised(new ProviderError.ClientError({ message: "no", reason: "ContentFiltered" })), false],
    ["an invalid request", wrong, false],
    ["an open circuit", open, true],
    ["an answer that cannot be read", new AiError.MalformedOutput({ module: "M", method: "m" }), true],
    ["a prompt that the client has no words for", new AiError.MalformedInput({ module: "M", method: "m" }), true],
    ["an error that may be anything", strange, false]
  ]
  for (const [what, error, falls] of errors) {
    it.effect(`${falls ? "falls" : "does not fall"} over on ${what}, plain and streamed`, () =>
      Effect.gen(function*() {
        const first = scripted({ answers: [error], streams: [error] })
        const second = scripted({ answers: [says("second")], streams: [streams("second")] })
        const model = LanguageModelFallback.layer(first.layer, second.layer)
        const plain = yield* Effect.exit(text).pipe(Effect.provide(model))
        const { end, seen } = yield* streamed.pipe(Effect.provide(model))
        if (falls) {
          deepStrictEqual([yield* plain, seen.includes("second")], ["second", true])
        } else {
          deepStrictEqual([raisedBy(plain), raisedBy(end)], [error, error])
          strictEqual(second.seen.asked, 0)
        }
      }))
  }

  it.effect("that fails everywhere fails with the first error that says something", () =>
    Effect.gen(function*() {
      const [first, second, third] = [open, down, busy].map((error) => scripted({ answers: [error] }).layer)
      assertTrue(first !== undefined && second !== undefined && third !== undefined)
      const model = LanguageModelFallback.layer(first, second, third)
      strictEqual(raisedBy(yield* Effect.exit(text).pipe(Effect.provide(model))), down)
    }))

  it.effect("waits for the earliest when every model asked for a wait, in one call", () =>
    Effect.gen(function*() {
      const first = scripted({ answers: [rateLimited("9 seconds"), says("first")] })
      const second = scripted({ answers: [rateLimited("4 seconds"), says("second")] })
      const fiber = yield* CallReport.collect(text).pipe(
        Effect.provide(LanguageModelFallback.layer(first.layer, second.layer)),
        Effect.fork
      )
      yield* TestClock.adjust("3999 millis")
      strictEqual(second.seen.asked, 1)
      yield* TestClock.adjust("1 second")
      const { exit, reports } = yield* Fiber.join(fiber)
      deepStrictEqual([yield* exit, onlyReport(reports).fallbacks], ["second", 1])
    }))

  it.effect("tells each model but the last that another is left", () =>
    Effect.gen(function*() {
      const left: Array<number> = []
      const noting = (end: Effect.Effect<ReturnType<typeof says>, AiError.AiError>) =>
        Layer.effect(
          LanguageModel.LanguageModel,
          LanguageModel.make({
            generateText: () =>
              Effect.flatMap(Fallback.Alternatives, (alternatives) => {
                left.push(alternatives.left)
                return end
              }),
            streamText: () => Stream.empty
          })
        )
      const model = LanguageModelFallback.layer(
        noting(Effect.fail(down)),
        noting(Effect.fail(down)),
        noting(Effect.succeed(says("third")))
      )
      strictEqual(yield* text.pipe(Effect.provide(model)), "third")
      deepStrictEqual(left, [2, 1, 0])
    }))

  it.effect("is asked for under one key for each model, also where fallbacks are nested", () =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      const noting = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({
          generateText: () =>
            Effect.flatMap(IdempotencyKey.current, (key) => {
              keys.push(key)
              return Effect.fail(down)
            }),
          streamText: () => Stream.empty
        })
      )
      const model = LanguageModelFallback.layer(
        LanguageModelFallback.layer(noting, noting),
        LanguageModelFallback.layer(noting, noting)
      )
      yield* Effect.exit(text).pipe(Effect.provide(model), IdempotencyKey.withKey("key"))
      deepStrictEqual([keys.length, new Set(keys).size, keys[0]], [4, 4, "key"])
    }))

  it.effect("keeps to the deadline of the layer, plain and streamed", () =>
    Effect.gen(function*() {
      const never = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({ generateText: () => Effect.never, streamText: () => Stream.never })
      )
      const model = LanguageModelFallback.layer({ deadline: "10 seconds" }, never, never)
      for (const call of [Effect.asVoid(text), Stream.runDrain(LanguageModel.streamText({ prompt: "Hello" }))]) {
        const fiber = yield* Effect.fork(Effect.exit(call).pipe(Effect.provide(model)))
        yield* TestClock.adjust("10 seconds")
        strictEqual(ours(failureOf(yield* Fiber.join(fiber))), "Timeout Deadline")
      }
    }))

  it.effect("that is no longer waited for starts no other model", () =>
    Effect.gen(function*() {
      const never = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({ generateText: () => Effect.never, streamText: () => Stream.never })
      )
      const second = scripted({})
      const fiber = yield* Effect.fork(text.pipe(Effect.provide(LanguageModelFallback.layer(never, second.layer))))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      strictEqual(second.seen.asked, 0)
    }))

  it.effect("is reported under the names of the models, and transforms its span once", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const transformed: Array<string> = []
      const first = Model.make("openai", scripted({ answers: [down] }).layer)
      const second = Model.make("anthropic", scripted({ answers: [says("Hi")] }).layer)
      yield* text.pipe(
        CallReport.observe((event) =>
          Effect.sync(() => {
            if (event._tag === "FellBack") {
              events.push(`${event.from.provider} > ${event.to.provider}`)
            }
          })
        ),
        Effect.provide(LanguageModelFallback.layer(first, second)),
        Effect.provideService(Telemetry.CurrentSpanTransformer, ({ response }) => {
          transformed.push(response.map(({ type }) => type).join(" "))
        })
      )
      deepStrictEqual([events, transformed], [["openai > anthropic"], ["text finish"]])
    }))

  it.effect("has its span transformed once, whoever brings the transformer, and is kept by nobody if nobody does", () =>
    Effect.gen(function*() {
      const seen: Array<boolean> = []
      const looking = Effect.map(Effect.serviceOption(Telemetry.CurrentSpanTransformer), (found) => {
        seen.push(Option.isSome(found))
      })
      const model = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({
          generateText: () => Effect.as(looking, says("Hi")),
          streamText: () => Stream.unwrap(Effect.as(looking, Stream.fromIterable(streams("Hi"))))
        })
      )
      const chain = LanguageModelFallback.layer(model)
      let times = 0
      const counting = Layer.succeed(Telemetry.CurrentSpanTransformer, () => {
        times += 1
      })
      const both = Effect.zip(text, streamed)
      yield* both.pipe(Effect.provide(chain))
      deepStrictEqual([times, seen], [0, [false, false]])
      yield* both.pipe(Effect.provide(Layer.merge(chain, counting)))
      strictEqual(times, 2)
      yield* both.pipe(Effect.provide(Layer.provide(chain, counting)))
      strictEqual(times, 4)
      yield* both.pipe(Effect.provide(LanguageModelFallback.layer(Layer.provide(model, counting))))
      strictEqual(times, 6)
    }))

  it.effect("that fails holds no key, neither in the error nor in its cause", () =>
    Effect.gen(function*() {
      const request = {
        method: "POST",
        url: "https://api.example.com/v1?key=a-secret",
        urlParams: [["key", "a-secret"]],
        hash: Option.none(),
        headers: { authorization: "Bearer a-secret", "x-api-key": "a-secret", accept: "application/json" }
      } as const
      const errors = [
        new AiError.HttpRequestError({ module: "M", method: "m", reason: "InvalidUrl", request, cause: { request } }),
        new AiError.HttpResponseError({
          module: "M",
          method: "m",
          reason: "StatusCode",
          request,
          response: { status: 400, headers: { "set-cookie": "a-secret", "x-request-id": "req_1" } }
        })
      ]
      for (const error of errors) {
        const model = LanguageModelFallback.layer(scripted({ answers: [error], streams: [error] }).layer)
        const plain = failureOf(yield* Effect.exit(text).pipe(Effect.provide(model)))
        const { end } = yield* streamed.pipe(Effect.provide(model))
        for (const failure of [plain, failureOf(end)]) {
          strictEqual(failure._tag, error._tag)
          assertTrue(!(inspect(failure, { depth: 9 }) + JSON.stringify(failure) + failure.message).includes("a-secret"))
        }
      }
    }))
})

describe("a stream", () => {
  const leading: ReadonlyArray<readonly [string, Parameters<typeof scripted>[0]]> = [
    ["an error part", {
      streams: [[{ type: "text-start", id: "1" }, { type: "error", error: { type: "overloaded_error" } }]]
    }],
    ["an error part in the words of nobody", { streams: [[{ type: "error", error: "no" }]] }],
    ["a finish that is an error", { streams: [[{ ...finish, reason: "error" }]] }],
    ["an end without finish", { streams: [[{ type: "response-metadata", id: "r" }]] }],
    ["a failure after parts that say nothing", {
      streams: [{ parts: [{ type: "text-start", id: "1" }, { type: "text-delta", id: "1", delta: "" }], error: down }]
    }]
  ]
  for (const [what, script] of leading) {
    it.effect(`falls over on ${what}, and the reader sees nothing of it`, () =>
      Effect.gen(function*() {
        const first = scripted(script)
        const second = scripted({ streams: [streams("sec", "ond")] })
        const { end, seen } = yield* streamed.pipe(
          Effect.provide(LanguageModelFallback.layer(first.layer, second.layer))
        )
        yield* end
        deepStrictEqual(seen, ["response-metadata", "text-start", "sec", "ond", "text-end", "finish"])
        deepStrictEqual([first.seen.closed, second.seen.closed], [1, 1])
      }))
  }

  it.effect("that breaks after the first content fails with the error that cut it", () =>
    Effect.gen(function*() {
      const first = scripted({
        streams: [{
          parts: [{ type: "text-start", id: "1" }, { type: "text-delta", id: "1", delta: "fir" }],
          error: down
        }]
      })
      const second = scripted({})
      const { end, seen } = yield* streamed.pipe(
        Effect.provide(LanguageModelFallback.layer(first.layer, second.layer))
      )
      deepStrictEqual([seen, second.seen.asked], [["text-start", "fir"], 0])
      strictEqual(raisedBy(end), down)
    }))

  it.effect("that ends without finish after the first content was cut short", () =>
    Effect.gen(function*() {
      const model = scripted({ streams: [[{ type: "text-delta", id: "1", delta: "fir" }]] })
      const { end, seen } = yield* streamed.pipe(Effect.provide(LanguageModelFallback.layer(model.layer)))
      deepStrictEqual([seen, ours(failureOf(end))], [["fir"], "ServerError"])
    }))

  it.effect("hands an error part after the first content on, as every model does", () =>
    Effect.gen(function*() {
      const model = scripted({
        streams: [[{ type: "text-delta", id: "1", delta: "fir" }, { type: "error", error: "overloaded" }]]
      })
      const { end, seen } = yield* streamed.pipe(Effect.provide(LanguageModelFallback.layer(model.layer)))
      yield* end
      deepStrictEqual(seen, ["fir", "error"])
    }))

  it.effect("with nothing in it but its end is an answer", () =>
    Effect.gen(function*() {
      const second = scripted({})
      const { seen } = yield* streamed.pipe(
        Effect.provide(LanguageModelFallback.layer(scripted({ streams: [[finish]] }).layer, second.layer))
      )
      deepStrictEqual([seen, second.seen.asked], [["finish"], 0])
    }))

  it.effect("that is no longer read lets go of its model", () =>
    Effect.gen(function*() {
      const model = scripted({ streams: [streams("a", "b", "c")] })
      yield* LanguageModel.streamText({ prompt: "Hello" }).pipe(
        Stream.takeUntil(({ type }) => type === "text-delta"),
        Stream.runDrain,
        Effect.provide(LanguageModelFallback.layer(model.layer))
      )
      strictEqual(model.seen.closed, 1)
    }))
})

describe("a tool", () => {
  const tool = Tool.make("Weather", {
    parameters: { city: Schema.String },
    success: Schema.String,
    failure: Schema.String
  })
  const toolkit = Toolkit.make(tool)
  const counting = (result: Effect.Effect<string, string>) => {
    const cities: Array<string> = []
    const handlers = toolkit.toLayer({
      Weather: ({ city }) =>
        Effect.suspend(() => {
          cities.push(city)
          return result
        })
    })
    return { cities, handlers }
  }
  const ask = LanguageModel.generateText({ prompt: "Hello", toolkit })

  it.effect("runs once, for the model whose call matches its schema", () =>
    Effect.gen(function*() {
      const first = scripted({ answers: [calls("Weather", { town: "Bonn" })] })
      const second = scripted({ answers: [calls("Weather", { city: "Bonn" })] })
      const { cities, handlers } = counting(Effect.succeed("rain"))
      const response = yield* ask.pipe(
        Effect.provide([LanguageModelFallback.layer(first.layer, second.layer), handlers])
      )
      deepStrictEqual([cities, response.toolResults.map(({ result }) => result)], [["Bonn"], ["rain"]])
      deepStrictEqual(first.seen.prompts.map(({ tools }) => tools.map(({ name }) => name)), [["Weather"]])
    }))

  it.effect("that fails is no reason to ask another model", () =>
    Effect.gen(function*() {
      const second = scripted({})
      const { cities, handlers } = counting(Effect.fail("no such city"))
      const exit = yield* Effect.exit(ask).pipe(
        Effect.provide([
          LanguageModelFallback.layer(scripted({ answers: [calls("Weather", { city: "Bonn" })] }).layer, second.layer),
          handlers
        ])
      )
      deepStrictEqual([failureOf(exit), cities, second.seen.asked], ["no such city", ["Bonn"], 0])
    }))

  it.effect("that ran in a stream is not run again when the stream breaks", () =>
    Effect.gen(function*() {
      const call = { type: "tool-call", id: "call_1", name: "Weather", params: { city: "Bonn" } } as const
      const second = scripted({})
      const { cities, handlers } = counting(Effect.succeed("rain"))
      const { end, seen } = yield* read(LanguageModel.streamText({ prompt: "Hello", toolkit })).pipe(
        Effect.provide([
          LanguageModelFallback.layer(scripted({ streams: [{ parts: [call], error: down }] }).layer, second.layer),
          handlers
        ])
      )
      deepStrictEqual([seen, cities, second.seen.asked], [["tool-call", "tool-result"], ["Bonn"], 0])
      strictEqual(raisedBy(end), down)
    }))

  it.effect("is chosen by the model as the program said", () =>
    Effect.gen(function*() {
      const model = scripted({ answers: [calls("Weather", { city: "Bonn" })] })
      yield* LanguageModel.generateText({
        prompt: "Hello",
        toolkit,
        toolChoice: { tool: "Weather" },
        disableToolCallResolution: true
      }).pipe(
        Effect.provide([LanguageModelFallback.layer(model.layer), counting(Effect.succeed("")).handlers])
      )
      deepStrictEqual(model.seen.prompts.map(({ toolChoice }) => toolChoice), [{ tool: "Weather" }])
    }))
})

describe("what is built on a model", () => {
  const Contact = Schema.Struct({ name: Schema.String, age: Schema.NumberFromString })

  it.effect("an object comes from the first model whose answer matches the schema", () =>
    Effect.gen(function*() {
      const first = scripted({ answers: [says("Here you are: {")] })
      const second = scripted({ answers: [says(JSON.stringify({ name: "Ada" }))] })
      const third = scripted({ answers: [says(JSON.stringify({ name: "Ada", age: "36" }))] })
      const response = yield* LanguageModel.generateObject({ prompt: "Hello", schema: Contact, objectName: "contact" })
        .pipe(
          Effect.provide(LanguageModelFallback.layer(first.layer, second.layer, third.layer))
        )
      deepStrictEqual(response.value, { name: "Ada", age: 36 })
      deepStrictEqual(
        third.seen.prompts.map(({ responseFormat }) => responseFormat.type === "json" ? responseFormat.objectName : ""),
        ["contact"]
      )
    }))

  it.effect("a chat remembers the answer that came, and nothing of those that did not", () =>
    Effect.gen(function*() {
      const second = scripted({ answers: [says("I am the second"), says("as I said")] })
      const model = LanguageModelFallback.layer(scripted({ answers: [down] }).layer, second.layer)
      yield* Effect.gen(function*() {
        const chat = yield* Chat.empty
        yield* chat.generateText({ prompt: "Who are you?" })
        yield* chat.generateText({ prompt: "Again?" })
      }).pipe(Effect.provide(model))
      deepStrictEqual(
        second.seen.prompts.map(({ prompt }) => prompt.content.map(({ role }) => role)),
        [["user"], ["user", "assistant", "user"]]
      )
    }))

  it.effect("clients that models share are built once", () =>
    Effect.gen(function*() {
      class Client extends Effect.Service<Client>()("test/Client", {
        effect: Effect.sync(() => {
          built += 1
          return {}
        })
      }) {}
      let built = 0
      const over = (answer: ReturnType<typeof says>) =>
        Layer.flatMap(Layer.service(Client), () => scripted({ answers: [answer] }).layer).pipe(
          Layer.provide(Client.Default)
        )
      yield* text.pipe(Effect.provide(LanguageModelFallback.layer(over(says("1")), over(says("2")))))
      strictEqual(built, 1)
    }))

  it("a bad option, or no model, is refused at once", () => {
    const { layer } = scripted({})
    throws(() => LanguageModelFallback.layer({ deadline: "-1 seconds" }, layer))
    throws(() => LanguageModelFallback.layer({ patience: Number.NaN }, layer))
    throws(() => Reflect.apply(LanguageModelFallback.layer, undefined, []))
  })
})
