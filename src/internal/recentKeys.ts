/**
 * Values by key, for a bounded number of keys: the one least recently used makes room for a new one.
 *
 * The entries are a list from the oldest use to the newest, so that a use costs the same for any number of keys. A `Map`
 * alone, which remembers the order of insertion, would do for few: but to find its first key it steps over every key
 * that was deleted before, which is as many as it holds.
 */

interface Entry<A> {
  readonly key: string
  readonly value: A
  older: Entry<A> | undefined
  newer: Entry<A> | undefined
}

export class RecentKeys<A> {
  private readonly entries = new Map<string, Entry<A>>()
  private oldest: Entry<A> | undefined
  private newest: Entry<A> | undefined

  constructor(private readonly capacity: number) {}

  get size(): number {
    return this.entries.size
  }

  /** A look that is no use. */
  peek(key: string): A | undefined {
    return this.entries.get(key)?.value
  }

  /** Uses a key, with a new value if it has none. */
  use(key: string, make: () => A): A {
    const known = this.entries.get(key)
    if (known === undefined) {
      const entry: Entry<A> = { key, value: make(), older: undefined, newer: undefined }
      this.entries.set(key, entry)
      this.append(entry)
      if (this.entries.size > this.capacity && this.oldest !== undefined) {
        this.entries.delete(this.oldest.key)
        this.unlink(this.oldest)
      }
      return entry.value
    }
    if (known !== this.newest) {
      this.unlink(known)
      this.append(known)
    }
    return known.value
  }

  private append(entry: Entry<A>): void {
    entry.older = this.newest
    entry.newer = undefined
    if (this.newest === undefined) {
      this.oldest = entry
    } else {
      this.newest.newer = entry
    }
    this.newest = entry
  }

  private unlink({ newer, older }: Entry<A>): void {
    if (older === undefined) {
      this.oldest = newer
    } else {
      older.newer = newer
    }
    if (newer === undefined) {
      this.newest = older
    } else {
      newer.older = older
    }
  }
}
