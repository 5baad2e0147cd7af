/**
 * The formats the server speaks: where each is asked, what a request must look like, and in which words it is refused.
 */
import * as Predicate from "effect/Predicate"
import * as AnthropicWire from "./anthropicWire.js"
import * as EmbeddingsWire from "./embeddingsWire.js"
import * as OpenAi from "./openAiCommon.js"
import * as OpenAiWire from "./openAiWire.js"
import * as ResponsesWire from "./responsesWire.js"
import type { Asked, Refusal, Wire } from "./wire.js"

export interface Format {
  /** The path of the requests that speak it. */
  readonly path: RegExp
  readonly wire: (asked: Asked) => Wire
  readonly refusal: (number: number, refusal: Refusal) => unknown
  /** The fields of a request that are looked at, each with its test; what may be missing passes as undefined. */
  readonly fields: Readonly<Record<string, (value: unknown) => boolean>>
  readonly missing: (param: string) => string
  readonly invalid: (param: string) => string
}

const isModel = (value: unknown) => Predicate.isString(value) && value !== ""

const isOptional = (test: (value: unknown) => boolean) => (value: unknown) => Predicate.isNullable(value) || test(value)

const openAi = {
  refusal: (_: number, refusal: Refusal) => OpenAi.refusal(refusal),
  missing: (param: string) => `Missing required parameter: '${param}'.`,
  invalid: (param: string) => `Invalid value for '${param}'.`
}

const chatCompletions: Format = {
  ...openAi,
  path: /^\/v1\/chat\/completions$/,
  wire: OpenAiWire.make,
  fields: { model: isModel, messages: Array.isArray }
}

const responses: Format = {
  ...openAi,
  path: /^\/v1\/responses$/,
  wire: ResponsesWire.make,
  fields: { model: isModel, input: (value) => Predicate.isString(value) || Array.isArray(value) }
}

const embeddings: Format = {
  ...openAi,
  path: /^\/v1\/embeddings$/,
  wire: EmbeddingsWire.make,
  fields: {
    model: isModel,
    input: (value) => EmbeddingsWire.inputsOf(value) !== undefined,
    encoding_format: isOptional((value) => value === "float" || value === "base64"),
    dimensions: isOptional((value) =>
      Predicate.isNumber(value) && Number.isInteger(value) && value > 0 && value <= EmbeddingsWire.MAX_DIMENSIONS
    )
  }
}

const messages: Format = {
  path: /^\/v1\/messages$/,
  wire: AnthropicWire.make,
  refusal: AnthropicWire.refusal,
  fields: { model: isModel, messages: Array.isArray, max_tokens: Predicate.isNumber },
  missing: (param) => `${param}: Field required`,
  invalid: (param) => `${param}: Input should be valid`
}

export const formats: ReadonlyArray<Format> = [chatCompletions, responses, embeddings, messages]

/** The format of the requests to a path; what is asked elsewhere is answered as OpenAI does. */
export const formatOf = (path: string): Format => formats.find((format) => format.path.test(path)) ?? chatCompletions
