/**
 * What a policy may know of the chain it stands in: whether another provider is left, and how long waiting here is
 * worth while one is.
 *
 * The chain knows, and the retry policy of each provider decides, so the knowledge travels down as an ambient value
 * that adds nothing to any type. It lives below both, that neither has to import the other; users meet it as
 * `Fallback.Alternatives`.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"

/**
 * What stands behind the provider that is being asked.
 *
 * - `left`: how many providers of the chain come after this one; 0 outside a chain and for its last provider.
 * - `patience`: the longest wait worth beginning here while `left` is above 0.
 * - `resumeAt`: when every other provider asked for a wait, the earliest moment (nanoseconds of the monotonic clock) one
 *   of them is ready again; to wait for this one's Retry-After beyond it is not worth beginning either.
 *
 * @since 0.1.0
 * @category models
 */
export interface AlternativesLeft {
  readonly left: number
  readonly patience: Duration.Duration
  readonly resumeAt?: bigint | undefined
}

const none: AlternativesLeft = { left: 0, patience: Duration.infinity }

/**
 * What the chain says of the provider being asked. Default: none are left.
 *
 * @since 0.1.0
 * @category references
 */
export class Alternatives extends Context.Reference<Alternatives>()(
  "effect-resilience/Fallback/Alternatives",
  { defaultValue: () => none }
) {}
