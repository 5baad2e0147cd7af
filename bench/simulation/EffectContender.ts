/**
 * Effect programs as contenders: the model provider as a `ChatProvider`, and each call a fiber in virtual time.
 */
import type { ChatProvider } from "effect-resilience"
import { ProviderError } from "effect-resilience"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Answer, Provider } from "./Provider.js"
import type { Simulator } from "./Simulator.js"
import type { Contender, Scenario } from "./Trial.js"
import { Trial } from "./Trial.js"
import * as VirtualClock from "./VirtualClock.js"

export const request: ChatProvider.ChatRequest = { messages: [{ role: "user", content: "Hello" }] }
const response: ChatProvider.ChatResponse = { choices: [{ message: { content: "Hello" }, finish_reason: "stop" }] }

const errorOf = ({ retryAfter, status }: Answer): ProviderError.ProviderError =>
  status === 429
    ? new ProviderError.RateLimited({
      message: "429",
      status,
      retryAfter: retryAfter === undefined ? undefined : Duration.seconds(retryAfter)
    }, true)
    : new ProviderError.ServerError({ message: String(status), status, reason: "Unavailable" }, true)

const noAnswer = (): ProviderError.ProviderError =>
  new ProviderError.Timeout({ message: "no answer", scope: "Attempt" }, true)

/** A provider as a program has it. */
export interface Link {
  readonly service: ChatProvider.Service
  /** One request whose client stops waiting after the attempt timeout, for contenders that bring no timeout. */
  readonly send: Effect.Effect<ChatProvider.ChatResponse, ProviderError.ProviderError>
}

const sendTo = (provider: Provider, simulator: Simulator, timeout: number): Link["send"] =>
  Effect.async((resume) => {
    const stopWaiting = provider.request((answer) => {
      cancelTimer()
      resume(answer.status === 200 ? Effect.succeed(response) : Effect.fail(errorOf(answer)))
    })
    const cancelTimer = timeout === Infinity ? () => {} : simulator.sleep(timeout, () => {
      stopWaiting()
      resume(Effect.fail(noAnswer()))
    })
    return Effect.sync(() => {
      cancelTimer()
      stopWaiting()
    })
  })

const linkTo = (simulator: Simulator, attemptTimeout: number) => (provider: Provider): Link => {
  const bare = sendTo(provider, simulator, Infinity)
  return {
    service: {
      provider: provider.name,
      model: undefined,
      complete: () => bare,
      stream: () => Stream.dieMessage("only whole answers are simulated")
    },
    send: sendTo(provider, simulator, attemptTimeout)
  }
}

/** An Effect program, made once for a trial and run once for each call. */
export const effectContender = (
  name: string,
  protect: (
    links: Arr.NonEmptyReadonlyArray<Link>,
    scenario: Scenario
  ) => Effect.Effect<Effect.Effect<unknown, unknown>, never, Scope.Scope>
): Contender => ({
  name,
  measure: (scenario, seed) =>
    VirtualClock.simulate(seed, (simulator) =>
      Effect.gen(function*() {
        const trial = new Trial(scenario, seed, simulator)
        const call = yield* protect(Arr.map(trial.providers, linkTo(simulator, scenario.attemptTimeout)), scenario)
        const run = Runtime.runFork(yield* Effect.runtime())
        yield* Effect.async<void>((resume) =>
          trial.start((onEnd) => {
            const end = (succeeded: boolean): void => {
              onEnd(succeeded)
              if (trial.isOver()) {
                resume(Effect.void)
              }
            }
            run(Effect.matchCause(call, {
              onSuccess: () => end(true),
              // A bug must not pass for a call that failed.
              onFailure: (cause) => Cause.isDie(cause) ? resume(Effect.die(Cause.squash(cause))) : end(false)
            }))
          })
        )
        return trial.measured()
      }).pipe(Effect.scoped, Logger.withMinimumLogLevel(LogLevel.None)))
})
