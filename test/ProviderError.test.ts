import { describe, it } from "@effect/vitest"
import {
  assertFalse,
  assertInclude,
  assertInstanceOf,
  assertTrue,
  deepStrictEqual,
  strictEqual
} from "@effect/vitest/utils"
import { Cause, Duration, Effect, Exit, FastCheck as fc, Logger, Redacted, Schema } from "effect"
import { ProviderError } from "effect-resilience"
import { inspect } from "node:util"
import { expectTypeOf } from "vitest"
import { circuitOpen, clientError, foreign, overloaded, rateLimited, timeout } from "./utils.js"

interface Decisions {
  readonly retry: boolean
  readonly fallback: boolean
  /** When the provider that failed was the first one asked. */
  readonly fallbackFromFirst: boolean
}

const decide = (error: unknown): Decisions => ({
  retry: ProviderError.isRetryable(error),
  fallback: ProviderError.isFallbackable(error, { first: false }),
  fallbackFromFirst: ProviderError.isFallbackable(error, { first: true })
})

const retryAndFallBack: Decisions = { retry: true, fallback: true, fallbackFromFirst: true }
const fallBack: Decisions = { retry: false, fallback: true, fallbackFromFirst: true }
const fallBackFromLaterOnes: Decisions = { retry: false, fallback: true, fallbackFromFirst: false }
const giveUp: Decisions = { retry: false, fallback: false, fallbackFromFirst: false }

const serverError = (reason: ProviderError.ServerErrorReason, shouldRetry?: boolean) =>
  new ProviderError.ServerError({ message: reason, reason, shouldRetry })

describe("what to do next", () => {
  const timeouts: Record<ProviderError.TimeoutScope, Decisions> = {
    Attempt: retryAndFallBack,
    FirstToken: retryAndFallBack,
    Idle: retryAndFallBack,
    Deadline: giveUp
  }
  const clientErrors: Record<ProviderError.ClientErrorReason, Decisions> = {
    InvalidRequest: fallBackFromLaterOnes,
    Authentication: fallBack,
    PermissionDenied: fallBack,
    NotFound: fallBack,
    RequestTooLarge: fallBack,
    ContextLengthExceeded: fallBack,
    ContentFiltered: giveUp,
    QuotaExhausted: fallBack
  }
  const withoutAdvice: ReadonlyArray<readonly [string, ProviderError.CallError, Decisions]> = [
    ["RateLimited", rateLimited(), retryAndFallBack],
    ["RateLimited with a Retry-After", rateLimited("1 hour"), retryAndFallBack],
    ...ProviderError.ServerErrorReason.literals.map((reason) =>
      [`ServerError ${reason}`, serverError(reason), retryAndFallBack] as const
    ),
    ...ProviderError.TimeoutScope.literals.map((scope) =>
      [`Timeout ${scope}`, timeout(scope), timeouts[scope]] as const
    ),
    ...ProviderError.ClientErrorReason.literals.map((reason) =>
      [`ClientError ${reason}`, clientError(reason), clientErrors[reason]] as const
    ),
    ["CircuitOpen", circuitOpen(), fallBack],
    ["CircuitOpen with a Retry-After", circuitOpen(0), fallBack]
  ]
  for (const [name, error, expected] of withoutAdvice) {
    it(name, () => deepStrictEqual(decide(error), expected))
  }

  describe("x-should-retry", () => {
    const advised = (shouldRetry: boolean): ReadonlyArray<readonly [string, ProviderError.CallError, Decisions]> => [
      ["RateLimited", rateLimited(undefined, shouldRetry), retryAndFallBack],
      ...ProviderError.ServerErrorReason.literals.map((reason) =>
        [`ServerError ${reason}`, serverError(reason, shouldRetry), retryAndFallBack] as const
      ),
      ...ProviderError.TimeoutScope.literals.map((scope) =>
        [`Timeout ${scope}`, timeout(scope, shouldRetry), timeouts[scope]] as const
      ),
      ...ProviderError.ClientErrorReason.literals.map((reason) =>
        [`ClientError ${reason}`, clientError(reason, shouldRetry), clientErrors[reason]] as const
      )
    ]
    for (const [name, error, expected] of advised(false)) {
      it(`false stops the retry of ${name}, and not the fallback`, () =>
        deepStrictEqual(decide(error), { ...expected, retry: false }))
    }
    for (const [name, error, expected] of advised(true)) {
      it(`true changes nothing for ${name}`, () => deepStrictEqual(decide(error), expected))
    }
  })

  for (const [name, error] of foreign) {
    it(`nothing for ${name}, which is not an error of this library`, () => {
      assertFalse(ProviderError.isCallError(error))
      deepStrictEqual(decide(error), giveUp)
    })
  }
})

const SECRET = "sk-secret: my private prompt"

const common = {
  message: "what happened",
  provider: "openai",
  model: "gpt-4o",
  status: 418,
  code: "a_code",
  requestId: "req_1",
  retryAfter: Duration.millis(2500),
  shouldRetry: true,
  detail: Redacted.make(SECRET)
}

const withDetail: ReadonlyArray<ProviderError.ProviderError> = [
  new ProviderError.RateLimited(common),
  new ProviderError.ServerError({ ...common, reason: "Overloaded" }),
  new ProviderError.ClientError({ ...common, reason: "InvalidRequest" }),
  new ProviderError.Timeout({ ...common, scope: "Attempt" })
]

describe("the provider's own text", () => {
  const logged = (logger: Logger.Logger<unknown, string>) => (error: ProviderError.ProviderError): string => {
    const lines: Array<string> = []
    Effect.logError("failed", error, Cause.fail(error)).pipe(
      Effect.annotateLogs({ error }),
      Effect.provide(Logger.replace(Logger.defaultLogger, Logger.map(logger, (line) => lines.push(line)))),
      Effect.runSync
    )
    return lines.join("\n")
  }
  const renderers: Record<string, (error: ProviderError.ProviderError) => string> = {
    "JSON.stringify": (error) => JSON.stringify(error),
    "JSON.stringify of its fields": (error) => JSON.stringify({ ...error }),
    "JSON.stringify of its exit": (error) => JSON.stringify(Exit.fail(error)),
    String,
    "a template": (error) => `${error}`,
    "its message": (error) => error.message,
    "its stack": (error) => String(error.stack),
    "util.inspect": (error) => inspect(error),
    "util.inspect with everything": (error) => inspect(error, { depth: null, showHidden: true, getters: true }),
    "util.inspect of its exit": (error) => inspect(Exit.fail(error), { depth: null }),
    "Cause.pretty": (error) => Cause.pretty(Cause.fail(error), { renderErrorCause: true }),
    "Cause.pretty of a defect": (error) => Cause.pretty(Cause.die(error), { renderErrorCause: true }),
    "String of its cause": (error) => String(Cause.fail(error)),
    "Schema.encode": (error) => JSON.stringify(Schema.encodeSync(ProviderError.CallError)(error)),
    "the logfmt logger": logged(Logger.logfmtLogger),
    "the JSON logger": logged(Logger.jsonLogger),
    "the default logger": logged(Logger.stringLogger)
  }
  for (const error of withDetail) {
    for (const [name, render] of Object.entries(renderers)) {
      it(`is not in ${name} of ${error._tag}`, () => {
        const rendered = render(error)
        assertTrue(rendered.length > 0)
        for (const word of ["secret", "private", "prompt"]) {
          assertFalse(rendered.includes(word), rendered)
        }
      })
    }
    it(`is in ${error._tag} for the caller that asks for it`, () => {
      const detail = error.detail
      assertTrue(detail !== undefined)
      strictEqual(Redacted.value(detail), SECRET)
    })
  }
})

describe("messages", () => {
  it("say who was asked and how long was waited", () => {
    const error = ProviderError.timedOut("Attempt", Duration.seconds(2), { provider: "openai", model: "gpt-4o" })
    strictEqual(error.message, "openai gpt-4o: no answer within 2s")
    deepStrictEqual([error.scope, error.provider, error.model], ["Attempt", "openai", "gpt-4o"])
  })

  it("tell a deadline from the limit of an attempt", () =>
    strictEqual(
      ProviderError.timedOut("Deadline", Duration.seconds(10)).message,
      "no answer within the deadline of 10s"
    ))

  it("are what a person sees of an error that was not handled", () =>
    assertInclude(Cause.pretty(Cause.fail(overloaded())), "ServerError: 529"))
})

describe("schemas", () => {
  it("are identified by the name of the library", () =>
    deepStrictEqual(
      ProviderError.CallError.members.map((member) => member.identifier),
      [
        "effect-resilience/RateLimited",
        "effect-resilience/ServerError",
        "effect-resilience/ClientError",
        "effect-resilience/Timeout",
        "effect-resilience/CircuitOpen"
      ]
    ))

  it("the union of provider errors leaves CircuitOpen out", () => {
    assertTrue(Schema.is(ProviderError.ProviderError)(overloaded()))
    assertFalse(Schema.is(ProviderError.ProviderError)(circuitOpen()))
    assertTrue(Schema.is(ProviderError.CallError)(circuitOpen()))
  })

  it("leave out what is not known", () =>
    deepStrictEqual(
      JSON.parse(JSON.stringify(Schema.encodeSync(ProviderError.CallError)(clientError("NotFound")))),
      { _tag: "ClientError", message: "NotFound", reason: "NotFound" }
    ))

  it("encode a wait as its milliseconds", () => {
    const encoded = Schema.encodeSync(ProviderError.RateLimited)(new ProviderError.RateLimited(common))
    strictEqual(encoded.retryAfter, 2500)
    strictEqual(encoded.detail, "<redacted>")
  })

  const optional = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined })
  const waits = optional(fc.nat().map((millis) => Duration.millis(millis)))
  const fields = {
    message: fc.string(),
    provider: optional(fc.string()),
    model: optional(fc.string()),
    status: optional(fc.integer({ min: 100, max: 599 })),
    code: optional(fc.string()),
    requestId: optional(fc.string()),
    retryAfter: waits,
    shouldRetry: optional(fc.boolean()),
    detail: optional(fc.string().map((text) => Redacted.make(text)))
  }
  const errors: fc.Arbitrary<ProviderError.CallError> = fc.oneof(
    fc.record(fields).map((props) => new ProviderError.RateLimited(props)),
    fc.record({ ...fields, reason: fc.constantFrom(...ProviderError.ServerErrorReason.literals) })
      .map((props) => new ProviderError.ServerError(props)),
    fc.record({ ...fields, reason: fc.constantFrom(...ProviderError.ClientErrorReason.literals) })
      .map((props) => new ProviderError.ClientError(props)),
    fc.record({ ...fields, scope: fc.constantFrom(...ProviderError.TimeoutScope.literals) })
      .map((props) => new ProviderError.Timeout(props)),
    fc.record({
      message: fc.string(),
      circuit: fc.string(),
      provider: optional(fc.string()),
      model: optional(fc.string()),
      retryAfter: waits,
      openedBy: optional(fc.record({
        tag: fc.string(),
        reason: optional(fc.string()),
        status: optional(fc.integer())
      }))
    }).map((props) => new ProviderError.CircuitOpen(props))
  )

  /** Its fields as plain values; the detail only as whether there is one, since its text does not travel. */
  const plain = (error: ProviderError.CallError): unknown => {
    const { retryAfter, ...rest } = error
    return JSON.parse(JSON.stringify({
      ...rest,
      message: error.message,
      retryAfter: retryAfter === undefined ? undefined : Duration.toMillis(retryAfter)
    }))
  }

  const throughJson = (error: ProviderError.CallError): ProviderError.CallError =>
    Schema.decodeSync(Schema.parseJson(ProviderError.CallError))(
      Schema.encodeSync(Schema.parseJson(ProviderError.CallError))(error)
    )

  it.prop("an error comes back whole from JSON, but for the provider's own text", [errors], ([error]) => {
    const back = throughJson(error)
    strictEqual(back.constructor, error.constructor)
    deepStrictEqual(plain(back), plain(error))
    assertTrue(ProviderError.isCallError(back))
    deepStrictEqual(decide(back), decide(error))
    if ("detail" in back && back.detail !== undefined) {
      strictEqual(Redacted.value(back.detail), "<redacted>")
    }
  }, { fastCheck: { numRuns: 100 } })
})

describe("in the error channel", () => {
  it.effect("an error is yielded, caught by its tag, and still an Error with a stack", () =>
    Effect.gen(function*() {
      const caught = yield* rateLimited("2 seconds").pipe(Effect.catchTag("RateLimited", Effect.succeed))
      assertInstanceOf(caught, Error)
      strictEqual(caught.name, "RateLimited")
      assertInclude(caught.stack, "ProviderError.test.ts")
    }))

  it("CallError is the five classes, ProviderError the four that a provider can fail with", () => {
    expectTypeOf<ProviderError.CallError["_tag"]>()
      .toEqualTypeOf<"RateLimited" | "ServerError" | "ClientError" | "Timeout" | "CircuitOpen">()
    expectTypeOf<ProviderError.ProviderError>()
      .toEqualTypeOf<Exclude<ProviderError.CallError, ProviderError.CircuitOpen>>()
    expectTypeOf<typeof ProviderError.CallError.Type>().toEqualTypeOf<ProviderError.CallError>()
    expectTypeOf<typeof ProviderError.ProviderError.Type>().toEqualTypeOf<ProviderError.ProviderError>()
    expectTypeOf<typeof ProviderError.CallError.Context>().toEqualTypeOf<never>()
  })
})
