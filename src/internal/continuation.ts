import { isObject, type JsonObject } from "./json.js"

/**
 * How a model is asked to go on with an answer that was cut.
 *
 * Some servers take the beginning of an answer as the assistant's last message and go on from there (prefill); others
 * take that for a finished turn and have to be told. Only plain text can be continued: a tool call in pieces, a document
 * that has to match a schema, several answers at once or the probabilities of its tokens cannot be put together from two.
 */

const INSTRUCTION = "Your answer was cut off. Continue it exactly where it stopped. " +
  "Do not repeat any of it, do not begin anew, and add no comment."

/** About how many characters a token has. */
const CHARACTERS = 4

/** May an answer to this request be put together from two? */
export const isContinuable = (request: JsonObject): boolean => {
  const format = request["response_format"]
  const n = request["n"]
  return (
    (!isObject(format) || format["type"] === "text") &&
    (typeof n !== "number" || n <= 1) &&
    request["logprobs"] !== true &&
    typeof request["top_logprobs"] !== "number"
  )
}

/** What is left of a limit of tokens. */
const left = (limit: unknown, delivered: string): unknown =>
  typeof limit === "number" ? Math.max(1, limit - Math.ceil(delivered.length / CHARACTERS)) : limit

type Message = { readonly role: string; readonly content: string }

/** The request for the rest of what was delivered. */
export const continuationOf = <Request extends JsonObject & { readonly messages: ReadonlyArray<unknown> }>(
  request: Request,
  delivered: string,
  prefill: boolean
) => {
  // Servers refuse a last message that ends with white space.
  const begun: ReadonlyArray<Message> = delivered.trimEnd() === ""
    ? []
    : [{ role: "assistant", content: delivered.trimEnd() }]
  const told: ReadonlyArray<Message> = begun.length === 0 || prefill ? [] : [{ role: "user", content: INSTRUCTION }]
  return {
    ...request,
    messages: [...request.messages, ...begun, ...told],
    ...("max_tokens" in request ? { max_tokens: left(request["max_tokens"], delivered) } : {}),
    ...("max_completion_tokens" in request
      ? { max_completion_tokens: left(request["max_completion_tokens"], delivered) }
      : {})
  }
}
