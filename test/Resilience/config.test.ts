import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Either, ParseResult, Schema } from "effect"
import { CircuitBreaker, Resilience } from "effect-resilience"
import { failureOf, nameOf, overloaded, simulate } from "../utils.js"

const decode = Schema.decodeUnknownEither(Resilience.Config)

const full = {
  retry: {
    maxAttempts: 3,
    base: "500 millis",
    factor: 3,
    cap: "20 seconds",
    jitter: "equal",
    maxRetryAfter: "30 seconds"
  },
  attemptTimeout: "20 seconds",
  circuitBreaker: {
    trip: { failureRate: { threshold: 0.5, minimumCalls: 10, window: { calls: 50 } } },
    openFor: { base: "2 seconds", factor: 2, cap: "1 minute" },
    maxOpenFor: "10 minutes",
    halfOpen: { permits: 2, successes: 3, probeTimeout: "5 seconds" }
  },
  maxConcurrent: 50
}

/** Where and why a config is refused. */
const refusal = (input: unknown): string =>
  Either.match(decode(input), {
    onLeft: (error) =>
      ParseResult.ArrayFormatter.formatErrorSync(error)
        .map(({ message, path }) => `${path.join(".")}: ${message}`)
        .join("\n"),
    onRight: () => "accepted"
  })

describe("Resilience.Config", () => {
  it("is the options, with durations as text", () => {
    deepStrictEqual(
      decode(full),
      Either.right({
        retry: {
          maxAttempts: 3,
          base: Duration.millis(500),
          factor: 3,
          cap: Duration.seconds(20),
          jitter: "equal",
          maxRetryAfter: Duration.seconds(30)
        },
        attemptTimeout: Duration.seconds(20),
        circuitBreaker: {
          trip: CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: { calls: 50 } }),
          openFor: { base: Duration.seconds(2), factor: 2, cap: Duration.minutes(1) },
          maxOpenFor: Duration.minutes(10),
          halfOpen: { permits: 2, successes: 3, probeTimeout: Duration.seconds(5) }
        },
        maxConcurrent: 50
      })
    )
  })

  it("may leave everything out, or the circuit off", () => {
    deepStrictEqual(decode({}), Either.right({}))
    deepStrictEqual(decode({ circuitBreaker: false }), Either.right({ circuitBreaker: false }))
  })

  it("written back, it is the same policy", () => {
    const encode = Schema.encodeSync(Resilience.Config)
    for (const config of [full, { circuitBreaker: { trip: { consecutiveFailures: 5 }, openFor: "10 seconds" } }]) {
      const once = Either.getOrThrow(decode(config))
      deepStrictEqual(Either.getOrThrow(decode(encode(once))), once)
    }
  })

  it.effect("what it gives, the constructors take", () =>
    Effect.gen(function*() {
      const options = yield* Schema.decodeUnknown(Resilience.Config)({
        retry: { maxAttempts: 1 },
        circuitBreaker: { trip: { consecutiveFailures: 1 }, openFor: "1 minute" }
      })
      const { protect } = yield* Resilience.make(options)
      strictEqual(
        nameOf(failureOf((yield* simulate(protect(Effect.fail(overloaded())), "1 second")).exit)),
        "ServerError"
      )
      strictEqual(nameOf(failureOf((yield* simulate(protect(Effect.void), "1 second")).exit)), "CircuitOpen")
      Resilience.layer(Either.getOrThrow(decode(full)))
    }))

  for (
    const [path, input] of [
      ["attemptTimout", { attemptTimout: "20 seconds" }],
      ["retry.maxAttempt", { retry: { maxAttempt: 3 } }],
      ["retry.maxAttempts", { retry: { maxAttempts: 0 } }],
      ["retry.maxAttempts", { retry: { maxAttempts: 1.5 } }],
      ["retry.base", { retry: { base: 500 } }],
      ["retry.base", { retry: { base: "10s" } }],
      ["retry.base", { retry: { base: "-5 seconds" } }],
      ["retry.base", { retry: { base: "0 seconds" } }],
      ["retry.factor", { retry: { factor: 0.5 } }],
      ["retry.jitter", { retry: { jitter: "some" } }],
      ["attemptTimeout", { attemptTimeout: "soon" }],
      ["maxConcurrent", { maxConcurrent: -1 }],
      ["circuitBreaker", { circuitBreaker: true }],
      ["threshold", { circuitBreaker: { trip: { failureRate: { threshold: 1.5 } } } }],
      ["trip", { circuitBreaker: { trip: { failureRate: { window: { calls: 5 }, minimumCalls: 10 } } } }],
      ["consecutiveFailures", { circuitBreaker: { trip: { consecutiveFailures: 0 } } }],
      ["halfOpen.permit", { circuitBreaker: { halfOpen: { permit: 1 } } }]
    ] as const
  ) {
    it(`refuses ${JSON.stringify(input)}, and says where`, () => {
      const said = refusal(input)
      assertTrue(said !== "accepted")
      assertInclude(said, path)
    })
  }

  it("says what a duration should look like, and what it got", () => {
    assertInclude(refusal({ attemptTimeout: "10s" }), `expected a duration above zero, such as "10 seconds", got "10s"`)
  })
})
