import { describe, it } from "@effect/vitest"
import { assertFalse, assertTrue, deepStrictEqual } from "@effect/vitest/utils"
import { Effect, Either, FastCheck as fc } from "effect"
import type * as GatewayConfig from "effect-resilience/gateway/GatewayConfig"
import { inspect } from "node:util"
import { stringify } from "yaml"
import { decode, parse } from "./configuring.js"

/** Secrets wherever there can be one, some of them where they are refused. */
const secretive = {
  auth: { keys: [{ name: "a", key: "sk-secret-1" }, { name: "b", key: "sk-secret-1", maxConcurrent: 5 }] },
  providers: {
    openai: {
      type: "openai",
      apiKey: "sk-secret-2\n",
      baseUrl: "https://me:sk-secret-3@example.com?key=sk-secret-4",
      headers: { "x-key": "sk-secret-5" },
      query: { key: "sk-secret-6" }
    },
    claude: { type: "anthropic", authToken: "sk-secret-7", version: "sk-secret-8\n" }
  },
  models: { chat: { chain: ["openai/a", "claude/b"], policy: "fast" } },
  policies: { fast: { deadline: "5 seconds", circuitBreaker: { trip: { consecutiveFailures: 5 } } } },
  passthrough: ["openai/a"]
}

type Place = ReadonlyArray<string>

/** Every place in a value, with what is there. */
const placesOf = (value: unknown, place: Place = []): ReadonlyArray<readonly [Place, unknown]> => [
  [place, value],
  ...(typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, part]) => placesOf(part, [...place, key]))
    : [])
]

const replaced = (value: unknown, [key, ...rest]: Place, by: unknown): unknown => {
  if (key === undefined || typeof value !== "object" || value === null) {
    return by
  }
  const parts = Object.entries(value).map(([name, part]) =>
    [name, name === key ? replaced(part, rest, by) : part] as const
  )
  return Array.isArray(value) ? parts.map(([, part]) => part) : Object.fromEntries(parts)
}

const places = placesOf(secretive)

const saysNoSecret = (refused: Effect.Effect<unknown, GatewayConfig.ConfigError>) =>
  Effect.map(Effect.either(refused), (result) => {
    if (Either.isLeft(result)) {
      const error = result.left
      assertTrue(error.problems.length > 0)
      assertFalse(
        `${error.message}${error}${JSON.stringify(error)}${inspect(error)}${error.stack}`.includes("sk-secret")
      )
    }
  })

describe("what is said of a configuration", () => {
  it.effect("holds no secret that was refused", () =>
    Effect.gen(function*() {
      const { problems } = yield* Effect.flip(decode(secretive))
      deepStrictEqual(problems.map(({ path }) => path), [
        "auth.keys[1].key",
        "providers.openai.apiKey",
        "providers.openai.baseUrl",
        "providers.openai.query.key",
        "providers.claude.version"
      ])
      yield* saysNoSecret(decode(secretive))
    }))

  it.effect.prop(
    "holds no secret, whatever object stands where it should not",
    [
      fc.constantFrom(...places),
      fc.oneof(
        fc.constantFrom(...places.map(([, value]) => value).filter((value) => typeof value === "object")),
        fc.constantFrom(null, true, 0, -1.5, "", "env:", "text", [], {})
      )
    ],
    ([[place], by]) => saysNoSecret(decode(replaced(secretive, place, by))),
    { fastCheck: { numRuns: 150 } }
  )

  for (
    const [format, text] of [["JSON", JSON.stringify(secretive, null, 2)], ["YAML", stringify(secretive)]] as const
  ) {
    it.effect.prop(
      `holds no secret, whatever character of ${format} is mistyped`,
      [fc.nat(text.length - 1), fc.constantFrom("", ..."{}[]:,\"'- \n\t#&*!|>?")],
      ([at, by]) => saysNoSecret(parse(text.slice(0, at) + by + text.slice(at + 1))),
      { fastCheck: { numRuns: 150 } }
    )
  }
})
