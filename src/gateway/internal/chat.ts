/**
 * Chat Completions: asks the chain of the model, plain or as a stream.
 *
 * A stream is opened up to its first output before anything is answered. Until then it can fail as a plain call does, with
 * a status, and the headers can say who answered. After that the status is sent, and a failure is an event.
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ChatChunk, ChatResponse } from "../../ChatProvider.js"
import { ChatRequest } from "../../ChatProvider.js"
import * as Deadline from "../../Deadline.js"
import * as Fallback from "../../Fallback.js"
import type { CallError } from "../../ProviderError.js"
import type { Pull } from "../../runtime/lease.js"
import { matchPull, noMore, toPullIn } from "../../runtime/lease.js"
import { pullsOf, readFirst } from "../../runtime/opening.js"
import type { Asked } from "./asked.js"
import { callInTheNameOf, inTheNameOf } from "./asked.js"
import * as Events from "./events.js"
import { problemsOf } from "./problems.js"
import type { Refusal } from "./refusals.js"
import { invalid, ofCall } from "./refusals.js"

const decode = Schema.decodeUnknownEither(ChatRequest)

const requestOf = ({ body }: Asked): Either.Either<ChatRequest, Refusal> =>
  Either.mapLeft(decode(body), ({ issue }) => {
    const [{ path, reason } = { path: "", reason: "cannot be read" }] = problemsOf(issue)
    return invalid(400, "invalid_request", `${path}: ${reason}`, path)
  })

/** An answer that is given the moment it is made, in seconds. */
const answerAt = (
  answer: (created: number) => HttpServerResponse.HttpServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.clockWith((clock) => Effect.succeed(answer(Math.floor(clock.unsafeCurrentTimeMillis() / 1000))))

const respond = (response: ChatResponse) =>
  answerAt((created) => HttpServerResponse.unsafeJson(Events.dated(response, created)))

const refuse = (error: CallError): Effect.Effect<never, Refusal> => Effect.fail(ofCall(error))

const plain = (asked: Asked, request: ChatRequest): Effect.Effect<HttpServerResponse.HttpServerResponse, Refusal> => {
  const { served, wishes } = asked
  const answer = wishes.deadline === undefined
    ? Fallback.completeFor(served.chat, request)
    : Deadline.withinFor(served.chat.complete(request), wishes.deadline)
  return Effect.matchEffect(callInTheNameOf(asked)(answer), { onFailure: refuse, onSuccess: respond })
}

/** Opens the stream; what is read of it later is part of the same call. */
const open = (
  asked: Asked,
  request: ChatRequest
): Effect.Effect<Pull<ChatChunk, CallError>, CallError, Scope.Scope> => {
  const { served, wishes } = asked
  // What comes later is read in the context of its opening, which policies see to.
  const opened = Effect.scope.pipe(
    Effect.flatMap((scope) => toPullIn(served.chat.stream(request), scope)),
    Effect.flatMap((pull) => readFirst(pull, () => true)),
    Effect.map(pullsOf)
  )
  return (wishes.deadline === undefined ? opened : Deadline.withinOpening(opened, wishes.deadline)).pipe(
    inTheNameOf(asked)
  )
}

const wantsUsage = ({ stream_options: options }: ChatRequest): boolean =>
  Predicate.isRecord(options) && options.include_usage === true

/** What the client reads of it. In the place of its end, or of its error, comes an event that says so. */
const eventsOf = (
  pull: Pull<ChatChunk, CallError>,
  { account }: Asked,
  manner: Events.Manner
): Pull<Uint8Array, never> => {
  let isOver = false
  const last = (event: Uint8Array) => {
    isOver = true
    return Effect.succeed(Chunk.of(event))
  }
  return Effect.suspend(() =>
    isOver ? noMore : matchPull(pull, {
      onElements: (chunks) => Effect.succeed(Events.ofChunks(chunks, manner)),
      onEnd: () => last(Events.done),
      onError: (error) => {
        const refusal = ofCall(error)
        account.error = refusal.code
        return last(Events.brokenChat(refusal))
      }
    })
  )
}

const streamed = (
  asked: Asked,
  request: ChatRequest
): Effect.Effect<HttpServerResponse.HttpServerResponse, Refusal, Scope.Scope> =>
  Effect.matchEffect(open(asked, request), {
    onFailure: refuse,
    onSuccess: (pull) =>
      answerAt((created) => {
        const withUsage = wantsUsage(request)
        return Events.respond(Stream.repeatEffectChunkOption(eventsOf(pull, asked, { created, withUsage })))
      })
  })

/** The answer to a chat. */
export const answer = (asked: Asked): Effect.Effect<HttpServerResponse.HttpServerResponse, Refusal, Scope.Scope> =>
  Either.match(requestOf(asked), {
    onLeft: Effect.fail,
    onRight: (request) => request.stream === true ? streamed(asked, request) : plain(asked, request)
  })
