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
import type { ChatRequest, ChatResponse, Service } from "../ChatProvider.js"
import { ChatProvider } from "../ChatProvider.js"
import * as IdempotencyKey from "../IdempotencyKey.js"
import type { CallError } from "../ProviderError.js"
import { request as recordRequest } from "../runtime/recorder.js"

/**
 * One step of a script: a text or a response to answer with, or an effect that comes to one. The errors of
 * `ProviderError` are effects that fail.
 *
 * @since 0.1.0
 * @category models
 */
export type Step = string | ChatResponse | Effect.Effect<string | ChatResponse, CallError>

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

const play = (step: Step, model: string | undefined): Effect.Effect<ChatResponse, CallError> =>
  Effect.map(
    Effect.isEffect(step) ? step : Effect.succeed(step),
    (result) => typeof result === "string" ? answer(result, model) : result
  )

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
    const service: Service = {
      provider,
      model: options.model,
      complete: (request) =>
        Effect.gen(function*() {
          const model = options.model ?? request.model
          const idempotencyKey = yield* IdempotencyKey.current
          const at = yield* Clock.currentTimeMillis
          const step = script[asked.length]
          asked.push({ request, idempotencyKey, at })
          return step === undefined
            ? yield* Effect.dieMessage(`${provider} was asked ${asked.length} times, its script has ${script.length}`)
            : yield* play(step, model)
        }).pipe((call) => recordRequest(call, { provider, model: options.model ?? request.model }, request))
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
