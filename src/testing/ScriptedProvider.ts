/**
 * A provider that answers from a script and remembers what it was asked.
 *
 * A program that asks for `ChatProvider` is tested by giving it another layer. This one plays one step per request, in
 * order: a text, a whole response, an error, or any effect (a delayed answer, one that never comes). A request beyond
 * the script is a defect, so that an attempt too many cannot go unnoticed. Time is the `Clock` service's, so `TestClock`
 * moves it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ChatChunk, ChatRequest, ChatResponse, Service } from "../ChatProvider.js"
import { ChatProvider, collect } from "../ChatProvider.js"
import * as IdempotencyKey from "../IdempotencyKey.js"
import { hasFinished, hasOutput } from "../internal/chunks.js"
import type { CallError } from "../ProviderError.js"
import type { Lease } from "../runtime/lease.js"
import { request as recordRequest, requestStream } from "../runtime/recorder.js"

/**
 * One step of a script: a text or a response to answer with, an effect that comes to one, or a stream of texts and
 * chunks. The errors of `ProviderError` are effects that fail, so a stream that is cut is
 * `Stream.concat(Stream.make("Hel", "lo"), error)`. Whatever the step is, `stream` gets it in chunks, a text word by word,
 * with a reason why it ended; and `complete` gets it whole.
 *
 * @since 0.1.0
 * @category models
 */
export type Step =
  | string
  | ChatResponse
  | Effect.Effect<string | ChatResponse, CallError>
  | Stream.Stream<string | ChatChunk, CallError>

/**
 * A request as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface Asked {
  readonly request: ChatRequest
  readonly idempotencyKey: string
  /** In milliseconds of the `Clock`. */
  readonly at: number
}

/**
 * Options of `make` and `layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Its name in errors and reports. Default `scripted`. */
  readonly provider?: string | undefined
  /** The model it answers as. Default: the one in the request. */
  readonly model?: string | undefined
}

/**
 * A scripted provider, and what it was asked so far.
 *
 * @since 0.1.0
 * @category models
 */
export interface ScriptedProvider {
  readonly layer: Layer.Layer<ChatProvider>
  readonly asked: Effect.Effect<ReadonlyArray<Asked>>
}

/**
 * A response with one choice that holds the text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const answer = (text: string, model?: string): ChatResponse => ({
  model,
  choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }]
})

type Whole = string | ChatResponse | Effect.Effect<string | ChatResponse, CallError>

// Every effect is a stream of one element, but not the other way round.
const isWhole = (step: Step): step is Whole =>
  Effect.isEffect(step) || !Predicate.hasProperty(step, Stream.StreamTypeId)

const delta = (content: string, model: string | undefined, index = 0): ChatChunk => ({
  model,
  choices: [{ index, delta: { content }, finish_reason: null }]
})

const asChunks = ({ choices, ...rest }: ChatResponse, model: string | undefined): ReadonlyArray<ChatChunk> => {
  const said = choices.map(({ finish_reason: finishReason = "stop", message: { content, ...message } }, index) => ({
    begun: { index, delta: { role: "assistant", ...message }, finish_reason: null },
    words: (content ?? "").split(/(?<= )/).filter((word) => word !== "").map((word) => delta(word, model, index)),
    ended: { index, delta: {}, finish_reason: finishReason }
  }))
  return [
    { ...rest, choices: said.map(({ begun }) => begun) },
    ...said.flatMap(({ words }) => words),
    { ...rest, choices: said.map(({ ended }) => ended) }
  ]
}

const finished: ChatChunk = { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }

/** With a reason why it ended, unless it has one. */
const playStream = (
  script: Stream.Stream<string | ChatChunk, CallError>,
  model: string | undefined
): Stream.Stream<ChatChunk, CallError> =>
  Stream.suspend(() => {
    let ended = false
    return script.pipe(
      Stream.map((piece) => {
        const chunk = typeof piece === "string" ? delta(piece, model) : piece
        ended ||= hasFinished(chunk)
        return chunk
      }),
      Stream.concat(Stream.suspend(() => ended ? Stream.empty : Stream.make(finished)))
    )
  })

const whole = (step: Whole, model: string | undefined): Effect.Effect<ChatResponse, CallError> =>
  Effect.map(
    Effect.isEffect(step) ? step : Effect.succeed(step),
    (result) => typeof result === "string" ? answer(result, model) : result
  )

const play = (step: Step, model: string | undefined): Effect.Effect<ChatResponse, CallError> =>
  isWhole(step) ? whole(step, model) : collect(playStream(step, model))

const stream = (step: Step, model: string | undefined): Stream.Stream<ChatChunk, CallError> =>
  isWhole(step)
    ? Stream.unwrap(Effect.map(whole(step, model), (response) => Stream.fromIterable(asChunks(response, model))))
    : playStream(step, model)

/**
 * A provider for one test, with its record. Use it where the test asks how often, when, and under which idempotency key
 * each provider of a chain was called.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ChatProvider, Fallback, ProviderError } from "effect-resilience"
 * import { ScriptedProvider } from "effect-resilience/testing"
 *
 * const test = Effect.gen(function*() {
 *   const down = new ProviderError.ServerError({ message: "503", reason: "Overloaded" })
 *   const primary = yield* ScriptedProvider.make([down])
 *   const backup = yield* ScriptedProvider.make(["Hello from the backup"])
 *   const response = yield* ChatProvider.complete({ messages: [{ role: "user", content: "Hello" }] }).pipe(
 *     Effect.provide(primary.layer.pipe(Fallback.orElse(backup.layer)))
 *   )
 *   const asked = yield* primary.asked
 *   return [ChatProvider.text(response), asked.length]
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (script: ReadonlyArray<Step>, options: Options = {}): Effect.Effect<ScriptedProvider> =>
  Effect.sync(() => {
    const asked: Array<Asked> = []
    const provider = options.provider ?? "scripted"
    const modelOf = (request: ChatRequest) => options.model ?? request.model
    const next = (request: ChatRequest) =>
      Effect.gen(function*() {
        const idempotencyKey = yield* IdempotencyKey.current
        const at = yield* Clock.currentTimeMillis
        const step = script[asked.length]
        asked.push({ request, idempotencyKey, at })
        return step === undefined
          ? yield* Effect.dieMessage(`${provider} was asked ${asked.length} times, its script has ${script.length}`)
          : step
      })
    const service: Service = {
      provider,
      model: options.model,
      complete: (request) => {
        const model = modelOf(request)
        const played = Effect.flatMap(next(request), (step) => play(step, model))
        return recordRequest(played, { provider, model }, request)
      },
      stream: (request) => {
        const model = modelOf(request)
        const open = ({ scope }: Lease) =>
          Effect.flatMap(next(request), (step) => Scope.extend(Stream.toPull(stream(step, model)), scope))
        return requestStream(open, hasOutput, { provider, model }, request)
      }
    }
    return { layer: Layer.succeed(ChatProvider, service), asked: Effect.sync(() => [...asked]) }
  })

/**
 * A provider that plays the script, for programs whose answer is all that matters.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ChatProvider } from "effect-resilience"
 * import { ScriptedProvider } from "effect-resilience/testing"
 *
 * const program = ChatProvider.complete({ messages: [{ role: "user", content: "Hello" }] })
 *
 * const test = program.pipe(Effect.provide(ScriptedProvider.layer(["Hello yourself"])))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (script: ReadonlyArray<Step>, options: Options = {}): Layer.Layer<ChatProvider> =>
  Layer.unwrapEffect(Effect.map(make(script, options), (provider) => provider.layer))
