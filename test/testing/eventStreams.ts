/** Reads the streams of a `FaultServer` with `fetch`, and says them in words that all formats share. */
import { strictEqual } from "@effect/vitest/utils"
import { Effect, Predicate } from "effect"
import type { FaultServer } from "effect-resilience/testing"

export type Format = "OpenAI" | "Responses" | "Anthropic"

export const formats: ReadonlyArray<Format> = ["OpenAI", "Responses", "Anthropic"]

const paths = { OpenAI: "/v1/chat/completions", Responses: "/v1/responses", Anthropic: "/v1/messages" }

export const post = (server: FaultServer.Service, format: Format, model: string, more: object = { stream: true }) =>
  fetch(`${server.url}${paths[format]}`, {
    method: "POST",
    body: JSON.stringify({
      model,
      max_tokens: 10,
      [format === "Responses" ? "input" : "messages"]: [{ role: "user", content: "the secret prompt" }],
      ...more
    })
  })

/** A stream that a test reads piece by piece. */
export interface Reading {
  readonly response: Response
  readonly text: () => string
  /** All text so far, once it satisfies the predicate or the body has ended; fails with the messages of what went wrong. */
  readonly until: (enough: (text: string) => boolean) => Effect.Effect<string, string>
  /** Whether nothing comes for that long. */
  readonly isSilent: (millis: number) => Effect.Effect<boolean>
  readonly leave: Effect.Effect<void>
}

export const open = (server: FaultServer.Service, format: Format, model: string, more?: object) =>
  Effect.promise(async (): Promise<Reading> => {
    const response = await post(server, format, model, more)
    if (response.body === null) {
      throw new Error("no body")
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    let text = ""
    let next: ReturnType<typeof reader.read> | undefined
    const pull = () => next ??= reader.read()
    return {
      response,
      text: () => text,
      until: (enough) =>
        Effect.tryPromise({
          try: async () => {
            while (!enough(text)) {
              const { done, value } = await pull()
              next = undefined
              if (done) {
                return text
              }
              text += value
            }
            return text
          },
          catch: causes
        }),
      isSilent: (millis) =>
        Effect.promise(() =>
          Promise.race([
            pull().then(() => false, () => false),
            new Promise<boolean>((resolve) => setTimeout(() => resolve(true), millis))
          ])
        ),
      leave: Effect.promise(() => reader.cancel())
    }
  })

/** Every message and code in the chain of causes, since `fetch` hides what happened in there. */
const causes = (error: unknown): string =>
  error instanceof Error
    ? [error.message, "code" in error ? String(error.code) : "", causes(error.cause)].join(" ")
    : ""

const parse = (data: string): unknown => {
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}

const at = (value: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>((inner, key) => Predicate.hasProperty(inner, key) ? inner[key] : undefined, value)

/** A frame of OpenAI's as a word: what its delta says, or what else it is. */
const openAiName = (data: string): string => {
  const json = parse(data)
  const delta = at(json, "choices", 0, "delta")
  const finish = at(json, "choices", 0, "finish_reason")
  return data === "[DONE]"
    ? "done"
    : json === undefined
    ? "malformed"
    : typeof finish === "string"
    ? `finish ${finish}`
    : at(delta, "role") !== undefined
    ? "start"
    : delta !== undefined
    ? `${
      at(delta, "content") ?? JSON.stringify(at(delta, "tool_calls", 0, "function")) ?? at(delta, "reasoning_content")
    }`
    : at(json, "usage") !== undefined
    ? "usage"
    : `error ${at(json, "error", "code")}`
}

const anthropicName = (name: string | undefined, data: string): string => {
  const json = parse(data)
  if (json === undefined) {
    return "malformed"
  }
  strictEqual(at(json, "type"), name)
  switch (name) {
    case "message_start":
      return "start"
    case "content_block_delta":
      return `${at(json, "delta", "text") ?? at(json, "delta", "partial_json") ?? at(json, "delta", "thinking")}`
    case "message_delta":
      return `finish ${at(json, "delta", "stop_reason")}`
    case "message_stop":
      return "done"
    case "error":
      return `error ${at(json, "error", "type")}`
    default:
      return `${name}`
  }
}

const responsesName = (name: string | undefined, data: string): string => {
  const json = parse(data)
  if (json === undefined) {
    return "malformed"
  }
  strictEqual(at(json, "type"), name)
  const delta = at(json, "delta")
  if (typeof delta === "string") {
    return delta
  }
  switch (name) {
    case "response.created":
      return "start"
    case "response.completed":
      return "done"
    case "response.failed":
      return `failed ${at(json, "response", "error", "code")}`
    case "keepalive":
      return "ping"
    case "error":
      return `error ${at(json, "code")}`
    default:
      return `${name}`
  }
}

/** The frames of a body as words that all formats share; what is not a whole frame is `half`. */
export const named = (text: string, format: Format): ReadonlyArray<string> => {
  const frames = text.split("\n\n")
  const rest = frames.pop()
  const names = frames.map((frame) => {
    const match = /^(?:event: ([\w.]+)\n)?data: (.*)$/.exec(frame)
    return match === null
      ? frame.replace(/^: /, "")
      : format === "OpenAI"
      ? openAiName(match[2] ?? "")
      : format === "Responses"
      ? responsesName(match[1], match[2] ?? "")
      : anthropicName(match[1], match[2] ?? "")
  })
  return rest === "" ? names : [...names, "half"]
}

/** The events of the whole body, its text and, when reading it failed, why. */
export const read = (server: FaultServer.Service, format: Format, model: string, more?: object) =>
  Effect.gen(function*() {
    const reading = yield* open(server, format, model, more)
    const error = yield* Effect.merge(Effect.as(reading.until(() => false), ""))
    const text = reading.text()
    return { events: named(text, format), text, error }
  })

/** What comes before and after the words: but for Chat Completions a text has a start and an end of its own. */
export const opening = {
  OpenAI: ["start"],
  Responses: ["start", "response.in_progress", "response.output_item.added", "response.content_part.added"],
  Anthropic: ["start", "content_block_start", "ping"]
}
export const closing = {
  OpenAI: ["finish stop"],
  Responses: ["response.output_text.done", "response.content_part.done", "response.output_item.done"],
  Anthropic: ["content_block_stop", "finish end_turn"]
}
