import { type Block, finishReasonOf, isBlock, saysItAll, usageOf } from "./anthropicResponse.js"
import type { JsonChunk, JsonDelta, Said } from "./chunks.js"
import { isObject, type JsonObject, parseJson } from "./json.js"

/**
 * A streamed answer of Anthropic's Messages API, event by event, in the shape of OpenAI's `chat.completion.chunk`.
 *
 * What `anthropicResponse.ts` says of a whole answer holds for the chunks together, so the reasons, the bill and the rule
 * of what is kept besides are taken from there. The blocks are put together on the way, as they came: an answer that is
 * more than text and tool calls has them as `content_blocks` on the chunk that ends it, where a program that sends the
 * answer back needs them and not before. Kinds of events, blocks and deltas not known here are no fault, as the
 * protocol says; a known one without what it has to carry is.
 *
 * Source: platform.claude.com/docs/en/build-with-claude/streaming, and the types of @anthropic-ai/sdk 1.12.
 */

interface Open {
  readonly block: Block
  /** Its input, which comes as pieces of JSON. */
  readonly json: string
  /** Which tool call it is, if it is one of the program's tools. */
  readonly call: number | undefined
}

/** A block with what a delta adds: texts go on, anything else takes its place. */
const grown = (block: Block, { type: _type, ...pieces }: JsonObject): Block => {
  const added = Object.entries(pieces).map(([name, piece]) => {
    const held = block[name]
    return [name, typeof held === "string" && typeof piece === "string" ? held + piece : piece ?? held] as const
  })
  return { ...block, ...Object.fromEntries(added) }
}

/** The input of a call that was cut stays what it was at the start, which is empty. */
const wholeBlock = ({ block, json }: Open): Block => {
  const parsed = parseJson(json)
  return parsed === undefined ? block : { ...block, input: parsed.value }
}

const known = (fields: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null))

export class AnthropicStream {
  private identity: JsonObject = {}
  private usage: JsonObject = {}
  private readonly blocks = new Map<unknown, Open>()
  private calls = 0

  /** @param event the decoded data of one event; an error is looked for before */
  next(event: unknown): Said {
    if (!isObject(event)) return "malformed"
    switch (event["type"]) {
      case "message_start":
        return this.start(event["message"])
      case "content_block_start":
        return this.open(event["index"], event["content_block"])
      case "content_block_delta":
        return this.append(event["index"], event["delta"])
      case "content_block_stop":
        return this.close(event["index"])
      case "message_delta":
        return this.finish(event["delta"], event["usage"])
      case "message_stop":
        return "ended"
      default:
        return typeof event["type"] === "string" ? "nothing" : "malformed"
    }
  }

  private start(message: unknown): Said {
    if (!isObject(message)) return "malformed"
    const { content: _content, role: _role, stop_reason: _reason, type: _type, usage, ...rest } = message
    this.identity = { id: rest["id"], model: rest["model"] }
    return this.chunk({ role: "assistant", content: "" }, { ...rest, ...this.count(usage) })
  }

  private open(index: unknown, block: unknown): Said {
    if (typeof index !== "number" || !isBlock(block)) return "malformed"
    const call = block.type === "tool_use" ? this.calls++ : undefined
    this.blocks.set(index, { block, json: "", call })
    return call === undefined
      ? this.say(block)
      : this.callChunk(call, "", { id: block["id"], type: "function" }, { name: block["name"] })
  }

  private append(index: unknown, delta: unknown): Said {
    const open = this.blocks.get(index)
    if (open === undefined || !isObject(delta)) return "malformed"
    const { block, call, json } = open
    switch (delta["type"]) {
      case "input_json_delta": {
        const piece = delta["partial_json"]
        if (typeof piece !== "string") return "malformed"
        this.blocks.set(index, { ...open, json: json + piece })
        return call === undefined || piece === "" ? "nothing" : this.callChunk(call, piece)
      }
      case "citations_delta": {
        const citations = Array.isArray(block["citations"]) ? block["citations"] : []
        this.blocks.set(index, { ...open, block: { ...block, citations: [...citations, delta["citation"]] } })
        return "nothing"
      }
    }
    const said = this.say(delta)
    if (said !== "malformed") this.blocks.set(index, { ...open, block: grown(block, delta) })
    return said
  }

  /** A call without arguments has no JSON, and a program parses them; others had their whole input at the start. */
  private close(index: unknown): Said {
    const open = this.blocks.get(index)
    if (open?.call === undefined || open.json !== "") return "nothing"
    const json = JSON.stringify(open.block["input"] ?? {})
    this.blocks.set(index, { ...open, json })
    return this.callChunk(open.call, json)
  }

  private finish(delta: unknown, usage: unknown): Said {
    if (!isObject(delta)) return "malformed"
    const { stop_reason: stopReason = null, ...rest } = delta
    const blocks = [...this.blocks.values()].map(wholeBlock)
    return this.chunk(
      stopReason === null || blocks.every(saysItAll) ? {} : { content_blocks: blocks },
      { ...rest, ...this.count(usage) },
      { finish_reason: finishReasonOf(stopReason), native_finish_reason: stopReason }
    )
  }

  /** Later counts are of the whole answer too, and leave out what has not changed. */
  private count(usage: unknown): JsonObject {
    if (isObject(usage)) this.usage = { ...this.usage, ...known(usage) }
    const counted = usageOf(this.usage)
    return counted === undefined ? {} : { usage: counted }
  }

  private say(piece: JsonObject): Said {
    switch (piece["type"]) {
      case "text":
      case "text_delta":
        return this.textChunk("content", piece["text"])
      case "thinking":
      case "thinking_delta":
        return this.textChunk("reasoning_content", piece["thinking"])
      default:
        return "nothing"
    }
  }

  private textChunk(field: string, text: unknown): Said {
    if (typeof text !== "string") return "malformed"
    return text === "" ? "nothing" : this.chunk({ [field]: text })
  }

  private callChunk(index: number, json: string, more: JsonObject = {}, called: JsonObject = {}): JsonChunk {
    return this.chunk({ tool_calls: [{ index, ...more, function: { ...called, arguments: json } }] })
  }

  private chunk(delta: JsonDelta, more: JsonObject = {}, ended: JsonObject = { finish_reason: null }): JsonChunk {
    return {
      ...this.identity,
      ...more,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, ...ended }]
    }
  }
}
