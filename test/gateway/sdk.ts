/** OpenAI's own SDK as a client of the gateway. */
import { Data, Effect, Predicate } from "effect"
import OpenAI from "openai"
import type { Serving } from "./serving.js"
import { CLIENT_KEY } from "./serving.js"

/** A client that does not come again by itself. */
export const clientOf = ({ url }: Pick<Serving, "url">, options: { maxRetries?: number; apiKey?: string } = {}) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: CLIENT_KEY, maxRetries: 0, ...options })

/** What was thrown. */
export class Thrown extends Data.TaggedError("Thrown")<{ readonly error: Error }> {}

/** What the SDK gives, or what it throws. */
export const call = <A>(ask: (signal: AbortSignal) => PromiseLike<A>): Effect.Effect<A, Thrown> =>
  Effect.tryPromise({
    try: ask,
    catch: (error) => new Thrown({ error: error instanceof Error ? error : new TypeError(String(error)) })
  })

/** The error that the SDK throws; anything else is not what was meant to happen. */
export const thrown = <A>(
  ask: (signal: AbortSignal) => PromiseLike<A>
): Effect.Effect<InstanceType<typeof OpenAI.APIError>> =>
  Effect.orDie(Effect.flatMap(
    Effect.flip(call(ask)),
    (thrown) => thrown.error instanceof OpenAI.APIError ? Effect.succeed(thrown.error) : Effect.fail(thrown)
  ))

/** What a stream said until its end, and what the SDK threw at that, if it did. */
export interface Read<Event> {
  readonly events: ReadonlyArray<Event>
  readonly error: Error | undefined
}

/** Reads a stream to its end. */
export const readAll = <Event>(
  open: (signal: AbortSignal) => PromiseLike<AsyncIterable<Event>>
): Effect.Effect<Read<Event>> =>
  Effect.suspend(() => {
    const events: Array<Event> = []
    return call(async (signal) => {
      for await (const event of await open(signal)) {
        events.push(event)
      }
    }).pipe(
      Effect.match({
        onSuccess: () => undefined,
        onFailure: ({ error }) => error
      }),
      Effect.map((error) => ({ events, error }))
    )
  })

/** The text of a stream of Chat Completions. */
export const chatText = ({ events }: Read<OpenAI.ChatCompletionChunk>): string =>
  events.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? "")).join("")

/** The text of a stream of Responses. */
export const responseText = ({ events }: Read<OpenAI.Responses.ResponseStreamEvent>): string =>
  events.map((event) => event.type === "response.output_text.delta" ? event.delta : "").join("")

/** The class of an error by its name, with the status and the code. */
export const shown = (error: Error): string =>
  [error.constructor.name, ...error instanceof OpenAI.APIError ? [error.status, error.code] : []]
    .filter(Predicate.isNotNullable)
    .join(" ")
