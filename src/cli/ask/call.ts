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
import * as CallReport from "../../CallReport.js"
import * as ChatProvider from "../../ChatProvider.js"
import * as CircuitBreaker from "../../CircuitBreaker.js"
import * as Fallback from "../../Fallback.js"
import type { CallError } from "../../ProviderError.js"
import * as Resilience from "../../Resilience.js"
import * as RetryBudget from "../../RetryBudget.js"
import type { UsageError } from "../errors.js"
import * as Screen from "../screen.js"
import { dim, harmless, nameOf } from "../text.js"
import * as Live from "./live.js"
import type * as Scenes from "./scenes.js"
import * as Service from "./service.js"
import type { Calls, Chain } from "./settings.js"
import * as Settings from "./settings.js"
import * as Table from "./table.js"

const targetOf = ({ model, service }: Service.Link) => ({ provider: service.provider, model })

/** A model with policies of its own, and a circuit whose transitions are shown. */
const protectedBy = (policies: Scenes.Policies) => (link: Service.Link) =>
  Layer.unwrapScoped(Effect.gen(function*() {
    const { backoff, circuit, firstToken, idle, maxConcurrent } = policies
    const circuitBreaker = yield* CircuitBreaker.make({
      name: nameOf(targetOf(link)),
      trip: circuit && CircuitBreaker.consecutiveFailures(circuit.failures),
      openFor: circuit?.openFor
    })
    yield* Effect.forkScoped(
      Stream.runForEach(circuitBreaker.transitions, (transition) => Screen.print(Live.transition(transition)))
    )
    return Service.layer(link).pipe(
      Resilience.layer({ retry: backoff, circuitBreaker, maxConcurrent, firstToken, idle })
    )
  }))

/** A layer for each model, one after the other. */
export const layer = (
  { links, policies }: Chain
): Layer.Layer<ChatProvider.ChatProvider, UsageError, Screen.Screen> => {
  const { budget, deadline, patience } = policies
  // To begin anew is the reader's choice, call by call.
  const onCut = policies.onCut === "restart" ? undefined : policies.onCut
  const chain = Fallback.layer({ deadline, patience, onCut }, ...Arr.map(links, protectedBy(policies)))
  return budget === undefined ? chain : Layer.merge(chain, RetryBudget.layer({ ...budget, minPerSecond: 0 }))
}

/** Who is told what happens in a call. */
interface Reader<R> {
  readonly hears: (event: CallReport.Event) => Effect.Effect<void, never, R>
  /** Of the answer, as it comes. */
  readonly reads: (piece: string) => Effect.Effect<void, never, R>
  readonly forgets: Effect.Effect<void, never, R>
}

/** The whole answer, which the reader gets piece by piece before. */
const streamed = <R>(request: ChatProvider.ChatRequest, onCut: Scenes.OnCut | undefined, reader: Reader<R>) =>
  (onCut === "restart" ? ChatProvider.streamWithRestarts(request) : ChatProvider.stream(request)).pipe(
    Stream.tap((event) =>
      event instanceof ChatProvider.Restarted
        ? reader.forgets
        : reader.reads(harmless(ChatProvider.deltaText(event)))
    ),
    ChatProvider.collect
  )

/** One call: its outcome, and the report of it. */
const reported = <R, R2>(
  call: Effect.Effect<ChatProvider.ChatResponse, CallError, R>,
  user: string | undefined,
  { hears }: Reader<R2>
) =>
  call.pipe(
    Effect.map(ChatProvider.text),
    user === undefined ? identity : RetryBudget.withKey(`user:${user}`),
    // A circuit announces its transitions to another fiber. That one speaks first, so that lines keep the order of events.
    CallReport.observe((event) => Effect.zipRight(Effect.yieldNow(), hears(event))),
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
  readonly reads: (index: number, piece: string) => Effect.Effect<void, never, Screen.Screen>
} => {
  let speaking = total === 1 ? 0 : undefined
  /** Whoever has the word already needs no title. */
  const titled = (index: number, title = Live.titleOf(index + 1, total)): ReadonlyArray<AnsiDoc> => {
    const titles = speaking === index ? [] : [title]
    speaking = index
    return titles
  }
  return {
    begins: (index, call) => Effect.suspend(() => Screen.print(...titled(index, Live.titleOf(index + 1, total, call)))),
    says: (index, lines) =>
      lines.length === 0 ? Effect.void : Effect.suspend(() => Screen.print(...titled(index), ...lines)),
    reads: (index, piece) => piece === "" ? Effect.void : Effect.suspend(() => Screen.say(piece, ...titled(index)))
  }
}

/** Could it be read above without a break? */
const wasOfOnePiece = (text: string, report: CallReport.CallReport | undefined): boolean =>
  text !== "" && report !== undefined && report.continuations === 0 && report.restarts === 0

/** Makes the calls, shows what happens, and gives the answers or errors as they were shown. */
export const watch = (
  prompt: string,
  chain: Chain,
  calls: Calls
): Effect.Effect<ReadonlyArray<Either.Either<string, CallError>>, never, ChatProvider.ChatProvider | Screen.Screen> =>
  Effect.gen(function*() {
    const width = Math.max(...chain.links.map((link) => nameOf(targetOf(link)).length))
    const lines = Live.lines(width)
    const { begins, reads, says } = speaker(calls.calls.length)
    yield* Screen.print(...Settings.lines(chain, calls).map(dim), Doc.empty, Live.heading(width))

    const request = { messages: [{ role: "user", content: prompt }] }
    const several = calls.calls.length > 1
    const watchOne = (call: Scenes.Call, index: number) =>
      Effect.gen(function*() {
        yield* begins(index, call)
        const reader: Reader<Screen.Screen> = {
          hears: (event) =>
            event._tag === "AttemptStarted" ? Screen.pass(Live.asking(event, width)) : says(index, lines(event)),
          reads: (piece) => reads(index, piece),
          forgets: says(index, [Live.takenBack])
        }
        const asked = calls.stream
          ? streamed(request, chain.policies.onCut, reader)
          : ChatProvider.complete(request)
        const end = yield* reported(asked, call.user, reader)
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
        : Either.match(outcome, {
          onLeft: (error) => Table.failure(error, report?.timeToFirstChunk !== undefined),
          onRight: (text) => Table.answer(text, report, calls.stream && wasOfOnePiece(text, report))
        }),
      Doc.empty,
      ...Table.summary(Arr.filterMap(ends, ({ report }) => Option.fromNullable(report)), took, width)
    )
    return ends.map(({ outcome }) => outcome)
  })
