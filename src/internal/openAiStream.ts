import type { Said } from "./chunks.js"
import { Ends, hasUsage, isChunk } from "./chunks.js"
import { isObject } from "./json.js"

/**
 * What the frames of a streamed Chat Completion say, one after the other.
 *
 * An answer is whole when every choice has a reason why it ended. The usage follows in a frame of its own, with every
 * server that was asked for it and knows how; `[DONE]` follows with most. Objects that are no chunks are a server's own
 * additions, and mean nothing here.
 */

export class OpenAiStream {
  private readonly ends: Ends
  private counted = false

  /** @param choices how many were asked for */
  constructor(choices = 1) {
    this.ends = new Ends(choices)
  }

  /** The answer is whole, whether or not the usage came. */
  get finished(): boolean {
    return this.ends.complete
  }

  /** Whole, and the usage came. */
  get complete(): boolean {
    return this.finished && this.counted
  }

  next(frame: unknown): Said {
    if (!isChunk(frame)) {
      return isObject(frame) && frame["choices"] === undefined ? "nothing" : "malformed"
    }
    this.ends.note(frame)
    this.counted ||= hasUsage(frame)
    return frame
  }
}
