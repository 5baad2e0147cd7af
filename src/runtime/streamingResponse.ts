/**
 * A response whose body has begun to come, and is protected until its end.
 *
 * It comes once. Whoever asks for it as a whole may ask again, since it is kept; whoever asks for a stream of what was read
 * already is told so, and not that it was empty.
 */
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Inspectable from "effect/Inspectable"
import * as Stream from "effect/Stream"
import type { CallError } from "../ProviderError.js"
import { invalidRequest } from "../ProviderError.js"
import type { Piece } from "./httpAttempt.js"
import { brokenBody } from "./httpAttempt.js"
import type { Lease, Pull } from "./lease.js"
import { readLease } from "./lease.js"

type Error = HttpClientError.ResponseError

/** A response like the original, whose body is what is pulled; the lease ends with it. */
export class StreamingResponse extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly stream: Stream.Stream<Uint8Array, Error>
  private isRead = false
  private blob: Deferred.Deferred<Blob, Error> | undefined

  constructor(
    private readonly original: HttpClientResponse.HttpClientResponse,
    pull: Pull<Piece, CallError>,
    lease: Lease,
    isWhole: () => boolean
  ) {
    super()
    const body = readLease(pull, lease, isWhole).pipe(
      Stream.map(({ bytes }) => bytes),
      Stream.catchAll((error) => Stream.fromEffect(brokenBody(original, error)))
    )
    this.stream = Stream.suspend(() => {
      if (this.isRead) {
        return Stream.fromEffect(this.gone)
      }
      this.isRead = true
      return body
    })
  }

  get request() {
    return this.original.request
  }
  get status() {
    return this.original.status
  }
  get headers() {
    return this.original.headers
  }
  get cookies() {
    return this.original.cookies
  }
  get remoteAddress() {
    return this.original.remoteAddress
  }
  private get gone(): Effect.Effect<never, Error> {
    return brokenBody(this.original, invalidRequest("the body of this response has been read already", {}))
  }
  private get bytes(): Effect.Effect<Blob, Error> {
    return Effect.suspend(() => {
      if (this.blob !== undefined) {
        return Deferred.await(this.blob)
      }
      const blob = this.blob = Deferred.unsafeMake<Blob, Error>(FiberId.none)
      return Stream.runCollect(this.stream).pipe(
        Effect.map((chunks) => new Blob(Chunk.toArray(chunks).map((bytes) => bytes.slice()))),
        Effect.onExit((exit) => Effect.intoDeferred(Exit.isInterrupted(exit) ? this.gone : exit, blob))
      )
    })
  }
  private get whole(): Effect.Effect<HttpClientResponse.HttpClientResponse, Error> {
    return Effect.map(
      this.bytes,
      (body) =>
        HttpClientResponse.fromWeb(
          this.request,
          new Response(body, { status: this.status, headers: { ...this.headers } })
        )
    )
  }
  get text() {
    return Effect.flatMap(this.whole, (response) => response.text)
  }
  get json() {
    return Effect.flatMap(this.whole, (response) => response.json)
  }
  get arrayBuffer() {
    return Effect.flatMap(this.whole, (response) => response.arrayBuffer)
  }
  get urlParamsBody() {
    return Effect.flatMap(this.whole, (response) => response.urlParamsBody)
  }
  get formData() {
    return Effect.flatMap(this.whole, (response) => response.formData)
  }
  toJSON(): unknown {
    return this.original.toJSON()
  }
}
