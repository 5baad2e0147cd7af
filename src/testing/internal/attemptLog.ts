/**
 * What came to the server and how it ended, and a way to wait for it: every change wakes those who wait, so that no test
 * needs to sleep until something has probably happened.
 */
import * as Effect from "effect/Effect"
import type { Attempt } from "../FaultServer.js"

export interface AttemptLog {
  readonly add: (attempt: Attempt) => void
  /** Changes an attempt, unless it was forgotten meanwhile. */
  readonly update: (id: string, change: Partial<Attempt>) => void
  readonly all: () => Array<Attempt>
  readonly clear: () => void
  /** To be called when something else changed that `await` may wait for. */
  readonly changed: () => void
  /** The first value other than undefined that `read` gives, now or after a change. */
  readonly await: <A>(read: () => A | undefined) => Effect.Effect<A>
}

/** Keeps the newest `limit` attempts. */
export const make = (limit: number): AttemptLog => {
  const attempts = new Map<string, Attempt>()
  const waiting = new Set<() => void>()

  const changed = () => waiting.forEach((check) => check())

  return {
    add: (attempt) => {
      attempts.set(attempt.id, attempt)
      for (const oldest of attempts.keys()) {
        if (attempts.size <= limit) {
          break
        }
        attempts.delete(oldest)
      }
      changed()
    },
    update: (id, change) => {
      const attempt = attempts.get(id)
      if (attempt !== undefined) {
        attempts.set(id, { ...attempt, ...change })
        changed()
      }
    },
    all: () => Array.from(attempts.values()),
    clear: () => {
      attempts.clear()
      changed()
    },
    changed,
    await: <A>(read: () => A | undefined) =>
      Effect.async<A>((resume) => {
        const end = (result: Effect.Effect<A>) => {
          waiting.delete(check)
          resume(result)
        }
        const check = () => {
          try {
            const found = read()
            if (found !== undefined) {
              end(Effect.succeed(found))
            }
          } catch (defect) {
            end(Effect.die(defect))
          }
        }
        waiting.add(check)
        check()
        return Effect.sync(() => {
          waiting.delete(check)
        })
      })
  }
}
