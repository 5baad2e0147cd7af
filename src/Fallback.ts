/**
 * The next provider when one gives up.
 *
 * Providers are layers, so a chain of them is a layer too, and the program that uses it does not change. It is
 * `Effect.orElse` restricted to errors that another provider can cure: a filtered content is filtered everywhere, and a
 * request that the first provider calls invalid is wrong by itself. The chain tells each provider whether another is
 * left (`Alternatives`), and the policies there shorten their patience accordingly; the chain itself retries nothing. An
 * interrupted call never starts the next provider.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Stream from "effect/Stream"
import type { ChatChunk, ChatRequest, ChatResponse, Service } from "./ChatProvider.js"
import { ChatProvider, Restarted } from "./ChatProvider.js"
import * as Deadline from "./Deadline.js"
import type { CallError } from "./ProviderError.js"
import * as Resilience from "./Resilience.js"
import type { ForCaller } from "./runtime/caller.js"
import { asCaller, forCaller } from "./runtime/caller.js"
import type { Patience } from "./runtime/chain.js"
import { deadlineOf, oneCall, patienceOf } from "./runtime/chain.js"
import type { AfterCut } from "./runtime/chainStream.js"
import { streamChain } from "./runtime/chainStream.js"
import type { Links } from "./runtime/chatChain.js"
import { able, askChat } from "./runtime/chatChain.js"
import { Held } from "./runtime/opening.js"
import * as OptionsOf from "./runtime/options.js"
import type { Chat } from "./runtime/recorder.js"
import { chatCallFor } from "./runtime/recorder.js"

export {
  /**
   * The ambient knowledge whether another provider is left. The chain sets it; policies read it. Provide it around a
   * provider of your own choosing to have its policies behave as in a chain.
   *
   * @since 0.1.0
   * @category references
   */
  Alternatives,
  /**
   * What stands behind the provider that is being asked.
   *
   * @since 0.1.0
   * @category models
   */
  type AlternativesLeft
} from "./runtime/alternatives.js"

/**
 * Options of `layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** A deadline for each call of the chain. Default: none but what `Deadline.within` sets around it. */
  readonly deadline?: Duration.DurationInput | undefined
  /** The longest wait worth beginning at a provider while another is left. Default 5 seconds. */
  readonly patience?: Duration.DurationInput | undefined
  /**
   * What becomes of a stream that breaks after output was delivered. `"fail"`, the default: it fails with the error that
   * cut it. `"continue"`: the rest of the answer is asked for, up to three times and as far as the retry budget goes, from
   * the same provider or the next, and what it repeats is left out; if that fails too, the stream fails with the error
   * that cut it first. An answer that began a tool call, has to match a `response_format`, or is one of several (`n`) or
   * has `logprobs`, cannot be continued. `"hold"`: nothing is released until the answer is whole, so every failure is
   * retried and falls over, and the reader waits.
   */
  readonly onCut?: "fail" | "continue" | "hold" | undefined
  /** When every provider asked for a wait, the longest that is waited before the chain resumes. Default 60 seconds. */
  readonly maxRetryAfter?: Duration.DurationInput | undefined
}

export {
  /**
   * The options as a schema, for a chain from a file.
   *
   * @since 0.1.0
   * @category schemas
   */
  Config
} from "./runtime/fallbackConfig.js"

/** Options that were checked. */
interface Settings extends Patience {
  readonly deadline: Duration.Duration | undefined
  readonly onCut: "fail" | "continue" | "hold"
}

const settingsOf = (options: Options): Settings => ({
  ...patienceOf(options),
  deadline: deadlineOf(options),
  onCut: OptionsOf.oneOf("onCut", ["fail", "continue", "hold"], options.onCut ?? "fail")
})

const defaults = settingsOf({})

class Chain implements Service {
  readonly provider: string
  readonly model = undefined
  constructor(readonly links: Links, readonly settings: Settings) {
    this.provider = links.map((link) => link.provider).join(" > ")
  }
  unsupported(request: ChatRequest): ReadonlyArray<string> {
    return able(this.links, request)[0].unsupported?.(request) ?? []
  }
  /** A call is meant for the first, whoever answers it. */
  private chatOf(request: ChatRequest): Chat {
    const { model = request.model, provider } = this.links[0]
    return { provider, model, request }
  }
  completeFor(request: ChatRequest): ForCaller<ChatResponse, CallError, never> {
    const asked = Effect.map(
      askChat({
        services: this.links,
        request,
        settings: this.settings,
        round: 0,
        from: 0,
        send: (service) => completeFor(service, request)
      }),
      ({ answer }) => answer
    )
    const { deadline } = this.settings
    return chatCallFor(
      deadline === undefined ? forCaller(asked) : Deadline.withinFor(asked, deadline),
      this.chatOf(request),
      oneCall
    )
  }
  complete(request: ChatRequest): Effect.Effect<ChatResponse, CallError> {
    return asCaller(this.completeFor(request))
  }
  private ask<B = never>(request: ChatRequest, afterCut: AfterCut<B>, held: boolean) {
    const { deadline } = this.settings
    return streamChain({
      services: this.links,
      request,
      settings: this.settings,
      afterCut,
      chat: this.chatOf(request),
      around: (opening) => {
        const released = held ? Effect.provideService(opening, Held, true) : opening
        return deadline === undefined ? released : Deadline.withinOpening(released, deadline)
      }
    })
  }
  stream(request: ChatRequest): Stream.Stream<ChatChunk, CallError> {
    const { onCut } = this.settings
    return this.ask(request, { _tag: onCut === "continue" ? "Continue" : "Fail" }, onCut === "hold")
  }
  streamWithRestarts(request: ChatRequest): Stream.Stream<ChatChunk | Restarted, CallError> {
    return this.ask(request, { _tag: "Restart", announce: (error) => new Restarted({ error }) }, false)
  }
}

/**
 * `complete` for a caller.
 *
 * @internal
 */
export const completeFor = (provider: Service, request: ChatRequest): ForCaller<ChatResponse, CallError, never> =>
  provider instanceof Chain ? provider.completeFor(request) : Resilience.completeFor(provider, request)

/** A chain without settings of its own is one with what comes before and after it. */
const linksOf = (context: Context.Context<ChatProvider>): Links => {
  const service = Context.get(context, ChatProvider)
  return service instanceof Chain && service.settings === defaults ? service.links : [service]
}

/**
 * Asks `that` when `self` gives up with an error another provider can cure. Each layer is built once. It adds no policy:
 * give each its own with `Resilience.layer`.
 *
 * When all fail, the first error that is not `CircuitOpen` surfaces; when every provider asked for a wait, the earliest
 * that fits the deadline (and 60 seconds) is waited for, and the chain resumes there, once.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { Fallback, OpenAi, Resilience } from "effect-resilience"
 *
 * const apiKey = Config.redacted("OPENAI_API_KEY")
 *
 * const chain = OpenAi.layerConfig({ apiKey, model: "gpt-4o" }).pipe(
 *   Resilience.layer({ attemptTimeout: "20 seconds" }),
 *   Fallback.orElse(OpenAi.layerConfig({ apiKey, model: "gpt-4o-mini" }).pipe(Resilience.layer()))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const orElse: {
  <E2, R2>(
    that: Layer.Layer<ChatProvider, E2, R2>
  ): <E, R>(self: Layer.Layer<ChatProvider, E, R>) => Layer.Layer<ChatProvider, E | E2, R | R2>
  <E, R, E2, R2>(
    self: Layer.Layer<ChatProvider, E, R>,
    that: Layer.Layer<ChatProvider, E2, R2>
  ): Layer.Layer<ChatProvider, E | E2, R | R2>
} = dual(2, <E, R, E2, R2>(
  self: Layer.Layer<ChatProvider, E, R>,
  that: Layer.Layer<ChatProvider, E2, R2>
): Layer.Layer<ChatProvider, E | E2, R | R2> =>
  Layer.zipWith(
    self,
    that,
    (first, second) => Context.make(ChatProvider, new Chain(Arr.appendAll(linksOf(first), linksOf(second)), defaults))
  ))

type ProviderLayer = Layer.Layer<ChatProvider, unknown, unknown>

/**
 * A whole chain in one: each layer with the default `Resilience.layer()` unless it has policies already, one after the
 * other as with `orElse`, and the options of the chain first if there are any. Throws a `RangeError` for an empty chain
 * or a bad option.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { Fallback, OpenAi } from "effect-resilience"
 *
 * const apiKey = Config.redacted("OPENAI_API_KEY")
 *
 * const chain = Fallback.layer(
 *   { deadline: "30 seconds" },
 *   OpenAi.layerConfig({ apiKey, model: "gpt-4o" }),
 *   OpenAi.layerConfig({ apiKey, model: "gpt-4o-mini" })
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export function layer<Layers extends readonly [ProviderLayer, ...Array<ProviderLayer>]>(
  ...layers: Layers
): Layer.Layer<ChatProvider, Layer.Layer.Error<Layers[number]>, Layer.Layer.Context<Layers[number]>>
export function layer<Layers extends readonly [ProviderLayer, ...Array<ProviderLayer>]>(
  options: Options,
  ...layers: Layers
): Layer.Layer<ChatProvider, Layer.Layer.Error<Layers[number]>, Layer.Layer.Context<Layers[number]>>
export function layer<E, R>(
  ...args: ReadonlyArray<Options | Layer.Layer<ChatProvider, E, R>>
): Layer.Layer<ChatProvider, E, R> {
  const layers = args.filter((arg): arg is Layer.Layer<ChatProvider, E, R> => Layer.isLayer(arg))
  const settings = settingsOf(args.find((arg): arg is Options => !Layer.isLayer(arg)) ?? {})
  if (!Arr.isNonEmptyReadonlyArray(layers)) {
    throw new RangeError("Fallback.layer: expected at least one provider layer")
  }
  const [first, ...rest] = layers
  return rest.reduce((self, that) => orElse(self, that), first).pipe(withSettings(settings))
}

const withSettings =
  (settings: Settings) => <E, R>(chain: Layer.Layer<ChatProvider, E, R>): Layer.Layer<ChatProvider, E, R> =>
    Layer.flatMap(chain, (context) =>
      Layer.effect(
        ChatProvider,
        Effect.map(Effect.forEach(linksOf(context), withPolicies), (links) => new Chain(links, settings))
      ))

const withPolicies = (service: Service): Effect.Effect<Service> =>
  service instanceof Chain ? Effect.succeed(service) : Resilience.protectProvider(service)
