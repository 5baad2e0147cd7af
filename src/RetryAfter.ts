/**
 * What a server asked for, as a `Duration`.
 *
 * Servers say when to come back in a dozen spellings, and clients read them badly: `parseFloat` turns `1e3` into a
 * quarter of an hour and an ISO date into 2026 seconds. Here the headers are parsed strictly, by their own grammars, and
 * what does not parse is absent rather than guessed. A date is measured from the response's own `Date` header when it
 * has one, so that a wrong clock on either side does not matter.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as internal from "./internal/retryAfter.js"

/**
 * How long the headers of a response ask to wait: `retry-after-ms` (OpenAI, Azure), then `retry-after` as seconds or as
 * an HTTP date. Names in lower case; `now` in milliseconds of wall-clock time. None when there is no valid one; zero for
 * a date in the past.
 *
 * Source: RFC 9110, 10.2.3 and 5.6.7.
 *
 * @example
 * ```ts
 * import { RetryAfter } from "effect-resilience"
 *
 * const twoSeconds = RetryAfter.fromHeaders({ "retry-after": "2" }, Date.now())
 * const none = RetryAfter.fromHeaders({ "retry-after": "soon" }, Date.now())
 * ```
 *
 * @since 0.1.0
 * @category parsing
 */
export const fromHeaders = (
  headers: Readonly<Record<string, string | undefined>>,
  now: number
): Option.Option<Duration.Duration> =>
  Option.map(Option.fromNullable(internal.retryAfterFromHeaders(headers, now)), Duration.millis)
