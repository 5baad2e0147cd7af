/**
 * What stands in a configuration file for an option: text or a number, checked like the option itself.
 *
 * A duration is text with its unit, since a bare number would have none, and it ends, since a file has no word for
 * infinity. A struct of options is strict: a misspelt option is an option that is not there.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import type * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

// `Duration.decode` takes a negative duration for none at all.
const parse = (text: string): Option.Option<Duration.Duration> =>
  text.startsWith("-") ? Option.none() : Option.filter(Duration.decodeUnknown(text), Duration.isFinite)

const durationFromText = (description: string, isMeant: Predicate.Predicate<Duration.Duration>) =>
  Schema.transformOrFail(Schema.String, Schema.DurationFromSelf, {
    strict: true,
    decode: (text, _, ast) =>
      ParseResult.fromOption(
        Option.filter(parse(text), isMeant),
        () => new ParseResult.Type(ast, text, `expected ${description}, got ${JSON.stringify(text)}`)
      ),
    encode: (duration) => ParseResult.succeed(`${Duration.toMillis(duration)} millis`)
  }).annotations({ description })

/** A duration above zero. */
export const PositiveDuration = durationFromText(
  `a duration above zero, such as "10 seconds"`,
  Duration.greaterThan(Duration.zero)
)

/** A duration that may be none at all. */
export const AnyDuration = durationFromText(`a finite duration, such as "10 seconds"`, () => true)

/** A whole number of at least one. */
export const Count = Schema.Int.pipe(Schema.greaterThanOrEqualTo(1))

/** The annotation of a struct that refuses an unknown key. */
export const strict = { parseOptions: { onExcessProperty: "error" } } as const
