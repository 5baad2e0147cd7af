import { leadingDuration } from "./duration.js"

/**
 * The wait that an error message asks for in words ("Please try again in 634ms", "retry after 6 seconds"), which for
 * some providers is the only place that has it. It is prose, so it is trusted last and only where a request to wait is
 * followed at once by a duration with a unit; of several the longest counts, since each is a limit that was hit.
 */

/** Beyond this a message is no sentence for people; it also bounds the work on a hostile one. */
export const maxMessageLength = 4_000

const request = /\b(?:try|retry|retrying|retried|wait|waiting)\b(?:[ -](?!\d)[a-z]+){0,5}[ :]+(?=\d)/gi

/** The wait in milliseconds, 0 or more. */
export const messageRetryHint = (message: string): number | undefined => {
  const text = message.slice(0, maxMessageLength).replace(/\s+/g, " ")
  let result: number | undefined
  for (const match of text.matchAll(request)) {
    const wait = leadingDuration(text.slice(match.index + match[0].length))
    if (wait !== undefined) result = Math.max(result ?? 0, wait)
  }
  return result
}
