import { isObject, type JsonObject } from "./json.js"

/**
 * What one chunk of a streamed answer says, in the shape of OpenAI's `chat.completion.chunk`.
 *
 * Servers differ in what they leave out and what they add, so little is demanded of a chunk and the rest passes through.
 * An empty string says as little as `null`: some servers send either where others send nothing.
 */

export interface JsonDelta extends JsonObject {
  readonly content?: string | null | undefined
}

export interface JsonChoice extends JsonObject {
  readonly index?: number | undefined
  readonly delta?: JsonDelta | null | undefined
  readonly finish_reason?: string | null | undefined
}

export interface JsonUsage extends JsonObject {
  readonly prompt_tokens?: number | null | undefined
  readonly completion_tokens?: number | null | undefined
  readonly total_tokens?: number | null | undefined
}

export interface JsonChunk extends JsonObject {
  readonly id?: string | null | undefined
  readonly model?: string | null | undefined
  readonly choices: ReadonlyArray<JsonChoice>
  readonly usage?: JsonUsage | null | undefined
}

/** What a frame of a stream says: a chunk, nothing to a program, that the answer is whole, or nothing understandable. */
export type Said = JsonChunk | "nothing" | "ended" | "malformed"

const isTextOrNone = (value: unknown): boolean => value === undefined || value === null || typeof value === "string"

const isDelta = (value: unknown): boolean => isObject(value) && isTextOrNone(value["content"])

const isChoice = (value: unknown): boolean =>
  isObject(value) &&
  (value["index"] === undefined || typeof value["index"] === "number") &&
  (value["delta"] === undefined || value["delta"] === null || isDelta(value["delta"])) &&
  isTextOrNone(value["finish_reason"])

const isNumberOrNone = (value: unknown): boolean => value === undefined || value === null || typeof value === "number"

const isUsage = (value: unknown): boolean =>
  isObject(value) &&
  isNumberOrNone(value["prompt_tokens"]) &&
  isNumberOrNone(value["completion_tokens"]) &&
  isNumberOrNone(value["total_tokens"])

/** Whether it is a chunk at all. The last one, with the usage, has no choices. */
export const isChunk = (value: unknown): value is JsonChunk =>
  isObject(value) &&
  Array.isArray(value["choices"]) &&
  value["choices"].every(isChoice) &&
  isTextOrNone(value["id"]) &&
  isTextOrNone(value["model"]) &&
  (value["usage"] === undefined || value["usage"] === null || isUsage(value["usage"]))

/** Which choice it is: where there is but one, some servers leave its number out. */
export const indexOf = (choice: JsonChoice, position: number): number => choice.index ?? position

const isFilled = (value: unknown): boolean =>
  typeof value === "string"
    ? value !== ""
    : typeof value === "object" && value !== null && Object.keys(value).length > 0

const someDelta = (chunk: JsonChunk, fields: ReadonlyArray<string>): boolean =>
  chunk.choices.some(({ delta }) => isObject(delta) && fields.some((field) => isFilled(delta[field])))

const toolFields: ReadonlyArray<string> = ["tool_calls", "function_call"]

const outputFields: ReadonlyArray<string> = [
  "content",
  "reasoning",
  "reasoning_content",
  "reasoning_details",
  "thinking",
  "refusal",
  "audio",
  "images",
  ...toolFields
]

/** Whether the model said anything; a role, an empty delta and the usage are none of it. */
export const hasOutput = (chunk: JsonChunk): boolean => someDelta(chunk, outputFields)

/** Whether an element of any stream is what its reader waits for: of a chat's, what the model says; of others, anything. */
export const isOutput = (element: unknown): boolean => !isChunk(element) || hasOutput(element)

/** Whether it is part of a tool call. */
export const beganToolCall = (chunk: JsonChunk): boolean => someDelta(chunk, toolFields)

/** Whether it says what was used, so far or in all. */
export const hasUsage = (chunk: JsonChunk): boolean => isObject(chunk["usage"])

/** Whether it says why a choice ended. */
export const hasFinished = (chunk: JsonChunk): boolean => chunk.choices.some((choice) => isFilled(choice.finish_reason))

/** The text of the first choice. */
export const contentOf = (chunk: JsonChunk): string =>
  chunk.choices.map((choice, position) => indexOf(choice, position) === 0 ? choice.delta?.content ?? "" : "").join("")

/** Which choices have ended. */
export class Ends {
  private readonly ended = new Map<number, boolean>()

  /** @param choices how many were asked for */
  constructor(private readonly choices = 1) {}

  note(chunk: JsonChunk): void {
    chunk.choices.forEach((choice, position) => {
      const index = indexOf(choice, position)
      this.ended.set(index, this.ended.get(index) === true || isFilled(choice.finish_reason))
    })
  }

  /** Every choice that was asked for or has come has a reason why it ended. */
  get complete(): boolean {
    return this.ended.size >= this.choices && [...this.ended.values()].every((ended) => ended)
  }
}

/** What of a streamed answer is no part of the conversation: who gave it, why it ended, what was used. */
export class Facts {
  private id: unknown
  private model: unknown
  private usage: unknown
  private readonly reasons = new Map<number, string>()

  note(chunk: JsonChunk): void {
    this.id = chunk.id ?? this.id
    this.model = chunk.model ?? this.model
    this.usage = chunk.usage ?? this.usage
    chunk.choices.forEach(({ finish_reason: reason, ...choice }, position) => {
      if (isFilled(reason)) this.reasons.set(indexOf(choice, position), String(reason))
    })
  }

  /** In the shape of a whole response. */
  get response(): JsonObject {
    return {
      id: this.id,
      model: this.model,
      usage: this.usage,
      choices: [...this.reasons].sort(([a], [b]) => a - b).map(([, reason]) => ({ finish_reason: reason }))
    }
  }
}
