/**
 * The options of `Resilience` as they stand in a file.
 *
 * A policy that was misspelt is a policy that is not there, and nobody notices until the night it is needed. So the
 * schema is strict: an unknown key, a duration that cannot be read, a number that cannot be meant is refused, with its
 * path. What it decodes to is the plain options struct, which the constructors take like any other.
 */
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as CircuitBreaker from "../CircuitBreaker.js"
import { Count, PositiveDuration, strict } from "./configValues.js"

const Retry = Schema.Struct({
  maxAttempts: Schema.optional(Count),
  base: Schema.optional(PositiveDuration),
  factor: Schema.optional(Schema.Finite.pipe(Schema.greaterThanOrEqualTo(1))),
  cap: Schema.optional(PositiveDuration),
  jitter: Schema.optional(Schema.Literal("full", "equal", "none")),
  maxRetryAfter: Schema.optional(PositiveDuration)
}).annotations(strict)

const Calls = Schema.Struct({ calls: Count }).annotations(strict)

const FailureRate = Schema.Struct({
  threshold: Schema.optional(Schema.Finite.pipe(Schema.greaterThan(0), Schema.lessThanOrEqualTo(1))),
  minimumCalls: Schema.optional(Count),
  window: Schema.optional(Schema.Union(PositiveDuration, Calls))
}).annotations(strict)

/** `{ "failureRate": { … } }` or `{ "consecutiveFailures": 5 }`. */
const Trip = Schema.transformOrFail(
  Schema.Union(
    Schema.Struct({ failureRate: FailureRate }).annotations(strict),
    Schema.Struct({ consecutiveFailures: Count }).annotations(strict)
  ),
  Schema.typeSchema(Schema.Union(
    Schema.TaggedStruct("FailureRate", {
      threshold: Schema.Number,
      minimumCalls: Schema.Number,
      window: Schema.Union(Schema.DurationFromSelf, Schema.Struct({ calls: Schema.Number }))
    }),
    Schema.TaggedStruct("ConsecutiveFailures", { failures: Schema.Number })
  )),
  {
    strict: true,
    decode: (trip, _, ast) =>
      ParseResult.try({
        try: () =>
          "failureRate" in trip
            ? CircuitBreaker.failureRate(trip.failureRate)
            : CircuitBreaker.consecutiveFailures(trip.consecutiveFailures),
        catch: (error) => new ParseResult.Type(ast, trip, error instanceof Error ? error.message : undefined)
      }),
    encode: (trip) =>
      ParseResult.succeed(
        trip._tag === "FailureRate"
          ? { failureRate: { threshold: trip.threshold, minimumCalls: trip.minimumCalls, window: trip.window } }
          : { consecutiveFailures: trip.failures }
      )
  }
)

const Growth = Schema.Struct({
  base: Schema.optional(PositiveDuration),
  factor: Schema.optional(Schema.Finite.pipe(Schema.greaterThanOrEqualTo(1))),
  cap: Schema.optional(PositiveDuration)
}).annotations(strict)

const Circuit = Schema.Struct({
  trip: Schema.optional(Trip),
  openFor: Schema.optional(Schema.Union(PositiveDuration, Growth)),
  maxOpenFor: Schema.optional(PositiveDuration),
  halfOpen: Schema.optional(
    Schema.Struct({
      permits: Schema.optional(Count),
      successes: Schema.optional(Count),
      probeTimeout: Schema.optional(PositiveDuration)
    }).annotations(strict)
  )
}).annotations(strict)

/**
 * The options of `make` and `layer` as a schema, for policies from a file: durations as `"10 seconds"`, the circuit's
 * `trip` as `{ "failureRate": { "threshold": 0.5 } }` or `{ "consecutiveFailures": 5 }`, `"circuitBreaker": false` for
 * none. Strict: an unknown key or a value that cannot be meant is a parse error with its path.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Resilience } from "effect-resilience"
 *
 * const program = Effect.gen(function*() {
 *   const options = yield* Schema.decodeUnknown(Resilience.Config)({
 *     retry: { maxAttempts: 3, base: "500 millis" },
 *     attemptTimeout: "20 seconds",
 *     circuitBreaker: { trip: { failureRate: { threshold: 0.5 } }, openFor: "10 seconds" },
 *     maxConcurrent: 50
 *   })
 *   return yield* Resilience.make(options)
 * })
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const Config = Schema.Struct({
  retry: Schema.optional(Retry),
  attemptTimeout: Schema.optional(PositiveDuration),
  firstToken: Schema.optional(PositiveDuration),
  idle: Schema.optional(PositiveDuration),
  reasoning: Schema.optional(Schema.Boolean),
  circuitBreaker: Schema.optional(Schema.Union(Schema.Literal(false), Circuit)),
  maxConcurrent: Schema.optional(Count)
}).annotations({ identifier: "Resilience.Config", ...strict })

/**
 * The type of `Config`: options of `make` and `layer`.
 *
 * @since 0.1.0
 * @category schemas
 */
export type Config = typeof Config.Type
