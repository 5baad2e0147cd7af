import {
  type Classified,
  clientError,
  type Details,
  rateLimited,
  serverError,
  type ServerErrorReason,
  timeout,
  type Verdict
} from "./classified.js"
import { emptyErrorBody, type ErrorBody, parseErrorBody } from "./errorBody.js"
import { type Meaning, meaningOf } from "./errorMeaning.js"
import {
  contentFiltered,
  contextLength,
  invalidRequestReasons,
  limitPeriod,
  matches,
  normalizeWording,
  outOfFunds,
  outOfQuota,
  overloaded,
  quotaExceeded,
  quotaPeriod,
  tooLargeAlone
} from "./errorWording.js"
import { findInBandError } from "./inBand.js"
import { isCutJson, parseJson } from "./json.js"
import { messageRetryHint } from "./messageHint.js"
import { resetHint } from "./rateLimit.js"
import { type HeaderRecord, retryAfterFromHeaders } from "./retryAfter.js"

/**
 * From what came over the wire to the one kind of failure that all policies decide by. Machine-readable codes count
 * first, the status next, wording last, and each only within what the one before allows: above all a 4xx that says that
 * the request is wrong never becomes something to retry, whatever its body claims. A 429 is retried only if waiting a
 * minute cures it; a spent quota looks the same and is told apart here.
 */

export type { Classified, ClientErrorReason, Details, ServerErrorReason } from "./classified.js"

export interface WireResponse {
  readonly status: number
  readonly headers: HeaderRecord
  readonly body: string
  /** Wall time, in milliseconds since the epoch. */
  readonly now: number
}

const statusVerdicts: ReadonlyArray<readonly [Verdict, ReadonlyArray<number>]> = [
  [clientError("QuotaExhausted"), [402]],
  [clientError("Authentication"), [401, 407]],
  [clientError("PermissionDenied"), [403, 451]],
  [clientError("NotFound"), [404, 405, 410]],
  [clientError("RequestTooLarge"), [413, 414, 431]],
  [rateLimited, [429]],
  [timeout, [408, 504, 524]],
  [serverError("Conflict"), [409]],
  [serverError("FailedDependency"), [424]],
  // 520 to 527 and 530 are Cloudflare's, about the server behind it; 524 is its timeout.
  [serverError("BadGateway"), [502, 520, 521, 522, 523, 525, 526, 527, 530]],
  [serverError("Unavailable"), [503]],
  [serverError("Overloaded"), [529]]
]

/** What a status says by itself. A redirect that was not followed means that the endpoint is not where it was asked. */
const verdictOfStatus = (status: number): Verdict =>
  statusVerdicts.find(([, statuses]) => statuses.includes(status))?.[0] ??
    (status >= 300 && status < 400
      ? clientError("NotFound")
      : status >= 400 && status < 500
      ? clientError("InvalidRequest")
      : serverError("Internal"))

/** What an error says about itself, from headers and body. */
interface Evidence {
  readonly headers: HeaderRecord
  readonly now: number
  readonly body: ErrorBody
  readonly codes: ReadonlyArray<string>
  /** The message, ready for patterns. */
  readonly wording: string
}

const evidenceOf = (body: ErrorBody, headers: HeaderRecord, now: number): Evidence => {
  // Bedrock: `ThrottlingException:http://internal.amazon.com/coral/…`.
  const errorType = headers["x-amzn-errortype"]?.split(":")[0]
  return {
    headers,
    now,
    body,
    codes: errorType === undefined || errorType === "" ? body.codes : [...body.codes, errorType],
    wording: normalizeWording(body.message ?? body.text ?? "")
  }
}

const specificMeaning = ({ body, codes }: Evidence): Meaning | undefined => {
  const meaning = meaningOf(body.status === undefined ? codes : [...codes, String(body.status)])
  return meaning?.generic === true ? undefined : meaning
}

const minute = 60_000

/**
 * Whether waiting a minute cures a 429. Codes and the names of quotas are facts; wording counts against the wait that
 * the server itself asks for, since a daily limit that slides is open again in seconds, and a free plan's quota per
 * minute is called a quota too. Only RetryInfo is sent with any quota, even one that ends with the day.
 */
const verdictOf429 = (evidence: Evidence): Verdict => {
  const { body, headers, now, wording } = evidence
  const meaning = specificMeaning(evidence)
  if (meaning?.verdict._tag === "ClientError") return meaning.verdict
  const quota = quotaPeriod(body.quotaIds)
  if (hasCode(evidence, capacityExhausted)) return clientError("QuotaExhausted")
  if (body.zeroQuota || quota === "long" || matches(outOfFunds, wording)) return clientError("QuotaExhausted")
  if (quota === "short") return rateLimited
  if (matches(tooLargeAlone, wording)) return clientError("RequestTooLarge")
  const period = limitPeriod(wording)
  const waits = [retryAfterFromHeaders(headers, now), body.retryDelayMs, messageRetryHint(wording)]
    .filter((wait) => wait !== undefined)
  const believed = waits.length > 0 && !(period === "long" && body.retryDelayMs !== undefined)
  if (believed ? Math.max(...waits) <= minute : period === "short") return rateLimited
  const spent = period === "long" ||
    (period === undefined && (matches(outOfQuota, wording) || hasCode(evidence, quotaExceededCode)))
  return spent ? clientError("QuotaExhausted") : rateLimited
}

const hasCode = ({ codes }: Evidence, pattern: RegExp): boolean => codes.some((code) => pattern.test(code))

/** A limit or a spent quota, which only the wait tells. */
const quotaExceededCode = /quota_?exceeded/i

/** Gemini's word for a model that nobody gets for now, plan or no plan: on a 5xx a server's trouble, as a 429 final. */
const capacityExhausted = /capacity_?exhausted/i

/** Which verdicts from codes a status leaves room for. */
const allows = (status: number, verdict: Verdict): boolean =>
  verdict._tag === "ClientError" || (status >= 500 && status !== 504 && status !== 524)

const refineByWording = (verdict: Verdict, { body, wording }: Evidence): Verdict => {
  if (verdict._tag === "ServerError") {
    return (verdict.reason === "Internal" || verdict.reason === "Unavailable") && matches(overloaded, wording)
      ? serverError("Overloaded")
      : verdict
  }
  if (verdict._tag !== "ClientError") return verdict
  switch (verdict.reason) {
    case "InvalidRequest": {
      const reason = invalidRequestReasons.find(([, patterns]) => matches(patterns, wording))?.[0]
      return reason === undefined ? verdict : clientError(reason)
    }
    case "PermissionDenied":
      return body.flagged || matches(contentFiltered, wording)
        ? clientError("ContentFiltered")
        : [outOfFunds, outOfQuota, quotaExceeded].some((patterns) => matches(patterns, wording))
        ? clientError("QuotaExhausted")
        : verdict
    case "RequestTooLarge":
      // A limit per minute that the request exceeds by itself (Groq) is none of the context.
      return limitPeriod(wording) === undefined && matches(contextLength, wording)
        ? clientError("ContextLengthExceeded")
        : verdict
    default:
      return verdict
  }
}

const decide = (status: number, evidence: Evidence): Verdict => {
  if (status === 402) return clientError("QuotaExhausted")
  if (status === 429) return verdictOf429(evidence)
  const meaning = specificMeaning(evidence)
  const verdict = meaning !== undefined && allows(status, meaning.verdict) ? meaning.verdict : verdictOfStatus(status)
  return refineByWording(verdict, evidence)
}

/** What reaches logs is short and plain, whatever a server or a proxy put there. */
const plain = (value: string | undefined, maxLength: number): string | undefined =>
  value !== undefined && value.length <= maxLength && /^[\w.:/-]+$/.test(value) ? value : undefined

const requestIdHeaders: ReadonlyArray<string> = [
  "request-id",
  "x-request-id",
  "x-amzn-requestid",
  "apim-request-id",
  "x-generation-id"
]

const requestIdOf = (headers: HeaderRecord, body: ErrorBody): string | undefined => {
  const ids = [...requestIdHeaders.map((name) => headers[name]), body.requestId, headers["cf-ray"]]
  return ids.map((id) => plain(id, 128)).find((id) => id !== undefined)
}

/** The id of a response, whatever the provider calls it. */
export const requestIdFromHeaders = (headers: HeaderRecord): string | undefined => requestIdOf(headers, emptyErrorBody)

const maxDetail = 2_000

/** At most so many characters, and no half of a surrogate pair at the end. */
const truncate = (message: string): string =>
  message.length <= maxDetail ? message : message.slice(0, maxDetail).replace(/[\ud800-\udbff]$/, "")

const retryAfterOf = (verdict: Verdict, status: number | undefined, evidence: Evidence): number | undefined => {
  const { body, headers, now, wording } = evidence
  // A wait that was not believed is not repeated.
  const believed = verdict._tag !== "ClientError" || (body.retryDelayMs ?? 0) > minute
  const mayHint = verdict._tag === "RateLimited" || (verdict._tag === "ServerError" && verdict.reason === "Overloaded")
  return retryAfterFromHeaders(headers, now) ??
    (believed ? body.retryDelayMs : undefined) ??
    (status === 429 ? resetHint(headers, now) : undefined) ??
    (mayHint ? messageRetryHint(wording) : undefined)
}

const describe = (
  verdict: Verdict,
  shownStatus: number | undefined,
  status: number | undefined,
  evidence: Evidence
): Classified => {
  const { body, codes, headers } = evidence
  const details: Details = {
    status: shownStatus,
    code: codes.map((code) => plain(code, 64)).find((code) => code !== undefined) ??
      (body.status === undefined ? undefined : String(body.status)),
    requestId: requestIdOf(headers, body),
    retryAfterMs: retryAfterOf(verdict, status, evidence),
    shouldRetry: headers["x-should-retry"] === "true"
      ? true
      : headers["x-should-retry"] === "false"
      ? false
      : undefined,
    detail: body.message === undefined ? undefined : truncate(body.message)
  }
  return { ...verdict, ...details }
}

/**
 * A decoded body of a 200, or a frame of a stream; undefined when it carries no error. The status it reports is the one
 * that the error itself states, if any.
 */
export const classifyInBand = (value: unknown, headers: HeaderRecord, now: number): Classified | undefined => {
  const body = findInBandError(value)
  if (body === undefined) return undefined
  const evidence = evidenceOf(body, headers, now)
  const status = body.status ?? meaningOf(evidence.codes)?.status
  const verdict = status === undefined ? serverError("Internal") : decide(status, evidence)
  return describe(verdict, body.status, status, evidence)
}

/** A body that should have been JSON: was it cut, or never any? */
export const classifyUnreadable = (body: string): "Malformed" | "Truncated" =>
  isCutJson(body) ? "Truncated" : "Malformed"

/** Any response that is known to be an error: not 2xx, or a 2xx whose body is not what was promised. */
export const classifyResponse = ({ body, headers, now, status }: WireResponse): Classified => {
  if (status >= 200 && status < 300) {
    const json = parseJson(body)
    const inBand = json === undefined ? undefined : classifyInBand(json.value, headers, now)
    return inBand ??
      describe(serverError(classifyUnreadable(body)), status, status, evidenceOf(emptyErrorBody, headers, now))
  }
  const evidence = evidenceOf(parseErrorBody(body) ?? emptyErrorBody, headers, now)
  return describe(decide(status, evidence), status, status, evidence)
}

const transportReasons: ReadonlyArray<readonly [RegExp, Verdict]> = [
  [/TIMED?_?OUT/i, timeout],
  [/^(?:ERR_INVALID_|UND_ERR_INVALID_ARG|ERR_UNESCAPED_)/, clientError("InvalidRequest")],
  [/^(?:HPE_|Z_DATA_ERROR$|UND_ERR_RES_EXCEEDED)/, serverError("Malformed")],
  [/^(?:Z_BUF_ERROR|ERR_STREAM_PREMATURE_CLOSE|UND_ERR_RES_CONTENT_LENGTH_MISMATCH)$/, serverError("Truncated")]
]

export interface TransportFailure {
  /** The error's code, its own or its cause's: `ECONNRESET`, `UND_ERR_HEADERS_TIMEOUT`. */
  readonly code?: string | undefined
  readonly message?: string | undefined
  /** Whether the response had begun: then a lost connection cut the body. */
  readonly bodyStarted?: boolean | undefined
}

/** A failure without a response. Its message may contain the URL, so only the code is kept. */
export const classifyTransport = ({ bodyStarted, code, message }: TransportFailure): Classified => {
  const lost: ServerErrorReason = bodyStarted === true ? "Truncated" : "Connection"
  const verdict = code === undefined || code === ""
    ? (/\btimed?[ -]?out\b/i.test(message?.slice(0, 1_000) ?? "") ? timeout : serverError(lost))
    : transportReasons.find(([pattern]) => pattern.test(code))?.[1] ?? serverError(lost)
  return { ...verdict, code: plain(code, 64) }
}
