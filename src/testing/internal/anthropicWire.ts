/**
 * Anthropic's side of the wire: what the Messages API answers.
 *
 * Source: platform.claude.com/docs/en/api/errors and /rate-limits, and bodies quoted in the issues of its SDKs.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { Answer, Asked, Refusal, Said, StreamWire, Wire } from "./wire.js"
import { argumentPieces, brokenJson, contentOf, contentPieces, event, requestId, usageOf, words } from "./wire.js"

interface Told {
  readonly type: string
  readonly message: string
  readonly details?: { readonly error_code: string }
}

const rateLimited: Told = {
  type: "rate_limit_error",
  message: "Number of request tokens has exceeded your per-minute rate limit."
}

const overloaded: Told = { type: "overloaded_error", message: "Overloaded" }

const byStatus: ReadonlyMap<number, Told> = new Map([
  [401, { type: "authentication_error", message: "invalid x-api-key" }],
  [402, { type: "billing_error", message: "There is a problem with your billing or payment information." }],
  [403, { type: "permission_error", message: "Your API key does not have permission to use the specified resource." }],
  [404, { type: "not_found_error", message: "model: not found" }],
  [408, { type: "timeout_error", message: "The request timed out." }],
  [409, { type: "conflict_error", message: "The request conflicts with the state of the resource." }],
  [413, { type: "request_too_large", message: "Request exceeds the maximum size" }],
  [429, rateLimited],
  [503, overloaded],
  [504, { type: "timeout_error", message: "The request timed out." }],
  [529, overloaded]
])

const told = ({ kind, status }: Said): Told => {
  switch (kind) {
    case "quota-exhausted":
      return {
        ...rateLimited,
        message: "Your organization has reached the spend limit of its tier.",
        details: { error_code: "enforced_spend_limit_reached" }
      }
    case "context-too-long":
      return { type: "invalid_request_error", message: "prompt is too long: 8227 tokens > 8192 maximum" }
    case "content-filtered":
      return { type: "invalid_request_error", message: "Output blocked by content filtering policy" }
    case undefined:
      return byStatus.get(status) ??
        (status >= 500
          ? { type: "api_error", message: "Internal server error" }
          : { type: "invalid_request_error", message: "The request is invalid." })
  }
}

const error = (id: string, told: Told): unknown => ({ type: "error", error: told, request_id: id })

/** The body of a refusal. */
export const refusal = (number: number, { message, status }: Refusal): unknown =>
  error(requestId(number), { type: told({ status }).type, message })

const REQUESTS_PER_MINUTE = 50

/** Of a limit that waiting cures, when it does; a spend limit carries none of these. */
const limitHeaders = (said: Said, time: number): Readonly<Record<string, string>> => {
  const limited = said.status === 429
  if (limited && (said.kind !== undefined || said.retryAfter === undefined)) {
    return {}
  }
  const reset = Math.ceil((time + (limited ? said.retryAfter ?? 0 : 0)) / 1000) * 1000
  return {
    "anthropic-ratelimit-requests-limit": `${REQUESTS_PER_MINUTE}`,
    "anthropic-ratelimit-requests-remaining": `${limited ? 0 : REQUESTS_PER_MINUTE - 1}`,
    // RFC 3339, in whole seconds, never earlier than meant.
    "anthropic-ratelimit-requests-reset": new Date(reset).toISOString().replace(".000Z", "Z")
  }
}

const parseJson = Schema.decodeUnknownEither(Schema.parseJson())

/** The input of a tool as the value that its JSON is; what is no JSON stays the text that it is. */
const parsed = (json: string): unknown => Either.getOrElse(parseJson(json), () => json)

const toolUse = ({ number }: Asked, name: string, input: unknown) => ({
  type: "tool_use",
  id: `toolu_${number}`,
  name,
  input,
  caller: { type: "direct" }
})

const SIGNATURE = "c2lnbmVk"

const message = ({ model, number }: Asked, content: ReadonlyArray<unknown>, stopReason: string | null) => ({
  id: `msg_${number}`,
  type: "message",
  role: "assistant",
  model,
  content,
  stop_reason: stopReason,
  stop_sequence: null
})

const stopReason = ({ toolCall }: Answer) => toolCall === undefined ? "end_turn" : "tool_use"

const usage = ({ completionTokens, promptTokens }: NonNullable<Answer["usage"]>) => ({
  input_tokens: promptTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: completionTokens,
  service_tier: "standard"
})

const send = (type: string, fields: object = {}) => event(JSON.stringify({ type, ...fields }), type)

const blockStart = (index: number, block: object) => send("content_block_start", { index, content_block: block })

const blockDelta = (index: number, delta: object) => send("content_block_delta", { index, delta })

const blockStop = (index: number) => send("content_block_stop", { index })

const ping = send("ping")

const makeStream = (asked: Asked): StreamWire => {
  const events: StreamWire["events"] = (answer) => {
    const { reasoning, toolCall } = answer
    const content = contentOf(answer, asked.model)
    const used = usageOf(answer, asked.model)
    const index = reasoning === undefined ? 0 : 1
    // The block of a tool call tells its name, and is the first piece of the output; that of a text is empty.
    const textStart = toolCall === undefined ? [blockStart(index, { type: "text", text: "" })] : []
    const output = toolCall === undefined
      ? contentPieces(answer, content).map((piece) => blockDelta(index, { type: "text_delta", text: piece }))
      : [
        blockStart(index, toolUse(asked, toolCall.name, {})),
        ...argumentPieces(answer, toolCall.arguments).map((piece) =>
          blockDelta(index, { type: "input_json_delta", partial_json: piece })
        )
      ]
    return {
      opening: [
        send("message_start", {
          message: { ...message(asked, [], null), usage: usage({ ...used, completionTokens: 1 }) }
        }),
        ...(reasoning === undefined ? textStart : [blockStart(0, { type: "thinking", thinking: "", signature: "" })]),
        ping
      ],
      reasoning: reasoning === undefined ? [] : [
        ...words(reasoning).map((piece) => blockDelta(0, { type: "thinking_delta", thinking: piece })),
        blockDelta(0, { type: "signature_delta", signature: SIGNATURE }),
        blockStop(0),
        ...textStart
      ],
      output,
      finish: [
        blockStop(index),
        send("message_delta", {
          delta: { stop_reason: stopReason(answer), stop_sequence: null },
          usage: { output_tokens: used.completionTokens }
        })
      ],
      done: [send("message_stop")]
    }
  }

  const errorEvent = (said: Said) => event(JSON.stringify(error(requestId(asked.number), told(said))), "error")

  return {
    events,
    keepAlive: ping,
    malformed: event(brokenJson, "content_block_delta"),
    error: errorEvent,
    nestedError: errorEvent,
    finishError: errorEvent
  }
}

/** What a request for the model is answered; the same request gets the same bytes. */
export const make = (asked: Asked): Wire => {
  const id = requestId(asked.number)
  return {
    answer: (ok) => {
      const { reasoning, toolCall } = ok
      const thinking = reasoning === undefined ? [] : [{ type: "thinking", thinking: reasoning, signature: SIGNATURE }]
      const output = toolCall === undefined
        ? { type: "text", text: contentOf(ok, asked.model), citations: null }
        : toolUse(asked, toolCall.name, parsed(toolCall.arguments))
      return {
        ...message(asked, [...thinking, output], stopReason(ok)),
        usage: usage(usageOf(ok, asked.model))
      }
    },
    stream: makeStream(asked),
    error: (said) => error(id, told(said)),
    failure: (said) => error(id, told(said)),
    headers: ({ said, time }) => ({
      "request-id": id,
      "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
      ...limitHeaders(said, time),
      ...(said.status === 529 ? { "x-should-retry": "true" } : {})
    })
  }
}
