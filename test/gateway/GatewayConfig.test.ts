import { FileSystem } from "@effect/platform"
import { NodeFileSystem } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { assertFalse, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Duration, Effect, Inspectable, Redacted } from "effect"
import { Anthropic, Fallback, OpenAi, Resilience, RetryBudget } from "effect-resilience"
import * as GatewayConfig from "effect-resilience/gateway/GatewayConfig"
import { inspect } from "node:util"
import { stringify } from "yaml"
import { decode, example, inEnvironment, least, parse, refusal } from "./configuring.js"

const decoded: GatewayConfig.GatewayConfig = {
  listen: { host: "127.0.0.1", port: 8080 },
  auth: {
    keys: [{
      name: "web",
      key: Redacted.make("sk-secret-web"),
      budget: { limit: 100, per: Duration.hours(1) },
      maxConcurrent: 50
    }]
  },
  providers: {
    openai: {
      type: "openai",
      provider: "openai",
      baseUrl: "https://api.openai.com/v1",
      apiKey: Redacted.make("sk-secret-openai")
    },
    claude: { type: "anthropic", provider: "claude", apiKey: Redacted.make("sk-secret-anthropic") },
    local: { type: "openai", provider: "local", baseUrl: "http://127.0.0.1:11434/v1", prefill: true }
  },
  models: [
    {
      name: "chat",
      chain: [
        { provider: "openai", model: "gpt-4o" },
        { provider: "claude", model: "claude-3-5-sonnet-latest" },
        { provider: "claude", model: "claude-3-5-haiku-latest" }
      ],
      resilience: { maxConcurrent: 256, retry: { maxAttempts: 3 } },
      fallback: { deadline: Duration.seconds(20), onCut: "continue" }
    },
    {
      name: "openai/gpt-4o-mini",
      chain: [{ provider: "openai", model: "gpt-4o-mini" }],
      resilience: { maxConcurrent: 256 },
      fallback: { deadline: Duration.seconds(120) }
    }
  ]
}

describe("GatewayConfig", () => {
  it.effect("a file in JSON or in YAML becomes values that are ready for use", () =>
    Effect.gen(function*() {
      deepStrictEqual(yield* decode(example), decoded)
      for (const text of [JSON.stringify(example), JSON.stringify(example, null, "\t"), stringify(example)]) {
        deepStrictEqual(yield* parse(text), decoded)
      }
    }))

  it.effect("without listen it is this machine and port 8080, without auth there are no keys", () =>
    Effect.gen(function*() {
      const { auth, listen } = yield* decode(least)
      deepStrictEqual(listen, { host: "127.0.0.1", port: 8080 })
      strictEqual(auth, undefined)
      deepStrictEqual((yield* decode({ ...least, listen: { port: 0 } })).listen, { host: "127.0.0.1", port: 0 })
    }))

  it.effect("a policy has the gateway's deadline and concurrency where it says nothing of them", () =>
    Effect.gen(function*() {
      const policies = {
        plain: { idle: "5 seconds" },
        own: { maxConcurrent: 2, deadline: "5 seconds", patience: "0 seconds", maxRetryAfter: "9 seconds" }
      }
      const models = {
        none: { chain: ["local/a"] },
        plain: { chain: ["local/a"], policy: "plain" },
        own: { chain: ["local/a"], policy: "own" }
      }
      const config = yield* decode({ ...least, models, policies })
      deepStrictEqual(config.models.map(({ fallback, name, resilience }) => ({ fallback, name, resilience })), [
        { name: "none", resilience: { maxConcurrent: 256 }, fallback: { deadline: Duration.seconds(120) } },
        {
          name: "plain",
          resilience: { maxConcurrent: 256, idle: Duration.seconds(5) },
          fallback: { deadline: Duration.seconds(120) }
        },
        {
          name: "own",
          resilience: { maxConcurrent: 2 },
          fallback: { deadline: Duration.seconds(5), patience: Duration.zero, maxRetryAfter: Duration.seconds(9) }
        }
      ])
    }))

  it.effect("a model's name at its provider may have slashes", () =>
    Effect.gen(function*() {
      const { models } = yield* decode({
        providers: { openrouter: { type: "openai" } },
        models: { chat: { chain: ["openrouter/meta-llama/llama-3:free"] } },
        passthrough: ["openrouter/a/b"]
      })
      deepStrictEqual(models.map(({ chain, name }) => [name, ...chain]), [
        ["chat", { provider: "openrouter", model: "meta-llama/llama-3:free" }],
        ["openrouter/a/b", { provider: "openrouter", model: "a/b" }]
      ])
    }))

  it.effect("names that every object has are names like any other", () =>
    Effect.gen(function*() {
      const { models, providers } = yield* decode({
        providers: { constructor: { type: "openai" } },
        models: { toString: { chain: ["constructor/a"], policy: "valueOf" } },
        policies: { valueOf: { maxConcurrent: 1 } }
      })
      deepStrictEqual(Object.keys(providers), ["constructor"])
      deepStrictEqual(models.map(({ name, resilience }) => [name, resilience]), [["toString", { maxConcurrent: 1 }]])
      deepStrictEqual(
        yield* refusal(decode({ ...least, models: { chat: { chain: ["toString/a"], policy: "valueOf" } } })),
        [
          `models.chat.chain[0]: no provider is named "toString", there is "local"`,
          `models.chat.policy: no policy is named "valueOf", there is none`
        ]
      )
    }))

  it.effect("every secret is redacted, whether it is written out or read from the environment", () =>
    Effect.gen(function*() {
      const config = yield* decode({
        providers: {
          azure: { type: "openai", headers: { "api-key": "env:OPENAI_API_KEY", "x-plain": "sk-secret-plain" } },
          claude: { type: "anthropic", apiKey: "sk-secret-plain", authToken: "env:ANTHROPIC_API_KEY" }
        },
        models: {},
        auth: { keys: [{ name: "a", key: "sk-secret-plain" }, { name: "b", key: "env:WEB_KEY" }] }
      })
      deepStrictEqual(config.providers["azure"]?.headers, {
        "api-key": Redacted.make("sk-secret-openai"),
        "x-plain": Redacted.make("sk-secret-plain")
      })
      deepStrictEqual(config.auth?.keys.map(({ key }) => Redacted.value(key)), ["sk-secret-plain", "sk-secret-web"])
      assertFalse(`${inspect(config, { depth: null })}${Inspectable.format(config)}`.includes("sk-secret"))
    }))

  it.effect("what it gives, the layers take", () =>
    Effect.gen(function*() {
      const { auth, models, providers } = yield* decode({
        ...example,
        providers: {
          openai: { type: "openai", query: { "api-version": "2024-10-21" }, headers: { "x-team": "chat" } },
          claude: {
            type: "anthropic",
            version: "2023-06-01",
            beta: ["tools", "files"],
            baseUrl: "https://example.com/"
          }
        },
        policies: {
          interactive: {
            ...example.policies.interactive,
            attemptTimeout: "10 seconds",
            firstToken: "2 seconds",
            reasoning: false,
            circuitBreaker: { trip: { consecutiveFailures: 3 }, openFor: { base: "1 second", cap: "20 seconds" } }
          }
        }
      })
      for (const { chain, fallback, resilience } of models) {
        const [first, ...rest] = chain.map(({ model, provider }) => {
          const options = providers[provider]
          return (options?.type === "anthropic"
            ? Anthropic.layer({ ...options, model })
            : OpenAi.layer({ ...options, model })).pipe(Resilience.layer(resilience))
        })
        assertTrue(first !== undefined)
        Fallback.layer(fallback, first, ...rest)
      }
      yield* Effect.forEach(auth?.keys ?? [], ({ budget }) => RetryBudget.make({ hardCap: budget }))
    }))
})

describe("GatewayConfig.load", () => {
  it.scoped("reads JSON and YAML, whatever the file is called", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped()
      const texts = { "a.json": JSON.stringify(example), "a.yaml": stringify(example), "a.conf": stringify(example) }
      for (const [name, text] of Object.entries(texts)) {
        yield* files.writeFileString(`${folder}/${name}`, text)
        deepStrictEqual(yield* GatewayConfig.load(`${folder}/${name}`).pipe(inEnvironment), decoded)
      }
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("reads the example", () =>
    Effect.gen(function*() {
      const { auth, models } = yield* GatewayConfig.load(`${import.meta.dirname}/../../examples/gateway.yaml`)
      deepStrictEqual(auth?.keys.map(({ name }) => name), ["web", "batch"])
      deepStrictEqual(models.map(({ name }) => name), ["chat", "embed", "openai/gpt-4o-mini"])
    }).pipe(inEnvironment, Effect.provide(NodeFileSystem.layer)))

  it.scoped("names a file that is missing, or that is none", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped()
      const missing = `${folder}/gateway.yaml`
      deepStrictEqual(yield* refusal(GatewayConfig.load(missing)), [`${missing}: no such file`])
      deepStrictEqual(yield* refusal(GatewayConfig.load(folder)), [`${folder}: cannot be read`])
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
