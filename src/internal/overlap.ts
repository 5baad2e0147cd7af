/**
 * Joins a continuation to what was delivered of an answer that was cut.
 *
 * A model that is asked to go on goes on, or repeats the last words first, or starts the whole answer anew. The end of
 * the one text that is the beginning of the other is taken out, the longest there is, if that is no coincidence: 12
 * characters, or the whole of a shorter text from 4 characters on. What is shorter stays: to lose half a word is worse
 * than to read a word twice.
 *
 * Providers refuse an answer to be continued that ends with whitespace, so the continuation is asked for without it, and
 * is likely to begin with it. What of it comes again is taken out too, and it does not count for the 12 characters.
 *
 * To find the overlap is to search what was delivered for the continuation, a character of which is known at a time:
 * where the search stands at the end of the text, what it has matched is the longest overlap. As Knuth, Morris and
 * Pratt do it, no character of either text is looked at again, however often they repeat themselves. While all of the
 * continuation is found, it is held back, unless it is found too late to be more than a coincidence; as a rule, a word
 * or two decide.
 */

const MINIMUM = 12
const MINIMUM_OF_WHOLE = 4

class Search {
  /** The continuation so far; it is never longer than the text while the search goes on. */
  private readonly pattern: Uint16Array
  /** For each length of the pattern, less one: how much of its end is its beginning too. */
  private readonly borders: Uint32Array
  /** The shortest overlap that is clear. */
  private readonly minimum: number
  private length = 0
  /** Where in the text the search is, and how much of the pattern ends there. */
  private at = 0
  private matched = 0

  constructor(private readonly text: string) {
    this.pattern = new Uint16Array(text.length)
    this.borders = new Uint32Array(text.length)
    this.minimum = Math.min(MINIMUM, Math.max(text.length, MINIMUM_OF_WHOLE))
  }

  /** The longest overlap that may still be found; once the search is over, that which was. 0 when it is not clear. */
  get overlap(): number {
    const longest = this.text.length - this.at + this.matched
    return longest >= this.minimum ? longest : 0
  }

  get over(): boolean {
    return this.at === this.text.length || this.overlap === 0
  }

  push(code: number): void {
    this.pattern[this.length] = code
    if (this.length > 0) this.borders[this.length] = this.extend(this.border(this.length), code)
    this.length++
    while (this.matched < this.length && this.at < this.text.length) this.step()
  }

  /** The continuation ended: it can only overlap as far as it goes. */
  end(): void {
    while (this.at < this.text.length) {
      if (this.matched === this.length) this.matched = this.border(this.length)
      this.step()
    }
  }

  private step(): void {
    this.matched = this.extend(this.matched, this.text.charCodeAt(this.at))
    this.at++
  }

  private border(length: number): number {
    return this.borders[length - 1] ?? 0
  }

  private extend(matched: number, code: number): number {
    let length = matched
    while (length > 0 && this.pattern[length] !== code) length = this.border(length)
    return this.pattern[length] === code ? length + 1 : 0
  }
}

export class Overlap {
  /** None when it is over. */
  private search: Search | undefined
  private held: Array<string> = []
  /** The whitespace at the end of what was delivered that may come again. */
  private space: string

  /** @param delivered what the continuation was asked for by `delivered.trimEnd()` */
  constructor(delivered: string) {
    const text = delivered.trimEnd()
    this.space = delivered.slice(text.length)
    const search = new Search(text)
    this.search = search.over ? undefined : search
  }

  /** The next piece of the continuation. Gives what is new as far as that is known. */
  push(piece: string): string {
    if (this.search === undefined) return this.withoutSpace(piece)
    this.held.push(piece)
    for (let at = 0; at < piece.length; at++) {
      this.search.push(piece.charCodeAt(at))
      if (this.search.over) return this.settle(this.search.overlap)
    }
    return ""
  }

  /** The continuation ended. Gives what was held back. */
  end(): string {
    if (this.search === undefined) return ""
    this.search.end()
    return this.settle(this.search.overlap)
  }

  private settle(overlap: number): string {
    const continuation = this.held.join("")
    this.search = undefined
    this.held = []
    return this.withoutSpace(continuation.slice(overlap))
  }

  private withoutSpace(text: string): string {
    let same = 0
    while (same < Math.min(text.length, this.space.length) && text[same] === this.space[same]) same++
    this.space = same === text.length ? this.space.slice(same) : ""
    return text.slice(same)
  }
}
