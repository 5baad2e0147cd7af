import { describe, it } from "@effect/vitest"
import { assertFalse, assertLeft, assertRight, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Context, Duration, Effect, Either, Fiber, Layer, Option, Random, Schedule, TestClock } from "effect"
import {
  CallReport,
  ChatProvider,
  Deadline,
  Fallback,
  IdempotencyKey,
  ProviderError,
  Resilience
} from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { notStreamed } from "./utils.js"

const request: ChatProvider.ChatRequest = { model: "m", messages: [{ role: "user", content: "Hello" }] }

const rateLimited = (retryAfter?: Duration.DurationInput) =>
  new ProviderError.RateLimited({
    message: "429",
    retryAfter: retryAfter === undefined ? undefined : Duration.decode(retryAfter)
  })
const overloaded = new ProviderError.ServerError({ message: "529", reason: "Overloaded", status: 529 })
const unavailable = new ProviderError.ServerError({ message: "503", reason: "Unavailable", status: 503 })
const clientError = (reason: ProviderError.ClientErrorReason) =>
  new ProviderError.ClientError({ message: reason, reason })
const circuitOpen = (circuit: string) => new ProviderError.CircuitOpen({ message: "open", circuit })
const deadlinePassed = new ProviderError.Timeout({ message: "late", scope: "Deadline" })

type Scripts = Record<string, ReadonlyArray<ScriptedProvider.Step>>

/** Runs one call through a chain of scripted providers, lets two minutes of virtual time pass, and tells all. */
const play = (
  scripts: Scripts,
  chain: (layers: ReadonlyArray<Layer.Layer<ChatProvider.ChatProvider>>) => Layer.Layer<ChatProvider.ChatProvider>,
  around: <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ProviderError.Timeout, R> = (call) => call
) =>
  Effect.gen(function*() {
    const providers = yield* Effect.forEach(
      Object.entries(scripts),
      ([provider, script]) => ScriptedProvider.make(script, { provider })
    )
    const fiber = yield* ChatProvider.complete(request).pipe(
      around,
      Effect.either,
      Effect.flatMap((result) =>
        Effect.map(Effect.clock, (clock) => ({ result, at: clock.unsafeCurrentTimeMillis() }))
      ),
      CallReport.collect,
      Effect.provide(chain(providers.map((provider) => provider.layer))),
      Effect.fork
    )
    yield* TestClock.adjust("2 minutes")
    const { exit, reports } = yield* Fiber.join(fiber)
    const { at, result } = yield* exit
    const asked = yield* Effect.forEach(providers, (provider) => provider.asked)
    return {
      text: Either.map(result, ChatProvider.text),
      at,
      asked: asked.map((requests) => requests.map((one) => one.at)),
      keys: asked.map((requests) => requests.map((one) => one.idempotencyKey)),
      report: reports[0]
    }
  }).pipe(Effect.withRandom(Random.make("fallback")))

const bare = (layers: ReadonlyArray<Layer.Layer<ChatProvider.ChatProvider>>) =>
  layers.reduce((self, that) => Fallback.orElse(self, that))

const resilient = (options?: Resilience.Options) => (layers: ReadonlyArray<Layer.Layer<ChatProvider.ChatProvider>>) =>
  bare(layers.map(Resilience.layer(options)))

const isText = (text: string) => (result: Either.Either<string, unknown>) => assertRight(result, text)

describe("Fallback.orElse", () => {
  it.effect("asks the first provider only, when it answers", () =>
    Effect.gen(function*() {
      const { asked, report, text } = yield* play({ a: ["from a"], b: [] }, bare)
      isText("from a")(text)
      deepStrictEqual(asked, [[0], []])
      strictEqual(report?.fallbacks, 0)
    }))

  const fallbackable: Record<string, ProviderError.CallError> = {
    RateLimited: rateLimited(),
    ServerError: overloaded,
    Timeout: new ProviderError.Timeout({ message: "slow", scope: "Attempt" }),
    Authentication: clientError("Authentication"),
    PermissionDenied: clientError("PermissionDenied"),
    NotFound: clientError("NotFound"),
    RequestTooLarge: clientError("RequestTooLarge"),
    ContextLengthExceeded: clientError("ContextLengthExceeded"),
    QuotaExhausted: clientError("QuotaExhausted"),
    CircuitOpen: circuitOpen("a")
  }
  for (const [name, error] of Object.entries(fallbackable)) {
    it.effect(`falls over on ${name}`, () =>
      Effect.gen(function*() {
        const { asked, report, text } = yield* play({ a: [error], b: ["from b"] }, bare)
        isText("from b")(text)
        deepStrictEqual(asked, [[0], [0]])
        strictEqual(report?.fallbacks, 1)
      }))
  }

  const final: Record<string, ProviderError.CallError> = {
    "content that was filtered": clientError("ContentFiltered"),
    "a request the first provider calls invalid": clientError("InvalidRequest"),
    "a deadline that passed": deadlinePassed
  }
  for (const [name, error] of Object.entries(final)) {
    it.effect(`does not fall over on ${name}`, () =>
      Effect.gen(function*() {
        const { asked, text } = yield* play({ a: [error], b: ["from b"] }, bare)
        assertLeft(text, error)
        deepStrictEqual(asked, [[0], []])
      }))
  }

  it.effect("goes on when a later provider calls the request invalid", () =>
    Effect.gen(function*() {
      const { text } = yield* play({ a: [overloaded], b: [clientError("InvalidRequest")], c: ["from c"] }, bare)
      isText("from c")(text)
    }))

  it.effect("takes a provider behind an open circuit for not asked", () =>
    Effect.gen(function*() {
      const invalid = clientError("InvalidRequest")
      const { asked, text } = yield* play({ a: [circuitOpen("a")], b: [invalid], c: ["from c"] }, bare)
      assertLeft(text, invalid)
      deepStrictEqual(asked, [[0], [0], []])
    }))

  it.effect("never starts the next provider when the call is interrupted", () =>
    Effect.gen(function*() {
      const a = yield* ScriptedProvider.make([Effect.never])
      const b = yield* ScriptedProvider.make(["from b"])
      const fiber = yield* ChatProvider.complete(request).pipe(
        Effect.provide(a.layer.pipe(Fallback.orElse(b.layer))),
        Effect.fork
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 minute")
      strictEqual((yield* b.asked).length, 0)
    }))

  it.effect("lets a defect through", () =>
    Effect.gen(function*() {
      const a = yield* ScriptedProvider.make([Effect.dieMessage("bug")])
      const b = yield* ScriptedProvider.make(["from b"])
      const exit = yield* ChatProvider.complete(request).pipe(
        Effect.provide(a.layer.pipe(Fallback.orElse(b.layer))),
        Effect.exit
      )
      assertTrue(exit._tag === "Failure" && exit.cause._tag === "Die")
      strictEqual((yield* b.asked).length, 0)
    }))

  it.effect("adds no policy of its own: each bare provider is asked once", () =>
    Effect.gen(function*() {
      const { asked, text } = yield* play({ a: [overloaded], b: [unavailable] }, bare)
      assertLeft(text, overloaded)
      deepStrictEqual(asked, [[0], [0]])
    }))

  it.effect("is associative", () =>
    Effect.gen(function*() {
      const scripts = { a: [overloaded], b: [clientError("InvalidRequest")], c: ["from c"] }
      const right = yield* play(scripts, ([a, b, c]) => Fallback.orElse(a!, Fallback.orElse(b!, c!)))
      isText("from c")(right.text)
      deepStrictEqual(right.keys.flat().map((key) => key.slice(36)), ["", "-2", "-3"])
    }))

  it.effect("builds each layer once, and shares it with the rest of the program", () =>
    Effect.gen(function*() {
      let built = 0
      const provider = Layer.effect(
        ChatProvider.ChatProvider,
        Effect.sync(() => {
          built += 1
          const service: ChatProvider.Service = {
            provider: "counted",
            model: undefined,
            complete: () => Effect.fail(overloaded),
            stream: notStreamed
          }
          return service
        })
      )
      class Other extends Context.Tag("Other")<Other, string>() {}
      const other = Layer.effect(Other, Effect.map(ChatProvider.ChatProvider, (service) => service.provider)).pipe(
        Layer.provide(provider)
      )
      const chain = provider.pipe(Fallback.orElse(ScriptedProvider.layer(["one", "two"])))
      yield* Effect.gen(function*() {
        yield* ChatProvider.complete(request)
        yield* ChatProvider.complete(request)
      }).pipe(Effect.provide(Layer.merge(chain, other)))
      strictEqual(built, 1)
    }))
})

describe("the error that surfaces", () => {
  const cases: ReadonlyArray<readonly [string, Scripts, ProviderError.CallError]> = [
    ["the first", { a: [overloaded], b: [unavailable] }, overloaded],
    ["the first that is not CircuitOpen", { a: [circuitOpen("a")], b: [unavailable], c: [overloaded] }, unavailable],
    [
      "the one that ended the chain",
      { a: [overloaded], b: [clientError("ContentFiltered")] },
      clientError("ContentFiltered")
    ]
  ]
  for (const [name, scripts, error] of cases) {
    it.effect(`is ${name}`, () =>
      Effect.gen(function*() {
        const { text } = yield* play(scripts, bare)
        assertTrue(Either.isLeft(text) && text.left._tag === error._tag && text.left.message === error.message)
      }))
  }

  it.effect("is the first CircuitOpen, if nothing could be sent at all", () =>
    Effect.gen(function*() {
      const { report, text } = yield* play({ a: [circuitOpen("a")], b: [circuitOpen("b")] }, bare)
      assertTrue(Either.isLeft(text) && text.left._tag === "CircuitOpen" && text.left.circuit === "a")
      deepStrictEqual(report?.attempts.map((attempt) => attempt.outcome), ["CircuitOpen", "CircuitOpen"])
    }))
})

describe("policies in a chain", () => {
  const failing = Array.from({ length: 10 }, () => overloaded)

  it.effect("make at most 3 attempts while another provider is left, and 5 at the last", () =>
    Effect.gen(function*() {
      const { asked } = yield* play({ a: failing, b: failing }, resilient({ retry: { base: "10 millis" } }))
      deepStrictEqual(asked.map((times) => times.length), [3, 5])
    }))

  it.effect("keep to maxAttempts where it was given", () =>
    Effect.gen(function*() {
      const { asked } = yield* play(
        { a: failing, b: failing },
        resilient({ retry: { base: "10 millis", maxAttempts: 4 } })
      )
      deepStrictEqual(asked.map((times) => times.length), [4, 4])
    }))

  it.effect("do not retry a Timeout while another provider is left, and once at the last", () =>
    Effect.gen(function*() {
      const hung = Array.from({ length: 5 }, () => Effect.never)
      const { asked } = yield* play({ a: hung, b: hung }, resilient({ attemptTimeout: "5 seconds" }))
      deepStrictEqual(asked.map((times) => times.length), [1, 2])
    }))

  it.effect("begin no wait longer than the patience of the chain while another provider is left", () =>
    Effect.gen(function*() {
      const { asked, report, text } = yield* play({ a: [rateLimited("6 seconds")], b: ["from b"] }, resilient())
      isText("from b")(text)
      deepStrictEqual(asked, [[0], [0]])
      deepStrictEqual(report?.denials, [{ by: "patience", provider: "a", model: "m" }])
    }))

  it.effect("wait as long as patience allows", () =>
    Effect.gen(function*() {
      const { asked, text } = yield* play(
        { a: [rateLimited("2 seconds"), "from a"], b: [] },
        resilient({ retry: { jitter: "none", base: "1 second" } })
      )
      isText("from a")(text)
      deepStrictEqual(asked, [[0, 2000], []])
    }))

  it.effect("wait for the last provider, whatever the patience", () =>
    Effect.gen(function*() {
      const { asked, text } = yield* play(
        { a: [overloaded, overloaded, overloaded], b: [rateLimited("30 seconds"), "from b"] },
        resilient({ retry: { jitter: "none", base: "1 second" } })
      )
      isText("from b")(text)
      deepStrictEqual(asked, [[0, 1000, 3000], [3000, 33_000]])
    }))

  it.effect("take the patience from the options of the chain", () =>
    Effect.gen(function*() {
      const { asked } = yield* play(
        { a: [rateLimited("2 seconds")], b: ["from b"] },
        ([a, b]) => Fallback.layer({ patience: "1 second" }, a!, b!)
      )
      deepStrictEqual(asked, [[0], [0]])
    }))

  it.effect("get half of what remains of the deadline for an attempt while another provider is left", () =>
    Effect.gen(function*() {
      const { asked, report, text } = yield* play(
        { a: [Effect.never], b: [Effect.never], c: [Effect.delay(Effect.succeed("from c"), "2 seconds")] },
        resilient(),
        Deadline.within("20 seconds")
      )
      isText("from c")(text)
      deepStrictEqual(asked, [[0], [10_000], [15_000]])
      deepStrictEqual(
        report?.attempts.map((attempt) => attempt.error?._tag === "Timeout" ? attempt.error.scope : undefined),
        ["Attempt", "Attempt", undefined]
      )
    }))
})

describe("a schedule of the user's in a chain", () => {
  it.effect("makes at most 3 attempts while another provider is left", () =>
    Effect.gen(function*() {
      const { asked, text } = yield* play(
        { a: [overloaded, overloaded, overloaded], b: ["from b"] },
        resilient({ retry: Schedule.spaced("1 second") })
      )
      isText("from b")(text)
      deepStrictEqual(asked, [[0, 1000, 2000], [2000]])
    }))

  it.effect("does not retry a Timeout while another provider is left", () =>
    Effect.gen(function*() {
      const { asked, text } = yield* play(
        { a: [Effect.never], b: ["from b"] },
        resilient({ retry: Schedule.spaced("1 second"), attemptTimeout: "5 seconds" })
      )
      isText("from b")(text)
      deepStrictEqual(asked, [[0], [5000]])
    }))
})

it.effect("the report of a chain inside a protected effect tells the requests apart", () =>
  Effect.gen(function*() {
    const a = yield* ScriptedProvider.make([overloaded], { provider: "a" })
    const b = yield* ScriptedProvider.make(["from b"], { provider: "b" })
    const resilience = yield* Resilience.make()
    const { reports } = yield* ChatProvider.complete(request).pipe(
      Effect.provide(a.layer.pipe(Fallback.orElse(b.layer))),
      resilience.protect,
      CallReport.collect
    )
    deepStrictEqual(
      reports.flatMap((report) => report.attempts.map(({ number, outcome, provider }) => [number, provider, outcome])),
      [[1, "a", "ServerError"], [2, "b", "Success"]]
    )
  }))

describe("a chain under a deadline", () => {
  it.effect("ends at it, whatever runs", () =>
    Effect.gen(function*() {
      const { at, report, text } = yield* play(
        { a: [Effect.never], b: [Effect.never] },
        ([a, b]) => Fallback.layer({ deadline: "10 seconds" }, a!, b!)
      )
      strictEqual(at, 10_000)
      assertTrue(Either.isLeft(text) && text.left._tag === "Timeout" && text.left.scope === "Deadline")
      deepStrictEqual(report?.attempts.map((attempt) => attempt.outcome), ["Timeout", "Timeout"])
      strictEqual(report?.outcome, "Timeout")
    }))

  it.effect("starts no provider with less than the reserve left, and surfaces the real error at once", () =>
    Effect.gen(function*() {
      const late = Effect.delay(overloaded, "9600 millis")
      const { asked, at, report, text } = yield* play(
        { a: [late], b: ["too late"] },
        bare,
        Deadline.within("10 seconds")
      )
      assertLeft(text, overloaded)
      strictEqual(at, 9600)
      deepStrictEqual(asked, [[0], []])
      strictEqual(report?.stoppedBy, "deadline")
    }))

  it.effect("starts a provider while the reserve remains", () =>
    Effect.gen(function*() {
      const { asked } = yield* play(
        { a: [Effect.delay(overloaded, "9500 millis")], b: ["just in time"] },
        bare,
        Deadline.within("10 seconds")
      )
      deepStrictEqual(asked, [[0], [9500]])
    }))
})

describe("when every provider asked for a wait", () => {
  it.effect("the earliest is waited for, and the chain resumes there", () =>
    Effect.gen(function*() {
      const { asked, text } = yield* play(
        { a: [rateLimited("8 seconds"), "from a"], b: [rateLimited("30 seconds")] },
        resilient()
      )
      isText("from a")(text)
      strictEqual(asked[0]?.[0], 0)
      const resumedAt = asked[0]?.[1] ?? NaN
      assertTrue(resumedAt >= 8000 && resumedAt <= 8800)
      deepStrictEqual(asked[1], [0])
    }))

  it.effect("the last provider waits by itself if it is ready first", () =>
    Effect.gen(function*() {
      const { asked, text } = yield* play(
        { a: [rateLimited("30 seconds")], b: [rateLimited("8 seconds"), "from b"] },
        resilient({ retry: { jitter: "none" } })
      )
      isText("from b")(text)
      deepStrictEqual(asked, [[0], [0, 8000]])
    }))

  it.effect("a provider that stands alone has no second round: it was waited for by its own policies", () =>
    Effect.gen(function*() {
      const busy = Array.from({ length: 10 }, () => rateLimited("2 seconds"))
      const { asked } = yield* play({ a: busy }, ([a = Layer.die("none")]) => Fallback.layer(a))
      strictEqual(asked[0]?.length, 5)
    }))

  it.effect("the chain resumes only once", () =>
    Effect.gen(function*() {
      const first = rateLimited("8 seconds")
      const { asked, text } = yield* play({ a: [first, rateLimited("8 seconds")], b: [rateLimited("9 seconds")] }, bare)
      assertLeft(text, first)
      deepStrictEqual(asked.map((times) => times.length), [2, 1])
    }))

  it.effect("no provider is asked before the time it named", () =>
    Effect.gen(function*() {
      const { asked } = yield* play(
        {
          a: [rateLimited("10 seconds"), unavailable],
          b: [rateLimited("50 seconds")],
          c: [rateLimited("10 seconds"), "from c"]
        },
        bare
      )
      deepStrictEqual(asked.map((times) => times.length), [2, 1, 2])
    }))

  it.effect("a wait that does not fit the deadline is not begun", () =>
    Effect.gen(function*() {
      const first = rateLimited("8 seconds")
      const { at, text } = yield* play(
        { a: [first], b: [rateLimited("9 seconds")] },
        bare,
        Deadline.within("8 seconds")
      )
      assertLeft(text, first)
      strictEqual(at, 0)
    }))

  const incurable: Record<string, ProviderError.CallError> = {
    "x-should-retry: false": new ProviderError.RateLimited({
      message: "429",
      retryAfter: Duration.seconds(2),
      shouldRetry: false
    }),
    "a spent quota": new ProviderError.ClientError({
      message: "429",
      reason: "QuotaExhausted",
      retryAfter: Duration.seconds(2)
    }),
    "a circuit that a bad key opened": new ProviderError.CircuitOpen({
      message: "open",
      circuit: "a",
      retryAfter: Duration.seconds(2),
      openedBy: { tag: "ClientError", reason: "Authentication", status: 401 }
    })
  }
  for (const [name, error] of Object.entries(incurable)) {
    it.effect(`no provider is asked again after ${name}, whatever it says of a wait`, () =>
      Effect.gen(function*() {
        const { asked, at, text } = yield* play({ a: [error], b: [error] }, bare)
        assertLeft(text, error)
        strictEqual(at, 0)
        deepStrictEqual(asked, [[0], [0]])
      }))
  }

  it.effect("the last provider's own backoff is not cut short by it", () =>
    Effect.gen(function*() {
      const { asked, text } = yield* play(
        { a: [rateLimited("6 seconds")], b: [overloaded, overloaded, overloaded, "from b"] },
        resilient({ retry: { jitter: "none" } })
      )
      isText("from b")(text)
      deepStrictEqual(asked, [[0], [0, 1000, 3000, 7000]])
    }))

  it.effect("a wait without an end is none", () =>
    Effect.gen(function*() {
      const isolated = new ProviderError.CircuitOpen({ message: "open", circuit: "a", retryAfter: Duration.infinity })
      const { at, text } = yield* play({ a: [isolated], b: [rateLimited("2 seconds")] }, bare)
      assertTrue(Either.isLeft(text) && text.left._tag === "RateLimited")
      strictEqual(at, 0)
    }))

  it.effect("the chain waits no longer than its maxRetryAfter", () =>
    Effect.gen(function*() {
      const { at, report } = yield* play(
        { a: [rateLimited("8 seconds")], b: [rateLimited("9 seconds")] },
        ([a, b]) =>
          Fallback.layer(
            { maxRetryAfter: "7 seconds" },
            a!.pipe(Resilience.layer({ retry: { maxRetryAfter: "7 seconds" } })),
            b!.pipe(Resilience.layer({ retry: { maxRetryAfter: "7 seconds" } }))
          )
      )
      strictEqual(at, 0)
      strictEqual(report?.stoppedBy, "Retry-After too long")
    }))

  it.effect("a chain inside another's attempt does not resume, since that is a retry", () =>
    Effect.gen(function*() {
      const a = yield* ScriptedProvider.make([rateLimited("2 seconds"), "from a"])
      const b = yield* ScriptedProvider.make([rateLimited("2 seconds")])
      const resilience = yield* Resilience.make({ retry: { jitter: "none" } })
      const fiber = yield* ChatProvider.complete(request).pipe(
        Effect.provide(a.layer.pipe(Fallback.orElse(b.layer))),
        resilience.protect,
        Effect.fork
      )
      yield* TestClock.adjust("1 minute")
      strictEqual(ChatProvider.text(yield* Fiber.join(fiber)), "from a")
      deepStrictEqual([yield* a.asked, yield* b.asked].map((asked) => asked.map(({ at }) => at)), [[0, 2000], [0]])
    }))

  it.effect("a wait of more than a minute is not begun", () =>
    Effect.gen(function*() {
      const first = rateLimited("61 seconds")
      const { at, report, text } = yield* play({ a: [first], b: [rateLimited("2 minutes")] }, bare)
      assertLeft(text, first)
      strictEqual(at, 0)
      strictEqual(report?.stoppedBy, "Retry-After too long")
    }))
})

describe("idempotency keys in a chain", () => {
  it.effect("are the caller's for the first provider, on every attempt, and derived ones for the next", () =>
    Effect.gen(function*() {
      const { keys } = yield* play(
        { a: [overloaded, overloaded, overloaded], b: [overloaded, "from b"], c: [] },
        resilient({ retry: { base: "10 millis" } }),
        IdempotencyKey.withKey("mine")
      )
      deepStrictEqual(keys, [["mine", "mine", "mine"], ["mine-2", "mine-2"], []])
    }))
})

describe("Fallback.layer", () => {
  it.effect("gives each provider the default policies", () =>
    Effect.gen(function*() {
      const failing = Array.from({ length: 10 }, () => overloaded)
      const { asked } = yield* play({ a: failing, b: failing }, ([a, b]) => Fallback.layer(a!, b!))
      deepStrictEqual(asked.map((times) => times.length), [3, 5])
    }))

  it.effect("leaves a provider's own policies alone", () =>
    Effect.gen(function*() {
      const failing = Array.from({ length: 10 }, () => overloaded)
      const { asked } = yield* play(
        { a: failing, b: failing },
        ([a, b]) => Fallback.layer(a!.pipe(Resilience.layer({ retry: { maxAttempts: 2 } })), b!)
      )
      deepStrictEqual(asked.map((times) => times.length), [2, 5])
    }))

  it.effect("gives policies to the links of a chain made with orElse", () =>
    Effect.gen(function*() {
      const failing = Array.from({ length: 10 }, () => overloaded)
      const { asked } = yield* play(
        { a: failing, b: failing, c: failing },
        ([a, b, c]) => Fallback.layer(a!.pipe(Fallback.orElse(b!)), c!)
      )
      deepStrictEqual(asked.map((times) => times.length), [3, 3, 5])
    }))

  it("refuses an empty chain and bad options, by name", () => {
    const provider = ScriptedProvider.layer([])
    const messages = [
      () => Reflect.apply(Fallback.layer, undefined, []),
      () => Fallback.layer({ deadline: "10s" as "10 seconds" }, provider),
      () => Fallback.layer({ deadline: Infinity }, provider),
      () => Fallback.layer({ patience: Number.NaN }, provider)
    ].map((make) => Either.try({ try: make, catch: String }))
    deepStrictEqual(
      messages.map((message) => Option.getOrElse(Either.getLeft(message), () => "no error").split(",")[0]),
      [
        "RangeError: Fallback.layer: expected at least one provider layer",
        "RangeError: deadline: expected a duration above zero",
        "RangeError: deadline: expected a finite duration",
        "RangeError: patience: expected a finite duration"
      ]
    )
  })

  it.effect("is one provider among others inside another chain", () =>
    Effect.gen(function*() {
      const { asked, text } = yield* play(
        { a: [overloaded, overloaded, overloaded], b: [overloaded, overloaded, overloaded], c: ["from c"] },
        ([a, b, c]) => Fallback.layer({ deadline: "1 minute" }, a!, b!).pipe(Fallback.orElse(c!))
      )
      isText("from c")(text)
      deepStrictEqual(asked.map((times) => times.length), [3, 3, 1])
    }))
})

it.effect("a chain inside a protected effect leaves the retries to it", () =>
  Effect.gen(function*() {
    const a = yield* ScriptedProvider.make([overloaded, overloaded, "from a"])
    const b = yield* ScriptedProvider.make([overloaded, overloaded])
    const resilience = yield* Resilience.make({ retry: { base: "10 millis" } })
    const fiber = yield* ChatProvider.complete(request).pipe(
      Effect.provide(Fallback.layer(a.layer, b.layer)),
      resilience.protect,
      Effect.fork
    )
    yield* TestClock.adjust("1 minute")
    strictEqual(ChatProvider.text(yield* Fiber.join(fiber)), "from a")
    deepStrictEqual([(yield* a.asked).length, (yield* b.asked).length], [3, 2])
    assertFalse((yield* a.asked).length > 3)
  }).pipe(Effect.withRandom(Random.make("owner"))))
