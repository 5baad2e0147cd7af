import { clientError, rateLimited, serverError, timeout, type Verdict } from "./classified.js"

/**
 * What the machine-readable names in error bodies mean. Providers invent names freely but build them from the same few
 * words, so these are patterns of words and not lists of names, and a name never seen before is understood by its
 * parts. Each row also has the HTTP status that says the same, which is how an error inside a 200 is classified as if
 * it had come as a status.
 */

export interface Meaning {
  readonly verdict: Verdict
  /** The status that says the same. */
  readonly status: number
  /** Names of a whole class (`invalid_request_error`), which say less than any status and only serve without one. */
  readonly generic: boolean
}

/**
 * Names in one spelling: `ThrottlingException`, `com.amazon#ThrottlingException` and a URI's last part in snake case.
 */
export const normalizeCode = (code: string): string => {
  const uri = code.includes("://") ? code.replace(/[/#?]+$/, "") : code.replace(/:.*$/s, "")
  return uri.slice(Math.max(uri.lastIndexOf("/"), uri.lastIndexOf("#")) + 1)
    .slice(0, 100)
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/[^A-Za-z0-9]+/g, "_")
    .toLowerCase()
}

interface Row {
  readonly names: ReadonlyArray<RegExp>
  readonly meaning: Meaning
}

const row = (names: ReadonlyArray<RegExp>, status: number, verdict: Verdict): Row => ({
  names,
  meaning: { verdict, status, generic: false }
})

const genericRow = (names: ReadonlyArray<RegExp>, status: number, verdict: Verdict): Row => ({
  names,
  meaning: { verdict, status, generic: true }
})

/** From the most specific to the least: the first row that any of an error's names fits is what the error means. */
const rows: ReadonlyArray<Row> = [
  row(
    [
      /content_?(?:filter|policy|moderat|management)|(?:policy|usage)_violation|(?:bio|cyber|usage)_policy/,
      /responsible_?ai|moderation|guardrail|flagged|data_inspection|prohibited_content|inappropriate|sensitive_/,
      // `safety_identifier` is a parameter's name.
      /safety(?!_identifier)/,
      // OpenAI's Responses API, of a prompt against its policy.
      /^invalid_prompt$/
    ],
    400,
    clientError("ContentFiltered")
  ),
  row(
    [
      /insufficient_(?:\w+_)?(?:quota|balance|funds?|credits?)|balance_(?:\w+_)?(?:exhausted|depleted|low)/,
      /(?:^|_)credits?_(?!card)|(?:no|enough|of)_credits?$|^credits?$|billing|payment|arrear/,
      /(?:spend|spending|usage|budget|daily|weekly|monthly)_(?:\w+_)?limit/,
      /quota_(?:is_|was_|has_been_)?(?:exhausted|depleted)|exceeded_current_quota|service_quota|out_of_quota/,
      /^402$/
    ],
    402,
    clientError("QuotaExhausted")
  ),
  row(
    [
      /context_?(?:length|window|size|limit|overflow)|exceed\w*_context/,
      /(?:prompt|input|messages?)_(?:is_)?too_(?:long|large|many)/,
      /(?:prompt|input)_(?:tokens?|length)_(?:limit_)?exceeded|max_(?:prompt|input|context)_\w*exceeded/
    ],
    400,
    clientError("ContextLengthExceeded")
  ),
  row(
    [/(?:request|payload|body|entity)_(?:is_)?too_large|(?:uri|url|headers?(?:_fields)?)_too_(?:long|large)/],
    413,
    clientError("RequestTooLarge")
  ),
  row(
    [
      /rate_?limit|ramp_limit|request_?limit|concurrency_limit|too_many_requests|throttl|slow_down/,
      /resource_?exhausted|model_not_ready|^429$/
    ],
    429,
    rateLimited
  ),
  row(
    [
      /(?:invalid|incorrect|missing|expired|revoked|no|wrong|bad)_(?:api_?key|credentials?|signature)/,
      /(?:invalid|missing|expired|revoked)_(?:access_|auth_|security_|bearer_)?token|token_expired/,
      /api_?key_(?:is_)?(?:invalid|incorrect|missing|expired|revoked|required|not_found|not_valid|disabled)/,
      /authentication|unauthenticated|unauthorized|unrecognized_client|incomplete_signature|account_deactivated/
    ],
    401,
    clientError("Authentication")
  ),
  row(
    [
      /permission|access_?(?:denied|terminated)|forbidden|data_residency/,
      /unsupported_(?:country|region|location)|service_(?:disabled|blocked)/
    ],
    403,
    clientError("PermissionDenied")
  ),
  // An image that was not found is no reason to ask another model.
  genericRow([/^(?:invalid_)?image_|_image_/], 400, clientError("InvalidRequest")),
  row(
    [
      /not_?found|no_such|(?:not|n_t)_exist|method_not_allowed/,
      /model_not_(?:available|supported)|(?:unknown|invalid|unsupported)_model/
    ],
    404,
    clientError("NotFound")
  ),
  row([/time_?d?_?out|deadline_exceeded/], 408, timeout),
  row([/overload|capacity|high_demand|busy/], 529, serverError("Overloaded")),
  row([/unavailable/], 503, serverError("Unavailable")),
  row([/bad_gateway|upstream|provider_error/], 502, serverError("BadGateway")),
  row([/^model_(?:stream_)?error|failed_dependency/], 424, serverError("FailedDependency")),
  row([/conflict|^aborted$|already_exists/], 409, serverError("Conflict")),
  genericRow(
    [/internal|server_?error|api_error|unknown_error|^unknown$|data_loss|unimplemented/],
    500,
    serverError("Internal")
  ),
  genericRow(
    [
      /invalid|bad_?request|unprocessable|validation|malformed|missing|unsupported|bad_parameter/,
      /failed_precondition|out_of_range|cancelled/
    ],
    400,
    clientError("InvalidRequest")
  )
]

/** What an error's names mean together; undefined when none is understood. */
export const meaningOf = (codes: ReadonlyArray<string>): Meaning | undefined => {
  const given = codes.map(normalizeCode)
  return rows.find(({ names }) => names.some((name) => given.some((code) => name.test(code))))?.meaning
}
