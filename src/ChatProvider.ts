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
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CallError } from "./ProviderError.js"

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
  /** One whole answer. */
  readonly complete: (request: ChatRequest) => Effect.Effect<ChatResponse, CallError>
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
 * The text of the first choice; empty when it has none, as when the model called a tool.
 *
 * @since 0.1.0
 * @category accessors
 */
export const text = (response: ChatResponse): string => response.choices[0].message.content ?? ""
