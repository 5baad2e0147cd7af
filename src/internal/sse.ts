/**
 * Server-sent events, from bytes cut anywhere to whole events.
 *
 * This lies on the way of every token, so a line is found with `indexOf` in what just arrived, never in what was looked
 * at before: a line in many small pieces costs its length and no more. The field names that matter to a stream of chunks
 * are `event` and `data`; `id` and `retry` are for clients that reconnect, which a stream of tokens cannot.
 *
 * It differs from a browser in two ways. The last event counts even without its blank line, since servers forget it; if
 * the connection was cut instead, its data is no whole JSON, which tells the two apart. And a line or an event has a
 * greatest length, since a server that never ends one would take all memory.
 *
 * Source: html.spec.whatwg.org/multipage/server-sent-events.html
 */

export interface SseEvent {
  /** Empty when none was named. */
  readonly event: string
  readonly data: string
}

/** The most characters in a line, and in the data of an event, that an answer of a model is read with. */
export const MAX_FRAME = 8 * 1024 * 1024

export class SseDecoder {
  /** It drops a byte order mark at the start, and keeps the first bytes of a character until the others come. */
  private readonly decoder = new TextDecoder()
  /** The last character was CR, so an LF that comes next belongs to the same line end. */
  private afterReturn = false
  /** The beginning of a line whose end has not come. */
  private line = ""
  private event = ""
  private data: string | undefined
  private tooLong = false

  /** @param maxLength the most characters in one line, and in the data of one event */
  constructor(private readonly maxLength: number) {}

  /** A line or an event was too long. It and everything after it is left out, and nothing is held any more. */
  get overflowed(): boolean {
    return this.tooLong
  }

  /** The events that these bytes complete, in order. */
  push(bytes: Uint8Array): ReadonlyArray<SseEvent> {
    return this.read(this.decoder.decode(bytes, { stream: true }))
  }

  /** The body ended: the event that lacks its blank line, if there is one. */
  end(): ReadonlyArray<SseEvent> {
    return this.read(`${this.decoder.decode()}\n\n`)
  }

  private read(decoded: string): ReadonlyArray<SseEvent> {
    const events: Array<SseEvent> = []
    if (decoded === "" || this.tooLong) return events
    const text = decoded.includes("\r") ? decoded.replaceAll(/\r\n?/g, "\n") : decoded
    let from = this.afterReturn && decoded.startsWith("\n") ? 1 : 0
    this.afterReturn = decoded.endsWith("\r")
    for (let to = text.indexOf("\n", from); to !== -1; to = text.indexOf("\n", from)) {
      this.endLine(this.line + text.slice(from, to), events)
      if (this.tooLong) return events
      this.line = ""
      from = to + 1
    }
    this.line += text.slice(from)
    this.check(this.line)
    return events
  }

  private endLine(line: string, events: Array<SseEvent>): void {
    if (line === "") {
      if (this.data !== undefined) events.push({ event: this.event, data: this.data })
      this.event = ""
      this.data = undefined
      return
    }
    this.check(line)
    if (this.tooLong) return
    const colon = line.indexOf(":")
    const name = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? "" : line.slice(line.startsWith(" ", colon + 1) ? colon + 2 : colon + 1)
    if (name === "data") {
      this.data = this.data === undefined ? value : `${this.data}\n${value}`
      this.check(this.data)
    } else if (name === "event") {
      this.event = value
    }
  }

  private check(text: string): void {
    if (text.length <= this.maxLength) return
    this.tooLong = true
    this.line = ""
    this.event = ""
    this.data = undefined
  }
}
