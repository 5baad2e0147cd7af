/**
 * OpenAI's side of the wire: what the Chat Completions API answers.
 *
 * Knows bodies and headers and nothing of sockets or scripts, so that another wire format is another file like this one.
 */
import type { Answer, Asked, Refusal, Said, StreamWire, Wire } from "./wire.js"
import { argumentPieces, brokenJson, contentOf, contentPieces, event, requestId, usageOf, words } from "./wire.js"

const error = (message: string, type: string, code: string | null, param: string | null = null) => ({
  error: { message, type, param, code }
})

/** A request that no retry cures. */
const invalidRequest = (message: string, code: string | null = null, param: string | null = null) =>
  error(message, "invalid_request_error", code, param)

/** The error that OpenAI, or what stands before it, sends with a status. */
const errorForStatus = ({ retryAfter, status }: Said) => {
  switch (status) {
    case 401:
      return invalidRequest("Incorrect API key provided.", "invalid_api_key")
    case 402:
      return error("Insufficient credits.", "insufficient_quota", "credit_balance_exhausted")
    case 403:
      return error(
        "Country, region, or territory not supported",
        "request_forbidden",
        "unsupported_country_region_territory"
      )
    case 404:
      return invalidRequest(
        "The model does not exist or you do not have access to it.",
        "model_not_found",
        "model"
      )
    case 408:
      return error("Request timed out.", "timeout", "timeout")
    case 409:
      return error("The resource is locked by another request.", "conflict_error", "conflict")
    case 413:
      return invalidRequest("The request is too large.", "request_too_large")
    case 422:
      return invalidRequest("The request could not be processed.", "unprocessable_entity")
    case 429:
      return error(
        `Rate limit reached for requests.${retryAfter === undefined ? "" : ` Please try again in ${retryAfter}ms.`}`,
        "requests",
        "rate_limit_exceeded"
      )
    case 502:
      return error("Bad gateway.", "server_error", "bad_gateway")
    case 503:
      return error(
        "The engine is currently overloaded, please try again later.",
        "service_unavailable_error",
        "server_is_overloaded"
      )
    case 504:
      return error("Gateway timeout.", "server_error", "gateway_timeout")
    case 529:
      return error("Overloaded", "overloaded_error", "overloaded")
    default:
      return status >= 500
        ? error("The server had an error while processing your request.", "server_error", "server_error")
        : invalidRequest("The request is invalid.")
  }
}

const quotaExhausted = error(
  "You exceeded your current quota, please check your plan and billing details.",
  "insufficient_quota",
  "insufficient_quota"
)

const contextTooLong = invalidRequest(
  "This model's maximum context length is 8192 tokens. However, your messages resulted in 8227 tokens.",
  "context_length_exceeded",
  "messages"
)

const contentFiltered = {
  error: {
    message: "The response was filtered due to the prompt triggering the content management policy.",
    type: null,
    param: "prompt",
    code: "content_filter",
    status: 400,
    innererror: {
      code: "ResponsibleAIPolicyViolation",
      content_filter_result: { violence: { filtered: true, severity: "medium" } }
    }
  }
}

const errorFor = (said: Said): { readonly error: { readonly message: string } } => {
  switch (said.kind) {
    case "quota-exhausted":
      return quotaExhausted
    case "context-too-long":
      return contextTooLong
    case "content-filtered":
      return contentFiltered
    case undefined:
      return errorForStatus(said)
  }
}

/** The body of a refusal. */
export const refusal = ({ code, message, param }: Refusal): unknown => invalidRequest(message, code, param)

const usage = (answer: Answer, content: string) => {
  const { completionTokens, promptTokens } = usageOf(answer, content)
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens
  }
}

const completion = ({ model, number, time }: Asked, object: string) => ({
  id: `chatcmpl-${number}`,
  object,
  created: Math.floor(time / 1000),
  model
})

const makeStream = (asked: Asked): StreamWire => {
  const send = (fields: object) => event(JSON.stringify({ ...completion(asked, "chat.completion.chunk"), ...fields }))

  // With include_usage every chunk has the field, null in all but the last.
  const chunk = (delta: object, finishReason: string | null = null, more: object = {}) =>
    send({
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
      ...(asked.includeUsage ? { usage: null } : {}),
      ...more
    })

  const events: StreamWire["events"] = (answer) => {
    const { toolCall } = answer
    const content = contentOf(answer, asked.model)
    const call = { id: `call_${asked.number}`, type: "function" }
    const output = toolCall === undefined
      ? contentPieces(answer, content).map((piece) => chunk({ content: piece }))
      : [
        chunk({ tool_calls: [{ index: 0, ...call, function: { name: toolCall.name, arguments: "" } }] }),
        ...argumentPieces(answer, toolCall.arguments).map((piece) =>
          chunk({ tool_calls: [{ index: 0, function: { arguments: piece } }] })
        )
      ]
    return {
      opening: [chunk({ role: "assistant", content: toolCall === undefined ? "" : null })],
      reasoning: words(answer.reasoning ?? "").map((piece) => chunk({ reasoning_content: piece })),
      output,
      finish: [
        chunk({}, toolCall === undefined ? "stop" : "tool_calls"),
        ...(asked.includeUsage ? [send({ choices: [], usage: usage(answer, toolCall?.arguments ?? content) })] : [])
      ],
      done: [event("[DONE]")]
    }
  }

  return {
    events,
    keepAlive: ": ping\n\n",
    malformed: event(brokenJson),
    error: (said) => event(JSON.stringify(errorFor(said))),
    // As OpenRouter has it, which gives the status as the code.
    finishError: (said) =>
      chunk({ content: "" }, "error", { error: { code: said.status, message: errorFor(said).error.message } })
  }
}

/** What a request for the model is answered; the same request gets the same bytes. */
export const make = (asked: Asked): Wire => ({
  answer: (ok) => {
    const content = contentOf(ok, asked.model)
    return {
      ...completion(asked, "chat.completion"),
      choices: [{
        index: 0,
        message: { role: "assistant", content, refusal: null },
        logprobs: null,
        finish_reason: "stop"
      }],
      usage: usage(ok, content)
    }
  },
  stream: makeStream(asked),
  error: errorFor,
  headers: ({ elapsed }) => ({
    "x-request-id": requestId(asked.number),
    "openai-processing-ms": `${Math.round(elapsed)}`
  })
})

export const models = (names: Iterable<string>) => ({
  object: "list",
  data: Array.from(names, (id) => ({ id, object: "model", created: 0, owned_by: "effect-resilience" }))
})
