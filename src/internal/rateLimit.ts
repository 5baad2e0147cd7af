import { parseDelaySeconds, parseGoDuration, wholeMillis } from "./duration.js"
import { parseTimestamp } from "./httpDate.js"
import type { HeaderRecord } from "./retryAfter.js"
import { parseList } from "./structuredField.js"

/**
 * What response headers say about rate limits, besides Retry-After, in one plain form. Providers agree on the names and
 * not on the meaning: the resets of OpenAI, Groq, Azure and Anthropic tell when a bucket will be full again, which says
 * nothing about when one more request fits, while a window's reset (OpenRouter, the IETF drafts, Anthropic's plans) is
 * the moment from which calls are taken again. So each bucket says which of the two its reset is, and only the second
 * ever becomes a wait.
 */

export interface RateLimitBucket {
  /** What is counted: `requests`, `tokens`, `input-tokens`, a policy's name, or `default`. */
  readonly name: string
  readonly limit?: number | undefined
  readonly remaining?: number | undefined
  /** From now, in milliseconds, 0 or more. */
  readonly resetMs?: number | undefined
  /** What the reset means: quota is `available` from then on, or all of it is back (`full`), an upper bound. */
  readonly resets: "available" | "full"
}

/**
 * A count; Azure sends -1 for one it does not know, which is no count. Older drafts append policies: `100, 100;w=60`.
 */
const parseCount = (value: string): number | undefined => {
  const digits = /^[ \t]*(\d{1,15})[ \t]*(?:[,;]|$)/.exec(value)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/**
 * A bare number as a reset. Nobody waits 30 years, so what is that large is a point in time: seconds since the epoch,
 * or milliseconds from 10^12 on (OpenRouter).
 */
const parseReset = (value: string, now: number): number | undefined => {
  const delay = parseDelaySeconds(value)
  if (delay === undefined) return undefined
  const number = delay / 1000
  if (number < 1e9) return delay
  return wholeMillis(Math.max(0, (number > 1e12 ? number : number * 1000) - now))
}

const parseInstant = (value: string, now: number): number | undefined => {
  const time = parseTimestamp(value)
  return time === undefined ? undefined : wholeMillis(Math.max(0, time - now))
}

interface Family {
  /** Matches a header's name; its groups `name` (none: `default`) and `field`. */
  readonly pattern: RegExp
  readonly resets: (name: string) => RateLimitBucket["resets"]
  readonly parseReset: (value: string, now: number) => number | undefined
}

const families: ReadonlyArray<Family> = [
  {
    // OpenAI, Groq and Azure (whole seconds, and once spelt `x-rate-limit-…`) name a bucket, OpenRouter does not.
    pattern: /^x-rate-?limit-(?<field>limit|remaining|reset)(?:-(?<name>[a-z-]+))?$/,
    resets: (name) => name === "default" ? "available" : "full",
    parseReset: (value, now) => parseGoDuration(value) ?? parseReset(value, now)
  },
  {
    // "The time when the … limit will be fully replenished" (Anthropic's documentation); a plan's window ends.
    pattern: /^anthropic-(?:ratelimit-)?(?<name>[a-z0-9-]+)-(?<field>limit|remaining|reset|status)$/,
    resets: (name) => name.startsWith("unified") ? "available" : "full",
    parseReset: (value, now) =>
      parseInstant(value, now) ?? (/^\d{10}$/.test(value) ? parseReset(value, now) : undefined)
  },
  {
    // draft-ietf-httpapi-ratelimit-headers up to -06; some servers put a time since the epoch into it.
    pattern: /^ratelimit-(?<field>limit|remaining|reset)$/,
    resets: () => "available",
    parseReset
  }
]

type Bucket = { -readonly [K in keyof RateLimitBucket]: RateLimitBucket[K] }

const readFamily = (family: Family, headers: HeaderRecord, now: number): ReadonlyArray<RateLimitBucket> => {
  const buckets = new Map<string, Bucket>()
  for (const [header, value] of Object.entries(headers)) {
    const groups = value === undefined ? undefined : family.pattern.exec(header)?.groups
    if (value === undefined || groups === undefined) continue
    const name = groups["name"] ?? "default"
    const bucket = buckets.get(name) ?? { name, resets: family.resets(name) }
    const field = groups["field"]
    if (field === "limit") bucket.limit = parseCount(value)
    else if (field === "remaining") bucket.remaining = parseCount(value)
    else if (field === "reset") bucket.resetMs = family.parseReset(value, now)
    else if (value === "rejected") bucket.remaining = 0
    buckets.set(name, bucket)
  }
  return [...buckets.values()]
}

const positive = (value: number | undefined): number | undefined => value === undefined || value < 0 ? undefined : value

/**
 * `RateLimit: "default";r=50;t=30`, with the limits of `RateLimit-Policy: "default";q=100;w=60` (draft -10 and later).
 */
const readDraft = (headers: HeaderRecord): ReadonlyArray<RateLimitBucket> => {
  const policies = parseList(headers["ratelimit-policy"] ?? "") ?? []
  return (parseList(headers["ratelimit"] ?? "") ?? []).map(({ name, numbers }) => {
    const seconds = positive(numbers.get("t"))
    return {
      name,
      limit: positive(policies.find((policy) => policy.name === name)?.numbers.get("q")),
      remaining: positive(numbers.get("r")),
      resetMs: seconds === undefined ? undefined : wholeMillis(seconds * 1000),
      resets: "available"
    }
  })
}

/** Every bucket that the headers tell of; values that make no sense are left out. */
export const parseRateLimits = (headers: HeaderRecord, now: number): ReadonlyArray<RateLimitBucket> => [
  ...families.flatMap((family) => readFamily(family, headers, now)),
  ...readDraft(headers)
]

/**
 * The least wait, in milliseconds, that a client whose call was rate limited may conclude: until every bucket that is
 * known to be empty takes calls again.
 */
export const resetHint = (headers: HeaderRecord, now: number): number | undefined => {
  let result: number | undefined
  for (const bucket of parseRateLimits(headers, now)) {
    if (bucket.remaining === 0 && bucket.resets === "available" && bucket.resetMs !== undefined) {
      result = Math.max(result ?? 0, bucket.resetMs)
    }
  }
  return result
}
