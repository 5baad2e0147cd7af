/**
 * Server-sent events as bytes, handed on event by event.
 *
 * Bytes come cut anywhere, so a stream that breaks off ends in half an event. Whoever passes bytes on, and wants to say
 * something himself at the end, has to keep that half back, or what he says becomes a part of it. It is kept in the pieces
 * it came in: an event in many small ones costs its length and no more.
 */

const LF = 10
const CR = 13

/** An event ends with an empty line, so the last three bytes tell, two of which may have come before. */
const REACH = 2

/** Where the last whole event ends; 0 if there is none. */
const endOfEvents = (bytes: Uint8Array): number => {
  for (let end = bytes.length; end > 1; end--) {
    if (bytes[end - 1] === LF && (bytes[end - 2] === LF || bytes[end - 2] === CR && bytes[end - 3] === LF)) {
      return end
    }
  }
  return 0
}

const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const [first = new Uint8Array(0), ...rest] = pieces
  if (rest.length === 0) return first
  const all = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}

export class WholeEvents {
  /** The beginning of an event whose end has not come. */
  private held: Array<Uint8Array> = []
  /** Its last bytes. */
  private tail = new Uint8Array(0)

  /** The bytes of the events that are whole now. */
  push(bytes: Uint8Array): Uint8Array {
    const seen = joined([this.tail, bytes])
    const end = endOfEvents(seen)
    if (end === 0) {
      this.held.push(bytes)
      this.tail = seen.slice(-REACH)
      return new Uint8Array(0)
    }
    const whole = joined([...this.held, bytes.subarray(0, end - this.tail.length)])
    const after = seen.slice(end)
    this.held = after.length === 0 ? [] : [after]
    this.tail = after.slice(-REACH)
    return whole
  }

  /** What is left at a good end, where the last event may lack its empty line. */
  get rest(): Uint8Array {
    return joined(this.held)
  }
}
