/** Reads streams in virtual time, and tells what their reader saw. */
import type { Layer } from "effect"
import { Clock, Effect, Either, Random, Stream } from "effect"
import { CallReport, ChatProvider } from "effect-resilience"
import type { Fallback, ProviderError } from "effect-resilience"
import { ScriptedProvider } from "effect-resilience/testing"
import { nameOf, onlyReport, simulate } from "../utils.js"

export const request: ChatProvider.ChatRequest = { model: "m", messages: [{ role: "user", content: "Hello" }] }

type Answer = Stream.Stream<
  ChatProvider.ChatChunk | ChatProvider.Restarted,
  ProviderError.CallError,
  ChatProvider.ChatProvider
>

/** What a reader saw: the texts in order (a restart as `<restart>`), and how it ended (`whole`, or the error's name). */
export interface Seen {
  readonly text: string
  readonly end: string
  /** When each text came, and when it ended, in milliseconds from the beginning. */
  readonly at: ReadonlyArray<number>
  readonly report: CallReport.CallReport
}

/** Reads all of it, in virtual time. */
export const read = (
  provider: Layer.Layer<ChatProvider.ChatProvider>,
  stream: Answer = ChatProvider.stream(request)
): Effect.Effect<Seen> =>
  Effect.gen(function*() {
    const begin = yield* Clock.currentTimeMillis
    let text = ""
    const at: Array<number> = []
    const seen = stream.pipe(
      Stream.runForEach((event) =>
        Effect.clockWith((clock) =>
          Effect.sync(() => {
            const piece = event instanceof ChatProvider.Restarted ? "<restart>" : ChatProvider.deltaText(event)
            if (piece !== "") {
              text += piece
              at.push(clock.unsafeCurrentTimeMillis() - begin)
            }
          })
        )
      ),
      Effect.either,
      Effect.provide(provider),
      CallReport.collect
    )
    const { at: endedAt, exit } = yield* simulate(Effect.withRandom(seen, Random.make("streams")))
    const { exit: answer, reports } = yield* exit
    const ended = yield* answer
    return {
      text,
      end: Either.isRight(ended) ? "whole" : nameOf(ended.left),
      at: [...at, endedAt - begin],
      report: onlyReport(reports)
    }
  })

/** A scripted provider of this name, and what it was asked. */
export const scripted = (provider: string, ...steps: ReadonlyArray<ScriptedProvider.Step>) =>
  ScriptedProvider.make(steps, { provider, model: "m" })

/** Texts, one every so many milliseconds, and then an error if there is one. */
export const texts = (
  pieces: ReadonlyArray<string>,
  every = 0,
  error?: ProviderError.CallError
): Stream.Stream<string, ProviderError.CallError> => {
  const spoken = Stream.fromIterable(pieces).pipe(
    Stream.rechunk(1),
    Stream.mapEffect((piece) => Effect.delay(Effect.succeed(piece), every))
  )
  return error === undefined ? spoken : Stream.concat(spoken, Stream.fail(error))
}

/** Texts, and then silence. */
export const silentAfter = (...pieces: ReadonlyArray<string>): Stream.Stream<string> =>
  Stream.concat(Stream.fromIterable(pieces), Stream.never)

export type OnCut = Exclude<Fallback.Options["onCut"], undefined>
