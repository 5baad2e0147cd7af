/**
 * Calls, watched: sent through a chain of providers, shown event by event, and summed up.
 *
 * The chain is made of the same layers whether a real service or the fault server answers, so what the demo shows is
 * what a program would get. The layers outlive a single call, since some policies show only from one call to the next.
 * The prompt goes into the requests and nowhere else.
 */
import type { AnsiDoc } from "@effect/printer-ansi/AnsiDoc"
import * as Doc from "@effect/printer/Doc"
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as CallReport from "../CallReport.js"
import * as ChatProvider from "../ChatProvider.js"
import * as CircuitBreaker from "../CircuitBreaker.js"
import * as Fallback from "../Fallback.js"
import type { CallError } from "../ProviderError.js"
import * as Resilience from "../Resilience.js"
import * as RetryBudget from "../RetryBudget.js"
import type { UsageError } from "./errors.js"
import * as Live from "./live.js"
import type * as Scenes from "./scenes.js"
import * as Screen from "./screen.js"
import * as Service from "./service.js"
import type { Calls, Chain } from "./settings.js"
import * as Settings from "./settings.js"
import * as Table from "./table.js"
import { dim, nameOf } from "./text.js"

const targetOf = ({ model, service }: Service.Link) => ({ provider: service.provider, model })

/** A model with policies of its own, and a circuit whose transitions are shown. */
const protectedBy = (policies: Scenes.Policies) => (link: Service.Link) =>
  Layer.unwrapScoped(Effect.gen(function*() {
    const { backoff, circuit, maxConcurrent } = policies
    const circuitBreaker = yield* CircuitBreaker.make({
      name: nameOf(targetOf(link)),
      trip: circuit && CircuitBreaker.consecutiveFailures(circuit.failures),
      openFor: circuit?.openFor
    })
    yield* Effect.forkScoped(
      Stream.runForEach(circuitBreaker.transitions, (transition) => Screen.print(Live.transition(transition)))
    )
    return Service.layer(link).pipe(Resilience.layer({ retry: backoff, circuitBreaker, maxConcurrent }))
  }))

/** A layer for each model, one after the other. */
export const layer = (
  { links, policies }: Chain
): Layer.Layer<ChatProvider.ChatProvider, UsageError, Screen.Screen> => {
  const { budget, deadline, patience } = policies
  const chain = Fallback.layer({ deadline, patience }, ...Arr.map(links, protectedBy(policies)))
  return budget === undefined ? chain : Layer.merge(chain, RetryBudget.layer({ ...budget, minPerSecond: 0 }))
}

/** One call: its outcome, and the report of it. */
const ask = <R>(
  prompt: string,
  user: string | undefined,
  listener: (event: CallReport.Event) => Effect.Effect<void, never, R>
) =>
  ChatProvider.complete({ messages: [{ role: "user", content: prompt }] }).pipe(
    Effect.map(ChatProvider.text),
    user === undefined ? identity : RetryBudget.withKey(`user:${user}`),
    // A circuit announces its transitions to another fiber. That one speaks first, so that lines keep the order of events.
    CallReport.observe((event) => Effect.zipRight(Effect.yieldNow(), listener(event))),
    Effect.either,
    CallReport.collect,
    Effect.flatMap(({ exit, reports }) => Effect.map(exit, (outcome) => ({ outcome, report: reports[0] })))
  )

const pauseBefore = ({ after = Duration.zero }: Scenes.Call): Duration.Duration => Duration.decode(after)

/** Makes the calls in their order, each when it is due. */
const each = <A, E, R>(
  { calls, overlapping }: Calls,
  make: (call: Scenes.Call, index: number) => Effect.Effect<A, E, R>
) =>
  Effect.forEach(calls, (call, index) => {
    const before = overlapping ? calls.slice(0, index + 1) : [call]
    return Effect.delay(make(call, index), before.map(pauseBefore).reduce(Duration.sum, Duration.zero))
  }, { concurrency: overlapping ? "unbounded" : 1 })

/** Prints what several calls have to say. Those that overlap take turns, and whoever has the word gets a title first. */
const speaker = (total: number): {
  readonly begins: (index: number, call: Scenes.Call) => Effect.Effect<void, never, Screen.Screen>
  readonly says: (index: number, lines: ReadonlyArray<AnsiDoc>) => Effect.Effect<void, never, Screen.Screen>
} => {
  let speaking = total === 1 ? 0 : undefined
  const print = (index: number, lines: ReadonlyArray<AnsiDoc>, title = Live.titleOf(index + 1, total)) =>
    Effect.suspend(() => {
      const titled = speaking === index ? lines : [title, ...lines]
      speaking = index
      return Screen.print(...titled)
    })
  return {
    begins: (index, call) => print(index, [], Live.titleOf(index + 1, total, call)),
    says: (index, lines) => lines.length === 0 ? Effect.void : print(index, lines)
  }
}

/** Makes the calls, shows what happens, and gives the answers or errors as they were shown. */
export const watch = (
  prompt: string,
  chain: Chain,
  calls: Calls
): Effect.Effect<ReadonlyArray<Either.Either<string, CallError>>, never, ChatProvider.ChatProvider | Screen.Screen> =>
  Effect.gen(function*() {
    const width = Math.max(...chain.links.map((link) => nameOf(targetOf(link)).length))
    const lines = Live.lines(width)
    const { begins, says } = speaker(calls.calls.length)
    yield* Screen.print(...Settings.lines(chain, calls).map(dim), Doc.empty, Live.heading(width))

    const several = calls.calls.length > 1
    const watchOne = (call: Scenes.Call, index: number) =>
      Effect.gen(function*() {
        yield* begins(index, call)
        const end = yield* ask(prompt, call.user, (event) =>
          event._tag === "AttemptStarted"
            ? Screen.pass(Live.asking(event, width))
            : says(index, lines(event)))
        if (several && Either.isLeft(end.outcome)) {
          yield* says(index, [Live.noAnswer(end.outcome.left)])
        }
        return end
      })
    const [took, ends] = yield* Effect.timed(each(calls, watchOne))
    const [{ outcome, report }] = ends
    yield* Screen.print(
      Doc.empty,
      ...several
        ? Table.answers(ends)
        : Either.match(outcome, { onLeft: Table.failure, onRight: (text) => Table.answer(text, report) }),
      Doc.empty,
      ...Table.summary(Arr.filterMap(ends, ({ report }) => Option.fromNullable(report)), took, width)
    )
    return ends.map(({ outcome }) => outcome)
  })
