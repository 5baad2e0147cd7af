/**
 * The options of `Resilience` as they stand in a file.
 *
 * A policy that was misspelt is a policy that is not there, and nobody notices until the night it is needed. So the
 * schema is strict: an unknown key, a duration that cannot be read, a number that cannot be meant is refused, with its
 * path. What it decodes to is the plain options struct, which the constructors take like any other.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as CircuitBreaker from "../CircuitBreaker.js"

const description = `a duration above zero, such as "10 seconds"`

/** A bare number would have no unit. */
const PositiveDuration = Schema.transformOrFail(Schema.String, Schema.DurationFromSelf, {
  strict: true,
  decode: (text, _, ast) => {
    const duration = Duration.decodeUnknown(text)
    return Option.isSome(duration) && Duration.greaterThan(duration.value, Duration.zero)
      ? ParseResult.succeed(duration.value)
      : ParseResult.fail(new ParseResult.Type(ast, text, `expected ${description}, got "${text}"`))
  },
  encode: (duration) => ParseResult.succeed(`${Duration.toMillis(duration)} millis`)
}).annotations({ description })

const Count = Schema.Int.pipe(Schema.greaterThanOrEqualTo(1))

const strict = { parseOptions: { onExcessProperty: "error" } } as const

const Retry = Schema.Struct({
  maxAttempts: Schema.optional(Count),
  base: Schema.optional(PositiveDuration),
  factor: Schema.optional(Schema.Finite.pipe(Schema.greaterThanOrEqualTo(1))),
  cap: Schema.optional(PositiveDuration),
  jitter: Schema.optional(Schema.Literal("full", "equal", "none")),
  maxRetryAfter: Schema.optional(PositiveDuration)
}).annotations(strict)
