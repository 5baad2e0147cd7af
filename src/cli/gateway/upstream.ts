/**
 * The HTTP client that asks the providers: undici, whose connections are many and have no limits of their own.
 *
 * How long an answer may take, until its headers or until its end, is for the policies of each model. How many requests
 * run at a time is too (`maxConcurrent`), so no request ever waits for a connection.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Agent } from "@effect/platform-node/Undici"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const Connections = Layer.scoped(
  NodeHttpClient.Dispatcher,
  Effect.acquireRelease(
    Effect.sync(() =>
      new Agent({
        headersTimeout: 0,
        bodyTimeout: 0,
        connect: { timeout: 10_000 },
        // A new connection costs two round trips; undici's own four seconds are shorter than most pauses.
        keepAliveTimeout: 30_000
      })
    ),
    (agent) => Effect.promise(() => agent.destroy())
  )
)

/** A client, bare of policies. */
export const layer: Layer.Layer<HttpClient.HttpClient> = NodeHttpClient.layerUndiciWithoutDispatcher.pipe(
  Layer.provide(Connections)
)
