/**
 * The options of `Fallback` as they stand in a file: as strict as those of `Resilience`, and none has the name of one
 * of those, so that a policy in a file may hold both side by side.
 */
import * as Schema from "effect/Schema"
import { AnyDuration, PositiveDuration, strict } from "./configValues.js"

/**
 * The options of `layer` as a schema, for a chain from a file: durations as `"10 seconds"`. Strict: an unknown key or a
 * value that cannot be meant is a parse error with its path.
 *
 * @example
 * ```ts
 * import { Effect, Layer, Redacted, Schema } from "effect"
 * import { Fallback, OpenAi } from "effect-resilience"
 *
 * const apiKey = Redacted.make("a key from a safe place")
 *
 * const chain = Layer.unwrapEffect(Effect.map(
 *   Schema.decodeUnknown(Fallback.Config)({ deadline: "30 seconds", onCut: "continue" }),
 *   (options) => Fallback.layer(options, OpenAi.layer({ apiKey, model: "gpt-4o" }))
 * ))
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const Config = Schema.Struct({
  deadline: Schema.optional(PositiveDuration),
  patience: Schema.optional(AnyDuration),
  onCut: Schema.optional(Schema.Literal("fail", "continue", "hold")),
  maxRetryAfter: Schema.optional(PositiveDuration)
}).annotations({ identifier: "Fallback.Config", ...strict })

/**
 * The type of `Config`: options of `layer`.
 *
 * @since 0.1.0
 * @category schemas
 */
export type Config = typeof Config.Type
