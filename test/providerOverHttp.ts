import { FetchHttpClient, type HttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, type Layer } from "effect"
import { ChatProvider, type ProviderError } from "effect-resilience"
import { type Fault, FaultServer } from "effect-resilience/testing"

/** The clients that every provider is tried over. */
export const clients = { fetch: FetchHttpClient.layer, undici: NodeHttpClient.layerUndici }

type ProviderLayer = Layer.Layer<ChatProvider.ChatProvider, never, HttpClient.HttpClient>

/** One call of a provider to a server that meets the fault, over a real socket. */
export const asking =
  (request: ChatProvider.ChatRequest, provider: (server: FaultServer.Service, model: string) => ProviderLayer) =>
  (fault: Fault.Fault, policy: (layer: ProviderLayer) => ProviderLayer = (layer) =>
    layer) =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", fault)
      const result = yield* ChatProvider.complete(request).pipe(
        Effect.either,
        Effect.provide(policy(provider(server, "m")))
      )
      return { server, result, attempts: yield* server.attempts }
    })

/** `ServerError Truncated 200`. */
export const describeError = (error: ProviderError.CallError): string =>
  [
    error._tag,
    "reason" in error ? error.reason : "scope" in error ? error.scope : undefined,
    "status" in error ? error.status : undefined
  ]
    .filter((part) => part !== undefined).join(" ")
