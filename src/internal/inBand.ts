import { emptyErrorBody, type ErrorBody, readErrorBody } from "./errorBody.js"
import { meaningOf } from "./errorMeaning.js"
import { isObject, type JsonObject } from "./json.js"

/**
 * Errors that arrive where an answer was promised: in the body of a 200, or as a frame of a stream. An answer may
 * contain any word, and many carry `"error": null`, so only the places are looked at where protocols put errors, never
 * the content of a message; a field that is empty in whatever way is no error.
 */

/** The types of frames and bodies that are errors themselves; failed tool calls inside an answer have other names. */
const errorTypes: ReadonlyArray<unknown> = ["error", "response.error", "response.failed"]

const answerFields: ReadonlyArray<string> = ["choices", "output", "content", "candidates", "data", "result", "delta"]

const isFilled = (value: unknown): boolean =>
  typeof value === "string"
    ? value.trim() !== ""
    : typeof value === "object" && value !== null
    ? Object.keys(value).length > 0
    : value !== undefined && value !== null && value !== false && value !== 0

/** Whether a field that would hold an error holds one: some servers send it with every answer, with empty parts. */
const holdsError = (value: unknown): boolean =>
  isFilled(value) && (!isObject(value) || Object.values(value).some(isFilled))

/** OpenRouter: generation began and then failed; the error lies inside the choice or nowhere. */
const failedChoice = (choices: unknown): JsonObject | undefined =>
  Array.isArray(choices)
    ? choices.find((choice): choice is JsonObject =>
      isObject(choice) && (choice["finish_reason"] === "error" || holdsError(choice["error"]))
    )
    : undefined

/** Bedrock's event streams name the exception by the key that holds it, and hold nothing else. */
const namedException = (object: JsonObject): JsonObject | undefined => {
  const keys = Object.keys(object)
  const [name] = keys
  if (keys.length !== 1 || name === undefined || !name.endsWith("Exception")) return undefined
  const exception = object[name]
  return isObject(exception) ? { __type: name, message: exception["message"] } : undefined
}

const isMarked = (object: JsonObject): boolean =>
  holdsError(object["error"]) ||
  errorTypes.includes(object["type"]) ||
  object["object"] === "error" ||
  typeof object["__type"] === "string" ||
  (isObject(object["response"]) && holdsError(object["response"]["error"])) ||
  (object["object"] === "response" && object["status"] === "failed") ||
  (object["success"] === false && holdsError(object["errors"]))

/**
 * `{ code, message }` alone: an error only if the code is one, since others send `{ "code": 200, "message": "ok" }`.
 */
const isFlat = (object: JsonObject, body: ErrorBody): boolean =>
  typeof object["message"] === "string" &&
  !answerFields.some((field) => field in object) &&
  (body.status !== undefined || meaningOf(body.codes) !== undefined)

const findInObject = (object: JsonObject): ErrorBody | undefined => {
  if (isMarked(object)) return readErrorBody(object) ?? emptyErrorBody
  const choice = failedChoice(object["choices"])
  if (choice !== undefined) return readErrorBody({ error: choice["error"] }) ?? emptyErrorBody
  const exception = namedException(object)
  if (exception !== undefined) return readErrorBody(exception)
  const body = typeof object["message"] === "string" ? readErrorBody(object) : undefined
  return body !== undefined && isFlat(object, body) ? body : undefined
}

/** What is wrong with a decoded body or frame; undefined when it carries no error. */
export const findInBandError = (value: unknown): ErrorBody | undefined => {
  // Google streams a JSON array, whose last element may be the error.
  for (const item of Array.isArray(value) ? value : [value]) {
    const error = isObject(item) ? findInObject(item) : undefined
    if (error !== undefined) return error
  }
  return undefined
}
