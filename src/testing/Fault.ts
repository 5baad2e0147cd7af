/**
 * What a `FaultServer` can do to a request, as data.
 *
 * Faults are plain values with a schema and not functions, so that the same vocabulary serves a test in the same process,
 * a program in another language (as JSON over the control endpoint) and the log of what each request met. There are two
 * kinds. A `Behaviour` is what happens to one request. A `Pattern` (`flapping`, `outage`, `random`) picks a behaviour
 * anew for every request, from how many came before and how long ago the first one did, and from nothing else: the same
 * requests always meet the same faults.
 *
 * Most of them are about any request. `Stream` is about those that ask for a stream: what becomes of it on its way.
 *
 * Constructors throw on options that cannot be meant, such as a status of 42 or a negative duration. In JSON a duration
 * is written as `"1500 millis"` or `"2 seconds"`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as options from "../runtime/options.js"
import * as Pages from "./internal/pages.js"

const DurationFromText = Schema.transformOrFail(
  Schema.String,
  Schema.DurationFromSelf.pipe(Schema.filter((duration) => Duration.isFinite(duration) || "a finite duration")),
  {
    strict: true,
    decode: (text, _, ast) =>
      Option.match(text.startsWith("-") ? Option.none() : Duration.decodeUnknown(text), {
        onNone: () => ParseResult.fail(new ParseResult.Type(ast, text, `expected a duration, such as "2 seconds"`)),
        onSome: (duration) => ParseResult.succeed(duration)
      }),
    encode: (duration) => ParseResult.succeed(`${Duration.toMillis(duration)} millis`)
  }
)

const Delay = Schema.optionalWith(DurationFromText, { default: () => Duration.zero })

const PositiveDuration = DurationFromText.pipe(
  Schema.filter((duration) => Duration.greaterThan(duration, Duration.zero) || "longer than zero")
)

const Usage = Schema.Struct({ promptTokens: Schema.NonNegativeInt, completionTokens: Schema.NonNegativeInt })

const ToolCall = Schema.Struct({ name: Schema.String, arguments: Schema.String })

const HttpStatus = Schema.Int.pipe(Schema.between(200, 599))

// What Node would throw on while it answers is refused here, where the author of the fault still sees it.
const Headers = Schema.Record({
  key: Schema.String.pipe(Schema.pattern(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/)),
  value: Schema.String.pipe(Schema.pattern(/^[\t\x20-\x7e\x80-\xff]*$/))
})

/**
 * A whole and correct answer, after `delay`; as a stream where one was asked for.
 *
 * @since 0.1.0
 * @category models
 */
export const Ok = Schema.TaggedStruct("Ok", {
  content: Schema.optional(Schema.String),
  toolCall: Schema.optional(ToolCall),
  delay: Delay,
  usage: Schema.optional(Usage)
})

/**
 * A value of the schema `Ok`.
 *
 * @since 0.1.0
 * @category models
 */
export type Ok = typeof Ok.Type

/**
 * What no status tells: a spent quota or budget, a prompt that is longer than the model's context, a prompt or an answer
 * that a filter stopped.
 *
 * @since 0.1.0
 * @category models
 */
export const ErrorKind = Schema.Literal("quota-exhausted", "context-too-long", "content-filtered")

/**
 * A value of the schema `ErrorKind`.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorKind = typeof ErrorKind.Type

/**
 * A whole response with this status, these headers and this body: a string as it is, anything else as JSON. Without one,
 * what the provider whose format is spoken says with the `error`, a kind or another status, or else with the status.
 *
 * @since 0.1.0
 * @category models
 */
export const Status = Schema.TaggedStruct("Status", {
  status: HttpStatus,
  error: Schema.optional(Schema.Union(HttpStatus, ErrorKind)),
  headers: Schema.optionalWith(Headers, { default: () => ({}) }),
  body: Schema.optional(Schema.Unknown),
  delay: Delay
})

/**
 * A value of the schema `Status`.
 *
 * @since 0.1.0
 * @category models
 */
export type Status = typeof Status.Type

/**
 * The connection is reset (TCP RST) before a byte of the response.
 *
 * @since 0.1.0
 * @category models
 */
export const Reset = Schema.TaggedStruct("Reset", {})

/**
 * A value of the schema `Reset`.
 *
 * @since 0.1.0
 * @category models
 */
export type Reset = typeof Reset.Type

/**
 * The request is read and never answered; the connection stays open until the client leaves.
 *
 * @since 0.1.0
 * @category models
 */
export const Silence = Schema.TaggedStruct("Silence", {})

/**
 * A value of the schema `Silence`.
 *
 * @since 0.1.0
 * @category models
 */
export type Silence = typeof Silence.Type

/**
 * Half of a correct answer, and then the end. `how`: `"length"` closes the connection before the Content-Length is
 * reached, `"chunked"` closes it before the last chunk, `"json"` ends the response properly, in the middle of the JSON.
 * Of a stream it is half of the events, the last of them incomplete; to cut between two events, use `Stream`.
 *
 * @since 0.1.0
 * @category models
 */
export const Truncated = Schema.TaggedStruct("Truncated", {
  how: Schema.optionalWith(Schema.Literal("length", "chunked", "json"), { default: () => "length" })
})

/**
 * A value of the schema `Truncated`.
 *
 * @since 0.1.0
 * @category models
 */
export type Truncated = typeof Truncated.Type

/**
 * Headers and half of the body, and then nothing; the connection stays open until the client leaves.
 *
 * @since 0.1.0
 * @category models
 */
export const Stalled = Schema.TaggedStruct("Stalled", {
  status: Schema.optionalWith(HttpStatus, { default: () => 200 })
})

/**
 * A value of the schema `Stalled`.
 *
 * @since 0.1.0
 * @category models
 */
export type Stalled = typeof Stalled.Type

/**
 * What becomes of a stream:
 *
 * | | |
 * |---|---|
 * | `"end"` | all is well |
 * | `"cut"` | the connection is closed before the last chunk of the body |
 * | `"reset"` | the connection is reset (TCP RST) |
 * | `"eof"` | a proper end of the response, but the stream never said that it was whole |
 * | `"no done"` | whole, but a proper end takes the place of `[DONE]` (`message_stop`, `response.completed`) |
 * | `"no done, open"` | the same, but the connection stays open until the client leaves |
 * | `"stall"` | nothing more; the connection stays open until the client leaves |
 * | `"pings"` | nothing but keep-alives until the client leaves |
 * | `"malformed"`, `"malformed twice"` | an event that is not JSON, or two in a row; then it goes on well |
 * | `"error"` | an event that is an error, and a proper end of the response |
 * | `"nested error"` | the same, where OpenAI's Responses API has its error under `error`, as the live one does |
 * | `"finish error"` | the same as the answer's end: `finish_reason: "error"`, `response.failed`, or else as `"error"` |
 * | `"endless line"` | an event that never ends, as fast as the client takes it, until it leaves |
 *
 * @since 0.1.0
 * @category models
 */
export const StreamEnd = Schema.Literal(
  "end",
  "cut",
  "reset",
  "eof",
  "no done",
  "no done, open",
  "stall",
  "pings",
  "malformed",
  "malformed twice",
  "error",
  "nested error",
  "finish error",
  "endless line"
)

/**
 * A value of the schema `StreamEnd`.
 *
 * @since 0.1.0
 * @category models
 */
export type StreamEnd = typeof StreamEnd.Type

/**
 * What an error inside a stream says.
 *
 * @since 0.1.0
 * @category models
 */
export const StreamError = Schema.Literal(
  "overloaded",
  "rate-limited",
  "server-error",
  "invalid-request",
  "content-filtered"
)

/**
 * A value of the schema `StreamError`.
 *
 * @since 0.1.0
 * @category models
 */
export type StreamError = typeof StreamError.Type

/**
 * A stream, up to `after` pieces of its output, and what becomes of it `then`. A request that asks for no stream is
 * answered well, with what the stream would have said. See `stream` for what each field means.
 *
 * @since 0.1.0
 * @category models
 */
export const Stream = Schema.TaggedStruct("Stream", {
  content: Schema.optional(Schema.String),
  toolCall: Schema.optional(ToolCall),
  reasoning: Schema.optional(Schema.String),
  usage: Schema.optional(Usage),
  chunks: Schema.optional(Schema.Int.pipe(Schema.positive())),
  firstAfter: Delay,
  pings: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  pingEvery: Schema.optionalWith(PositiveDuration, { default: () => Duration.millis(50) }),
  every: Delay,
  after: Schema.optionalWith(Schema.NonNegativeInt, { default: () => 0 }),
  then: Schema.optionalWith(StreamEnd, { default: () => "end" }),
  error: Schema.optionalWith(StreamError, { default: () => "overloaded" })
})

/**
 * A value of the schema `Stream`.
 *
 * @since 0.1.0
 * @category models
 */
export type Stream = typeof Stream.Type

/**
 * What happens to one request.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const behaviours: ReadonlyArray<Fault.Behaviour> = [Fault.badKey, Fault.silence]
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const Behaviour = Schema.Union(Ok, Status, Reset, Silence, Truncated, Stalled, Stream)

/**
 * A value of the schema `Behaviour`.
 *
 * @since 0.1.0
 * @category models
 */
export type Behaviour = typeof Behaviour.Type

const orOk = Schema.optionalWith(Behaviour, { default: () => ok() })
const orOverloaded = Schema.optionalWith(Behaviour, { default: () => overloaded() })

/**
 * `bad` and `good` in turns, `bad` first: each for `every` requests (a number), or each for the time `every` (a duration)
 * counted from the first request on.
 *
 * @since 0.1.0
 * @category models
 */
export const Flapping = Schema.TaggedStruct("Flapping", {
  every: Schema.Union(
    Schema.Int.pipe(Schema.positive()),
    PositiveDuration
  ),
  bad: orOverloaded,
  good: orOk
})

/**
 * A value of the schema `Flapping`.
 *
 * @since 0.1.0
 * @category models
 */
export type Flapping = typeof Flapping.Type

/**
 * `fault` for the time `lasts` from the first request on, and whole answers after it.
 *
 * @since 0.1.0
 * @category models
 */
export const Outage = Schema.TaggedStruct("Outage", { lasts: DurationFromText, fault: orOverloaded })

/**
 * A value of the schema `Outage`.
 *
 * @since 0.1.0
 * @category models
 */
export type Outage = typeof Outage.Type

/**
 * `fault` for a share of the requests, `rate` (0 to 1), and whole answers for the others. Which ones is decided by the
 * seed and the place of the request alone.
 *
 * @since 0.1.0
 * @category models
 */
export const Random = Schema.TaggedStruct("Random", {
  rate: Schema.Number.pipe(Schema.between(0, 1)),
  seed: Schema.optionalWith(Schema.Int, { default: () => 0 }),
  fault: orOverloaded
})

/**
 * A value of the schema `Random`.
 *
 * @since 0.1.0
 * @category models
 */
export type Random = typeof Random.Type

/**
 * What picks a behaviour anew for every request.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const patterns: ReadonlyArray<Fault.Pattern> = [
 *   Fault.flapping({ every: 2 }),
 *   Fault.outage("30 seconds")
 * ]
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const Pattern = Schema.Union(Flapping, Outage, Random)

/**
 * A value of the schema `Pattern`.
 *
 * @since 0.1.0
 * @category models
 */
export type Pattern = typeof Pattern.Type

/**
 * Everything a `FaultServer` can do, as a type and as the schema of its JSON.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { Fault } from "effect-resilience/testing"
 *
 * const fromJson = Schema.decodeUnknownSync(Fault.Fault)
 * const fault = fromJson({ _tag: "Status", status: 429, headers: { "retry-after": "2" } })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const Fault = Schema.Union(Behaviour, Pattern)

/**
 * A value of the schema `Fault`.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault = typeof Fault.Type

/**
 * A whole and correct answer. `content`: a short sentence that names the model, by default. `toolCall`: in its place;
 * `arguments` is the text of a JSON object. `delay`: none by default. `usage`: counts that depend on what is said alone, by
 * default.
 *
 * A request that asks for JSON by a schema gets what the script says and nothing else, so say it in the `content`, or in a
 * `toolCall` where the client asks for JSON by a tool.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.ok({ content: "Hello.", usage: { promptTokens: 10, completionTokens: 2 } })
 * const json = Fault.ok({ content: `{"city":"Paris"}` })
 * const called = Fault.ok({ toolCall: { name: "weather", arguments: `{"city":"Paris"}` } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const ok = (settings: {
  readonly content?: string | undefined
  readonly toolCall?: Ok["toolCall"]
  readonly delay?: Duration.DurationInput | undefined
  readonly usage?: Ok["usage"]
} = {}): Ok => Ok.make({ ...settings, delay: options.finiteDuration("delay", settings.delay ?? 0) })

/**
 * A correct answer, late by `delay` of real time.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.slow("1500 millis")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const slow = (delay: Duration.DurationInput): Ok => ok({ delay })

const retryAfterHeaders = (retryAfter: Duration.Duration) => ({
  "retry-after": `${Math.ceil(Duration.toSeconds(retryAfter))}`,
  "retry-after-ms": `${Duration.toMillis(retryAfter)}`
})

/**
 * Any status from 200 to 599. `headers`: added to the usual ones, or in their place. `body`: a string as it is, anything
 * else as JSON; by default the provider's words for `error` or the status, and nothing below 400. `error`: the kind of the
 * error, or the status that says the same, if that is another. `retryAfter`: sent as `retry-after`, in
 * whole seconds rounded up, and as `retry-after-ms`; for an odd or a lone value use `headers`. `delay`: none by default.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const busy = Fault.status(503, { retryAfter: "2 seconds" })
 * const odd = Fault.status(429, { headers: { "retry-after": "soon" }, body: "slow down" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const status = (status: number, settings: {
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: unknown
  readonly error?: ErrorKind | number | undefined
  readonly retryAfter?: Duration.DurationInput | undefined
  readonly delay?: Duration.DurationInput | undefined
} = {}): Status => {
  const { delay, headers, retryAfter, ...said } = settings
  return Status.make({
    status,
    headers: retryAfter === undefined
      ? { ...headers }
      : { ...retryAfterHeaders(options.finiteDuration("retryAfter", retryAfter)), ...headers },
    ...said,
    delay: options.finiteDuration("delay", delay ?? 0)
  })
}

/**
 * 429, which waiting cures. With `retryAfter` the headers, and where the
 * provider does so the message, ask for that wait.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.rateLimited({ retryAfter: "2 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const rateLimited = (settings: { readonly retryAfter?: Duration.DurationInput | undefined } = {}): Status =>
  status(429, { retryAfter: settings.retryAfter })

/**
 * The provider has too much to do: 503 as OpenAI says it (the default), or 529 as others do.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.overloaded({ status: 529, retryAfter: "1 second" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const overloaded = (settings: {
  readonly status?: 503 | 529 | undefined
  readonly retryAfter?: Duration.DurationInput | undefined
} = {}): Status => status(settings.status ?? 503, { retryAfter: settings.retryAfter })

/**
 * 429 for a spent quota or budget, which waiting does not cure.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.quotaExhausted
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const quotaExhausted: Status = status(429, { error: "quota-exhausted" })

/**
 * 401 for an API key that is not valid.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.badKey
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const badKey: Status = status(401)

/**
 * 400 for a prompt that is longer than the context of the model.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.contextTooLong
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const contextTooLong: Status = status(400, { error: "context-too-long" })

/**
 * 400 for filtered content, on the OpenAI side as Azure sends it.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.contentFiltered
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const contentFiltered: Status = status(400, { error: "content-filtered" })

/**
 * 502 with a page of HTML, as the proxy before a provider sends it.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.htmlBadGateway
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const htmlBadGateway: Status = status(502, {
  headers: { "content-type": "text/html; charset=UTF-8", server: "cloudflare" },
  body: Pages.badGateway
})

/**
 * HTTP 200 with an error as its body: the one that belongs to the status `as`, 500 by default. The Responses API says it
 * by a response that failed, where it has a code for it.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.errorInside200({ as: 429 })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const errorInside200 = (settings: { readonly as?: number | undefined } = {}): Status =>
  status(200, { error: settings.as ?? 500 })

/**
 * HTTP 200 whose body is not JSON: broken text that claims to be JSON, or with `as: "html"` a page of HTML.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.malformedBody({ as: "html" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const malformedBody = (settings: { readonly as?: "text" | "html" | undefined } = {}): Status =>
  settings.as === "html"
    ? status(200, { headers: { "content-type": "text/html; charset=UTF-8" }, body: Pages.signIn })
    : status(200, { headers: { "content-type": "application/json" }, body: "upstream connect error, no JSON here" })

/**
 * The connection is reset (TCP RST) before a byte of the response.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.resetBeforeHeaders
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const resetBeforeHeaders: Reset = Reset.make({})

/**
 * The request is read and never answered.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.silence
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const silence: Silence = Silence.make({})

/**
 * Half of the body, and the connection is closed: short of the Content-Length, or with `chunked` before the last chunk.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.truncatedBody({ chunked: true })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const truncatedBody = (settings: { readonly chunked?: boolean | undefined } = {}): Truncated =>
  Truncated.make({ how: settings.chunked === true ? "chunked" : "length" })

/**
 * HTTP 200 that ends properly, in the middle of the JSON.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.truncatedJson
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const truncatedJson: Truncated = Truncated.make({ how: "json" })

/**
 * Headers and half of the body, then nothing. With a `status` from 400 it is the body of that error that stalls; 200 by
 * default.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.stalledBody({ status: 503 })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const stalledBody = (settings: { readonly status?: number | undefined } = {}): Stalled =>
  Stalled.make({ status: settings.status ?? 200 })

/**
 * A stream and what becomes of it. All is well by default.
 *
 * What is said: `content`, as for `ok`; or in its place `toolCall`, whose first piece is the name and whose others are
 * the `arguments`; before either the `reasoning`. `usage` is as for `ok`. `chunks`: into how many pieces the content or
 * the arguments are cut; by default content at the ends of words, arguments every 8 characters.
 *
 * When: `firstAfter` is the wait before the first output, reasoning included, while headers and the opening events are
 * sent at once; `pings` fills it with keep-alives, one `pingEvery` (50 ms by default). `every` is the pause between two
 * events from the first output on.
 *
 * What goes wrong: `then`, after so many pieces of content or of the tool call (`after`, 0 by default: before the first
 * one). Reasoning is not counted, and sent in any case. If there are fewer pieces it happens after all of them, and
 * before the stream says that it is whole. `"end"`, `"no done"` and `"no done, open"` send everything whatever `after`
 * is. `error`: what the ends that are errors say, `"overloaded"` by default.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const cut = Fault.stream({ after: 3, then: "cut" })
 * const slow = Fault.stream({ firstAfter: "2 seconds", pings: true })
 * const failed = Fault.stream({ content: "One two three.", after: 1, then: "error", error: "rate-limited" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const stream = (settings: {
  readonly content?: string | undefined
  readonly toolCall?: Stream["toolCall"]
  readonly reasoning?: string | undefined
  readonly usage?: Stream["usage"]
  readonly chunks?: number | undefined
  readonly firstAfter?: Duration.DurationInput | undefined
  readonly pings?: boolean | undefined
  readonly pingEvery?: Duration.DurationInput | undefined
  readonly every?: Duration.DurationInput | undefined
  readonly after?: number | undefined
  readonly then?: StreamEnd | undefined
  readonly error?: StreamError | undefined
} = {}): Stream => {
  const { after, error, every, firstAfter, pingEvery, pings, then, ...said } = settings
  return Stream.make({
    ...said,
    firstAfter: options.finiteDuration("firstAfter", firstAfter ?? 0),
    pings: pings ?? false,
    pingEvery: options.finitePositiveDuration("pingEvery", pingEvery ?? 50),
    every: options.finiteDuration("every", every ?? 0),
    after: after ?? 0,
    then: then ?? "end",
    error: error ?? "overloaded"
  })
}

/**
 * `bad` and `good` in turns, `bad` first. `every`: a number is a count of requests, anything else a time, such as
 * `"5 seconds"`. `bad` is `overloaded()` and `good` is `ok()` by default.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const byCount = Fault.flapping({ every: 2 })
 * const byTime = Fault.flapping({ every: "5 seconds", bad: Fault.silence })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const flapping = (settings: {
  readonly every: Duration.DurationInput
  readonly bad?: Behaviour | undefined
  readonly good?: Behaviour | undefined
}): Flapping =>
  Flapping.make({
    every: typeof settings.every === "number" ? settings.every : options.finiteDuration("every", settings.every),
    bad: settings.bad ?? overloaded(),
    good: settings.good ?? ok()
  })

/**
 * `fault` for the time `lasts` from the first request on, and `ok()` after it. `fault` is `overloaded()` by default.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.outage("30 seconds", { fault: Fault.resetBeforeHeaders })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const outage = (
  lasts: Duration.DurationInput,
  settings: { readonly fault?: Behaviour | undefined } = {}
): Outage => Outage.make({ lasts: options.finiteDuration("lasts", lasts), fault: settings.fault ?? overloaded() })

/**
 * `fault` for a share of the requests, `rate` (0 to 1), and `ok()` for the others. The same `seed` (a whole number, 0 by
 * default) picks the same requests. `fault` is `overloaded()` by default.
 *
 * @example
 * ```ts
 * import { Fault } from "effect-resilience/testing"
 *
 * const fault = Fault.random({ rate: 0.3, seed: 7, fault: Fault.truncatedBody() })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const random = (settings: {
  readonly rate: number
  readonly seed?: number | undefined
  readonly fault?: Behaviour | undefined
}): Random => Random.make({ rate: settings.rate, seed: settings.seed ?? 0, fault: settings.fault ?? overloaded() })
