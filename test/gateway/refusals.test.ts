import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import { decode, least, refusal } from "./configuring.js"

const withProvider = (options: object, type = "openai") => ({ ...least, providers: { local: { type, ...options } } })
const withModel = (model: object) => ({ ...least, models: { chat: model } })
const withPolicy = (policy: object) => ({ ...least, policies: { fast: policy } })
const withKeys = (...keys: ReadonlyArray<unknown>) => ({ ...least, auth: { keys } })

const ascii = "expected visible ASCII characters, with no line break and no space at the ends"
const duration = `expected a duration above zero, such as "10 seconds"`

const refusals: Record<string, readonly [input: unknown, ...lines: ReadonlyArray<string>]> = {
  "nothing": [null, "expected an object, got null"],
  "a list": [[], "expected an object, got a list"],
  "a file without providers and models": [{}, "providers: is missing", "models: is missing"],
  "an unknown key": [
    { ...least, modles: {} },
    `modles: unknown key, expected "listen", "auth", "providers", "models", "policies" or "passthrough"`
  ],
  "an unknown key of a part": [
    withModel({ chain: ["local/a"], polcy: "fast" }),
    `models.chat.polcy: unknown key, expected "chain" or "policy"`
  ],
  "a port that is none": [
    { ...least, listen: { port: 65536 } },
    "listen.port: expected a number between 0 and 65535, got 65536"
  ],
  "a port in quotes": [
    { ...least, listen: { port: "80" } },
    "listen.port: expected a number between 0 and 65535, got a string"
  ],
  "an empty host, which would be every address": [
    { ...least, listen: { host: "" } },
    "listen.host: expected a host name or an address",
    "listen.host: other machines can reach this address: auth is required"
  ],
  "no keys": [withKeys(), "auth.keys[0]: is missing"],
  "a key that is no text": [
    withKeys({ name: "web", key: 1234567 }),
    `auth.keys[0].key: expected a text, or "env:NAME", got a number`
  ],
  "a key that no header can hold": [withKeys({ name: "web", key: "sk-secret é" }), `auth.keys[0].key: ${ascii}`],
  "an empty key": [withKeys({ name: "web", key: "" }), `auth.keys[0].key: ${ascii}`],
  "a key's name that could be mistaken for two": [
    withKeys({ name: "web:user", key: "sk-secret" }),
    "auth.keys[0].name: expected a name of 1 to 64 letters, digits, dots, dashes and underscores"
  ],
  "two keys of one name": [
    withKeys({ name: "web", key: "sk-secret-1" }, { name: "web", key: "sk-secret-2" }),
    "auth.keys[1].name: the same name as auth.keys[0]"
  ],
  "one key under two names": [
    withKeys({ name: "web", key: "env:WEB_KEY" }, { name: "app", key: "sk-secret-web" }),
    "auth.keys[1].key: the same key as auth.keys[0]"
  ],
  "a budget that is none": [
    withKeys({ name: "web", key: "sk-secret", budget: { limit: 0, per: 3600 }, maxConcurrent: 1.5 }),
    "auth.keys[0].budget.limit: expected a number greater than or equal to 1, got 0",
    `auth.keys[0].budget.per: ${duration}, got a number`,
    "auth.keys[0].maxConcurrent: expected an integer, got 1.5"
  ],
  "a variable that is not set": [
    withProvider({ apiKey: "env:NOT_SET" }),
    "providers.local.apiKey: the environment variable NOT_SET is not set"
  ],
  "a variable that is empty": [
    withProvider({ headers: { "api-key": "env:EMPTY" } }),
    "providers.local.headers.api-key: the environment variable EMPTY is empty"
  ],
  "a variable with a line break": [withProvider({ apiKey: "env:TWO_LINES" }), `providers.local.apiKey: ${ascii}`],
  "a variable's name that is none": [
    withProvider({ apiKey: "env:sk-secret" }),
    "providers.local.apiKey: expected the name of an environment variable after env:"
  ],
  "a provider of no known type": [
    withProvider({}, "opnai"),
    `providers.local.type: expected "openai" or "anthropic", got "opnai"`
  ],
  "a provider without a type": [
    { ...least, providers: { local: { baseUrl: "http://localhost" } } },
    "providers.local.type: is missing"
  ],
  "a provider's name with a slash": [
    { ...least, providers: { ...least.providers, "a/b": { type: "openai" } } },
    `providers["a/b"]: expected a name of 1 to 64 letters, digits, dots, dashes and underscores`
  ],
  "a provider's name that would be lost": [
    JSON.parse(`{ "providers": { "__proto__": { "type": "openai" } }, "models": {} }`),
    "providers.__proto__: expected a name of 1 to 64 letters, digits, dots, dashes and underscores"
  ],
  "an option of the other type": [
    withProvider({ version: "2023-06-01" }),
    `providers.local.version: unknown key, expected "type", "apiKey", "baseUrl", "prefill", "headers" or "query"`
  ],
  "a base URL that is none": [
    withProvider({ baseUrl: "127.0.0.1:11434" }),
    `providers.local.baseUrl: expected an http or https URL, such as "https://api.openai.com/v1"`
  ],
  "a base URL of another protocol": [
    withProvider({ baseUrl: "ftp://example.com" }, "anthropic"),
    `providers.local.baseUrl: expected an http or https URL, such as "https://api.openai.com/v1"`
  ],
  "credentials in a base URL": [
    withProvider({ baseUrl: "https://me:sk-secret@example.com" }),
    "providers.local.baseUrl: a URL is no place for credentials, use apiKey or headers"
  ],
  "a key in the query of a base URL": [
    withProvider({ baseUrl: "https://example.com/v1?key=sk-secret" }),
    "providers.local.baseUrl: expected no query and no fragment, use query"
  ],
  "a key in the query": [
    withProvider({ query: { "api-version": "1", "api-key": "sk-secret" } }),
    "providers.local.query.api-key: a key must not travel in a URL, use apiKey or headers"
  ],
  "a header that cannot be sent": [
    withProvider({ headers: { "x team": "a" }, version: "a\nb", beta: ["a", ""] }, "anthropic"),
    `providers.local.headers["x team"]: expected a header's name`,
    `providers.local.version: ${ascii}`,
    `providers.local.beta[1]: ${ascii}`
  ],
  "a model's name with a space": [
    { ...least, models: { "my model": { chain: ["local/a"] } } },
    `models["my model"]: expected a name of visible ASCII characters, without spaces`
  ],
  "a chain of nobody": [withModel({ chain: [] }), "models.chat.chain[0]: is missing"],
  "a chain that names no provider, or no model": [
    withModel({ chain: ["gpt-4o", "local/", 4] }),
    `models.chat.chain[0]: expected "provider/model"`,
    `models.chat.chain[1]: expected "provider/model"`,
    `models.chat.chain[2]: expected "provider/model", got a number`
  ],
  "a chain that names a missing provider": [
    { ...least, models: { "gpt-4.1": { chain: ["local/a", "lcoal/a"] } } },
    `models["gpt-4.1"].chain[1]: no provider is named "lcoal", there is "local"`
  ],
  "a missing provider that is passed through to": [
    { providers: { a: { type: "openai" }, b: { type: "openai" } }, models: {}, passthrough: ["a/m", "c/m"] },
    `passthrough[1]: no provider is named "c", there are "a", "b"`
  ],
  "a missing policy": [
    withModel({ chain: ["local/a"], policy: "fast" }),
    `models.chat.policy: no policy is named "fast", there is none`
  ],
  "a model and a passthrough of one name": [
    { ...least, models: { "local/a": { chain: ["local/b"] } }, passthrough: ["local/b", "local/a"] },
    `passthrough[1]: "local/a" is the name of a model already`
  ],
  "a passthrough that is there twice": [
    { ...least, passthrough: ["local/a", "local/a"] },
    "passthrough[1]: the same as passthrough[0]"
  ],
  "a duration without a unit, one that cannot be read, and one below zero": [
    withPolicy({ deadline: 20, retry: { base: "10s" }, patience: "-5 seconds" }),
    `policies.fast.retry.base: ${duration}, got "10s"`,
    `policies.fast.deadline: ${duration}, got a number`,
    `policies.fast.patience: expected a finite duration, such as "10 seconds", got "-5 seconds"`
  ],
  "options of a policy that cannot be meant": [
    withPolicy({ maxConcurrent: 0, onCut: "resume", circuitBreaker: true }),
    "policies.fast.circuitBreaker: expected false or an object, got true",
    "policies.fast.maxConcurrent: expected a number greater than or equal to 1, got 0",
    `policies.fast.onCut: expected "fail", "continue" or "hold", got "resume"`
  ],
  "a misspelt option deep in a policy": [
    withPolicy({ circuitBreaker: { trip: { failureRate: { treshold: 0.5 } }, openFor: { base: 5 } } }),
    `policies.fast.circuitBreaker.trip.failureRate.treshold: unknown key, expected "threshold", "minimumCalls" or "window"`,
    `policies.fast.circuitBreaker.openFor.base: ${duration}, got a number`
  ]
}

describe("GatewayConfig refuses", () => {
  for (const [what, [input, ...lines]] of Object.entries(refusals)) {
    it.effect(what, () => Effect.map(refusal(decode(input)), (said) => deepStrictEqual(said, lines)))
  }

  for (const host of ["0.0.0.0", "::", "10.0.0.1", "example.com", "127.0.0.1.example.com"]) {
    it.effect(`to listen on ${host} without auth`, () =>
      Effect.gen(function*() {
        const listen = { host }
        deepStrictEqual(yield* refusal(decode({ ...least, listen })), [
          "listen.host: other machines can reach this address: auth is required"
        ])
        const { listen: allowed } = yield* decode({ ...withKeys({ name: "web", key: "env:WEB_KEY" }), listen })
        strictEqual(allowed.host, host)
      }))
  }

  it.effect("no loopback address for want of auth", () =>
    Effect.forEach(["127.0.0.1", "127.1.2.3", "localhost", "::1"], (host) => decode({ ...least, listen: { host } })))

  it.effect("everything that is wrong at once, one line each", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(decode({
        listen: { host: "0.0.0.0" },
        providers: { local: { type: "openai", apiKey: "env:NOT_SET", baseUrl: "localhost:11434" } },
        models: { chat: { chain: ["remote/a"], policy: "fast" } },
        policies: { slow: { deadline: "20s" } }
      }))
      deepStrictEqual(error.problems, [
        { path: "providers.local.apiKey", reason: "the environment variable NOT_SET is not set" },
        {
          path: "providers.local.baseUrl",
          reason: `expected an http or https URL, such as "https://api.openai.com/v1"`
        },
        { path: "policies.slow.deadline", reason: `${duration}, got "20s"` },
        { path: "listen.host", reason: "other machines can reach this address: auth is required" },
        { path: "models.chat.chain[0]", reason: `no provider is named "remote", there is "local"` },
        { path: "models.chat.policy", reason: `no policy is named "fast", there is "slow"` }
      ])
      strictEqual(error.message, error.problems.map(({ path, reason }) => `${path}: ${reason}`).join("\n"))
    }))
})
