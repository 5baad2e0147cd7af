/** A configuration, the environment it is read in, and what is said of one that cannot be used. */
import { ConfigProvider, Effect } from "effect"
import * as GatewayConfig from "effect-resilience/gateway/GatewayConfig"

const environment = {
  WEB_KEY: "sk-secret-web",
  BATCH_KEY: "sk-secret-batch",
  OPENAI_API_KEY: "sk-secret-openai",
  ANTHROPIC_API_KEY: "sk-secret-anthropic",
  EMPTY: "",
  TWO_LINES: "sk-secret-line\n"
}

export const inEnvironment = Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment))))

export const decode = (input: unknown) => GatewayConfig.decode(input).pipe(inEnvironment)
export const parse = (text: string) => GatewayConfig.parse(text).pipe(inEnvironment)

/** The lines of the message. */
export const refusal = <A, R>(refused: Effect.Effect<A, GatewayConfig.ConfigError, R>) =>
  Effect.match(refused, { onFailure: (error) => error.message.split("\n"), onSuccess: () => ["accepted"] })

export const example = {
  listen: { host: "127.0.0.1", port: 8080 },
  auth: {
    keys: [{ name: "web", key: "env:WEB_KEY", budget: { limit: 100, per: "1 hour" }, maxConcurrent: 50 }]
  },
  providers: {
    openai: { type: "openai", baseUrl: "https://api.openai.com/v1", apiKey: "env:OPENAI_API_KEY" },
    claude: { type: "anthropic", apiKey: "env:ANTHROPIC_API_KEY" },
    local: { type: "openai", baseUrl: "http://127.0.0.1:11434/v1", prefill: true }
  },
  models: {
    chat: {
      chain: ["openai/gpt-4o", "claude/claude-3-5-sonnet-latest", "claude/claude-3-5-haiku-latest"],
      policy: "interactive"
    }
  },
  policies: { interactive: { deadline: "20 seconds", retry: { maxAttempts: 3 }, onCut: "continue" } },
  passthrough: ["openai/gpt-4o-mini"]
}

/** The least there can be. */
export const least = { providers: { local: { type: "openai" } }, models: { chat: { chain: ["local/llama"] } } }
