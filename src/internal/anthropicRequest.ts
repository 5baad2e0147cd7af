import {
  cached,
  contentBlocks,
  conversation,
  fileData,
  isAsked,
  isBlank,
  list,
  type Notes,
  objects
} from "./anthropicConversation.js"
import { isObject, type JsonObject } from "./json.js"

/**
 * A request in the shape of OpenAI's Chat Completions, as Anthropic's Messages API takes it.
 *
 * Nothing that was asked for is weakened in silence. What Messages cannot do is named (`unsupportedFields`), so that
 * another provider is asked; what only tunes or hints is left out and named too (`dropped`); what cannot be written at
 * all has a reason, which quotes nothing. Fields are passed on by a list of those that Messages knows: it refuses a
 * request with any other, and in a chain the same request carries the fields of every provider.
 *
 * Source: platform.claude.com/docs/en/api/messages, and the types of @anthropic-ai/sdk 1.12. That no stop sequence may be
 * blank is told by the API's own 400 alone.
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

const stopsOf = (request: JsonObject): ReadonlyArray<unknown> => [
  ...(typeof request["stop"] === "string" ? [request["stop"]] : list(request["stop"])),
  ...list(request["stop_sequences"])
]

const partsOf = (request: JsonObject): ReadonlyArray<JsonObject> =>
  objects(request["messages"]).flatMap((message) => objects(message["content"]))

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
