import { type ClientErrorReason } from "./classified.js"
import { maxMessageLength } from "./messageHint.js"

/**
 * What the prose of an error message tells that its codes do not. Messages change without notice and may quote the
 * request, so wording decides nothing alone: the status allows a few readings, and these patterns choose among them.
 * Each pattern needs a subject (the prompt, the quota) together with what befell it (too long, exhausted), in whatever
 * words lie between; the gaps are bounded, so a pattern's work is too. URLs are taken out first: a rate limit's message
 * often links to a page about billing.
 */

/** The text that patterns are applied to: bounded, on one line, without URLs and quotation marks. */
export const normalizeWording = (message: string): string =>
  message.slice(0, maxMessageLength).replace(/\bhttps?:\/\/\S+/gi, " ").replace(/[\s"'`\u2018\u2019]+/g, " ")

export type Patterns = ReadonlyArray<RegExp>

export const matches = (patterns: Patterns, text: string): boolean => patterns.some((pattern) => pattern.test(text))

const above = "exceed|too (?:long|large|big|many)|(?:longer|larger|greater|more|bigger) than|overflow|beyond|not fit|" +
  "(?<![-=])>"
const excess = `(?:${above}|over the|at most|up to|(?:less|fewer) than|must be <=?|must not be)`
const size = "(?:length|len|window|size|limit)"
const prompt = "(?:prompt|inputs?|messages?|conversation|history|context|request|documents?|texts?)"

/** The answer's own limit (`max_tokens` too large) is an invalid parameter and no matter of the prompt's length. */
export const contextLength: Patterns = [
  new RegExp(`\\bcontext[ _-]?${size}(?![a-z]).{0,120}(?:${excess}|\\d)`, "i"),
  new RegExp(`(?:${above}).{0,80}\\bcontext\\b`, "i"),
  new RegExp(
    `\\bmax(?:imum)?[ _]?(?:\\w+ )?(?:context|prompt|input|model|sequence|seq)[ _-]?(?:${size}|tokens?)\\b.{0,80}\\d`,
    "i"
  ),
  new RegExp(`\\b${prompt} (?:\\w+ ){0,4}too long\\b`, "i"),
  new RegExp(`\\b${prompt}\\b.{0,60}\\btokens?\\b.{0,60}${excess}`, "i"),
  new RegExp(`\\b(?:total|number of) tokens\\b.{0,60}${excess}`, "i"),
  /\btoken limit\b.{0,20}\bexceed|\bexceed\w*.{0,30}\btoken limit\b/i,
  /\b(?:at most|up to|maximum of|limit of|only supports|cannot exceed) [\d,]+ (?:input |prompt )?tokens\b/i,
  /\btoo many (?:input|prompt) tokens\b/i,
  new RegExp(
    `\\b(?:prompt|input|sequence)(?: (?:length|size))?\\b.{0,40}\\bexceed\\w*.{0,20}\\b(?:max|maximum|limit|length)\\b`,
    "i"
  ),
  /\binput length\b.{0,40}\b(?:range|should be|must be|max)/i,
  /\b(?:length|size) of (?:the |your )?(?:prompt|inputs?|messages|conversation)\b/i,
  /\bshorte[nr]\b.{0,20}\b(?:prompt|input|message|conversation|text)/i
]

export const contentFiltered: Patterns = [
  /\bcontent[ _-]?(?:management|filter|moderation|safety|usage)?(?:ing|ed)? ?polic/i,
  /\bcontent[ _-](?:filter|moderat)/i,
  /\b(?:usage|acceptable use|safety|content) polic/i,
  /\bflagged\b/i,
  /\b(?:safety|moderation) (?:system|filter|settings?|reasons?|check|guard|guideline|threshold)/i,
  /\b(?:failed|requires?|rejected by|blocked by|violates?) (?:\w+ ){0,3}(?:moderation|safety|guardrails?)\b/i,
  /\b(?:inappropriate|harmful|prohibited|unsafe|sensitive) (?:\w+ ){0,2}(?:content|prompt|input|output|text)\b/i
]

/** Money and hard caps: no wait cures these. */
export const outOfFunds: Patterns = [
  /\bbalance (?:is |was |has been )?(?:(?:too )?low|insufficient|negative|exhausted|depleted|not enough)/i,
  /\bno (?:\w+ )?(?:credits?|funds) (?:left|remaining|available)\b/i,
  /\b(?:insufficient|not enough|out of|requires? more|no (?:remaining|available)) (?:\w+ )?(?:credits?|funds?)\b/i,
  /\b(?:insufficient|not enough) (?:\w+ )?balance\b/i,
  /\b(?:used|exhausted|spent)(?: up)?(?: \w+){0,3} (?:credits?|funds?|balance)\b/i,
  /\bcredit limit (?:reached|exceeded)\b|\bover budget\b/i,
  /\binsufficient[ _]quota\b/i,
  /\b(?:credits?|funds) (?:\w+ ){0,3}(?:exhausted|depleted|used up|run out|ran out|expired)/i,
  /\b(?:spend|spending|budget|billing)(?: hard)? ?(?:limit|cap|threshold)?s?\b.{0,40}\b(?:reach|exceed|hit|exhaust)/i,
  /\b(?:reach|exceed|hit|exhaust)\w*.{0,40}\b(?:spend|spending|budget|billing)(?: hard)? (?:limit|cap|quota)/i,
  /\b(?:monthly|total|key) (?:\w+ ){0,2}limit\b.{0,20}\b(?:reach|exceed|hit|exhaust)|\bkey limit exceeded\b/i,
  /\b(?:payment required|billing (?:is )?not active|account (?:is )?not active|in arrears)\b/i,
  /\blimit:? 0\b(?![.,]?\d)/i
]

/** A quota in words, which some providers also say of a limit per minute. */
export const outOfQuota: Patterns = [
  /\b(?:exceed|exhaust|reach|used up|consum|out of)\w*(?: \w+){0,4} quota\b/i,
  /\bquota\b.{0,30}\b(?:exhausted|depleted|used up|replenished)/i,
  /\busage limits?\b|\bfree (?:trial|tier)(?: \w+)? (?:expired|exhausted|ended)\b|\b(?:top up|recharge)\b/i,
  /\b(?:reach|exceed|hit)\w*(?: \w+){0,3} (?:plan(?: s)?(?: \w+)? limits?|limits? of (?:\w+ ){1,3}plan)\b/i
]

/** Where waiting is no cure anyway, any quota that is exceeded is an exhausted one. */
export const quotaExceeded: Patterns = [/\bquota\b.{0,60}\bexceed|\bexceed\w*.{0,60}\bquota\b/i]

export const tooLargeAlone: Patterns = [
  /\b(?:request|payload|body)(?: entity| body| size)? (?:is )?too large\b/i,
  /\brequest (?:body |payload )?(?:size )?exceeds? (?:the )?(?:max|limit|\d)/i
]

export const overloaded: Patterns = [/overload|\bcapacity\b|high (?:demand|load|traffic)|too busy|\bbusy\b/i]

/** What an otherwise unspecific 4xx may be after all, the first that fits. */
export const invalidRequestReasons: ReadonlyArray<readonly [ClientErrorReason, Patterns]> = [
  ["ContentFiltered", contentFiltered],
  ["ContextLengthExceeded", contextLength],
  ["QuotaExhausted", [...outOfFunds, ...outOfQuota, ...quotaExceeded]],
  ["RequestTooLarge", tooLargeAlone],
  ["Authentication", [
    /\b(?:invalid|incorrect|missing|expired|bad) (?:\w+ )?(?:api[ _-]?key|credentials?|bearer token|access token)\b/i,
    /\bapi[ _-]?key\b.{0,20}\b(?:not valid|invalid|incorrect|expired|missing|required|revoked)/i
  ]],
  ["PermissionDenied", [
    /\b(?:country|region|territory|location)\b.{0,20}\bnot (?:supported|available|allowed)/i,
    /\bnot (?:supported|available|allowed) in (?:\w+ )?(?:country|region|territory|location)\b/i
  ]],
  ["NotFound", [
    /\bmodel\b.{0,60}\b(?:not found|(?:does|did) not exist|not exist)|\bno such model\b/i,
    /\bmodel(?: \S+){0,3} (?:is )?not (?:supported|available)\b/i,
    /\bnot a valid model\b|\b(?:unknown|invalid) model(?: id| identifier| name)?\s?(?:[:.,]|$)/i,
    /\bmodel (?:id|identifier|name) is invalid\b/i
  ]]
]

export type Period = "short" | "long"

const period = new RegExp(
  [
    "(?:per[ _-]?|/ ?)(second|sec\\b|minute|min\\b|hour|day|week|month|year)",
    // RPM, TPM, ITPM, RPD and their like.
    "(?<![a-z])[a-z]?[rt]p([smhd])(?![a-z])",
    "\\b(hourly|daily|weekly|monthly|tomorrow|for today)\\b"
  ].join("|"),
  "i"
)

/**
 * Over which time a limit counts, by the first that the message names (a later one may be an offer of a better plan):
 * after a minute there is room again in a short one, and an hour's is near enough.
 */
export const limitPeriod = (text: string): Period | undefined => {
  const match = period.exec(text)
  if (match === null) return undefined
  const name = (match[1] ?? match[2] ?? match[3] ?? "").toLowerCase()
  return /^(?:d|day|week|month|year|daily|weekly|monthly|tomorrow|for today)$/.test(name) ? "long" : "short"
}

/** The same, from the names of quotas: one that counts days outweighs all that count minutes. */
export const quotaPeriod = (quotaIds: ReadonlyArray<string>): Period | undefined =>
  quotaIds.some((id) => /per_?(?:day|week|month)|daily|weekly|monthly|^1\/d\b/i.test(id))
    ? "long"
    : quotaIds.some((id) => /per_?(?:second|minute|min|hour)|^1\/min\b/i.test(id))
    ? "short"
    : undefined
