/**
 * A configuration in words: what would run, and no secret of it.
 *
 * Pure: what was decoded, lines out. Of a key or a header it is said that there is one.
 */
import type { AnsiDoc } from "@effect/printer-ansi/AnsiDoc"
import * as Doc from "@effect/printer/Doc"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Record from "effect/Record"
import * as String from "effect/String"
import type * as GatewayConfig from "../../gateway/GatewayConfig.js"
import { settings } from "../ask/service.js"
import { count, left, title } from "../text.js"
import { urlOf } from "./server.js"

const show = (value: unknown): string => Duration.isDuration(value) ? Duration.format(value) : `${value}`

const isGroup = (value: unknown): value is Readonly<Record<string, unknown>> =>
  Predicate.isRecord(value) && !Duration.isDuration(value)

/** The options of a group, each with the path to it. What is one of several kinds names its kind, as the file does. */
const flat = (group: Readonly<Record<string, unknown>>, path = ""): ReadonlyArray<string> => {
  const { _tag: kind, ...options } = group
  const within = Predicate.isString(kind) ? `${path}${String.uncapitalize(kind)}.` : path
  return Object.entries(options).flatMap(([name, value]) =>
    value === undefined ? [] : isGroup(value) ? flat(value, `${within}${name}.`) : [`${within}${name} ${show(value)}`]
  )
}

/** A line of the options that stand by themselves, and one for each group. */
const policyLines = (policy: Readonly<Record<string, unknown>>): ReadonlyArray<string> => {
  const [alone, groups] = Record.partition(policy, isGroup)
  return [
    flat(alone).join(", "),
    ...Object.entries(groups).map(([name, group]) => `${name}: ${flat(group).join(", ")}`)
  ]
}

const table = (heading: string, rows: ReadonlyArray<readonly [name: string, ...lines: ReadonlyArray<string>]>) => {
  const width = Math.max(0, ...rows.map(([name]) => name.length))
  return rows.length === 0 ? [] : [
    Doc.empty,
    title(heading),
    ...rows.flatMap(([name, ...lines]) =>
      lines.map((line, index) => Doc.text(`  ${left(index === 0 ? name : "", width)}${line}`))
    )
  ]
}

const keyLine = ({ budget, maxConcurrent }: GatewayConfig.AuthKey): string =>
  [
    budget === undefined ? undefined : `${count(budget.limit, "retry", "retries")} per ${show(budget.per)}`,
    maxConcurrent === undefined ? undefined : `${count(maxConcurrent, "request", "requests")} at a time`
  ].filter(Predicate.isNotUndefined).join(", ") || "no limits of its own"

const apis = {
  openai: { name: "OpenAI's", usual: settings.OpenAI.baseUrl },
  anthropic: { name: "Anthropic's", usual: settings.Anthropic.baseUrl }
} as const

const hasKey = (provider: GatewayConfig.Provider): boolean =>
  provider.apiKey !== undefined || "authToken" in provider && provider.authToken !== undefined

const providerLine = (provider: GatewayConfig.Provider): string =>
  [
    `${apis[provider.type].name} API at ${provider.baseUrl ?? apis[provider.type].usual}`,
    hasKey(provider) ? "with a key" : "without a key",
    ...Object.keys(provider.headers ?? {}).map((name) => `with ${name}`)
  ].join(", ")

const modelLines = ({ chain, fallback, resilience }: GatewayConfig.Model): ReadonlyArray<string> => [
  chain.map(({ model, provider }) => `${provider}/${model}`).join(" > "),
  ...policyLines({ ...fallback, ...resilience })
]

/** What a gateway of this configuration is. */
export const lines = ({ auth, listen, models, providers }: GatewayConfig.GatewayConfig): ReadonlyArray<AnsiDoc> => [
  title(`Listens on ${urlOf(listen)}`),
  ...table("Keys of clients", (auth?.keys ?? []).map((key) => [key.name, keyLine(key)])),
  ...table("Providers", Object.entries(providers).map(([name, provider]) => [name, providerLine(provider)])),
  ...table("Models", models.map((model) => [model.name, ...modelLines(model)]))
]
