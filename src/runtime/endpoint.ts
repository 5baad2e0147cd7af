/**
 * Where a provider layer sends its requests, and as whom: options in, checked once.
 *
 * A URL or a header that cannot be sent would fail every call with the same riddle, so a bad one throws when the layer is
 * made, by the option's name and never with its value, which may be a key. Keys go into headers alone: a URL ends up in
 * the log of every proxy on the way.
 */
import * as Config from "effect/Config"
import * as Hash from "effect/Hash"
import * as Redacted from "effect/Redacted"
import { SECRET_HEADERS } from "./secrets.js"

/** Each option as it is, or a `Config` of it. */
export type OrConfig<Options> = {
  readonly [K in keyof Options]: Options[K] | Config.Config<Exclude<Options[K], undefined>>
}

/** An option that may be a `Config`, as one. */
export const asConfig = <A>(value: A | Config.Config<A>): Config.Config<A> =>
  Config.isConfig(value) ? value : Config.succeed(value)

/** A header that an option of its own stands for. */
export interface OptionHeader {
  readonly option: string
  readonly name: string
  readonly value: string | Redacted.Redacted | undefined
  /** What the protocol puts before the value. */
  readonly prefix?: string
}

export interface Endpoint {
  readonly url: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  /** The names of the headers whose values are secret. */
  readonly secretHeaders: ReadonlyArray<string>
  /** Another for another server or another key, and tells neither. */
  readonly credential: string
}

/** The URL without the slash at its end. Throws a `RangeError` for one that cannot be asked, or that holds a key. */
export const baseUrlOf = (input: string, example: string): string => {
  const url = URL.canParse(input) ? new URL(input) : undefined
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new RangeError(`baseUrl: expected an http or https URL, such as "${example}"`)
  }
  if (url.username !== "" || url.password !== "") {
    throw new RangeError("baseUrl: a URL is no place for credentials, use apiKey or headers")
  }
  if (url.search !== "" || url.hash !== "") {
    throw new RangeError("baseUrl: expected no query and no fragment, use query")
  }
  return url.href.replace(/\/+$/, "")
}

const secretName = /^(api[-_]?key|key|access[-_]?token|token|secret)$/i

/** Throws a `RangeError` for a parameter that is a key. */
export const queryOf = (query: Readonly<Record<string, string>>): Readonly<Record<string, string>> => {
  const secret = Object.keys(query).find((name) => secretName.test(name))
  if (secret !== undefined) {
    throw new RangeError(`query.${secret}: a key must not travel in a URL, use apiKey or headers`)
  }
  return query
}

/**
 * What a header may hold (RFC 9110, 5.5), less what is outside ASCII. Throws a `RangeError` for anything else, in which
 * the value itself never shows.
 */
export const headerValue = (option: string, value: string): string => {
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value)) {
    throw new RangeError(`${option}: expected visible ASCII characters, with no line break and no space at the ends`)
  }
  return value
}

/** Throws a `RangeError` that names a bad option. The headers of options go before `headers`. */
export const make = (settings: {
  readonly baseUrl: string | undefined
  readonly defaultBaseUrl: string
  /** What follows the base URL. */
  readonly path: (baseUrl: string) => string
  readonly query: Readonly<Record<string, string>> | undefined
  readonly headers: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  readonly optionHeaders: ReadonlyArray<OptionHeader>
}): Endpoint => {
  const headers: Record<string, string> = {}
  const secretHeaders = new Set<string>()
  const named = Object.entries(settings.headers ?? {}).map(([name, value]): OptionHeader => ({
    option: `headers.${name}`,
    name: name.toLowerCase(),
    value
  }))
  for (const { name, option, prefix, value } of [...named, ...settings.optionHeaders]) {
    if (value !== undefined) {
      const secret = Redacted.isRedacted(value)
      headers[name] = (prefix ?? "") + headerValue(option, secret ? Redacted.value(value) : value)
      if (secret || SECRET_HEADERS.includes(name)) {
        secretHeaders.add(name)
      }
    }
  }
  const baseUrl = baseUrlOf(settings.baseUrl ?? settings.defaultBaseUrl, settings.defaultBaseUrl)
  const url = baseUrl + settings.path(baseUrl)
  const identity = [url, ...[...secretHeaders].sort().map((name) => `${name}: ${headers[name]}`)].join("\n")
  return {
    url,
    query: queryOf(settings.query ?? {}),
    headers,
    secretHeaders: [...secretHeaders],
    credential: (Hash.string(identity) >>> 0).toString(36)
  }
}
