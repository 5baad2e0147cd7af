import { it } from "@effect/vitest"
import { strictEqual } from "@effect/vitest/utils"
import { Effect, Layer } from "effect"
import { FaultServer } from "effect-resilience/testing"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { serve } from "../../examples/gateway.js"

const freePort = Effect.async<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "gateway-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

it.scopedLive("the gateway can be served by a program", () =>
  Effect.gen(function*() {
    const upstream = yield* FaultServer.make()
    const port = yield* freePort
    const file = join(yield* folder, "gateway.yaml")
    writeFileSync(
      file,
      `listen: { port: ${port} }
providers: { local: { type: openai, baseUrl: "${upstream.url}/v1" } }
models: { chat: { chain: [local/fault-500, local/gpt-4o], policy: quick } }
policies: { quick: { retry: { maxAttempts: 1 } } }`
    )
    yield* Layer.build(serve(file))
    const response = yield* Effect.promise(() =>
      fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "chat", messages: [{ role: "user", content: "Hello" }] })
      })
    )
    strictEqual(response.headers.get("x-resilience-model"), "gpt-4o")
  }))
