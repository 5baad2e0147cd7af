/**
 * An answer as it comes, from a chain of providers, and what is done when it breaks.
 *
 * Up to its first output a stream is asked for like a whole answer: whoever fails before is passed over, and the reader
 * never notices. After it the reader has seen something that cannot be unsaid, so there is no way that suits everyone: to
 * fail, to have the rest written by whoever can (and to remove what that repeats), or to begin anew and say so. Whatever
 * is tried is paid for from the retry budget, and when it fails too, the error that surfaces is the one that cut the
 * answer.
 */
import * as Chunk from "effect/Chunk"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { ChatChunk, ChatRequest, Service } from "../ChatProvider.js"
import { beganToolCall, contentOf, hasFinished, hasOutput, hasUsage, isChunk } from "../internal/chunks.js"
import { continuationOf, isContinuable } from "../internal/continuation.js"
import { Overlap } from "../internal/overlap.js"
import type { CallError } from "../ProviderError.js"
import { isFallbackable, isRetryable } from "../ProviderError.js"
import * as RetryBudget from "../RetryBudget.js"
import { forCaller } from "./caller.js"
import type { Answered, Patience } from "./chain.js"
import { oneCall } from "./chain.js"
import type { Links } from "./chatChain.js"
import { askChat } from "./chatChain.js"
import type { Lease, Opened, Pull } from "./lease.js"
import { leased, matchPull, noMore } from "./lease.js"
import { openStream, pullsOf } from "./opening.js"
import type { Chat } from "./recorder.js"
import { chatStream, denied, resumed } from "./recorder.js"

/** How often an answer that broke is gone on with, or begun anew. */
const MAX_ROUNDS = 3

/** What follows when an answer breaks after its first output. */
export type AfterCut<B> =
  | { readonly _tag: "Fail" }
  | { readonly _tag: "Continue" }
  | { readonly _tag: "Restart"; readonly announce: (error: CallError) => B }

/** A chain, and what is asked of it. */
export interface Asked<B> {
  readonly services: Links
  readonly request: ChatRequest
  readonly settings: Patience
  readonly afterCut: AfterCut<B>
  readonly chat: Chat
  /** What goes around the way to the first output, such as a deadline. */
  readonly around: <A>(opening: Effect.Effect<A, CallError>) => Effect.Effect<A, CallError>
}

type OpenedBy = Answered<Service, Opened<ChatChunk, CallError>>

/** Is another try worth it: neither what the request did wrong, nor what would be the same anywhere? */
const isCurable = (error: CallError): boolean =>
  error._tag !== "ClientError" && (isRetryable(error) || isFallbackable(error, { first: false }))

/** The chunk of a continuation, with this text for its own; undefined if it says nothing then. */
const withText = (chunk: ChatChunk, text: string): ChatChunk | undefined => {
  const [first, ...others] = chunk.choices
  if (first === undefined) {
    return chunk
  }
  // The answer has begun: there is nobody to introduce any more.
  const { content: _content, role: _role, ...delta } = first.delta ?? {}
  const changed: ChatChunk = {
    ...chunk,
    choices: [{ ...first, delta: text === "" ? delta : { ...delta, content: text } }, ...others]
  }
  return hasOutput(changed) || hasFinished(changed) || hasUsage(changed) ? changed : undefined
}

/** Reads whoever answers now, and finds somebody else when that breaks. */
class Reader<B> {
  private source: Pull<ChatChunk, CallError>
  private round = 0
  private delivered = ""
  private calledTool = false
  private finished = false
  private overlap: Overlap | undefined
  /** What cut the answer first. */
  private cut: CallError | undefined
  /** Who cut it last, by position. */
  private cutBy: number | undefined

  constructor(
    private readonly asked: Asked<B>,
    private readonly send: (service: Service, request: ChatRequest) => Effect.Effect<OpenedBy["answer"], CallError>,
    private readonly context: Context.Context<never>,
    private opened: OpenedBy
  ) {
    this.source = pullsOf(opened.answer)
  }

  /** Lets go of whoever answers now. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => this.opened.answer.close)

  readonly pull: Pull<ChatChunk | B, CallError> = Effect.suspend(() =>
    matchPull(this.source, {
      onElements: (chunks): Pull<ChatChunk | B, CallError> => {
        const forwarded = this.forward(chunks)
        return Chunk.isEmpty(forwarded) ? this.pull : Effect.succeed(forwarded)
      },
      onEnd: () => this.end(),
      onError: (error) => this.isWorth(error) ? this.again(error) : Effect.fail(Option.some(this.cut ?? error))
    })
  )

  private forward(chunks: Chunk.Chunk<ChatChunk>): Chunk.Chunk<ChatChunk> {
    const { overlap } = this
    const forwarded = overlap === undefined
      ? chunks
      : Chunk.filterMap(chunks, (chunk) => Option.fromNullable(this.joined(chunk, overlap)))
    const { _tag } = this.asked.afterCut
    for (const chunk of forwarded) {
      this.delivered += _tag === "Continue" ? contentOf(chunk) : ""
      this.calledTool ||= beganToolCall(chunk)
      this.finished ||= hasFinished(chunk)
    }
    return forwarded
  }

  /** A continuation may end without a chunk that says so, and what was held back of it is new after all. */
  private end(): Pull<ChatChunk, CallError> {
    const held = this.overlap?.end() ?? ""
    this.source = noMore
    return held === "" ? noMore : Effect.succeed(Chunk.of({ choices: [{ index: 0, delta: { content: held } }] }))
  }

  private joined(chunk: ChatChunk, overlap: Overlap): ChatChunk | undefined {
    const text = overlap.push(contentOf(chunk))
    return withText(chunk, hasFinished(chunk) ? text + overlap.end() : text)
  }

  private isWorth(error: CallError): boolean {
    const { afterCut, request } = this.asked
    return this.round < MAX_ROUNDS && isCurable(error) && (
      afterCut._tag === "Restart" ||
      afterCut._tag === "Continue" && !this.finished && !this.calledTool && isContinuable(request)
    )
  }

  private requestFor(service: Service): ChatRequest {
    const { afterCut, request } = this.asked
    return afterCut._tag === "Continue" ? continuationOf(request, this.delivered, service.prefill === true) : request
  }

  /** Somebody else goes on, or begins anew; if nobody does, the answer fails with the error that cut it. */
  private again(error: CallError): Pull<ChatChunk | B, CallError> {
    const { afterCut, request, services, settings } = this.asked
    const { left, link } = this.opened
    const cut = Effect.fail(Option.some(this.cut ??= error))
    // One that ran out of time, or broke what it was to mend, is not asked again while there is another.
    const passedOver = left > 0 && (error._tag === "Timeout" || this.cutBy === link.position)
    this.cutBy = link.position
    this.round += 1
    return Effect.gen(this, function*() {
      yield* this.close
      if (!(yield* RetryBudget.withdraw("retry"))) {
        yield* denied("budget", link.target)
        return yield* cut
      }
      const answered = yield* Effect.either(askChat({
        services,
        request,
        settings,
        round: this.round,
        from: passedOver ? link.position : link.position - 1,
        send: (service) => forCaller(this.send(service, this.requestFor(service)))
      }))
      if (Either.isLeft(answered)) {
        return yield* cut
      }
      this.opened = answered.right
      this.source = pullsOf(answered.right.answer)
      if (afterCut._tag === "Restart") {
        yield* resumed("restart", link.target, answered.right.link.target, error)
        this.cut = undefined
        return Chunk.of(afterCut.announce(error))
      }
      yield* resumed("continuation", link.target, answered.right.link.target, error)
      this.overlap = this.delivered === "" ? undefined : new Overlap(this.delivered)
      return yield* this.pull
    }).pipe(Effect.provide(this.context))
  }
}

const open = <B>(asked: Asked<B>, lease: Lease): Effect.Effect<Pull<ChatChunk | B, CallError>, CallError> =>
  Effect.withFiberRuntime<Pull<ChatChunk | B, CallError>, CallError>((fiber) => {
    const context = fiber.currentContext
    const send = (service: Service, request: ChatRequest) =>
      openStream(service.stream(request), lease.scope, { isOutput: hasOutput })
    const { request, services, settings } = asked
    return Effect.map(
      asked.around(
        askChat({
          services,
          request,
          settings,
          round: 0,
          from: 0,
          send: (service) => forCaller(send(service, request))
        })
      ),
      (opened) => {
        const reader = new Reader(asked, send, context, opened)
        lease.atEnd(() => reader.close)
        return asked.afterCut._tag === "Fail" ? pullsOf(opened.answer) : reader.pull
      }
    )
  })

/** Asks the chain. The answer ends well, or with the error that cut it. */
export const streamChain = <B = never>(asked: Asked<B>): Stream.Stream<ChatChunk | B, CallError> =>
  leased((lease) =>
    chatStream(
      lease,
      asked.chat,
      (element: ChatChunk | B) => isChunk(element) && hasOutput(element),
      (lease) => open(asked, lease),
      oneCall
    )
  )
