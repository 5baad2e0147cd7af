/**
 * What the server's own spans say of a request, and of which requests there is nothing to say.
 *
 * A span has the headers of the request, and some of them are the client's secrets, or stand for its users.
 */
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as Effect from "effect/Effect"
import { locally } from "../../runtime/bracket.js"
import { redacting } from "../../runtime/secrets.js"
import { isCollecting, untraced } from "../../runtime/spans.js"

/** What machines ask for every few seconds. */
const routine: ReadonlyArray<string> = ["/health", "/ready", "/metrics"]

/**
 * For the effect that makes the server's handler. A span that nobody collects is not made. What is said here once for all
 * requests, of the spans of those upstream as well, need not be said with each.
 */
export const discreet = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Effect.tracer,
    (tracer) =>
      locally(self, redacting(["idempotency-key", "x-budget-key"]), untraced).pipe(
        Effect.locally(
          HttpMiddleware.currentTracerDisabledWhen,
          ({ url }) => !isCollecting(tracer) || routine.includes(url)
        )
      )
  )
