/**
 * So many at a time, and the others wait in line or turn away.
 *
 * One slow provider must not take all the memory and sockets of a program. A slot that is free is taken at once; else
 * the caller decides whether to wait in line. A slot is handed over from the one who leaves to the one who waits
 * longest, so that no newcomer slips in between, and whoever is interrupted at the very moment of the handover passes it
 * on. Effect's semaphore wakes all waiters and lets them race, and loses permits when that race meets an interruption.
 */
import * as Effect from "effect/Effect"

/** Somebody in line. */
interface Waiter {
  /** The slot is theirs, whether they know it yet or not. */
  granted: boolean
  wake: () => void
}

/** A number of slots. */
export class Bulkhead {
  private readonly line = new Set<Waiter>()
  private taken = 0

  constructor(private readonly limit: number) {}

  /** Takes a slot if one is free. */
  tryEnter(): boolean {
    if (this.taken < this.limit) {
      this.taken += 1
      return true
    }
    return false
  }

  /** Whoever has a slot gives it back, once. */
  leave(): void {
    const [next] = this.line
    if (next === undefined) {
      this.taken -= 1
    } else {
      this.line.delete(next)
      next.granted = true
      next.wake()
    }
  }

  private abandon(waiter: Waiter): void {
    if (waiter.granted) {
      this.leave()
    } else {
      this.line.delete(waiter)
    }
  }

  /**
   * Waits for a slot, for whoever is uninterruptible but for what `wait` makes of being in line: it fails, or it waits,
   * for as long as it likes to.
   */
  enterInLine<E, R>(wait: (inLine: Effect.Effect<void>) => Effect.Effect<void, E, R>): Effect.Effect<void, E, R> {
    return Effect.suspend(() => {
      const waiter: Waiter = { granted: false, wake: () => {} }
      const inLine = Effect.async<void>((resume) => {
        waiter.wake = () => resume(Effect.void)
        this.line.add(waiter)
      })
      return Effect.tapErrorCause(wait(inLine), () => Effect.sync(() => this.abandon(waiter)))
    })
  }
}
