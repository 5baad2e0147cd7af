import { isObject, type JsonObject } from "./json.js"

/**
 * An answer of Anthropic's Messages API, in the shape of OpenAI's Chat Completions.
 *
 * A program reads text, tool calls, the reason and the bill where it always does. What has no place there is kept: an
 * answer that is more than text and tool calls (thinking, citations, tools of the server) has its `content_blocks`
 * besides, which go back unchanged with the next request, as Messages demands of thinking; the reason in Anthropic's
 * words is `native_finish_reason`; and fields not known here stay where they are.
 *
 * Source: platform.claude.com/docs/en/api/messages, and the types of @anthropic-ai/sdk 1.12.
 */

export interface Block extends JsonObject {
  readonly type: string
}

export const isBlock = (value: unknown): value is Block => {
  if (!isObject(value)) return false
  switch (value["type"]) {
    case "text":
      return typeof value["text"] === "string"
    case "tool_use":
      return typeof value["id"] === "string" && typeof value["name"] === "string"
    default:
      return typeof value["type"] === "string"
  }
}

const finishReasons: ReadonlyMap<string, string> = new Map([
  ["end_turn", "stop"],
  ["stop_sequence", "stop"],
  ["pause_turn", "stop"],
  ["max_tokens", "length"],
  ["model_context_window_exceeded", "length"],
  ["tool_use", "tool_calls"],
  ["refusal", "content_filter"]
])

/** Null when the answer did not end by itself. */
export const finishReasonOf = (stopReason: unknown): string | null =>
  typeof stopReason === "string" ? finishReasons.get(stopReason) ?? stopReason : null

const textOf = (blocks: ReadonlyArray<Block>, type: string, field: string): string =>
  // Citations cut one text into several blocks, so there is nothing between them.
  blocks.map((block) => block.type === type ? block[field] : "").filter((text) => typeof text === "string").join("")

/** Whether Chat Completions has a place for all that the block says. */
export const saysItAll = (block: Block): boolean =>
  block.type === "tool_use" || (block.type === "text" && (block["citations"] ?? null) === null)

const messageOf = (blocks: ReadonlyArray<Block>): JsonObject => {
  const calls = blocks.filter((block) => block.type === "tool_use").map((block) => ({
    id: block["id"],
    type: "function",
    function: { name: block["name"], arguments: JSON.stringify(block["input"] ?? {}) }
  }))
  const text = textOf(blocks, "text", "text")
  const reasoning = textOf(blocks, "thinking", "thinking")
  return {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(blocks.every(saysItAll) ? {} : { content_blocks: blocks })
  }
}

const count = (value: unknown): number => typeof value === "number" ? value : 0

/** Anthropic's input counts leave out what came from the cache and what went there; a prompt's tokens are all of them. */
export const usageOf = (usage: unknown): JsonObject | undefined => {
  if (!isObject(usage) || typeof usage["output_tokens"] !== "number") return undefined
  const read = count(usage["cache_read_input_tokens"])
  const written = count(usage["cache_creation_input_tokens"])
  const prompt = count(usage["input_tokens"]) + read + written
  const completion = count(usage["output_tokens"])
  const details = usage["output_tokens_details"]
  const thinking = isObject(details) ? details["thinking_tokens"] : undefined
  return {
    ...usage,
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: read, cache_write_tokens: written },
    ...(typeof thinking === "number" ? { completion_tokens_details: { reasoning_tokens: thinking } } : {})
  }
}

/** Undefined when the body is no message. */
export const toChatCompletion = (body: unknown): JsonObject | undefined => {
  if (!isObject(body) || body["type"] !== "message") return undefined
  const { content, role: _role, stop_reason: stopReason, type: _type, usage, ...rest } = body
  if (!Array.isArray(content) || !content.every(isBlock)) return undefined
  return {
    ...rest,
    object: "chat.completion",
    choices: [{
      index: 0,
      message: messageOf(content),
      finish_reason: finishReasonOf(stopReason),
      native_finish_reason: stopReason
    }],
    usage: usageOf(usage)
  }
}
