/** The same policies around an effect of your own. */
import { Duration, Effect } from "effect"
import { ProviderError, Resilience, RetryPolicy } from "effect-resilience"

// Any effect whose errors say what they are, in the terms of the library.
export const embed = (text: string): Effect.Effect<ReadonlyArray<number>, ProviderError.ProviderError> =>
  text === ""
    ? new ProviderError.ClientError({ message: "nothing to embed", reason: "InvalidRequest" })
    : Effect.succeed([text.length])

// Policies that belong together: retries, and a limit for each attempt.
export const program = Effect.gen(function*() {
  const resilience = yield* Resilience.make({ attemptTimeout: "10 seconds", retry: { maxAttempts: 3 } })
  return yield* embed("Hello").pipe(resilience.protect)
})

// Or only the schedule, with Effect's own retry.
export const retried = embed("Hello").pipe(
  Effect.retry(RetryPolicy.make({ base: Duration.millis(200), jitter: "equal" }))
)
