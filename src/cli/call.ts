/**
 * One call, watched: sent through a chain of providers, shown event by event, and summed up.
 *
 * The chain is made of the same layers whether a real service or the fault server answers, so what the demo shows is
 * what a program would get. The prompt goes into the request and nowhere else.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Doc from "@effect/printer/Doc"
import * as Arr from "effect/Array"
import type { ConfigError } from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as CallReport from "../CallReport.js"
import * as ChatProvider from "../ChatProvider.js"
import * as Fallback from "../Fallback.js"
import * as OpenAi from "../OpenAi.js"
import type { CallError } from "../ProviderError.js"
import * as Resilience from "../Resilience.js"
import * as Live from "./live.js"
import type { Backoff, Limits } from "./scenes.js"
import { Screen } from "./screen.js"
import * as Table from "./table.js"
import { dim, duration, nameOf } from "./text.js"

/** Who is asked, and with how much patience. */
export interface Chain {
  readonly server: Pick<OpenAi.Options, "apiKey" | "baseUrl" | "provider">
  readonly models: Arr.NonEmptyReadonlyArray<string>
  readonly backoff: Backoff
  readonly limits: Limits
}

/** A layer for each model, each with policies of its own, one after the other. */
export const layer = (
  { backoff, limits, models, server }: Chain
): Layer.Layer<ChatProvider.ChatProvider, ConfigError> =>
  Fallback.layer(
    limits,
    ...Arr.map(models, (model) => OpenAi.layerConfig({ ...server, model }).pipe(Resilience.layer({ retry: backoff })))
  ).pipe(Layer.provide(FetchHttpClient.layer))

const show = (input: Duration.DurationInput): string => duration(Duration.decode(input))

const settings = ({ backoff, limits, models }: Chain): ReadonlyArray<string> => [
  `Chain     ${models.join(" > ")}`,
  `Settings  deadline ${show(limits.deadline)}, backoff from ${show(backoff.base)} to ${show(backoff.cap)}, ` +
  `patience ${show(limits.patience)}, 3 attempts (5 at the last)`
]

/** Asks, shows what happens, and gives the answer or the error as it was shown. */
export const watch = (
  prompt: string,
  chain: Chain
): Effect.Effect<Either.Either<string, CallError>, never, ChatProvider.ChatProvider | Screen> =>
  Effect.gen(function*() {
    const screen = yield* Screen
    const width = Math.max(...chain.models.map((model) => nameOf({ provider: chain.server.provider, model }).length))
    const lines = Live.lines(width)
    yield* screen.print(...settings(chain).map(dim), Doc.empty, Live.heading(width))
    const { exit, reports } = yield* ChatProvider.complete({ messages: [{ role: "user", content: prompt }] }).pipe(
      Effect.map(ChatProvider.text),
      CallReport.observe((event) =>
        event._tag === "AttemptStarted" ? screen.pass(Live.asking(event, width)) : screen.print(...lines(event))
      ),
      Effect.either,
      CallReport.collect
    )
    const outcome = yield* exit
    const report = reports[0]
    yield* screen.print(
      Doc.empty,
      ...Either.match(outcome, {
        onLeft: Table.failure,
        onRight: (text) => Table.answer(text, report)
      }),
      Doc.empty,
      ...(report === undefined ? [] : Table.summary(report, width))
    )
    return outcome
  })
