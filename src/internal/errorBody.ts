import { parseGoDuration, parseProtobufDuration, wholeMillis } from "./duration.js"
import { isObject, type JsonObject, parseJson } from "./json.js"
import { maxMessageLength } from "./messageHint.js"

/**
 * Error bodies in one normal form. Providers, their proxies and the frameworks they are built on wrap the same few
 * facts in some twenty shapes (OpenAI, Anthropic, Google, Bedrock, FastAPI, RFC 9457, flat, in an array, as a string,
 * as JSON in a string in JSON). So nothing here recognises a provider: an error is looked for wherever one can be, the
 * innermost statement wins, and what it leaves open is filled from the outside. What is no error in any shape (HTML,
 * nothing) yields nothing; depth and breadth are bounded, so that a hostile body costs no more than its parsing.
 */

export interface ErrorBody {
  /** The provider's own text. */
  readonly message?: string | undefined
  /** A body that is no JSON but reads like a message: good for its wording, not good enough to show. */
  readonly text?: string | undefined
  /** Every machine-readable name of what went wrong (code, reason, status, type), the most specific first. */
  readonly codes: ReadonlyArray<string>
  /** An HTTP status that the body itself states. */
  readonly status?: number | undefined
  readonly param?: string | undefined
  readonly requestId?: string | undefined
  /** google.rpc.RetryInfo and its like. */
  readonly retryDelayMs?: number | undefined
  /** The names of the quotas that were exceeded (google.rpc.QuotaFailure, ErrorInfo). */
  readonly quotaIds: ReadonlyArray<string>
  /** A quota of 0: no wait will ever satisfy it. */
  readonly zeroQuota: boolean
  /** A moderation report lies beside the error. */
  readonly flagged: boolean
}

export const emptyErrorBody: ErrorBody = { codes: [], quotaIds: [], zeroQuota: false, flagged: false }

const maxDepth = 6
const maxItems = 16

const firstDefined = <A, B>(values: ReadonlyArray<A>, f: (value: A) => B | undefined): B | undefined => {
  for (const value of values.slice(0, maxItems)) {
    const result = f(value)
    if (result !== undefined) return result
  }
  return undefined
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value.trim() !== "" ? value : undefined

/** Only these have a text of their own: an object's may be whatever its `toString` says, or an exception. */
const scalar = (value: unknown): string | undefined =>
  typeof value === "string" || typeof value === "number" ? String(value) : undefined

const list = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value.slice(0, maxItems) : []

const objects = (value: unknown): ReadonlyArray<JsonObject> => list(value).filter(isObject)

const present = <A>(values: ReadonlyArray<A | undefined>): ReadonlyArray<A> =>
  values.filter((value) => value !== undefined)

const isHtml = (value: string): boolean => /^\s*<(?:!doctype|!--|\?xml|html|head|body|center|h1|title|p\b)/i.test(value)

/** The inner statement wins, but for the status: that is the outer server's own answer. */
const merge = (inner: ErrorBody | undefined, outer: ErrorBody): ErrorBody =>
  inner === undefined ? outer : {
    message: inner.message ?? outer.message,
    text: inner.text ?? outer.text,
    codes: [...new Set([...inner.codes, ...outer.codes])].slice(0, maxItems),
    status: outer.status ?? inner.status,
    param: inner.param ?? outer.param,
    requestId: outer.requestId ?? inner.requestId,
    retryDelayMs: inner.retryDelayMs ?? outer.retryDelayMs,
    quotaIds: [...inner.quotaIds, ...outer.quotaIds].slice(0, maxItems),
    zeroQuota: inner.zeroQuota || outer.zeroQuota,
    flagged: inner.flagged || outer.flagged
  }

const saysSomething = (body: ErrorBody): boolean =>
  body.message !== undefined || body.text !== undefined || body.status !== undefined ||
  body.retryDelayMs !== undefined || body.codes.length > 0 || body.quotaIds.length > 0

/** The word that only marks a body or a frame as an error says nothing about which. */
const code = (value: unknown): string | undefined => {
  const name = text(value)
  return name === undefined || name.length > 200 || /^(?:(?:response\.)?(?:error|failed)|about:blank)$/i.test(name) ||
      /^-?\d+$/.test(name)
    ? undefined
    : name
}

const isName = (value: unknown): boolean => typeof value === "string" && /^[A-Za-z][\w.-]*$/.test(value)

/** Google's `status` is a name in capitals; elsewhere the field is a number or a state (`failed`). */
const statusName = (value: unknown): string | undefined =>
  typeof value === "string" && /^[A-Z][A-Z_]+$/.test(value) ? value : undefined

const httpStatus = (value: unknown): number | undefined => {
  const status = typeof value === "string" && /^\d{3}$/.test(value) ? Number(value) : value
  return typeof status === "number" && Number.isInteger(status) && status >= 400 && status <= 599 ? status : undefined
}

/** A protobuf duration in JSON, or the fields that some clients print instead. */
const protobufDuration = (value: unknown): number | undefined => {
  if (typeof value === "string") return parseProtobufDuration(value)
  if (!isObject(value)) return undefined
  const [seconds, nanos] = [value["seconds"] ?? 0, value["nanos"] ?? 0].map((part) =>
    /^\d{1,15}$/.test(scalar(part) ?? "") ? Number(part) : undefined
  )
  return seconds === undefined || nanos === undefined ? undefined : wholeMillis(seconds * 1000 + nanos / 1e6)
}

/** google.rpc error details: RetryInfo, QuotaFailure, ErrorInfo, told apart by their fields alone. */
const readGoogleDetails = (details: unknown): ErrorBody => {
  const items = objects(details)
  const violations = items.flatMap((item) => objects(item["violations"]))
  const metadata = items.map((item) => item["metadata"]).filter(isObject)
  const isZero = (value: unknown) => value === "0" || value === 0
  return {
    codes: present(items.map((item) => code(item["reason"]))),
    retryDelayMs: firstDefined(items, (item) => protobufDuration(item["retryDelay"])) ??
      firstDefined(metadata, (data) => parseGoDuration(text(data["quotaResetDelay"]) ?? "")),
    quotaIds: present([
      ...violations.map((violation) => text(violation["quotaId"])),
      ...metadata.flatMap((data) => [text(data["quota_limit"]), text(data["quota_unit"])])
    ]),
    zeroQuota: violations.some((violation) => isZero(violation["quotaValue"])) ||
      metadata.some((data) => isZero(data["quota_limit_value"])),
    flagged: false
  }
}

/** FastAPI's validation errors; the rejected `input` they carry is the caller's prompt and stays out. */
const readValidation = (items: ReadonlyArray<unknown>): ErrorBody | undefined => {
  const messages = objects(items).flatMap((item) => {
    const message = text(item["msg"])
    const where = present(list(item["loc"]).map(scalar)).join(".")
    return message === undefined ? [] : [where === "" ? message : `${where}: ${message}`]
  })
  return messages.length === 0 ? undefined : { ...emptyErrorBody, message: messages.join("; ") }
}

/** JSON within text: the whole of it, or after a short prefix such as `429 {…}` or `data: {…}`. */
const parseEmbedded = (value: string): { readonly value: unknown } | undefined => {
  const whole = value.trim()
  const start = whole.startsWith("[") ? 0 : whole.slice(0, 200).indexOf("{")
  return start < 0 || !/[}\]]$/.test(whole) ? undefined : parseJson(whole.slice(start))
}

const readText = (value: string, depth: number): ErrorBody | undefined => {
  if (value.trim() === "" || isHtml(value)) return undefined
  const embedded = parseEmbedded(value)
  const inner = embedded === undefined ? undefined : read(embedded.value, depth + 1)
  return inner ?? { ...emptyErrorBody, message: value.slice(0, maxMessageLength) }
}

const readObject = (object: JsonObject, depth: number): ErrorBody | undefined => {
  const error = object["error"]
  const details = isObject(object["details"]) ? object["details"] : undefined
  const inner = isObject(object["innererror"]) ? object["innererror"] : undefined
  const metadata = isObject(object["metadata"]) ? object["metadata"] : undefined
  const google = readGoogleDetails(object["details"])
  const own: ErrorBody = {
    ...google,
    codes: present([
      code(details?.["error_code"]),
      code(object["error_code"]),
      code(object["code"]),
      code(inner?.["code"]),
      ...google.codes,
      code(object["reason"]),
      statusName(object["status"]),
      // Bedrock puts a namespace before it: `com.amazon.coral.service#AccessDeniedException`.
      code(text(object["__type"])?.split("#").at(-1)),
      code(object["type"]),
      isName(error) ? code(error) : undefined
    ]),
    status: firstDefined([object["code"], object["status"], object["statusCode"], object["status_code"]], httpStatus),
    param: text(object["param"]),
    requestId: text(object["request_id"]) ?? text(object["requestId"]),
    flagged: metadata?.["flagged_input"] !== undefined
  }
  const message = firstDefined(
    ["message", "Message", "msg", "error_message", "error_description", "detail", "error", "title"],
    (key) => {
      const value = text(object[key])
      return value === undefined ? undefined : readText(value, depth)
    }
  )
  const nested = firstDefined(
    [
      isObject(error) || Array.isArray(error) ? error : undefined,
      object["errors"],
      isObject(object["detail"]) || Array.isArray(object["detail"]) ? object["detail"] : undefined,
      isObject(object["message"]) ? object["message"] : undefined,
      isObject(object["response"]) ? object["response"]["error"] : undefined
    ],
    (value) => value === undefined ? undefined : read(value, depth + 1)
  )
  const raw = metadata?.["raw"] === undefined ? undefined : read(metadata["raw"], depth + 1)
  const body = merge(raw, merge(nested, merge(message, own)))
  return saysSomething(body) ? body : undefined
}

const read = (value: unknown, depth: number): ErrorBody | undefined => {
  if (depth > maxDepth) return undefined
  if (typeof value === "string") return readText(value, depth)
  if (Array.isArray(value)) return readValidation(list(value)) ?? firstDefined(value, (item) => read(item, depth + 1))
  return isObject(value) ? readObject(value, depth) : undefined
}

/** A decoded value that is known to be, or to contain, an error. */
export const readErrorBody = (value: unknown): ErrorBody | undefined => read(value, 0)

/**
 * The body of a response that is known to be an error; undefined when it says nothing (empty, HTML, some other JSON).
 */
export const parseErrorBody = (body: string): ErrorBody | undefined => {
  const json = parseJson(body.replace(/^\ufeff/, ""))
  if (json !== undefined) return read(json.value, 0)
  if (body.trim() === "" || isHtml(body)) return undefined
  const embedded = parseEmbedded(body)
  const inner = embedded === undefined ? undefined : read(embedded.value, 1)
  return inner ?? { ...emptyErrorBody, text: body.slice(0, maxMessageLength) }
}
