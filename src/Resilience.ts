/**
 * The policies in their right order, around one effect or one provider layer.
 *
 * Each policy is easy to use wrongly together with another: a timeout outside the retry bounds nothing, a key made
 * inside it changes with every attempt, two retry loops around each other multiply. Here they are put together once, in
 * the order retry (with its budget) ▸ pause ▸ bulkhead ▸ circuit breaker ▸ attempt timeout ▸ effect. There is one owner of
 * retries: a protected effect that runs inside the attempt of another makes one attempt only. A call that succeeds at
 * once never meets the retry policy; the schedule is stepped only once something failed. What an attempt is turned away
 * by before anything was sent (an open circuit, a pause, a full bulkhead) is never retried here, and never hides the
 * error of an attempt that was sent.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Schedule from "effect/Schedule"
import type * as Stream from "effect/Stream"
import type { ChatRequest, ChatResponse, Service } from "./ChatProvider.js"
import { ChatProvider, Restarted } from "./ChatProvider.js"
import * as CircuitBreaker from "./CircuitBreaker.js"
import { hasOutput, isOutput } from "./internal/chunks.js"
import type { CallError, Target } from "./ProviderError.js"
import * as RetryPolicy from "./RetryPolicy.js"
import type { ForCaller } from "./runtime/caller.js"
import { asCaller, forCaller } from "./runtime/caller.js"
import { defaultPatience } from "./runtime/chain.js"
import { streamChain } from "./runtime/chainStream.js"
import * as OptionsOf from "./runtime/options.js"
import type { Settings, Shared } from "./runtime/protection.js"
import * as Protection from "./runtime/protection.js"
import type { Raised } from "./runtime/raised.js"
import { chatCallFor } from "./runtime/recorder.js"
import * as Streams from "./runtime/streamProtection.js"

/**
 * Options of `make` and `layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Options of `RetryPolicy.make`, a policy it made, or a schedule of your own for the delays and counts. The rules hold
   * for that one too: what retrying cannot cure is not retried; Retry-After, patience and deadline are respected; while
   * another provider of a chain is left, there are at most 3 attempts and no retry of a timeout. For full control, use
   * `Effect.retry` in place of this module.
   */
  readonly retry?: RetryPolicy.Options | Schedule.Schedule<unknown, unknown> | undefined
  /** How long one attempt may take, its response body included. Default 60 seconds; `Duration.infinity` for no limit. */
  readonly attemptTimeout?: Duration.DurationInput | undefined
  /**
   * How long a stream may take to its first output. Default: 10 seconds while another provider of a chain is left, else
   * the attempt timeout, which bounds it in any case. A request that asks a model to reason (`reasoning_effort`,
   * `thinking`) has the attempt timeout, since such a model is silent for long.
   */
  readonly firstToken?: Duration.DurationInput | undefined
  /**
   * How long a stream may be silent after its first output: no byte for so long, or nothing but keep-alives for four times
   * as long. Time counts only while somebody reads. Default 15 seconds; `Duration.infinity` for no limit.
   */
  readonly idle?: Duration.DurationInput | undefined
  /** Do the models asked here reason before they answer, whatever the request says? Default false. */
  readonly reasoning?: boolean | undefined
  /**
   * Options of the circuit breaker that each provider, model and account gets; a breaker of your own for all of them; or
   * `false` for none. Default: the defaults of `CircuitBreaker.make`, with the attempt timeout as `probeTimeout`. Where a
   * `CircuitBreaker.Registry` is provided when the policies are made, the breakers are kept there, and whoever made one
   * first chose its options; what has neither provider nor model has a breaker of its own.
   */
  readonly circuitBreaker?: CircuitBreaker.Options | CircuitBreaker.CircuitBreaker | false | undefined
  /**
   * How many attempts may be under way at a time, whatever their targets (a bulkhead). When so many are, a call that has
   * another provider left turns to it, and any other waits in line for as long as an attempt may take, a minute at most.
   * An attempt that was let go of at its timeout counts no more, even if its effect cannot be interrupted. Default: no
   * limit.
   */
  readonly maxConcurrent?: number | undefined
}

export {
  /**
   * The options as a schema, for policies from a file.
   *
   * @since 0.1.0
   * @category schemas
   */
  Config
} from "./runtime/resilienceConfig.js"

export type {
  /**
   * What `protect` can raise by itself.
   *
   * @since 0.1.0
   * @category models
   */
  Raised
} from "./runtime/raised.js"

/**
 * Policies that belong together, and what they remember.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resilience {
  /**
   * Protects an effect. `target` names it in errors and reports, and has a circuit and a pause of its own. In addition to
   * the effect's own errors it raises `Timeout`, `CircuitOpen`, and `RateLimited` where a pause that a server asked for
   * is too long to wait for, or the bulkhead is full. Only errors of this library (`ProviderError.isRetryable`) are
   * retried.
   */
  readonly protect: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    target?: Target
  ) => Effect.Effect<A, E | Raised, R>
  /**
   * Protects a stream. Up to its first output (the first element, or a chunk in which a model says something) it is a call
   * like any other, made again as long as the policies allow, and the reader never notices. After it, the stream fails
   * with the error that cut it, or with `Timeout` (`Idle`) when it falls silent. Permit and slot are held until it ends, by
   * itself or because nobody reads on.
   */
  readonly protectStream: <A, E, R>(
    self: Stream.Stream<A, E, R>,
    target?: Target
  ) => Stream.Stream<A, E | Raised, R>
}

const settingsOf = (options: Options): Settings => {
  const timeout = OptionsOf.positiveDuration("attemptTimeout", options.attemptTimeout ?? "60 seconds")
  return {
    attemptTimeout: Duration.toMillis(timeout),
    firstToken: options.firstToken === undefined
      ? undefined
      : Duration.toMillis(OptionsOf.positiveDuration("firstToken", options.firstToken)),
    idle: Duration.toMillis(OptionsOf.positiveDuration("idle", options.idle ?? "15 seconds")),
    reasoning: options.reasoning ?? false,
    policy: RetryPolicy.prepare(options.retry ?? {}),
    circuitBreaker: circuitOptionsOf(options.circuitBreaker ?? {}, timeout),
    maxConcurrent: options.maxConcurrent === undefined
      ? undefined
      : OptionsOf.positiveCount("maxConcurrent", options.maxConcurrent)
  }
}

/** A probe that hangs longer than an attempt may take is given up on. Bad options are refused now, not by a call. */
const circuitOptionsOf = (
  options: CircuitBreaker.Options | CircuitBreaker.CircuitBreaker | false,
  attemptTimeout: Duration.Duration
): Settings["circuitBreaker"] => {
  if (options === false || CircuitBreaker.isCircuitBreaker(options)) {
    return options
  }
  const probeTimeout = options.halfOpen?.probeTimeout ??
    (Duration.isFinite(attemptTimeout) ? attemptTimeout : undefined)
  const withTimeout = { ...options, halfOpen: { ...options.halfOpen, probeTimeout } }
  CircuitBreaker.unsafeMake(withTimeout)
  return withTimeout
}

/** Policies, with what the layers of the library need of them besides. */
interface Built extends Resilience {
  readonly settings: Settings
  readonly protectCall: Protection.Protect
  readonly protectChunks: Streams.ProtectStream
}

const build = (settings: Settings, shared: Shared): Built => {
  const protect = Protection.build(settings, shared)
  const protectChunks = Streams.build(settings, protect)
  return {
    protect: (self, target) => asCaller(protect(self, target)),
    protectCall: protect,
    settings,
    protectStream: (self, target = {}) => protectChunks(self, { target, isOutput, reasons: false }),
    protectChunks
  }
}

/**
 * `make` for the rare place that cannot run an effect. A `CircuitBreaker.Registry` of the program is not seen from here.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeMake = (options: Options = {}): Resilience => unsafeBuild(options)

/**
 * `unsafeMake` for other layers of the library.
 *
 * @internal
 */
export const unsafeBuild = (options: Options): Built => build(settingsOf(options), {})

/** The registry of the program, if it provides one. */
const sharedRegistry = Effect.map(Effect.serviceOption(CircuitBreaker.Registry), Option.getOrUndefined)

/**
 * Policies with a state of their own: make one per provider, or per kind of call, and share it. Throws a `RangeError`
 * that names a bad option.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Resilience } from "effect-resilience"
 *
 * const callModel: Effect.Effect<string> = Effect.succeed("any effect at all")
 *
 * const program = Effect.gen(function*() {
 *   const resilience = yield* Resilience.make({ retry: { maxAttempts: 3 }, attemptTimeout: "20 seconds" })
 *   return yield* callModel.pipe(resilience.protect)
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Resilience> => built(options)

/** Its model thinks before it says anything, and may be silent for long. */
const asksToReason = ({ reasoning_effort: effort, thinking }: ChatRequest): boolean =>
  (Predicate.isString(effort) && effort !== "none") ||
  (Predicate.isRecord(thinking) && thinking.type !== "disabled")

/**
 * `make` for other layers of the library.
 *
 * @internal
 */
export const built = (options: Options): Effect.Effect<Built> => {
  const settings = settingsOf(options)
  return Effect.map(sharedRegistry, (registry) => build(settings, { registry }))
}

/** A provider that has its policies, so that a chain need not add its own. */
class ResilientProvider implements Service {
  readonly provider: string
  readonly model: string | undefined
  readonly credential: string | undefined
  readonly unsupported: Service["unsupported"]
  readonly prefill: boolean | undefined
  constructor(private readonly inner: Service, private readonly policies: Built) {
    this.provider = inner.provider
    this.model = inner.model
    this.credential = inner.credential
    this.unsupported = inner.unsupported?.bind(inner)
    this.prefill = inner.prefill
  }
  private targetOf(request: ChatRequest): Target {
    return { provider: this.provider, model: this.model ?? request.model }
  }
  completeFor(request: ChatRequest): ForCaller<ChatResponse, CallError, never> {
    const target = this.targetOf(request)
    return chatCallFor(this.policies.protectCall(this.inner.complete(request), target), { request, ...target })
  }
  complete(request: ChatRequest): Effect.Effect<ChatResponse, CallError> {
    return asCaller(this.completeFor(request))
  }
  stream(request: ChatRequest) {
    const target = this.targetOf(request)
    return this.policies.protectChunks(this.inner.stream(request), {
      target,
      isOutput: hasOutput,
      reasons: asksToReason(request),
      chat: { request, ...target }
    })
  }
  streamWithRestarts(request: ChatRequest) {
    return streamChain({
      services: [this],
      request,
      settings: defaultPatience,
      afterCut: { _tag: "Restart", announce: (error) => new Restarted({ error }) },
      chat: { request, ...this.targetOf(request) },
      around: identity
    })
  }
}

/**
 * `complete` for a caller.
 *
 * @internal
 */
export const completeFor = (provider: Service, request: ChatRequest): ForCaller<ChatResponse, CallError, never> =>
  provider instanceof ResilientProvider ? provider.completeFor(request) : forCaller(provider.complete(request))

/** The provider with policies of its own, in the registry of the program if there is one. */
const withPolicies = (inner: Service, settings: Settings): Effect.Effect<Service> =>
  Effect.map(
    sharedRegistry,
    (registry) => new ResilientProvider(inner, build(settings, { registry, credential: inner.credential }))
  )

const defaults = settingsOf({})

/**
 * A provider with the default policies, unless it has its own.
 *
 * @internal
 */
export const protectProvider = (provider: Service): Effect.Effect<Service> =>
  provider instanceof ResilientProvider ? Effect.succeed(provider) : withPolicies(provider, defaults)

/**
 * Turns a bare provider layer into a resilient one. The policies' state lives as long as the layer. Throws a
 * `RangeError` that names a bad option.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { OpenAi, Resilience } from "effect-resilience"
 *
 * const provider = OpenAi.layerConfig({ apiKey: Config.redacted("OPENAI_API_KEY"), model: "gpt-4o" }).pipe(
 *   Resilience.layer({ attemptTimeout: "20 seconds" })
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}) => {
  const settings = settingsOf(options)
  return <E, R>(provider: Layer.Layer<ChatProvider, E, R>): Layer.Layer<ChatProvider, E, R> =>
    Layer.flatMap(
      provider,
      (context) => Layer.effect(ChatProvider, withPolicies(Context.get(context, ChatProvider), settings))
    )
}
