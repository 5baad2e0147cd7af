/**
 * The kinds of failure that everything above decides by, as plain data: these files know nothing of the error classes
 * that users see, so that they can be tested by themselves and serve any of them.
 */

export const serverErrorReasons = [
  "Internal",
  "Overloaded",
  "Unavailable",
  "BadGateway",
  "Conflict",
  "FailedDependency",
  "Connection",
  "Malformed",
  "Truncated"
] as const

export type ServerErrorReason = typeof serverErrorReasons[number]

export const clientErrorReasons = [
  "InvalidRequest",
  "Authentication",
  "PermissionDenied",
  "NotFound",
  "RequestTooLarge",
  "ContextLengthExceeded",
  "ContentFiltered",
  "QuotaExhausted"
] as const

export type ClientErrorReason = typeof clientErrorReasons[number]

export type Verdict =
  | { readonly _tag: "RateLimited" }
  | { readonly _tag: "ServerError"; readonly reason: ServerErrorReason }
  | { readonly _tag: "ClientError"; readonly reason: ClientErrorReason }
  | { readonly _tag: "Timeout" }

export const rateLimited: Verdict = { _tag: "RateLimited" }
export const timeout: Verdict = { _tag: "Timeout" }
export const serverError = (reason: ServerErrorReason): Verdict => ({ _tag: "ServerError", reason })
export const clientError = (reason: ClientErrorReason): Verdict => ({ _tag: "ClientError", reason })

export interface Details {
  readonly status?: number | undefined
  /** The provider's own code; like the request id it reaches logs, so it is short and plain or absent. */
  readonly code?: string | undefined
  readonly requestId?: string | undefined
  readonly retryAfterMs?: number | undefined
  readonly shouldRetry?: boolean | undefined
  /** The provider's own text, for the caller alone. */
  readonly detail?: string | undefined
}

export type Classified = Verdict & Details
