/**
 * The HTTP client that asks the providers: undici, whose connections are many and have no limits of their own.
 *
 * How long an answer may take, until its headers or until its end, is for the policies of each model. How many requests
 * run at a time is too (`maxConcurrent`), so no request ever waits for a connection.
 *
 * `@effect/platform-node` has such a client, for all that a program may want of one: it reads a body in a fiber that can
 * be shared, the headers each time they are looked at, and merges two contexts for each request. That came to a seventh
 * of what the whole gateway costs, so here is undici behind the same interface with no more than the gateway needs.
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import type { Dispatcher } from "@effect/platform-node/Undici"
import { Agent } from "@effect/platform-node/Undici"
import * as Cookies from "@effect/platform/Cookies"
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { EventEmitter } from "node:events"
import { rememberLast } from "../../internal/rememberLast.js"

const connections = Effect.acquireRelease(
  Effect.sync(() =>
    new Agent({
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: 10_000 },
      // A new connection costs two round trips; undici's own four seconds are shorter than most pauses.
      keepAliveTimeout: 30_000
    })
  ),
  (agent) => Effect.promise(() => agent.destroy())
)

/**
 * `Effect.async`, for what ends at the latest with its fiber: the connection of a fiber that was interrupted is closed,
 * whether it was waiting for the answer just then or had not begun to read it. To interrupt the wait alone would cost
 * twice as much, and leave open what nobody goes on to read.
 */
const asyncOrClose = <A, E>(
  close: () => void,
  register: (resume: (effect: Effect.Effect<A, E>) => void) => void
): Effect.Effect<A, E> =>
  Effect.withFiberRuntime((fiber) => {
    fiber.addObserver((exit) => {
      if (Exit.isInterrupted(exit)) {
        close()
      }
    })
    return Effect.async(register)
  })

type Body<A> = Effect.Effect<A, HttpClientError.ResponseError>

class UpstreamResponse extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly status: number
  readonly headers: Headers.Headers
  readonly remoteAddress = Option.none<string>()
  private whole: Promise<string> | undefined

  constructor(readonly request: HttpClientRequest.HttpClientRequest, private readonly source: Dispatcher.ResponseData) {
    super()
    this.status = source.statusCode
    this.headers = Headers.fromInput(source.headers)
    // Told to whoever reads the body; one that nobody reads any more must not end the process.
    source.body.on("error", () => {})
  }

  private readonly unreadable = (cause: unknown) =>
    new HttpClientError.ResponseError({ request: this.request, response: this, reason: "Decode", cause })

  private read<A>(body: () => Promise<A>): Body<A> {
    return asyncOrClose(() => this.source.body.destroy(), (resume) => {
      body().then((read) => resume(Effect.succeed(read)), (cause) => resume(Effect.fail(this.unreadable(cause))))
    })
  }

  get text(): Body<string> {
    return this.read(() => this.whole ??= this.source.body.text())
  }

  get json(): Body<unknown> {
    return Effect.tryMap(this.text, { try: (text): unknown => JSON.parse(text), catch: this.unreadable })
  }

  get urlParamsBody(): Body<UrlParams.UrlParams> {
    return Effect.map(this.text, (text) => UrlParams.fromInput(new URLSearchParams(text)))
  }

  get arrayBuffer(): Body<ArrayBuffer> {
    return this.read(() => this.source.body.arrayBuffer())
  }

  get formData(): Body<FormData> {
    return this.read(() => this.source.body.formData())
  }

  get stream(): Stream.Stream<Uint8Array, HttpClientError.ResponseError> {
    const { body } = this.source
    // What broke before anybody read it would be taken for a body without a byte.
    return Stream.suspend(() =>
      body.errored === null
        ? NodeStream.fromReadable(() => body, this.unreadable)
        : Stream.fail(this.unreadable(body.errored))
    )
  }

  get cookies(): Cookies.Cookies {
    return Cookies.fromSetCookie(this.source.headers["set-cookie"] ?? [])
  }

  /** Without headers and body, which may say what nobody else is to know. */
  toJSON(): unknown {
    return { _id: "UpstreamResponse", status: this.status }
  }
}

/** The gateway writes its requests as bytes, all of them. */
const bytesOf = ({ body }: HttpClientRequest.HttpClientRequest): Uint8Array | null | undefined =>
  body._tag === "Uint8Array" ? body.body : body._tag === "Empty" ? null : undefined

const urlOf = rememberLast((url: string, params: UrlParams.UrlParams) => UrlParams.makeUrl(url, params, Option.none()))

/** Sends a request, until the headers of its answer have come. */
const send = (
  agent: Agent,
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<UpstreamResponse, HttpClientError.RequestError> => {
  const failed = (reason: "Encode" | "InvalidUrl" | "Transport", cause: unknown) =>
    new HttpClientError.RequestError({ request, reason, cause })
  const body = bytesOf(request)
  if (body === undefined) {
    return Effect.fail(failed("Encode", `a body of bytes was expected, not one of ${request.body._tag}`))
  }
  const url = urlOf(request.url, request.urlParams)
  if (Either.isLeft(url)) {
    return Effect.fail(failed("InvalidUrl", url.left))
  }
  const { origin, pathname, search } = url.right
  const { headers, method } = request
  return Effect.suspend(() => {
    const signal = new EventEmitter()
    const options = { origin, path: pathname + search, method, headers, body, signal }
    return asyncOrClose(() => signal.emit("abort"), (resume) => {
      agent.request(options, (cause, source) =>
        resume(
          cause === null
            ? Effect.succeed(new UpstreamResponse(request, source))
            : Effect.fail(failed("Transport", cause))
        ))
    })
  })
}

const make = (agent: Agent): HttpClient.HttpClient =>
  HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
    Effect.flatMap((request) => send(agent, request)),
    Effect.succeed
  )

/** A client, bare of policies. */
export const layer: Layer.Layer<HttpClient.HttpClient> = Layer.scoped(
  HttpClient.HttpClient,
  Effect.map(connections, make)
)
