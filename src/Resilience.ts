/**
 * The policies in their right order, around one effect or one provider layer.
 *
 * Each policy is easy to use wrongly together with another: a timeout outside the retry bounds nothing, a key made
 * inside it changes with every attempt, two retry loops around each other multiply. Here they are put together once, in
 * the order retry ▸ attempt timeout ▸ effect. There is one owner of retries: a protected effect that runs inside the
 * attempt of another makes one attempt only. A call that succeeds at once never meets the retry policy; the schedule is
 * stepped only once something failed.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import type { ChatRequest, Service } from "./ChatProvider.js"
import { ChatProvider } from "./ChatProvider.js"
import * as Deadline from "./Deadline.js"
import * as IdempotencyKey from "./IdempotencyKey.js"
import { floored } from "./internal/backoff.js"
import { LatencyWindow } from "./internal/latency.js"
import type { Target } from "./ProviderError.js"
import type { Timeout } from "./ProviderError.js"
import { isCallError, timedOut } from "./ProviderError.js"
import * as RetryPolicy from "./RetryPolicy.js"
import { Alternatives } from "./runtime/alternatives.js"
import * as OptionsOf from "./runtime/options.js"
import {
  attemptAround,
  chatCall,
  openAttempt,
  recordAttempt,
  recordCall,
  waiting,
  withAttempt
} from "./runtime/recorder.js"
import { clockOf, timeLimit } from "./runtime/timeLimit.js"

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
}

/**
 * Policies that belong together, and what they remember.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resilience {
  /**
   * Protects an effect. `target` names it in errors and reports. Raises `Timeout` in addition to the effect's own errors;
   * only errors of this library (`ProviderError.isRetryable`) are retried.
   */
  readonly protect: <A, E, R>(self: Effect.Effect<A, E, R>, target?: Target) => Effect.Effect<A, E | Timeout, R>
}

const nanosToMillis = (nanos: bigint): number => Number(nanos) / 1e6

/** Options that were checked. */
interface Settings {
  readonly attemptTimeout: number
  readonly policy: (reserve: Effect.Effect<Duration.Duration>) => RetryPolicy.RetryPolicy
}

const settingsOf = (options: Options): Settings => ({
  attemptTimeout: Duration.toMillis(
    OptionsOf.positiveDuration("attemptTimeout", options.attemptTimeout ?? "60 seconds")
  ),
  policy: RetryPolicy.prepare(options.retry ?? {})
})

const build = (settings: Settings): Resilience => {
  const latency = new LatencyWindow()
  const policy = settings.policy(Effect.map(
    Clock.currentTimeNanos,
    (now) => Duration.millis(latency.median(nanosToMillis(now)) ?? Duration.toMillis(Deadline.defaultReserve))
  ))

  const attempt = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    target: Target,
    context: Context.Context<R>
  ): Effect.Effect<A, E | Timeout> =>
    Effect.withFiberRuntime((fiber, status) => {
      const clock = clockOf(fiber)
      const startedAt = clock.unsafeCurrentTimeNanos()
      const limit = Math.min(settings.attemptTimeout, shareOf(context, startedAt))
      const open = openAttempt(context, policy, target, startedAt)
      const limited = timeLimit(self, {
        fiber,
        status,
        context: withAttempt(context, open),
        limit,
        onTimeout: () =>
          Effect.fail(timedOut("Attempt", Duration.millis(limit), { ...open.target, requestId: open.requestId })),
        onEnd: () => {
          open.over = true
        }
      })
      const timed = Effect.map(limited, (value) => {
        const now = clock.unsafeCurrentTimeNanos()
        latency.add(nanosToMillis(now), nanosToMillis(now - startedAt))
        return value
      })
      return recordAttempt(timed, open)
    })

  const retry = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    target: Target,
    context: Context.Context<R>,
    error: E | Timeout,
    state: unknown
  ): Effect.Effect<A, E | Timeout> =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) =>
        Effect.flatMap(policy.step(now, error, state), ([next, delay, decision]) => {
          if (ScheduleDecision.isDone(decision)) {
            return Effect.fail(error)
          }
          return waiting(delay, reasonOf(error, delay)).pipe(
            Effect.zipRight(Effect.sleep(delay)),
            Effect.zipRight(attempt(self, target, context)),
            Effect.catchAll((error) => retry(self, target, context, error, next))
          )
        })
    )

  const call = <A, E, R>(self: Effect.Effect<A, E, R>, target: Target): Effect.Effect<A, E | Timeout, R> =>
    Effect.contextWithEffect((context: Context.Context<R>) => {
      if (attemptAround(context) !== undefined) {
        return attempt(self, target, context)
      }
      const keyed = IdempotencyKey.ensure(context)
      return Effect.catchAll(
        attempt(self, target, keyed),
        (error) => retry(self, target, keyed, error, policy.initial)
      )
    })

  return { protect: (self, target = {}) => recordCall(call(self, target)) }
}

/**
 * `make` for the rare place that cannot run an effect.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeMake = (options: Options = {}): Resilience => build(settingsOf(options))

/** While another provider is left under a deadline, an attempt gets half of what remains, in whole milliseconds. */
const shareOf = (context: Context.Context<never>, now: bigint): number => {
  const deadline = Context.get(context, Deadline.CurrentDeadline)
  return Option.isSome(deadline) && Context.get(context, Alternatives).left > 0
    ? Math.max(0, Math.floor(nanosToMillis(deadline.value.at - now) / 2))
    : Infinity
}

/** What decided a wait: the server, unless the backoff was longer than what it asked for and its spread. */
const reasonOf = (error: unknown, delay: Duration.Duration) => {
  const asked = isCallError(error) && error.retryAfter !== undefined ? Duration.toMillis(error.retryAfter) : undefined
  return asked === undefined || Duration.toMillis(delay) > floored(0, asked, true, 1) ? "backoff" : "Retry-After"
}

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
export const make = (options: Options = {}): Effect.Effect<Resilience> => {
  const settings = settingsOf(options)
  return Effect.sync(() => build(settings))
}

/** A provider that has its policies, so that a chain need not add its own. */
class ResilientProvider implements Service {
  readonly provider: string
  readonly model: string | undefined
  constructor(private readonly inner: Service, private readonly resilience: Resilience) {
    this.provider = inner.provider
    this.model = inner.model
  }
  complete(request: ChatRequest) {
    const target = { provider: this.provider, model: this.model ?? request.model }
    return chatCall(this.resilience.protect(this.inner.complete(request), target), { ...target, request })
  }
}

/**
 * A provider with the default policies, unless it has its own.
 *
 * @internal
 */
export const protectProvider = (provider: Service): Service =>
  provider instanceof ResilientProvider ? provider : new ResilientProvider(provider, unsafeMake())

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
    Layer.map(
      provider,
      (context) =>
        Context.make(ChatProvider, new ResilientProvider(Context.get(context, ChatProvider), build(settings)))
    )
}
