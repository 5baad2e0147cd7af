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
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { DeniedBy } from "./CallReport.js"
import type { ChatRequest, ChatResponse, Service } from "./ChatProvider.js"
import { ChatProvider } from "./ChatProvider.js"
import * as Deadline from "./Deadline.js"
import * as IdempotencyKey from "./IdempotencyKey.js"
import { floored } from "./internal/backoff.js"
import type { CallError, Target } from "./ProviderError.js"
import { isFallbackable, isRetryable, wasSent } from "./ProviderError.js"
import * as Resilience from "./Resilience.js"
import * as RetryBudget from "./RetryBudget.js"
import type { AlternativesLeft } from "./runtime/alternatives.js"
import { Alternatives } from "./runtime/alternatives.js"
import * as OptionsOf from "./runtime/options.js"
import { chatCall, denied, fellBack, insideAttempt, waiting } from "./runtime/recorder.js"

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
  /** When every provider asked for a wait, the longest that is waited before the chain resumes. Default 60 seconds. */
  readonly maxRetryAfter?: Duration.DurationInput | undefined
}

/** Options that were checked. */
interface Settings {
  readonly deadline: Duration.Duration | undefined
  readonly patience: Duration.Duration
  readonly maxRetryAfter: Duration.Duration
}

const settingsOf = (options: Options): Settings => ({
  deadline: options.deadline === undefined
    ? undefined
    : OptionsOf.finitePositiveDuration("deadline", options.deadline),
  patience: OptionsOf.finiteDuration("patience", options.patience ?? "5 seconds"),
  maxRetryAfter: OptionsOf.positiveDuration("maxRetryAfter", options.maxRetryAfter ?? "60 seconds")
})

const defaults = settingsOf({})

type Links = Arr.NonEmptyReadonlyArray<Service>

/** A provider in its place, and the moment it said it is ready again. */
interface Link {
  readonly service: Service
  readonly position: number
  readonly target: Target
  readyAt: bigint | undefined
}

const earliest = (moments: ReadonlyArray<bigint | undefined>): bigint | undefined =>
  moments.reduce(
    (first, moment) => first === undefined || (moment !== undefined && moment < first) ? moment : first,
    undefined
  )

/** When a provider that failed is worth asking again, by its own word: never, if retrying cannot cure it. */
const readyAgain = (error: CallError, now: bigint): bigint | undefined =>
  error.retryAfter !== undefined && Duration.isFinite(error.retryAfter) &&
    (error._tag === "CircuitOpen" || isRetryable(error))
    ? now + BigInt(Math.ceil(Duration.toMillis(error.retryAfter) * 1e6))
    : undefined

/** Of two errors, the one that says more: nothing was sent behind a `CircuitOpen`, or during a pause. */
const telling = (first: CallError | undefined, error: CallError): CallError =>
  first === undefined || !wasSent(first) && wasSent(error) ? error : first

/** What stands against waiting so long for a provider that asked for it. */
const objection = (
  delay: Duration.Duration,
  settings: Settings,
  outer: AlternativesLeft,
  now: bigint
): Effect.Effect<DeniedBy | undefined> =>
  Duration.greaterThan(delay, settings.maxRetryAfter)
    ? Effect.succeed("Retry-After too long")
    : outer.left > 0 && Duration.greaterThan(delay, outer.patience) ||
        outer.resumeAt !== undefined && Number(outer.resumeAt - now) / 1e6 < Duration.toMillis(delay)
    ? Effect.succeed("patience")
    : Effect.map(Deadline.hasTimeFor(delay), (fits) => fits ? undefined : "deadline")

/**
 * Those that can do what is asked. One that would have to leave a part of it out is skipped; if all would, the first one
 * says so itself.
 */
const able = (services: Links, request: ChatRequest): Links => {
  const [first, ...rest] = services.filter((service) => (service.unsupported?.(request) ?? []).length === 0)
  return first === undefined ? [services[0]] : [first, ...rest]
}

const targetOf = (service: Service, request: ChatRequest): Target => ({
  provider: service.provider,
  model: service.model ?? request.model
})

const ask = (
  services: Links,
  request: ChatRequest,
  settings: Settings
): Effect.Effect<ChatResponse, CallError> =>
  Effect.gen(function*() {
    const outer = yield* Alternatives
    const links = Arr.map(able(services, request), (service, index): Link => ({
      service,
      position: index + 1,
      target: targetOf(service, request),
      readyAt: undefined
    }))
    for (const skipped of services.filter((service) => !links.some((link) => link.service === service))) {
      yield* denied("unsupported", targetOf(skipped, request))
    }
    let link = links[0]
    let asked = 0
    // Inside another's attempt the retries are not the chain's, and to resume is one.
    let resumed = yield* insideAttempt
    let surfaced: CallError | undefined = undefined
    // The first request of a call is free, and what a provider that was turned away from did not use pays for the next.
    const payFor = (error: CallError) =>
      asked > 0 && wasSent(error) ? RetryBudget.withdraw("hard cap only") : Effect.succeed(true)
    while (true) {
      const left = links.length - link.position
      const others = links.filter((other) => other !== link).map((other) => other.readyAt)
      const everyOtherWaits = left === 0 && !resumed && others.every((readyAt) => readyAt !== undefined)
      const answer: Either.Either<ChatResponse, CallError> = yield* link.service.complete(request).pipe(
        IdempotencyKey.derived(link.position),
        Effect.provideService(Alternatives, {
          left: left + outer.left,
          patience: left > 0 ? settings.patience : outer.patience,
          resumeAt: everyOtherWaits ? earliest([...others, outer.resumeAt]) : outer.resumeAt
        }),
        Effect.either
      )
      if (Either.isRight(answer)) {
        return answer.right
      }
      const error = answer.left
      if (!isFallbackable(error, { first: asked === 0 })) {
        return yield* Effect.fail(error)
      }
      asked += wasSent(error) ? 1 : 0
      surfaced = telling(surfaced, error)
      const now = yield* Clock.currentTimeNanos
      link.readyAt = readyAgain(error, now)
      const next = links.find(({ position, readyAt }) =>
        position > link.position && (readyAt === undefined || readyAt <= now)
      )
      if (next !== undefined) {
        if (!(yield* Deadline.hasTimeFor(Duration.zero))) {
          yield* denied("deadline", next.target)
          return yield* Effect.fail(surfaced)
        }
        if (!(yield* payFor(error))) {
          yield* denied("budget", next.target)
          return yield* Effect.fail(surfaced)
        }
        yield* fellBack(link.target, next.target, error)
        link = next
        continue
      }
      const readyAt = earliest(links.map((one) => one.readyAt))
      const first = links.find((other) => other.readyAt === readyAt)
      // Alone, a provider that was asked has been waited for by its own policies.
      const exhausted = resumed || (links.length === 1 && wasSent(error))
      if (exhausted || readyAt === undefined || first === undefined || links.some((one) => one.readyAt === undefined)) {
        return yield* Effect.fail(surfaced)
      }
      const delay = Duration.millis(floored(0, Math.max(0, Number(readyAt - now) / 1e6), true, yield* Random.next))
      const objected = yield* objection(delay, settings, outer, now)
      if (objected !== undefined) {
        yield* denied(objected, first.target)
        return yield* Effect.fail(surfaced)
      }
      if (!(yield* payFor(error))) {
        yield* denied("budget", first.target)
        return yield* Effect.fail(surfaced)
      }
      yield* waiting(delay, "Retry-After", first.target)
      yield* Effect.sleep(delay)
      resumed = true
      link = first
    }
  })

class Chain implements Service {
  readonly provider: string
  readonly model = undefined
  constructor(readonly links: Links, readonly settings: Settings) {
    this.provider = links.map((link) => link.provider).join(" > ")
  }
  unsupported(request: ChatRequest): ReadonlyArray<string> {
    return able(this.links, request)[0].unsupported?.(request) ?? []
  }
  complete(request: ChatRequest): Effect.Effect<ChatResponse, CallError> {
    const asked = ask(this.links, request, this.settings)
    const within = this.settings.deadline === undefined ? asked : Deadline.within(asked, this.settings.deadline)
    // A call is meant for the first, whoever answers it.
    const { model = request.model, provider } = this.links[0]
    return chatCall(within.pipe(RetryBudget.track, IdempotencyKey.once), { provider, model, request })
  }
}

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
  // The diagnostic compares with the overloads, whose types say the same of the layers one by one.
  // @effect-diagnostics-next-line missingLayerContext:off
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
