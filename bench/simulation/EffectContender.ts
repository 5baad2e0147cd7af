/**
 * Effect programs as contenders: the model provider as a `ChatProvider`, and each call a fiber in virtual time.
 */
import { ChatProvider, ProviderError } from "effect-resilience"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Answer, Asking, Provider } from "./Provider.js"
import type { Simulator } from "./Simulator.js"
import { EPOCH } from "./Simulator.js"
import type { Begun, Contender, Scenario } from "./Trial.js"
import { Trial } from "./Trial.js"
import * as VirtualClock from "./VirtualClock.js"
import { answerOf, bodyOf, headersOf, pieceOf, piecesIn } from "./wire.js"

export const request: ChatProvider.ChatRequest = { messages: [{ role: "user", content: "Hello" }] }
const response: ChatProvider.ChatResponse = { choices: [{ message: { content: answerOf(1) }, finish_reason: "stop" }] }
const piece = (place: number): ChatProvider.ChatChunk => ({
  choices: [{ index: 0, delta: { content: pieceOf(place) } }]
})
const last: ChatProvider.ChatChunk = { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }

/** The call that runs. */
export class Caller extends Context.Reference<Caller>()("bench/Caller", {
  defaultValue: (): Pick<Begun, "tenant" | "onOutput"> => ({ tenant: undefined, onOutput: constVoid })
}) {}

const classified = new Map<string, ProviderError.ProviderError>()

/** What the answer means. The same answer means the same, and is read once only. */
const errorOf = (answer: Answer): ProviderError.ProviderError => {
  const key = JSON.stringify(answer)
  const known = classified.get(key)
  if (known !== undefined) {
    return known
  }
  const response = { status: answer.status, headers: headersOf(answer) }
  const error = answer.cut === true
    ? ProviderError.fromTransport({ response })
    : ProviderError.fromResponse({ ...response, body: bodyOf(answer), now: EPOCH })
  classified.set(key, error)
  return error
}

const noAnswer = (): ProviderError.ProviderError => ProviderError.timedOut("Attempt", Duration.zero)

/** A provider as a program has it. */
export interface Link {
  readonly service: ChatProvider.Service
  /**
   * One request whose client stops waiting after the attempt timeout, for contenders that bring no timeout. A streamed
   * answer is read to its end before anything of it is shown, as it must be by who may ask again.
   */
  readonly send: Effect.Effect<ChatProvider.ChatResponse, ProviderError.ProviderError>
  /** The same by who shows what comes. */
  readonly read: Effect.Effect<ChatProvider.ChatResponse, ProviderError.ProviderError>
}

const sendTo = (provider: Provider, simulator: Simulator, timeout: number, shows: boolean): Link["send"] =>
  Effect.flatMap(Caller, ({ onOutput, tenant }) =>
    Effect.async((resume) => {
      const stopWaiting = provider.request((answer) => {
        cancelTimer()
        resume(
          answer.status === 200 && answer.cut !== true
            ? Effect.succeed(response)
            : Effect.fail(errorOf(answer))
        )
      }, { tenant, onPiece: shows ? onOutput : constVoid })
      const cancelTimer = timeout === Infinity ? constVoid : simulator.sleep(timeout, () => {
        stopWaiting()
        resume(Effect.fail(noAnswer()))
      })
      return Effect.sync(() => {
        cancelTimer()
        stopWaiting()
      })
    }))

/** How much of the answer the request has already: a continuation brings what it continues. */
const begunIn = ({ messages }: ChatProvider.ChatRequest): number =>
  messages.reduce(
    (pieces, { content, role }) =>
      role === "assistant" && typeof content === "string" ? pieces + piecesIn(content) : pieces,
    0
  )

const streamFrom = (provider: Provider, asking: Asking) =>
  Stream.async<ChatProvider.ChatChunk, ProviderError.ProviderError>((emit) => {
    const stopWaiting = provider.request((answer) => {
      if (answer.status === 200 && answer.cut !== true) {
        emit.single(last)
        emit.end()
      } else {
        emit.fail(errorOf(answer))
      }
    }, { ...asking, onPiece: (place) => void emit.single(piece(place)) })
    return Effect.sync(stopWaiting)
  }, "unbounded")

const linkTo = (simulator: Simulator, attemptTimeout: number) => (provider: Provider): Link => ({
  service: {
    provider: provider.name,
    model: undefined,
    complete: () => sendTo(provider, simulator, Infinity, false),
    stream: (request) =>
      Stream.unwrap(
        Effect.map(Caller, ({ tenant }) => streamFrom(provider, { tenant, begun: begunIn(request) }))
      )
  },
  send: sendTo(provider, simulator, attemptTimeout, false),
  read: sendTo(provider, simulator, attemptTimeout, true)
})

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
          trial.start(({ onEnd, ...caller }) => {
            const end = (succeeded: boolean): void => {
              onEnd(succeeded)
              if (trial.isOver()) {
                resume(Effect.void)
              }
            }
            run(Effect.matchCause(Effect.provideService(call, Caller, caller), {
              onSuccess: () => end(true),
              // A bug must not pass for a call that failed.
              onFailure: (cause) => Cause.isDie(cause) ? resume(Effect.die(Cause.squash(cause))) : end(false)
            }))
          })
        )
        return trial.measured()
      }).pipe(Effect.scoped, Logger.withMinimumLogLevel(LogLevel.None)))
})

/** Reads a streamed answer, shows what comes, and insists on all of it. */
export const readStream = (
  stream: Stream.Stream<ChatProvider.ChatChunk, ProviderError.CallError, ChatProvider.ChatProvider>,
  pieces: number
): Effect.Effect<void, ProviderError.CallError, ChatProvider.ChatProvider> =>
  Effect.flatMap(Caller, ({ onOutput }) =>
    stream.pipe(
      Stream.runFold("", (text, chunk) => {
        onOutput()
        return text + ChatProvider.deltaText(chunk)
      }),
      Effect.flatMap((text) =>
        text === answerOf(pieces) ? Effect.void : Effect.dieMessage(`passed for the answer: ${text}`)
      )
    ))
