/** The gateway in a server of your own. */
import { FetchHttpClient, HttpServer } from "@effect/platform"
import { NodeFileSystem, NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { Gateway, GatewayConfig } from "effect-resilience/gateway"
import { createServer } from "node:http"

// An HTTP app like any other: mount it beside routes of yours, behind middleware of yours.
export const serve = (file: string) =>
  Layer.unwrapScoped(Effect.gen(function*() {
    const config = yield* GatewayConfig.load(file)
    const gateway = yield* Gateway.make(config)
    return HttpServer.serve(gateway.app).pipe(
      Layer.provide(NodeHttpServer.layer(createServer, config.listen))
    )
  })).pipe(Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer]))
