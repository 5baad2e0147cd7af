/**
 * Chat Completions: asks the chain of the model, plain or as a stream.
 *
 * A stream is opened up to its first output before anything is answered. Until then it can fail as a plain call does, with
 * a status, and the headers can say who answered. After that the status is sent, and a failure is an event.
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ChatChunk } from "../../ChatProvider.js"
import { ChatRequest } from "../../ChatProvider.js"
import * as Deadline from "../../Deadline.js"
import type { CallError } from "../../ProviderError.js"
import type { Pull } from "../../runtime/lease.js"
import { pullsOf, readFirst } from "../../runtime/opening.js"
import type { Asked } from "./asked.js"
import { inTheNameOf } from "./asked.js"
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

/** In seconds. Not every provider says when it answered, and strict clients cannot read an answer that does not. */
const now: Effect.Effect<number> = Effect.map(Clock.currentTimeMillis, (millis) => Math.floor(millis / 1000))

const plain = (asked: Asked, request: ChatRequest): Effect.Effect<HttpServerResponse.HttpServerResponse, CallError> => {
  const { served, wishes } = asked
  const answer = served.chat.complete(request)
  return (wishes.deadline === undefined ? answer : Deadline.within(answer, wishes.deadline)).pipe(
    inTheNameOf(asked),
    Effect.zipWith(now, (response, created) => HttpServerResponse.unsafeJson({ created, ...response }))
  )
}

/** Opens the stream; what is read of it later is part of the same call. */
const open = (
  asked: Asked,
  request: ChatRequest
): Effect.Effect<Pull<ChatChunk, CallError>, CallError, Scope.Scope> => {
  const { served, wishes } = asked
  const opened = Effect.gen(function*() {
    const context = yield* Effect.context<never>()
    const pull = yield* Stream.toPull(served.chat.stream(request))
    return pullsOf(yield* readFirst(Effect.provide(pull, context), () => true))
  })
  return (wishes.deadline === undefined ? opened : Deadline.withinOpening(opened, wishes.deadline)).pipe(
    inTheNameOf(asked)
  )
}

const wantsUsage = ({ stream_options: options }: ChatRequest): boolean =>
  Predicate.isRecord(options) && options.include_usage === true

const streamed = (
  asked: Asked,
  request: ChatRequest
): Effect.Effect<HttpServerResponse.HttpServerResponse, CallError, Scope.Scope> =>
  Effect.zipWith(open(asked, request), now, (pull, created) =>
    Events.respond(
      Stream.fromPull(Effect.succeed(pull)).pipe(
        Stream.mapChunks((chunks) => Events.ofChunks(chunks, { created, withUsage: wantsUsage(request) })),
        Stream.concat(Stream.make(Events.done)),
        Stream.catchAll((error) => {
          const refusal = ofCall(error)
          asked.account.error = refusal.code
          return Stream.make(Events.brokenChat(refusal))
        })
      )
    ))

/** The answer to a chat. */
export const answer = (asked: Asked): Effect.Effect<HttpServerResponse.HttpServerResponse, Refusal, Scope.Scope> =>
  Effect.flatMap(
    requestOf(asked),
    (request) => Effect.mapError(request.stream === true ? streamed(asked, request) : plain(asked, request), ofCall)
  )
