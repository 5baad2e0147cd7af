/**
 * A request for a model, from what came over the wire to what is known of it.
 *
 * Each step can refuse it, the cheap ones first: who sent it, what it says it is, how long it is, whether it can be read,
 * and whether there is such a model. What is refused here was never sent to anybody.
 */
import type * as Headers from "@effect/platform/Headers"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { JsonObject } from "../../internal/json.js"
import { isDeeper, isObject, parseJson } from "../../internal/json.js"
import { inContext } from "../../runtime/bracket.js"
import type { ForCaller } from "../../runtime/caller.js"
import { asCaller } from "../../runtime/caller.js"
import type { GatewayConfig } from "../GatewayConfig.js"
import type { Account } from "./account.js"
import type { Client } from "./clients.js"
import { foreign, unauthorized } from "./guard.js"
import type { Served } from "./models.js"
import type { Refusal } from "./refusals.js"
import { invalid } from "./refusals.js"
import * as Wishes from "./wishes.js"

/** What every request for a model says. */
export interface Body {
  readonly [key: string]: unknown
  readonly model: string
}

export interface Asked {
  readonly client: Client
  readonly wishes: Wishes.Wishes
  readonly account: Account
  readonly served: Served
  readonly headers: Headers.Headers
  readonly body: Body
}

/** What requests are measured against. */
export interface House {
  readonly config: GatewayConfig
  /** Who it is, by what its `Authorization` says. */
  readonly clientOf: (authorization: string | undefined) => Option.Option<Client>
  readonly models: ReadonlyMap<string, Served>
}

/** In bytes: room for the images that providers take in one request. */
const MAX_BODY = 32 * 1024 * 1024

/**
 * In bytes: what most requests have, and what comes in few pieces. The platform gathers bytes by copying all it has with
 * each piece, and a text at a cost of its own, since it keeps it for whoever asks again.
 */
const SMALL_BODY = 256 * 1024

/** Far from what a schema of tools needs, and from what the stack takes. */
const MAX_DEPTH = 256

const tooLarge = invalid(
  413,
  "request_too_large",
  "The body is larger than 32 MiB, which is the most this gateway takes."
)

/** Which nobody is left to be told. */
const brokenOff = invalid(400, "incomplete_request", "The request ended before its body.")

/** Who sent it. */
export const clientOf = (
  headers: Headers.Headers,
  { clientOf, config }: House
): Effect.Effect<Client, Refusal> => {
  const refusal = foreign(headers, config)
  return refusal === undefined
    ? Option.match(clientOf(headers["authorization"]), {
      onNone: () => Effect.fail(unauthorized),
      onSome: Effect.succeed
    })
    : Effect.fail(refusal)
}

const isJson = (contentType: string | undefined): boolean => /^application\/json *(;|$)/i.test(contentType ?? "")

/**
 * A text whose length was not told. What is too much of it is read as well, or the client would find its connection closed
 * in the place of an answer; how long that may take is for the server.
 */
const unmeasured = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<string, Refusal> =>
  Effect.suspend(() => {
    const decoder = new TextDecoder()
    let length = 0
    let text = ""
    return request.stream.pipe(
      Stream.runForEach((bytes) =>
        Effect.sync(() => {
          length += bytes.length
          text = length > MAX_BODY ? "" : text + decoder.decode(bytes, { stream: true })
        })
      ),
      Effect.mapError(() => brokenOff),
      Effect.flatMap(() => length > MAX_BODY ? Effect.fail(tooLarge) : Effect.succeed(text + decoder.decode()))
    )
  })

const isBody = (body: JsonObject): body is Body => typeof body.model === "string"

const bodyIn = (text: string): Effect.Effect<Body, Refusal> => {
  const body = parseJson(text)?.value
  return !isObject(body)
    ? Effect.fail(invalid(400, "invalid_json", "The body is no JSON object."))
    : isDeeper(body, MAX_DEPTH)
    ? Effect.fail(invalid(400, "invalid_json", `The body has more than ${MAX_DEPTH} levels.`))
    : isBody(body)
    ? Effect.succeed(body)
    : Effect.fail(invalid(400, "missing_required_parameter", "model: expected the name of a model.", "model"))
}

/** What a request says its length is, it is: the server's parser of HTTP sees to that. */
const bodyOf = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<Body, Refusal> => {
  if (!isJson(request.headers["content-type"])) {
    return Effect.fail(invalid(415, "unsupported_media_type", "Send the request as application/json."))
  }
  const length = request.headers["content-length"]
  if (length === undefined) {
    return Effect.flatMap(unmeasured(request), bodyIn)
  }
  if (Number(length) > MAX_BODY) {
    return Effect.fail(tooLarge)
  }
  const onFailure = () => Effect.fail(brokenOff)
  return Number(length) > SMALL_BODY
    ? Effect.matchEffect(request.text, { onFailure, onSuccess: bodyIn })
    : Effect.matchEffect(request.arrayBuffer, {
      onFailure,
      onSuccess: (bytes) => bodyIn(new TextDecoder().decode(bytes))
    })
}

const servedOf = ({ model }: Body, { models }: House): Effect.Effect<Served, Refusal> => {
  const served = models.get(model)
  return served === undefined
    ? Effect.fail(
      invalid(404, "model_not_found", "There is no such model here. GET /v1/models names those there are.", "model")
    )
    : Effect.succeed(served)
}

/** Lets the request in, until its account closes. */
export const read = (
  request: HttpServerRequest.HttpServerRequest,
  account: Account,
  house: House
): Effect.Effect<Asked, Refusal> =>
  Effect.gen(function*() {
    const { headers } = request
    const client = yield* clientOf(headers, house)
    account.client = client.name
    const wishes = yield* Wishes.read(headers)
    const full = client.admit(account)
    if (full !== undefined) {
      return yield* Effect.fail(full)
    }
    const body = yield* bodyOf(request)
    const served = yield* servedOf(body, house)
    account.model = served.config.name
    return { client, wishes, account, served, headers, body }
  })

/** The context of what is done at the client's expense, and told by the account. */
const contextFor = ({ account, client, wishes }: Asked) => {
  const granted = Wishes.granted(wishes, client)
  return <R>(context: Context.Context<R>): Context.Context<R> => account.keeping(granted(context))
}

/** Does what was asked, at the client's expense; what comes of it is told by the account. */
export const inTheNameOf = (asked: Asked) => {
  const insideOf = contextFor(asked)
  return <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => inContext(self, insideOf)
}

/** `inTheNameOf` of what is done for a caller. */
export const callInTheNameOf = (asked: Asked) => {
  const insideOf = contextFor(asked)
  return <A, E, R>(make: ForCaller<A, E, R>): Effect.Effect<A, E, R> =>
    asCaller((caller) => make({ ...caller, context: insideOf(caller.context) }))
}
