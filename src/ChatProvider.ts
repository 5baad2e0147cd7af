/**
 * The provider service: one request, one response, and nothing about resilience.
 *
 * A program asks for `ChatProvider` and does not know who answers. Which provider that is, how often it is asked and who
 * comes next when it gives up are all layers: `OpenAi.layer` makes one bare attempt and classifies what goes wrong,
 * `Resilience.layer` and `Fallback.orElse` wrap it, `ScriptedProvider` replaces it in tests. Requests and responses have
 * the shape of OpenAI's Chat Completions, which most servers speak; fields not named here pass through both ways.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { contentOf } from "./internal/chunks.js"
import { Collector } from "./internal/collector.js"
import type { CallError } from "./ProviderError.js"
import { ServerError } from "./ProviderError.js"

const passThrough = { key: Schema.String, value: Schema.Unknown }

/**
 * One message of a conversation. `content` is a text, or parts as the provider defines them.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ChatMessage = Schema.Struct({
  role: Schema.String,
  content: Schema.optional(Schema.NullOr(Schema.Union(Schema.String, Schema.Array(Schema.Unknown))))
}, passThrough)

/**
 * The type of `ChatMessage`.
 *
 * @since 0.1.0
 * @category schemas
 */
export type ChatMessage = typeof ChatMessage.Type

/**
 * What is asked. `model` may be left out where the provider layer names one, and is overruled by it: in a chain of
 * layers each has a model of its own.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ChatRequest = Schema.Struct({
  model: Schema.optional(Schema.String),
  messages: Schema.Array(ChatMessage),
  max_tokens: Schema.optional(Schema.Number),
  temperature: Schema.optional(Schema.Number)
}, passThrough)

/**
 * The type of `ChatRequest`.
 *
 * @since 0.1.0
 * @category schemas
 */
export type ChatRequest = typeof ChatRequest.Type

/**
 * One of the answers; `finish_reason` says why it ended.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ChatChoice = Schema.Struct({
  message: Schema.Struct({
    role: Schema.optional(Schema.String),
    content: Schema.optional(Schema.NullOr(Schema.String))
  }, passThrough),
  finish_reason: Schema.optional(Schema.NullOr(Schema.String))
}, passThrough)

/**
 * The type of `ChatChoice`.
 *
 * @since 0.1.0
 * @category schemas
 */
export type ChatChoice = typeof ChatChoice.Type

/**
 * Tokens that were paid for.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Usage = Schema.Struct({
  prompt_tokens: Schema.optional(Schema.NullOr(Schema.Number)),
  completion_tokens: Schema.optional(Schema.NullOr(Schema.Number)),
  total_tokens: Schema.optional(Schema.NullOr(Schema.Number))
}, passThrough)

/**
 * The type of `Usage`.
 *
 * @since 0.1.0
 * @category schemas
 */
export type Usage = typeof Usage.Type

/**
 * What was answered: at least one choice.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ChatResponse = Schema.Struct({
  id: Schema.optional(Schema.NullOr(Schema.String)),
  model: Schema.optional(Schema.NullOr(Schema.String)),
  choices: Schema.NonEmptyArray(ChatChoice),
  usage: Schema.optional(Schema.NullOr(Usage))
}, passThrough)

/**
 * The type of `ChatResponse`.
 *
 * @since 0.1.0
 * @category schemas
 */
export type ChatResponse = typeof ChatResponse.Type

const ChunkChoice = Schema.Struct({
  index: Schema.optional(Schema.Number),
  delta: Schema.optional(
    Schema.NullOr(Schema.Struct({ content: Schema.optional(Schema.NullOr(Schema.String)) }, passThrough))
  ),
  finish_reason: Schema.optional(Schema.NullOr(Schema.String))
}, passThrough)

/**
 * A piece of an answer: what is added to each choice (`delta`), and why one ended (`finish_reason`). The last one may
 * have no choices, and the usage.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ChatChunk = Schema.Struct({
  id: Schema.optional(Schema.NullOr(Schema.String)),
  model: Schema.optional(Schema.NullOr(Schema.String)),
  choices: Schema.Array(ChunkChoice),
  usage: Schema.optional(Schema.NullOr(Usage))
}, passThrough)

/**
 * The type of `ChatChunk`.
 *
 * @since 0.1.0
 * @category schemas
 */
export type ChatChunk = typeof ChatChunk.Type

/**
 * In a stream with restarts: forget what came so far, a whole new answer follows. `error` is what cut the one before.
 *
 * @since 0.1.0
 * @category models
 */
export class Restarted extends Data.TaggedClass("Restarted")<{ readonly error: CallError }> {}

/**
 * What a provider layer provides.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Its name in errors, reports and metrics, such as `openai`. */
  readonly provider: string
  /** The model it asks, if the layer fixes one. */
  readonly model: string | undefined
  /**
   * Tells one server and one account from another of the same name, without telling what they are: what circuit
   * breakers of a shared registry are kept by. Default: there is one account only.
   */
  readonly credential?: string | undefined
  /**
   * The names of what the request asks for and this provider cannot do, such as `response_format`. When there are any,
   * `complete` fails with `ClientError` (`InvalidRequest`) and sends nothing: another provider should be asked, rather
   * than an answer given that is not what was asked for. Default: it can do everything.
   */
  readonly unsupported?: ((request: ChatRequest) => ReadonlyArray<string>) | undefined
  /** Does it take the beginning of an answer as the last message and go on from there? Default: no. */
  readonly prefill?: boolean | undefined
  /** One whole answer. */
  readonly complete: (request: ChatRequest) => Effect.Effect<ChatResponse, CallError>
  /** The answer as it comes. It ends well only when the provider said that it was whole. */
  readonly stream: (request: ChatRequest) => Stream.Stream<ChatChunk, CallError>
  /** `stream`, begun anew where it breaks. Default: `stream`, for a provider without policies. */
  readonly streamWithRestarts?:
    | ((request: ChatRequest) => Stream.Stream<ChatChunk | Restarted, CallError>)
    | undefined
}

/**
 * The service. It is a layer's to provide and a program's to use.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ChatProvider } from "effect-resilience"
 *
 * const program = Effect.gen(function*() {
 *   const provider = yield* ChatProvider.ChatProvider
 *   const response = yield* provider.complete({ messages: [{ role: "user", content: "Hello" }] })
 *   return ChatProvider.text(response)
 * })
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class ChatProvider extends Context.Tag("effect-resilience/ChatProvider")<ChatProvider, Service>() {}

/**
 * Asks the provider in the context for one whole answer. Fails with `CallError`.
 *
 * @example
 * ```ts
 * import { ChatProvider } from "effect-resilience"
 *
 * const answer = ChatProvider.complete({ model: "gpt-4o", messages: [{ role: "user", content: "Hello" }] })
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const complete = (request: ChatRequest): Effect.Effect<ChatResponse, CallError, ChatProvider> =>
  Effect.flatMap(ChatProvider, (provider) => provider.complete(request))

/**
 * Asks the provider in the context for an answer as it comes. It ends well only when the provider said that it was whole
 * (`finish_reason`); anything else is a failure of the stream with `CallError`: a connection that was cut, silence, an
 * error in the stream. Nothing is sent before the stream is run; to stop reading cancels the request at once.
 *
 * @example
 * ```ts
 * import { Console, Stream } from "effect"
 * import { ChatProvider } from "effect-resilience"
 *
 * const program = ChatProvider.stream({ messages: [{ role: "user", content: "Hello" }] }).pipe(
 *   Stream.runForEach((chunk) => Console.log(ChatProvider.deltaText(chunk)))
 * )
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const stream = (request: ChatRequest): Stream.Stream<ChatChunk, CallError, ChatProvider> =>
  Stream.unwrap(Effect.map(ChatProvider, (provider) => provider.stream(request)))

/**
 * `stream` for readers that can take back what they showed: where it breaks, a `Restarted` comes and then a whole new
 * answer, from the same provider or the next, up to three times and as far as the retry budget goes.
 *
 * @example
 * ```ts
 * import { Effect, Ref, Stream } from "effect"
 * import { ChatProvider } from "effect-resilience"
 *
 * const program = Effect.gen(function*() {
 *   const shown = yield* Ref.make("")
 *   yield* ChatProvider.streamWithRestarts({ messages: [{ role: "user", content: "Hello" }] }).pipe(
 *     Stream.runForEach((event) =>
 *       event instanceof ChatProvider.Restarted
 *         ? Ref.set(shown, "")
 *         : Ref.update(shown, (text) => text + ChatProvider.deltaText(event))
 *     )
 *   )
 *   return yield* Ref.get(shown)
 * })
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const streamWithRestarts = (
  request: ChatRequest
): Stream.Stream<ChatChunk | Restarted, CallError, ChatProvider> =>
  Stream.unwrap(
    Effect.map(ChatProvider, (provider) => provider.streamWithRestarts?.(request) ?? provider.stream(request))
  )

/**
 * The text that a chunk adds to the first choice; empty when it adds none.
 *
 * @since 0.1.0
 * @category accessors
 */
export const deltaText = (chunk: ChatChunk): string => contentOf(chunk)

const decodeResponse = Schema.decodeUnknownOption(ChatResponse)

/**
 * The whole answer of a stream, as `complete` gives it: texts and the arguments of tool calls put together, the reason
 * why it ended, the usage. After a `Restarted` it begins anew. Fails like the stream; with `ServerError` (`Malformed`)
 * when there was no choice in it at all.
 *
 * @example
 * ```ts
 * import { ChatProvider } from "effect-resilience"
 *
 * const answer = ChatProvider.stream({ messages: [{ role: "user", content: "Hello" }] }).pipe(ChatProvider.collect)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const collect = <E, R>(
  stream: Stream.Stream<ChatChunk | Restarted, E, R>
): Effect.Effect<ChatResponse, E | ServerError, R> =>
  Effect.suspend(() =>
    stream.pipe(
      // One for each time that the effect is run: a retry begins with nothing.
      Stream.runFold(new Collector(), (collector, event) => {
        if (event instanceof Restarted) {
          return new Collector()
        }
        collector.add(event)
        return collector
      }),
      Effect.flatMap((collector) =>
        Effect.mapError(
          decodeResponse(collector.response),
          () => new ServerError({ message: "the stream held no answer", reason: "Malformed" })
        )
      )
    )
  )

/**
 * The text of the first choice; empty when it has none, as when the model called a tool.
 *
 * @since 0.1.0
 * @category accessors
 */
export const text = (response: ChatResponse): string => response.choices[0].message.content ?? ""
