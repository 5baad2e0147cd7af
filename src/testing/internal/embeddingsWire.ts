/**
 * OpenAI's side of the wire: what the Embeddings API answers.
 *
 * A vector depends on its text alone (the same text, the same vector), has the length 1 as OpenAI's have, and means
 * nothing. It is short, unless the request says how long it is to be.
 */
import * as Predicate from "effect/Predicate"
import { errorFor, headers, invalidRequest } from "./openAiCommon.js"
import { draw } from "./random.js"
import type { Asked, Said, Wire } from "./wire.js"

/** Of the largest model that OpenAI has for this. */
export const MAX_DIMENSIONS = 3072

const DIMENSIONS = 8

const MAX_INPUTS = 2048

/** A text, or the tokens that stand for it. */
type Input = string | ReadonlyArray<number>

const isTokens = (value: unknown): value is ReadonlyArray<number> =>
  Array.isArray(value) && value.length > 0 && value.every(Number.isInteger)

const isInput = (value: unknown): value is Input => Predicate.isString(value) || isTokens(value)

/** What is to be embedded, one or several; undefined when it is something else. */
export const inputsOf = (value: unknown): ReadonlyArray<Input> | undefined =>
  isInput(value)
    ? [value]
    : Array.isArray(value) && value.length > 0 && value.length <= MAX_INPUTS && value.every(isInput)
    ? value
    : undefined

const tokensIn = (input: Input): number => Predicate.isString(input) ? (input.match(/\S+/g) ?? []).length : input.length

/** A number for a text (FNV-1a). */
const hash = (text: string): number =>
  Array.from(text).reduce(
    (hash, character) => Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193),
    0x811c9dc5
  )

/** Numbers of 32 bits, so that they are the same ones in either encoding. */
const vector = (input: Input, dimensions: number): Float32Array => {
  const seed = hash(Predicate.isString(input) ? input : JSON.stringify(input))
  const drawn = Float32Array.from({ length: dimensions }, (_, nth) => draw(seed, nth) * 2 - 1)
  const length = Math.hypot(...drawn)
  return drawn.map((number) => number / length)
}

/** The numbers one after the other, each with its lowest byte first. */
const base64 = (vector: Float32Array): string => {
  const bytes = Buffer.alloc(vector.length * 4)
  vector.forEach((number, nth) => bytes.writeFloatLE(number, nth * 4))
  return bytes.toString("base64")
}

const contextTooLong = invalidRequest(
  "This model's maximum context length is 8192 tokens, however you requested 8227 tokens. Please reduce your prompt."
)

const error = (said: Said) => errorFor(said, contextTooLong)

/** What a request for the model is answered; the same request gets the same bytes. */
export const make = (asked: Asked): Wire => ({
  answer: (ok) => {
    const { dimensions, encoding_format: encoding, input } = asked.fields
    const inputs = inputsOf(input) ?? []
    const length = Predicate.isNumber(dimensions) ? dimensions : DIMENSIONS
    const tokens = ok.usage?.promptTokens ?? inputs.reduce((sum, input) => sum + tokensIn(input), 0)
    return {
      object: "list",
      data: inputs.map((input, index) => {
        const numbers = vector(input, length)
        return {
          object: "embedding",
          index,
          embedding: encoding === "base64" ? base64(numbers) : Array.from(numbers)
        }
      }),
      model: asked.model,
      usage: { prompt_tokens: tokens, total_tokens: tokens }
    }
  },
  stream: undefined,
  error,
  failure: error,
  headers: (sending) => headers(asked, sending)
})
