/**
 * The next model when one gives up, for programs on `@effect/ai`.
 *
 * Several `LanguageModel` layers become one, so the program that uses it does not change. A model is passed over for the
 * errors that another can cure, as `Fallback` does it for `ChatProvider`, and told whether another is left, so that the
 * policies of its client (`ResilientHttpClient`) shorten their patience. It adds no policy: what is retried, and for how
 * long, is the business of each model's client.
 *
 * The models are asked for their answer alone. Tools run in the model made here, after one of them has answered and its
 * tool calls match their schemas, so no tool runs twice, whichever model asked for it. A stream falls over until the first
 * content; an `error` part before it is a failure like any other, and an end without `finish` is one wherever it comes.
 *
 * @since 0.1.0
 */
import type * as AiError from "@effect/ai/AiError"
import * as LanguageModel from "@effect/ai/LanguageModel"
import { ProviderName } from "@effect/ai/Model"
import type * as Response from "@effect/ai/Response"
import { CurrentSpanTransformer } from "@effect/ai/Telemetry"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Deadline from "../Deadline.js"
import type { Timeout } from "../ProviderError.js"
import { isCallError } from "../ProviderError.js"
import { forCaller } from "../runtime/caller.js"
import type { Answered, Candidate, Patience } from "../runtime/chain.js"
import { ask, deadlineOf, oneCall, patienceOf } from "../runtime/chain.js"
import type { Lease } from "../runtime/lease.js"
import { leased } from "../runtime/lease.js"
import { openStream, pullsOf } from "../runtime/opening.js"
import { recordedCall, recordedCallStream } from "../runtime/recorder.js"
import * as AiErrors from "./AiErrors.js"
import * as answers from "./internal/answers.js"

/**
 * Options of `layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** A deadline for each call; for a stream, until the first content. Default: none but what is set around it. */
  readonly deadline?: Duration.DurationInput | undefined
  /** The longest wait worth beginning at a model while another is left. Default 5 seconds. */
  readonly patience?: Duration.DurationInput | undefined
  /** When every model asked for a wait, the longest that is waited before the first of them is asked again. Default 60 seconds. */
  readonly maxRetryAfter?: Duration.DurationInput | undefined
}

type Model = Candidate<answers.Asked>

type Models = Arr.NonEmptyReadonlyArray<Model>

/** Options that were checked. */
interface Settings {
  readonly patience: Patience
  readonly deadline: Duration.Duration | undefined
}

const settingsOf = (options: Options): Settings => ({
  patience: patienceOf(options),
  deadline: deadlineOf(options)
})

/** Asks one model after the other, in a call of its own. */
const askModels = <A>(
  models: Models,
  { patience }: Settings,
  send: (model: Model) => Effect.Effect<A, AiError.AiError>
): Effect.Effect<Answered<Model, A>, AiError.AiError> =>
  ask({
    candidates: Arr.map(models, (model) => ({ service: model, target: model.target })),
    settings: patience,
    send: (model) => forCaller(send(model)),
    callErrorOf: AiErrors.toCallError,
    round: 0,
    from: 0
  })

const raised = (method: "generateText" | "streamText") => (error: AiError.AiError | Timeout): AiError.AiError =>
  isCallError(error) ? answers.failed(error, method) : AiErrors.redacted(error)

const generateText =
  (models: Models, settings: Settings) =>
  (options: LanguageModel.ProviderOptions): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> => {
    const asked = Effect.map(
      askModels(models, settings, ({ service }) => answers.generate(service, options)),
      ({ answer }) => answer
    )
    const { deadline } = settings
    const within = deadline === undefined ? asked : Deadline.within(asked, deadline)
    return recordedCall(within, models[0].target, oneCall).pipe(
      Effect.mapError(raised("generateText"))
    )
  }

const streamText =
  (models: Models, settings: Settings) =>
  (options: LanguageModel.ProviderOptions): Stream.Stream<Response.StreamPartEncoded, AiError.AiError> => {
    const { deadline } = settings
    const open = (lease: Lease) => {
      const asked = askModels(
        models,
        settings,
        ({ service, target }) =>
          openStream(answers.stream(service, options, target), lease.scope, { isOutput: answers.isOutput }).pipe(
            Effect.mapError((error) => isCallError(error) ? answers.failed(error, "streamText") : error)
          )
      )
      return (deadline === undefined ? asked : Deadline.withinOpening(asked, deadline)).pipe(
        Effect.map(({ answer }) => {
          lease.atEnd(() => answer.close)
          return pullsOf(answer)
        })
      )
    }
    return leased((lease) => recordedCallStream(lease, models[0].target, answers.isOutput, open, oneCall)).pipe(
      Stream.mapError(raised("streamText"))
    )
  }

type ModelLayer = Layer.Layer<LanguageModel.LanguageModel, unknown, unknown>

/**
 * One `LanguageModel` layer made of several, which are asked in this order. Each is built once. Give each model's client
 * `ResilientHttpClient` as `transformClient`: it retries, and limits how long a model may be silent.
 *
 * When all fail, the first error that is not an open circuit surfaces, without the keys that it came with; when every model
 * asked for a wait, the earliest that fits the deadline and `maxRetryAfter` is waited for, and the call resumes there, once.
 * Throws a `RangeError` for no layers or a bad option.
 *
 * @example
 * ```ts
 * import { AnthropicClient, AnthropicLanguageModel } from "@effect/ai-anthropic"
 * import { OpenAiClient, OpenAiLanguageModel } from "@effect/ai-openai"
 * import { FetchHttpClient } from "@effect/platform"
 * import { Config, Layer } from "effect"
 * import { ResilientHttpClient } from "effect-resilience"
 * import { LanguageModelFallback } from "effect-resilience/ai"
 *
 * const transformClient = ResilientHttpClient.unsafeMake()
 *
 * const Model = LanguageModelFallback.layer(
 *   OpenAiLanguageModel.layer({ model: "gpt-4o" }).pipe(
 *     Layer.provide(OpenAiClient.layerConfig({ apiKey: Config.redacted("OPENAI_API_KEY"), transformClient }))
 *   ),
 *   AnthropicLanguageModel.layer({ model: "claude-sonnet-4-20250514" }).pipe(
 *     Layer.provide(AnthropicClient.layerConfig({ apiKey: Config.redacted("ANTHROPIC_API_KEY"), transformClient }))
 *   )
 * ).pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export function layer<Layers extends readonly [ModelLayer, ...Array<ModelLayer>]>(
  ...layers: Layers
): Layer.Layer<LanguageModel.LanguageModel, Layer.Layer.Error<Layers[number]>, Layer.Layer.Context<Layers[number]>>
export function layer<Layers extends readonly [ModelLayer, ...Array<ModelLayer>]>(
  options: Options,
  ...layers: Layers
): Layer.Layer<LanguageModel.LanguageModel, Layer.Layer.Error<Layers[number]>, Layer.Layer.Context<Layers[number]>>
export function layer<E, R>(
  ...args: ReadonlyArray<Options | Layer.Layer<LanguageModel.LanguageModel, E, R>>
): Layer.Layer<LanguageModel.LanguageModel, E, R> {
  const layers = args.filter((arg): arg is Layer.Layer<LanguageModel.LanguageModel, E, R> => Layer.isLayer(arg))
  const settings = settingsOf(args.find((arg): arg is Options => !Layer.isLayer(arg)) ?? {})
  if (!Arr.isNonEmptyReadonlyArray(layers)) {
    throw new RangeError("LanguageModelFallback.layer: expected at least one model layer")
  }
  const [first, ...rest] = layers
  return Layer.flatMap(first, (context) => gathered([modelIn(context, 0)], rest, settings))
}

/** A model as it was built, and what reports call it. */
type Built = Candidate<LanguageModel.Service>

const gathered = <E, R>(
  models: Arr.NonEmptyReadonlyArray<Built>,
  [next, ...rest]: ReadonlyArray<Layer.Layer<LanguageModel.LanguageModel, E, R>>,
  settings: Settings
): Layer.Layer<LanguageModel.LanguageModel, E, R> =>
  next === undefined
    ? Layer.effect(LanguageModel.LanguageModel, made(models, settings))
    : Layer.flatMap(
      next,
      (context) => gathered(Arr.append(models, modelIn(context, models.length)), rest, settings)
    )

const modelIn = (context: Context.Context<LanguageModel.LanguageModel>, index: number): Built => ({
  service: Context.get(context, LanguageModel.LanguageModel),
  target: { provider: Option.getOrElse(Context.getOption(context, ProviderName), () => `model ${index + 1}`) }
})

const made = (
  built: Arr.NonEmptyReadonlyArray<Built>,
  settings: Settings
): Effect.Effect<LanguageModel.Service> =>
  Effect.flatMap(Effect.serviceOption(CurrentSpanTransformer), (transformer) => {
    const models = Arr.map(built, ({ service, target }): Model => ({
      service: { model: service, transformed: Option.isSome(transformer) },
      target
    }))
    return LanguageModel.make({
      generateText: generateText(models, settings),
      streamText: streamText(models, settings)
    })
  })
