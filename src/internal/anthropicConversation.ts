import { isObject, type JsonObject, parseJson } from "./json.js"

/**
 * A conversation in the shape of OpenAI's Chat Completions, as Anthropic's Messages API takes it: what the system says
 * apart, turns of user and assistant in alternation, and everything said or done in them as blocks.
 *
 * Some rules of Messages are not in its reference, only in its 400s: no blank texts, no ids of tool calls outside
 * [A-Za-z0-9_-], no white space at the end of an answer begun for the model.
 */

/** What is left out in passing, and what makes the whole impossible. */
export interface Notes {
  readonly dropped: Set<string>
  readonly problems: Array<string>
}

export type Block = JsonObject

export const list = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

export const objects = (value: unknown): ReadonlyArray<JsonObject> => list(value).filter(isObject)

export const isAsked = (value: unknown): boolean => value !== undefined && value !== null

export const isBlank = (text: string): boolean => text.trim() === ""

/** The data URL of a file that is sent along. */
export const fileData = (part: JsonObject): string | undefined =>
  isObject(part["file"]) && typeof part["file"]["file_data"] === "string" ? part["file"]["file_data"] : undefined

/** A marker for the prompt cache is Anthropic's own and may stand on anything that becomes a block. */
export const cached = (from: JsonObject): JsonObject =>
  isAsked(from["cache_control"]) ? { cache_control: from["cache_control"] } : {}

const textBlocks = (text: unknown, from: JsonObject = {}): ReadonlyArray<Block> =>
  typeof text === "string" && !isBlank(text) ? [{ type: "text", text, ...cached(from) }] : []

/** `data:image/png;base64,…` in its two parts. */
const base64Source = (url: string): JsonObject | undefined => {
  const comma = url.indexOf(",")
  const [mediaType = "", ...parameters] = url.slice("data:".length, Math.max(comma, 0)).split(";")
  return comma < 0 || parameters.at(-1) !== "base64"
    ? undefined
    // The one name of JPEG that Messages takes.
    : { type: "base64", media_type: mediaType.replace("image/jpg", "image/jpeg"), data: url.slice(comma + 1) }
}

const sourceOf = (url: string): JsonObject | undefined =>
  url.startsWith("data:") ? base64Source(url) : { type: "url", url }

const imageBlocks = (part: JsonObject, notes: Notes): ReadonlyArray<Block> => {
  const image = part["image_url"]
  const url = isObject(image) ? image["url"] : image
  const source = typeof url === "string" ? sourceOf(url) : undefined
  if (isObject(image) && isAsked(image["detail"]) && image["detail"] !== "auto") {
    notes.dropped.add("image_url.detail")
  }
  if (source === undefined) {
    notes.problems.push("an image is neither a URL nor base64 data")
    return []
  }
  return [{ type: "image", source, ...cached(part) }]
}

const fileBlocks = (part: JsonObject, notes: Notes): ReadonlyArray<Block> => {
  const source = base64Source(fileData(part) ?? "")
  if (source === undefined) {
    notes.problems.push("a file is not base64 data")
    return []
  }
  const title = isObject(part["file"]) && typeof part["file"]["filename"] === "string" ? part["file"]["filename"] : null
  return [{ type: "document", source, ...(title === null ? {} : { title }), ...cached(part) }]
}

const partBlocks = (part: unknown, notes: Notes): ReadonlyArray<Block> => {
  if (!isObject(part)) {
    notes.problems.push("a part of a message is not an object")
    return []
  }
  switch (part["type"]) {
    case "text":
      return typeof part["text"] === "string" && isBlank(part["text"]) ? [] : [part]
    case "refusal":
      return textBlocks(part["refusal"], part)
    case "image_url":
      return imageBlocks(part, notes)
    case "file":
      return fileBlocks(part, notes)
    default:
      // A block of Anthropic's own.
      return [part]
  }
}

export const contentBlocks = (content: unknown, notes: Notes): ReadonlyArray<Block> =>
  typeof content === "string" ? textBlocks(content) : list(content).flatMap((part) => partBlocks(part, notes))

/** Ids that another provider gave, in the letters allowed here: the same one for the call and for its result. */
const toolId = (id: string): string =>
  id.replace(/[^A-Za-z0-9_-]/gu, (letter) => `_${letter.codePointAt(0)?.toString(16) ?? ""}_`)

const argumentsOf = (text: unknown): JsonObject | undefined => {
  if (typeof text !== "string") return undefined
  // What some models write for a function without parameters.
  const value = isBlank(text) ? {} : parseJson(text)?.value
  return isObject(value) ? value : undefined
}

const toolUse = (call: unknown, notes: Notes): ReadonlyArray<Block> => {
  const id = isObject(call) ? call["id"] : undefined
  const called = isObject(call) ? call["function"] : undefined
  if (typeof id !== "string" || id === "" || !isObject(called) || typeof called["name"] !== "string") {
    notes.problems.push("a tool call has no id or names no function")
    return []
  }
  const input = argumentsOf(called["arguments"])
  if (input === undefined) {
    notes.problems.push("the arguments of a tool call are not a JSON object")
    return []
  }
  return [{ type: "tool_use", id: toolId(id), name: called["name"], input }]
}

const assistantBlocks = (message: JsonObject, notes: Notes): ReadonlyArray<Block> =>
  // What an earlier answer consisted of, thinking and its signatures included, goes back as it came.
  Array.isArray(message["content_blocks"])
    ? contentBlocks(message["content_blocks"], notes)
    : [
      ...contentBlocks(message["content"], notes),
      ...textBlocks(message["refusal"]),
      ...list(message["tool_calls"]).flatMap((call) => toolUse(call, notes))
    ]

const toolResult = (message: JsonObject, notes: Notes): ReadonlyArray<Block> => {
  const id = message["tool_call_id"]
  if (typeof id !== "string" || id === "") {
    notes.problems.push("the result of a tool has no tool_call_id")
    return []
  }
  const content = contentBlocks(message["content"], notes)
  return [{
    type: "tool_result",
    tool_use_id: toolId(id),
    ...(content.length === 0 ? {} : { content }),
    ...(message["is_error"] === true ? { is_error: true } : {}),
    ...cached(message)
  }]
}

interface Turn {
  readonly role: "user" | "assistant"
  readonly content: ReadonlyArray<Block>
}

/** Neighbours of one role are one turn, as Messages wants them; results of tools are the user's. */
const join = (turns: ReadonlyArray<Turn>): ReadonlyArray<Turn> =>
  turns.reduce<Array<Turn>>((joined, turn) => {
    const last = joined.at(-1)
    if (last?.role === turn.role) {
      joined[joined.length - 1] = { role: turn.role, content: [...last.content, ...turn.content] }
    } else if (turn.content.length > 0) {
      joined.push(turn)
    }
    return joined
  }, [])

/** An answer that has been begun for the model may not end in white space. */
const trimPrefill = (turns: ReadonlyArray<Turn>): ReadonlyArray<Turn> => {
  const last = turns.at(-1)
  const block = last?.content.at(-1)
  return last?.role !== "assistant" || block?.["type"] !== "text" || typeof block["text"] !== "string"
    ? turns
    : [
      ...turns.slice(0, -1),
      { role: last.role, content: [...last.content.slice(0, -1), { ...block, text: block["text"].trimEnd() }] }
    ]
}

export const conversation = (
  messages: ReadonlyArray<unknown>,
  notes: Notes
): { readonly system: ReadonlyArray<Block>; readonly turns: ReadonlyArray<Turn> } => {
  const system: Array<Block> = []
  const turns: Array<Turn> = []
  for (const message of messages) {
    const role = isObject(message) ? message["role"] : undefined
    if (!isObject(message)) {
      notes.problems.push("a message is not an object")
    } else if (role === "system" || role === "developer") {
      system.push(...contentBlocks(message["content"], notes))
    } else if (role === "user") {
      turns.push({ role, content: contentBlocks(message["content"], notes) })
    } else if (role === "assistant") {
      turns.push({ role, content: assistantBlocks(message, notes) })
    } else if (role === "tool") {
      turns.push({ role: "user", content: toolResult(message, notes) })
    } else {
      notes.problems.push("a message has a role that is not known")
    }
    if (isObject(message) && isAsked(message["name"]) && role !== "tool") {
      notes.dropped.add("messages.name")
    }
  }
  return { system, turns: trimPrefill(join(turns)) }
}
