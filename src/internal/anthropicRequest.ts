import { isObject, type JsonObject, parseJson } from "./json.js"

/**
 * A request in the shape of OpenAI's Chat Completions, as Anthropic's Messages API takes it.
 *
 * Nothing that was asked for is weakened in silence. What Messages cannot do is named (`unsupportedFields`), so that
 * another provider is asked; what only tunes or hints is left out and named too (`dropped`); what cannot be written at
 * all has a reason, which quotes nothing. Fields are passed on by a list of those that Messages knows: it refuses a
 * request with any other, and in a chain the same request carries the fields of every provider.
 *
 * Source: platform.claude.com/docs/en/api/messages, and the types of @anthropic-ai/sdk 1.12. Rules that the reference
 * does not state are the API's own 400s: blank texts, blank stop sequences, ids of tool calls outside [A-Za-z0-9_-], and
 * white space at the end of a prefill.
 */

export type Translated =
  | { readonly _tag: "Translated"; readonly body: JsonObject; readonly dropped: ReadonlyArray<string> }
  | { readonly _tag: "Untranslatable"; readonly why: string }

/** Required by Messages and optional elsewhere. */
const DEFAULT_MAX_TOKENS = 4096

/** Fields that Messages has and Chat Completions has not, or that mean the same in both. */
const sameFields: ReadonlyArray<string> = [
  "cache_control",
  "container",
  "context_management",
  "diagnostics",
  "inference_geo",
  "mcp_servers",
  "output_config",
  "speed",
  "thinking",
  "top_k",
  "top_p"
]

/** Fields that the translation reads, or that say how the answer travels and nothing about it. */
const readFields: ReadonlyArray<string> = [
  "max_completion_tokens",
  "max_tokens",
  "messages",
  "metadata",
  "model",
  "parallel_tool_calls",
  "safety_identifier",
  "service_tier",
  "stop",
  "stop_sequences",
  "stream",
  "stream_options",
  "system",
  "temperature",
  "tool_choice",
  "tools",
  "user"
]

/** What is left out in passing, and what makes the whole impossible. */
interface Notes {
  readonly dropped: Set<string>
  readonly problems: Array<string>
}

type Block = JsonObject

const list = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

const objects = (value: unknown): ReadonlyArray<JsonObject> => list(value).filter(isObject)

const isAsked = (value: unknown): boolean => value !== undefined && value !== null

const isBlank = (text: string): boolean => text.trim() === ""

const stopsOf = (request: JsonObject): ReadonlyArray<unknown> => [
  ...(typeof request["stop"] === "string" ? [request["stop"]] : list(request["stop"])),
  ...list(request["stop_sequences"])
]

const partsOf = (request: JsonObject): ReadonlyArray<JsonObject> =>
  objects(request["messages"]).flatMap((message) => objects(message["content"]))

const fileData = (part: JsonObject): string | undefined =>
  isObject(part["file"]) && typeof part["file"]["file_data"] === "string" ? part["file"]["file_data"] : undefined

/** What OpenAI's words for the choice of a tool are called here. */
const choices: ReadonlyMap<unknown, string> = new Map([["auto", "auto"], ["none", "none"], ["required", "any"]])

const native = (choice: JsonObject): boolean => ["auto", "any", "none", "tool"].some((type) => choice["type"] === type)

const namedFunction = (choice: JsonObject): string | undefined =>
  choice["type"] === "function" && isObject(choice["function"]) && typeof choice["function"]["name"] === "string"
    ? choice["function"]["name"]
    : undefined

const isToolChoice = (choice: unknown): boolean =>
  isObject(choice)
    ? native(choice) || namedFunction(choice) !== undefined
    : choices.has(choice)

/**
 * What changes the kind of answer the program gets; each is harmless while it asks for what is always given: one answer,
 * in text, without probabilities.
 */
const demands: Readonly<Record<string, (request: JsonObject) => boolean>> = {
  response_format: ({ response_format: format }) => isAsked(format) && !(isObject(format) && format["type"] === "text"),
  n: ({ n }) => typeof n === "number" && n > 1,
  logprobs: ({ logprobs }) => logprobs === true,
  top_logprobs: ({ top_logprobs: count }) => typeof count === "number" && count > 0,
  modalities: ({ modalities }) => list(modalities).some((modality) => modality !== "text"),
  web_search_options: ({ web_search_options: options }) => isAsked(options),
  functions: ({ functions }) => list(functions).length > 0
}

/** What the translated fields can hold and Messages cannot. */
const limits: Readonly<Record<string, (request: JsonObject) => boolean>> = {
  stop: (request) => stopsOf(request).some((stop) => typeof stop === "string" && isBlank(stop)),
  tools: ({ tools }) => objects(tools).some((tool) => isObject(tool["custom"])),
  tool_choice: ({ tool_choice: choice, tools }) => isAsked(choice) && list(tools).length > 0 && !isToolChoice(choice),
  input_audio: (request) => partsOf(request).some((part) => part["type"] === "input_audio"),
  file: (request) => partsOf(request).some((part) => part["type"] === "file" && fileData(part) === undefined),
  function_call: ({ messages }) =>
    objects(messages).some((message) => message["role"] === "function" || isAsked(message["function_call"]))
}

/** The names of what is asked for and Messages cannot do. */
export const unsupportedFields = (request: JsonObject): ReadonlyArray<string> =>
  Object.entries({ ...demands, ...limits }).flatMap(([name, asks]) => asks(request) ? [name] : [])

/** A marker for the prompt cache is Anthropic's own and may stand on anything that becomes a block. */
const cached = (from: JsonObject): JsonObject =>
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

const contentBlocks = (content: unknown, notes: Notes): ReadonlyArray<Block> =>
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

const conversation = (
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

const toolOf = (tool: unknown): unknown => {
  const described = isObject(tool) ? tool["function"] : undefined
  return !isObject(tool) || !isObject(described)
    // A tool of Anthropic's own.
    ? tool
    : {
      name: described["name"],
      ...(isAsked(described["description"]) ? { description: described["description"] } : {}),
      input_schema: { type: "object", ...(isObject(described["parameters"]) ? described["parameters"] : {}) },
      ...(described["strict"] === true ? { strict: true } : {}),
      ...cached(tool)
    }
}

const toolChoiceOf = (choice: unknown): JsonObject | undefined => {
  if (isObject(choice)) {
    const name = namedFunction(choice)
    return name === undefined ? choice : { type: "tool", name }
  }
  const type = choices.get(choice)
  return type === undefined ? undefined : { type }
}

const toolFields = (request: JsonObject, notes: Notes): JsonObject => {
  const tools = list(request["tools"]).map(toolOf)
  const chosen = toolChoiceOf(request["tool_choice"])
  if (tools.length === 0) {
    if (isAsked(request["tool_choice"])) {
      notes.dropped.add("tool_choice")
    }
    return {}
  }
  const choice = request["parallel_tool_calls"] === false && chosen?.["type"] !== "none"
    ? { type: "auto", ...chosen, disable_parallel_tool_use: true }
    : chosen
  return choice === undefined ? { tools } : { tools, tool_choice: choice }
}

const temperatureField = ({ temperature }: JsonObject, notes: Notes): JsonObject => {
  if (typeof temperature === "number" && temperature > 1) {
    notes.dropped.add("temperature")
    return { temperature: 1 }
  }
  return isAsked(temperature) ? { temperature } : {}
}

const maxTokensField = (request: JsonObject): JsonObject => {
  const thinking = request["thinking"]
  // Thinking counts towards the limit, so a default must leave room for it.
  const budget = isObject(thinking) && typeof thinking["budget_tokens"] === "number" ? thinking["budget_tokens"] : 0
  return {
    max_tokens: request["max_completion_tokens"] ?? request["max_tokens"] ?? DEFAULT_MAX_TOKENS + budget
  }
}

/** OpenAI's `metadata` is a map of the caller's own; here it holds the user's id alone. */
const metadataField = (request: JsonObject, notes: Notes): JsonObject => {
  const metadata = isObject(request["metadata"]) ? request["metadata"] : {}
  if (Object.keys(metadata).some((key) => key !== "user_id")) {
    notes.dropped.add("metadata")
  }
  const userId = metadata["user_id"] ?? request["user"] ?? request["safety_identifier"]
  return isAsked(userId) ? { metadata: { user_id: userId } } : {}
}

const tiers: ReadonlyMap<unknown, string> = new Map([
  ["auto", "auto"],
  ["default", "standard_only"],
  ["standard_only", "standard_only"]
])

const serviceTierField = ({ service_tier: tier }: JsonObject, notes: Notes): JsonObject => {
  const known = tiers.get(tier)
  if (known === undefined && isAsked(tier)) {
    notes.dropped.add("service_tier")
  }
  return known === undefined ? {} : { service_tier: known }
}

/** What asks for nothing, written out. */
const isDefault = (name: string, value: unknown): boolean =>
  !isAsked(value) || (value === 0 && name.endsWith("_penalty")) || (value === false && name === "store")

const noteDropped = (request: JsonObject, notes: Notes): void => {
  for (const [name, value] of Object.entries(request)) {
    const known = [...sameFields, ...readFields, ...Object.keys(demands)].includes(name)
    if (!known && !isDefault(name, value)) {
      notes.dropped.add(name)
    }
  }
}

/** The body of a request to `model`. */
export const toMessages = (request: JsonObject, model: string): Translated => {
  const notes: Notes = { dropped: new Set(), problems: [] }
  const { system, turns } = conversation(list(request["messages"]), notes)
  if (turns.length === 0) {
    notes.problems.push("there is no message to answer")
  }
  const allSystem = [...contentBlocks(request["system"], notes), ...system]
  const stops = stopsOf(request)
  const body = {
    model,
    ...maxTokensField(request),
    ...(allSystem.length === 0 ? {} : { system: allSystem }),
    messages: turns,
    ...toolFields(request, notes),
    ...(stops.length === 0 ? {} : { stop_sequences: stops }),
    ...temperatureField(request, notes),
    ...metadataField(request, notes),
    ...serviceTierField(request, notes),
    ...Object.fromEntries(
      Object.entries(request).filter(([name, value]) => sameFields.includes(name) && isAsked(value))
    )
  }
  noteDropped(request, notes)
  const [why] = notes.problems
  return why === undefined
    ? { _tag: "Translated", body, dropped: [...notes.dropped] }
    : { _tag: "Untranslatable", why }
}
