/**
 * The body of a streamed answer, from bytes to chunks, and to the one end that counts.
 *
 * A connection that ends tells nothing: servers and proxies end it when they fail, too. Only the protocol's own end makes
 * an answer whole, so it is what is looked for, and a body without it is truncated. What comes after that end (the usage,
 * `[DONE]`) is good to have, but nothing to fail for, nor to wait long for. One frame that cannot be read is skipped,
 * since the end will tell whether the answer is whole; two are no accident.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ChatChunk } from "../ChatProvider.js"
import type { Activity } from "../internal/activity.js"
import type { Said } from "../internal/chunks.js"
import { parseJson } from "../internal/json.js"
import type { SseEvent } from "../internal/sse.js"
import { MAX_FRAME, SseDecoder } from "../internal/sse.js"
import type { ProviderError } from "../ProviderError.js"
import { clockOf } from "./caller.js"
import type { Pull } from "./lease.js"
import { matchPull, noMore } from "./lease.js"

/** How long is waited for what comes after the end. */
const AFTER_END = "1 second"

/** How a protocol reads the frames of one answer, in order. */
export interface FrameReader {
  readonly next: (frame: unknown) => Said
  /** The answer is whole, though more may come. Left out by a protocol whose last frame says so. */
  readonly finished?: boolean
  /** Nothing worth waiting for still comes. */
  readonly complete?: boolean
}

/** What is read, and what may go wrong with it. */
export interface Body {
  readonly bytes: Pull<Uint8Array, ProviderError>
  readonly reader: FrameReader
  /** The error that a frame carries, if it does. */
  readonly inBand: (frame: unknown) => ProviderError | undefined
  readonly malformed: () => ProviderError
  readonly truncated: () => ProviderError
  /** The protocol said that it is over. The body may have an end of its own still to come. */
  readonly onWhole: () => void
  /** A frame was left out. */
  readonly onSkipped: () => void
  readonly activity: Activity | undefined
}

class EventStream {
  private readonly decoder = new SseDecoder(MAX_FRAME)
  private skipped = 0
  /** How it ends, once that is known: what came before goes first. */
  private end: Pull<never, ProviderError> | undefined

  constructor(private readonly body: Body) {}

  private finish(): void {
    this.end = noMore
    this.body.onWhole()
  }

  private fail(error: ProviderError): void {
    this.end = this.body.reader.finished === true ? noMore : Effect.fail(Option.some(error))
  }

  private skip(): void {
    this.skipped += 1
    this.body.onSkipped()
    if (this.skipped > 1) {
      this.fail(this.body.malformed())
    }
  }

  private take({ data }: SseEvent, chunks: Array<ChatChunk>): void {
    const { inBand, reader } = this.body
    if (data.trim() === "[DONE]") {
      return this.finish()
    }
    const frame = parseJson(data)
    const error = frame === undefined ? undefined : inBand(frame.value)
    if (error !== undefined) {
      return this.fail(error)
    }
    const said = frame === undefined ? "malformed" : reader.next(frame.value)
    if (said === "ended") {
      this.finish()
    } else if (said === "malformed") {
      this.skip()
    } else if (said !== "nothing") {
      chunks.push(said)
      if (reader.complete === true) {
        this.finish()
      }
    }
  }

  private read(events: ReadonlyArray<SseEvent>, chunks: Array<ChatChunk>): void {
    for (const event of events) {
      if (this.end !== undefined) {
        return
      }
      this.take(event, chunks)
    }
    if (this.end === undefined && this.decoder.overflowed) {
      this.fail(this.body.malformed())
    }
  }

  /** After the end, bytes that are no chunk (keep-alives) do not lengthen the wait. */
  readonly pull: Pull<ChatChunk, ProviderError> = Effect.suspend(() =>
    this.end === undefined && this.body.reader.finished === true
      ? Effect.flatten(Effect.timeoutTo(this.next, {
        duration: AFTER_END,
        onSuccess: (chunks): Pull<ChatChunk, ProviderError> => Effect.succeed(chunks),
        onTimeout: () => noMore
      }))
      : this.next
  )

  private readonly next: Pull<ChatChunk, ProviderError> = Effect.suspend(() => {
    if (this.end !== undefined) {
      return this.end
    }
    const chunks: Array<ChatChunk> = []
    const given = () => chunks.length === 0 ? this.next : Effect.succeed(Chunk.unsafeFromArray(chunks))
    const ended = (error: () => ProviderError) => {
      this.read(this.decoder.end(), chunks)
      if (this.end === undefined) {
        this.fail(error())
      }
      return given()
    }
    return matchPull(this.body.bytes, {
      onElements: (bytes) =>
        Effect.withFiberRuntime((fiber) => {
          this.body.activity?.heard(clockOf(fiber).unsafeCurrentTimeNanos())
          for (const piece of bytes) {
            this.read(this.decoder.push(piece), chunks)
          }
          return given()
        }),
      onEnd: () => ended(this.body.truncated),
      onError: (error) => ended(() => error)
    })
  })
}

/** The chunks of a body. */
export const chunksOf = (body: Body): Pull<ChatChunk, ProviderError> => new EventStream(body).pull
