/**
 * Who presses Ctrl-C twice wants the program to end now.
 *
 * One press can come as two signals: the terminal sends it to every process in the foreground, and npm, which is one of
 * them, passes it on. So what follows within half a second is the same press.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

const SAME_PRESS = 500

/** Looks out for signals while the scope is open. What it gives waits for the second one. */
export const second: Effect.Effect<Effect.Effect<void>, never, Scope.Scope> = Effect.gen(function*() {
  const again = yield* Deferred.make<void>()
  let first: number | undefined
  const received = () => {
    const now = performance.now()
    first ??= now
    if (now - first > SAME_PRESS) {
      Deferred.unsafeDone(again, Effect.void)
    }
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGINT", received).on("SIGTERM", received)),
    () => Effect.sync(() => process.off("SIGINT", received).off("SIGTERM", received))
  )
  return Deferred.await(again)
})
