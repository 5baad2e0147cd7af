import { Ends, hasOutput, isChunk } from "./chunks.js"
import { isObject, parseJson } from "./json.js"
import { MAX_FRAME, SseDecoder } from "./sse.js"

/**
 * What passes by in a stream of events that somebody else will read.
 *
 * Whoever hands the bytes of an answer on unread still has to know three things of it: whether the model has said
 * anything, whether an error came in the place of an answer, and whether the answer was whole when the connection ended.
 * Each protocol says these in its own way: Chat Completions by `finish_reason` and `[DONE]`, Messages by `message_stop`,
 * Responses by `response.completed`. Of a protocol not known here every event counts as output, and any end is a good one.
 */

/** Events that say that an answer will come, and nothing of it. */
const silent: ReadonlyArray<unknown> = [
  "ping",
  "keepalive",
  "message_start",
  "content_block_start",
  "response.created",
  "response.queued",
  "response.in_progress",
  "response.output_item.added",
  "response.content_part.added",
  "response.reasoning_summary_part.added"
]

const ends: ReadonlyArray<unknown> = ["message_stop", "response.completed", "response.incomplete", "response.failed"]

const isOfKnownProtocol = (type: unknown): boolean =>
  typeof type === "string" && /^(response\.|message_|content_block_)/.test(type)

export class EventWatcher {
  private readonly decoder = new SseDecoder(MAX_FRAME)
  private readonly finished = new Ends()
  private known = false
  private done = false
  private failed = false
  /** How many events said something so far. */
  outputs = 0

  /** @param isError is the decoded data of an event an error? What comes after one is not watched any more */
  constructor(private readonly isError: (frame: unknown) => boolean) {}

  push(bytes: Uint8Array): void {
    this.watch(this.decoder.push(bytes))
  }

  end(): void {
    this.watch(this.decoder.end())
  }

  /** A line that never ends: this is no stream of events. */
  get overflowed(): boolean {
    return this.decoder.overflowed
  }

  /** Did the answer end as its protocol says? */
  get isWhole(): boolean {
    return !this.failed && (this.done || this.finished.complete)
  }

  /** The connection ended: was that too early? */
  get isTruncated(): boolean {
    return this.known && !this.done && !this.finished.complete
  }

  private watch(events: ReadonlyArray<{ readonly data: string }>): void {
    for (const { data } of events) {
      if (data.trim() === "[DONE]") {
        this.known = this.done = true
        continue
      }
      const frame = parseJson(data)?.value
      if (this.failed || this.isError(frame)) {
        this.failed = true
        return
      }
      this.take(frame)
    }
  }

  private take(frame: unknown): void {
    if (isChunk(frame)) {
      this.known = true
      this.finished.note(frame)
      this.outputs += hasOutput(frame) ? 1 : 0
      return
    }
    const type = isObject(frame) ? frame["type"] : undefined
    this.known ||= isOfKnownProtocol(type)
    this.done ||= ends.includes(type)
    this.outputs += silent.includes(type) || ends.includes(type) ? 0 : 1
  }
}
