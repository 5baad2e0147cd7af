/**
 * `gateway --demo`: a configuration for a newcomer, whose providers are a local server that fails on purpose.
 *
 * The alias has a first model that is always overloaded, so the one request that anybody tries first shows what a gateway
 * is for. Each of the others shows one fault, by its name.
 */
import type { AnsiDoc } from "@effect/printer-ansi/AnsiDoc"
import * as Doc from "@effect/printer/Doc"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as GatewayConfig from "../../gateway/GatewayConfig.js"
import * as FaultServer from "../../testing/FaultServer.js"
import { UsageError } from "../errors.js"
import { dim, title } from "../text.js"

const passthrough = [
  "demo/gpt-4o-mini",
  "demo/fault-flapping-2",
  "demo/fault-slow-2s",
  "demo/fault-429-retry-after-2",
  "demo/fault-quota-exhausted",
  "demo/fault-stream-cut"
]

const fileOf = (url: string) => ({
  providers: {
    demo: { type: "openai", baseUrl: `${url}/v1` },
    claude: { type: "anthropic", baseUrl: url }
  },
  models: {
    chat: { chain: ["demo/fault-overloaded", "claude/claude-haiku-4-5"], policy: "quick" }
  },
  policies: {
    quick: { deadline: "10 seconds", retry: { maxAttempts: 2, base: "200 millis" }, onCut: "continue" }
  },
  passthrough
})

/** The configuration, with a server for it that lives as long as the scope. */
export const config: Effect.Effect<GatewayConfig.GatewayConfig, UsageError, Scope.Scope> = Effect.gen(function*() {
  const server = yield* FaultServer.make().pipe(
    Effect.mapError(({ message }) => new UsageError({ message: `The local server could not start: ${message}` }))
  )
  return yield* Effect.orDie(GatewayConfig.decode(fileOf(server.url)))
})

/** What to try, and what it shows. */
export const lines = (url: string): ReadonlyArray<AnsiDoc> => [
  title("Demo: the providers are a local server that fails on purpose. Try, from another terminal:"),
  Doc.empty,
  Doc.text(`  curl -i ${url}/v1/chat/completions -H 'content-type: application/json' \\`),
  Doc.text(`    -d '{"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}'`),
  Doc.empty,
  Doc.text("The first model of the chain is overloaded, is asked twice, and gives up. The answer is from the second:"),
  Doc.text(
    "see x-resilience-model, x-resilience-attempts and x-resilience-fallbacks among the headers. The other models"
  ),
  Doc.text("show a fault each, by their names. Set \"stream\": true for a stream."),
  dim("Ctrl-C ends it.")
]
