/**
 * Model names that stand for faults, so that a program which can only choose a model (an SDK, curl, a configuration
 * file) can choose how the server fails.
 *
 * One table is the grammar: what is matched, what the 404 for an unknown name lists, and what `GET /v1/models` shows.
 * The doc comment of `FaultServer.ts` repeats it for people.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Fault from "../Fault.js"

interface Row {
  /** The name as people read it. */
  readonly name: string
  /** A name that can be used as it stands. */
  readonly example: string
  /** Matched against all that follows `fault-`; its groups are the arguments of `fault`. */
  readonly pattern: RegExp
  readonly fault: (...groups: Array<string>) => Fault.Fault
}

const constant = (word: string, fault: Fault.Fault): Row => ({
  name: `fault-${word}`,
  example: `fault-${word}`,
  pattern: new RegExp(`^${word}$`),
  fault: () => fault
})

/** `2` and `2s` are seconds, `250ms` are milliseconds. */
const time = (text: string): Duration.Duration =>
  text.endsWith("ms") ? Duration.millis(Number.parseFloat(text)) : Duration.seconds(Number.parseFloat(text))

const grammar: ReadonlyArray<Row> = [
  {
    name: "fault-[status-]<code>[-retry-after-<time>]",
    example: "fault-429-retry-after-2",
    pattern: /^(?:status-)?([2-5]\d\d)(?:-retry-after-(\d+(?:ms|s)?))?$/,
    fault: (code, wait?: string) => {
      const retryAfter = wait === undefined ? undefined : time(wait)
      return code === "429" ? Fault.rateLimited({ retryAfter }) : Fault.status(Number(code), { retryAfter })
    }
  },
  constant("overloaded", Fault.overloaded()),
  constant("quota-exhausted", Fault.quotaExhausted),
  constant("bad-key", Fault.badKey),
  constant("context-too-long", Fault.contextTooLong),
  constant("content-filtered", Fault.contentFiltered),
  constant("html-bad-gateway", Fault.htmlBadGateway),
  constant("error-inside-200", Fault.errorInside200()),
  constant("reset", Fault.resetBeforeHeaders),
  constant("silence", Fault.silence),
  {
    name: "fault-slow-<time>",
    example: "fault-slow-1500ms",
    pattern: /^slow-(\d+(?:ms|s)?)$/,
    fault: (delay) => Fault.slow(time(delay))
  },
  constant("truncated", Fault.truncatedBody()),
  constant("truncated-chunked", Fault.truncatedBody({ chunked: true })),
  constant("truncated-json", Fault.truncatedJson),
  constant("malformed", Fault.malformedBody()),
  constant("malformed-html", Fault.malformedBody({ as: "html" })),
  {
    name: "fault-stalled[-<code>]",
    example: "fault-stalled",
    pattern: /^stalled(?:-([2-5]\d\d))?$/,
    fault: (code = "200") => Fault.stalledBody({ status: Number(code) })
  },
  {
    name: "fault-stream-(cut|reset|eof|stall|pings|malformed|error)[-at-once]",
    example: "fault-stream-cut",
    pattern: /^stream-(cut|reset|eof|stall|pings|malformed|error)(-at-once)?$/,
    fault: (then, atOnce?: string) =>
      Fault.stream({ then: Schema.decodeUnknownSync(Fault.StreamEnd)(then), after: atOnce === undefined ? 3 : 0 })
  },
  {
    name: "fault-stream-slow-<time>",
    example: "fault-stream-slow-2s",
    pattern: /^stream-slow-(\d+(?:ms|s)?)$/,
    fault: (firstAfter) => Fault.stream({ firstAfter: time(firstAfter) })
  },
  {
    name: "fault-flapping-<count>",
    example: "fault-flapping-2",
    pattern: /^flapping-([1-9]\d{0,8})$/,
    fault: (count) => Fault.flapping({ every: Number(count) })
  },
  {
    name: "fault-flapping-<time>",
    example: "fault-flapping-5s",
    pattern: /^flapping-([1-9]\d*(?:ms|s))$/,
    fault: (every) => Fault.flapping({ every: time(every) })
  },
  {
    name: "fault-outage-<time>",
    example: "fault-outage-10s",
    pattern: /^outage-(\d+(?:ms|s)?)$/,
    fault: (lasts) => Fault.outage(time(lasts))
  },
  {
    name: "fault-random-<percent>",
    example: "fault-random-30",
    pattern: /^random-(\d{1,2}|100)$/,
    fault: (percent) => Fault.random({ rate: Number(percent) / 100 })
  }
]

/** The fault that a model name stands for: a whole answer for ordinary names, undefined for a `fault-…` unknown here. */
export const faultFor = (model: string): Fault.Fault | undefined => {
  if (!model.startsWith("fault-")) {
    return Fault.ok()
  }
  const rest = model.slice("fault-".length)
  for (const row of grammar) {
    const match = row.pattern.exec(rest)
    if (match !== null) {
      return row.fault(...match.slice(1))
    }
  }
  return undefined
}

/** How every valid name reads. */
export const names: ReadonlyArray<string> = grammar.map((row) => row.name)

/** One usable name for each row of the grammar. */
export const examples: ReadonlyArray<string> = grammar.map((row) => row.example)
