/** A `LanguageModel` whose answers are scripted, and which counts how often it was built and asked. */
import { AiError, LanguageModel } from "@effect/ai"
import type { Response } from "@effect/ai"
import { Effect, Layer, Stream } from "effect"
import { ProviderError } from "effect-resilience"
import { AiErrors } from "effect-resilience/ai"

export type Part = Response.PartEncoded

export type StreamPart = Response.StreamPartEncoded

const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 }

export const finish = { type: "finish", reason: "stop", usage } as const

export const says = (text: string): Array<Part> => [{ type: "text", text }, finish]

export const streams = (...texts: ReadonlyArray<string>): Array<StreamPart> => [
  { type: "response-metadata", id: "r1" },
  { type: "text-start", id: "1" },
  ...texts.map((delta) => ({ type: "text-delta", id: "1", delta } as const)),
  { type: "text-end", id: "1" },
  finish
]

export const calls = (name: string, params: unknown): Array<Part> => [
  { type: "tool-call", id: "call_1", name, params },
  { ...finish, reason: "tool-calls" }
]

export const raised = (error: ProviderError.CallError): AiError.AiError =>
  AiErrors.fromCallError(error, { module: "Scripted", method: "generateText" })

export const busy = raised(new ProviderError.RateLimited({ message: "busy", status: 429 }))

export const down = raised(new ProviderError.ServerError({ message: "down", reason: "Overloaded", status: 503 }))

export const wrong = raised(new ProviderError.ClientError({ message: "wrong", reason: "InvalidRequest", status: 400 }))

export const strange = new AiError.UnknownError({ module: "Scripted", method: "generateText", description: "strange" })

/** Fails after these parts. */
export interface Broken {
  readonly parts: ReadonlyArray<StreamPart>
  readonly error: AiError.AiError
}

type Answer = Array<Part> | AiError.AiError

type Streamed = ReadonlyArray<StreamPart> | Broken | AiError.AiError

/** The nth call gets the nth of each; the last one repeats. */
interface Script {
  readonly answers?: readonly [Answer, ...Array<Answer>]
  readonly streams?: readonly [Streamed, ...Array<Streamed>]
}

const nth = <A>(list: readonly [A, ...Array<A>], index: number): A => list[index] ?? list[list.length - 1] ?? list[0]

const play = (stream: Streamed): Stream.Stream<StreamPart, AiError.AiError> =>
  AiError.isAiError(stream)
    ? Stream.fail(stream)
    : "error" in stream
    ? Stream.concat(Stream.rechunk(Stream.fromIterable(stream.parts), 1), Stream.fail(stream.error))
    : Stream.rechunk(Stream.fromIterable(stream), 1)

export const scripted = (script: Script) => {
  const { answers = [says("")], streams: streamed = [streams("")] } = script
  const seen = { built: 0, asked: 0, closed: 0, prompts: new Array<LanguageModel.ProviderOptions>() }
  const ask = (options: LanguageModel.ProviderOptions) =>
    Effect.sync(() => {
      seen.prompts.push(options)
      return seen.asked++
    })
  const close = Effect.sync(() => {
    seen.closed += 1
  })
  const layer = Layer.effect(
    LanguageModel.LanguageModel,
    Effect.suspend(() => {
      seen.built += 1
      return LanguageModel.make({
        generateText: (options) =>
          Effect.flatMap(ask(options), (index) => {
            const answer = nth(answers, index)
            return AiError.isAiError(answer) ? Effect.fail(answer) : Effect.succeed(answer)
          }),
        streamText: (options) =>
          Stream.unwrap(Effect.map(ask(options), (index) => play(nth(streamed, index)))).pipe(Stream.ensuring(close))
      })
    })
  )
  return { layer, seen }
}
