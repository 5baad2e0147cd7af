/** The policies of the library around any HTTP client. */
import { FetchHttpClient, HttpClient } from "@effect/platform"
import { Console, Effect, Layer } from "effect"
import { ResilientHttpClient } from "effect-resilience"

// For everything that asks for an HttpClient.
export const Client = ResilientHttpClient.layer({ attemptTimeout: "20 seconds", maxConcurrent: 100 }).pipe(
  Layer.provide(FetchHttpClient.layer)
)

export const models = HttpClient.get("https://api.openai.com/v1/models").pipe(
  Effect.flatMap((response) => response.json),
  Effect.tapError((error) => Console.error(ResilientHttpClient.callError(error)?._tag ?? "not of the library")),
  Effect.provide(Client)
)
