/**
 * The configuration as it stands in the file.
 *
 * Everything is strict, and checked as what will use it checks it: a policy by the schemas of `Resilience` and
 * `Fallback`, a URL and whatever goes into a header by the functions the provider layers call. What it takes two parts
 * of the file to know is in `references`.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as AST from "effect/SchemaAST"
import * as Fallback from "../../Fallback.js"
import * as OpenAi from "../../OpenAi.js"
import * as Resilience from "../../Resilience.js"
import { Count, PositiveDuration } from "../../runtime/configValues.js"
import * as Endpoint from "../../runtime/endpoint.js"

/** The check of an option as a filter's: it throws a `RangeError` that begins with the option's name. */
const passes = (check: () => unknown): true | string => {
  try {
    check()
    return true
  } catch (error) {
    if (error instanceof RangeError) {
      return error.message.replace(/^[^:]*: /, "")
    }
    throw error
  }
}

/** Text of a pattern. It may be a key of an object, where this one would be lost. */
const text = (pattern: RegExp, description: string) =>
  Schema.String.pipe(Schema.filter((value) => value !== "__proto__" && pattern.test(value), { description }))

const Name = text(/^[A-Za-z0-9_.-]{1,64}$/, "a name of 1 to 64 letters, digits, dots, dashes and underscores")

const Alias = text(/^[\x21-\x7e]+$/, "a name of visible ASCII characters, without spaces")

const HeaderText = Schema.String.pipe(Schema.filter((value) => passes(() => Endpoint.headerValue("header", value))))

const fromEnvironment = (name: string, ast: AST.Transformation, actual: unknown) =>
  Config.string(name).pipe(
    Effect.mapError(() => new ParseResult.Type(ast, actual, `the environment variable ${name} is not set`)),
    Effect.filterOrFail(
      (value) => value !== "",
      () => new ParseResult.Type(ast, actual, `the environment variable ${name} is empty`)
    ),
    Effect.map(Redacted.make)
  )

const reference = /^env:(.*)$/s

/** Every secret travels in a header, to a provider or from a client. */
const Secret = Schema.transformOrFail(Schema.String, Schema.RedactedFromSelf(Schema.String), {
  strict: true,
  decode: (given, _, ast) => {
    const name = reference.exec(given)?.[1]
    if (name === undefined) {
      return ParseResult.succeed(Redacted.make(given))
    }
    return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
      ? fromEnvironment(name, ast, given)
      : ParseResult.fail(new ParseResult.Type(ast, given, "expected the name of an environment variable after env:"))
  },
  encode: (secret, _, ast) => ParseResult.fail(new ParseResult.Forbidden(ast, secret, "a secret is not written back"))
}).annotations({ description: `a text, or "env:NAME"` }).pipe(
  Schema.filter((secret) => passes(() => Endpoint.headerValue("secret", Redacted.value(secret))))
)

const Listen = Schema.Struct({
  host: Schema.optionalWith(text(/^[A-Za-z0-9.:%_-]+$/, "a host name or an address"), { default: () => "127.0.0.1" }),
  port: Schema.optionalWith(Schema.Int.pipe(Schema.between(0, 65535)), { default: () => 8080 })
})

const AuthKey = Schema.Struct({
  name: Name,
  key: Secret,
  budget: Schema.optional(Schema.Struct({ limit: Count, per: PositiveDuration })),
  maxConcurrent: Schema.optional(Count)
})

/** Who has the key of another would spend the other's budget. */
const alreadyThere = (keys: ReadonlyArray<typeof AuthKey.Type>): ReadonlyArray<Schema.FilterIssue> =>
  keys.flatMap((key, index) => {
    const before = keys.slice(0, index)
    const name = before.findIndex((other) => other.name === key.name)
    const secret = before.findIndex((other) => Redacted.value(other.key) === Redacted.value(key.key))
    return [
      ...(name < 0 ? [] : [{ path: [index, "name"], message: `the same name as auth.keys[${name}]` }]),
      ...(secret < 0 ? [] : [{ path: [index, "key"], message: `the same key as auth.keys[${secret}]` }])
    ]
  })

const Auth = Schema.Struct({ keys: Schema.NonEmptyArray(AuthKey).pipe(Schema.filter(alreadyThere)) })

const BaseUrl = Schema.String.pipe(
  Schema.filter((value) => passes(() => Endpoint.baseUrlOf(value, OpenAi.defaultBaseUrl)))
)

const Query = Schema.Record({ key: Alias, value: Schema.String }).pipe(
  Schema.filter((query) =>
    Object.entries(query).flatMap(([name, value]) => {
      const passed = passes(() => Endpoint.queryOf({ [name]: value }))
      return passed === true ? [] : [{ path: [name], message: passed }]
    })
  )
)

const endpoint = {
  apiKey: Schema.optional(Secret),
  baseUrl: Schema.optional(BaseUrl),
  prefill: Schema.optional(Schema.Boolean),
  headers: Schema.optional(
    Schema.Record({ key: text(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "a header's name"), value: Secret })
  ),
  query: Schema.optional(Query)
}

const Provider = Schema.Union(
  Schema.Struct({ type: Schema.Literal("openai"), ...endpoint }),
  Schema.Struct({
    type: Schema.Literal("anthropic"),
    ...endpoint,
    authToken: Schema.optional(Secret),
    version: Schema.optional(HeaderText),
    beta: Schema.optional(Schema.Array(HeaderText))
  })
)

/** The provider's name and what it calls the model, which may have slashes of its own. */
export const splitTarget = (target: string): { readonly provider: string; readonly model: string } | undefined => {
  const [, provider, model] = /^([^/]+)\/([\x21-\x7e]+)$/.exec(target) ?? []
  return provider === undefined || model === undefined ? undefined : { provider, model }
}

const Target = Schema.transformOrFail(Schema.String, Schema.Struct({ provider: Schema.String, model: Schema.String }), {
  strict: true,
  decode: (target, _, ast) => {
    const split = splitTarget(target)
    return split === undefined
      ? ParseResult.fail(new ParseResult.Type(ast, target, `expected "provider/model"`))
      : ParseResult.succeed(split)
  },
  encode: ({ model, provider }) => ParseResult.succeed(`${provider}/${model}`)
}).annotations({ description: `"provider/model"` })

const Model = Schema.Struct({ chain: Schema.NonEmptyArray(Target), policy: Schema.optional(Schema.String) })

const Policy = Schema.Struct({ ...Resilience.Config.fields, ...Fallback.Config.fields })

/** A policy of the file. */
export type Policy = typeof Policy.Type

/** The whole file. Secrets are read with the `ConfigProvider` in force. */
export const File = Schema.Struct({
  listen: Schema.optionalWith(Listen, { default: () => Listen.make({}) }),
  auth: Schema.optional(Auth),
  providers: Schema.Record({ key: Name, value: Provider }),
  models: Schema.Record({ key: Alias, value: Model }),
  policies: Schema.optional(Schema.Record({ key: Name, value: Policy })),
  passthrough: Schema.optional(Schema.Array(Target))
}).annotations({ parseOptions: { errors: "all", onExcessProperty: "error", propertyOrder: "original" } })

/** What the file says. */
export type File = typeof File.Type
