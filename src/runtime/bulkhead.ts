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

  private leave(): void {
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
   * Runs `self` in a slot. When none is free, `whenFull` decides: it fails, or it waits `inLine`, for as long as it likes
   * to.
   */
  withSlot<A, E, R, E2, R2>(
    self: Effect.Effect<A, E, R>,
    whenFull: (inLine: Effect.Effect<void>) => Effect.Effect<void, E2, R2>
  ): Effect.Effect<A, E | E2, R | R2> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const run = Effect.onExit(restore(self), () => Effect.sync(() => this.leave()))
        if (this.taken < this.limit) {
          this.taken += 1
          return run
        }
        const waiter: Waiter = { granted: false, wake: () => {} }
        const inLine = Effect.async<void>((resume) => {
          waiter.wake = () => resume(Effect.void)
          this.line.add(waiter)
        })
        return restore(whenFull(inLine)).pipe(
          Effect.tapErrorCause(() => Effect.sync(() => this.abandon(waiter))),
          Effect.zipRight(run)
        )
      })
    )
  }
}
