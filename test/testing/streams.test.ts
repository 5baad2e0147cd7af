/** Streams of the FaultServer, as `fetch` sees them: every event, and how the body ends. */
import Anthropic from "@anthropic-ai/sdk"
import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, deepStrictEqual, strictEqual, throws } from "@effect/vitest/utils"
import { Effect, Exit, Schema, Scope } from "effect"
import { Fault, FaultServer } from "effect-resilience/testing"
import type { Format } from "./eventStreams.js"
import { closing, formats, named, open, opening, post, read } from "./eventStreams.js"

const howEnded = (server: FaultServer.Service) =>
  server.awaitAttempt((attempt) => attempt.end !== undefined).pipe(Effect.map((attempt) => attempt.end?.how))

const content = "One two three."

describe("a stream in OpenAI's format", () => {
  it.scopedLive("is chunks with the answer's id and model, a role first and [DONE] last", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.ok({ content, usage: { promptTokens: 3, completionTokens: 4 } }))
      const { response, until } = yield* open(server, "OpenAI", "m")
      strictEqual(response.status, 200)
      strictEqual(response.headers.get("content-type"), "text/event-stream; charset=utf-8")
      strictEqual(response.headers.get("x-request-id"), "req_1")
      const frames = (yield* until(() => false)).trimEnd().split("\n\n").map((frame) => frame.replace(/^data: /, ""))
      strictEqual(frames.pop(), "[DONE]")
      const choices = frames.map((frame) => {
        const { choices, created, ...shared } = JSON.parse(frame)
        strictEqual(typeof created, "number")
        deepStrictEqual(shared, { id: "chatcmpl-1", object: "chat.completion.chunk", model: "m" })
        return choices
      })
      const choice = (delta: object, finish_reason: string | null = null) => [
        { index: 0, delta, logprobs: null, finish_reason }
      ]
      deepStrictEqual(choices, [
        choice({ role: "assistant", content: "" }),
        choice({ content: "One" }),
        choice({ content: " two" }),
        choice({ content: " three." }),
        choice({}, "stop")
      ])
      strictEqual(yield* howEnded(server), "answered")
      strictEqual((yield* server.attempts)[0]?.status, 200)
    }))

  it.scopedLive("tells its usage in a chunk of its own, if asked to", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.ok({ content, usage: { promptTokens: 3, completionTokens: 4 } }))
      const { text } = yield* read(server, "OpenAI", "m", { stream: true, stream_options: { include_usage: true } })
      const frames = text.trimEnd().split("\n\n").slice(0, -1).map((frame) => JSON.parse(frame.replace(/^data: /, "")))
      const last = frames.pop()
      deepStrictEqual(last.choices, [])
      deepStrictEqual(last.usage, { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 })
      assertTrue(frames.every((frame) => frame.usage === null))
    }))

  it.scopedLive("keeps a connection alive with comments", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, firstAfter: "100 millis", pings: true, pingEvery: "5 millis" }))
      assertInclude((yield* read(server, "OpenAI", "m")).text, "\n\n: ping\n\n")
    }))

  it.scopedLive("gives an error of OpenRouter's as the reason of its finish", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, after: 1, then: "finish error", error: "rate-limited" }))
      const { events, text } = yield* read(server, "OpenAI", "m")
      deepStrictEqual(events, ["start", "One", "finish error"])
      const last = JSON.parse(text.trimEnd().split("data: ").at(-1) ?? "")
      strictEqual(last.error.code, 429)
      assertInclude(last.error.message, "Rate limit")
    }))
})

describe("a stream in Anthropic's format", () => {
  it.scopedLive("is a message from start to stop, with what it cost", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.ok({ content, usage: { promptTokens: 3, completionTokens: 4 } }))
      const { response, until } = yield* open(server, "Anthropic", "m")
      strictEqual(response.status, 200)
      strictEqual(response.headers.get("content-type"), "text/event-stream; charset=utf-8")
      strictEqual(response.headers.get("request-id"), "req_1")
      const frames = (yield* until(() => false)).trimEnd().split("\n\n").map((frame) => {
        const match = /^event: (\w+)\ndata: (.*)$/.exec(frame)
        const { type, ...fields } = JSON.parse(match?.[2] ?? "")
        strictEqual(type, match?.[1])
        return [type, fields]
      })
      const delta = (text: string) => ["content_block_delta", { index: 0, delta: { type: "text_delta", text } }]
      deepStrictEqual(frames, [
        ["message_start", {
          message: {
            id: "msg_1",
            type: "message",
            role: "assistant",
            model: "m",
            content: [],
            stop_reason: null,
            stop_sequence: null,
            usage: {
              input_tokens: 3,
              cache_creation_input_tokens: 0,
              cache_read_input_tokens: 0,
              output_tokens: 1,
              service_tier: "standard"
            }
          }
        }],
        ["content_block_start", { index: 0, content_block: { type: "text", text: "" } }],
        ["ping", {}],
        delta("One"),
        delta(" two"),
        delta(" three."),
        ["content_block_stop", { index: 0 }],
        ["message_delta", { delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 4 } }],
        ["message_stop", {}]
      ])
      strictEqual(yield* howEnded(server), "answered")
    }))
})

describe("Anthropic's client", () => {
  it.scopedLive("reads a stream of thinking and a tool call, and sees an error in one", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const toolCall = { name: "weather", arguments: `{"city":"Paris"}` }
      yield* server.script("m", Fault.stream({ reasoning: "Let me", toolCall }), Fault.stream({ then: "error" }))
      const client = new Anthropic({ apiKey: "sk-ant-1", baseURL: server.url, maxRetries: 0, logLevel: "off" })
      const ask = Effect.tryPromise({
        try: () =>
          client.messages.stream({ model: "m", max_tokens: 10, messages: [{ role: "user", content: "Hi" }] })
            .finalMessage(),
        catch: String
      })
      const message = yield* ask
      strictEqual(message.stop_reason, "tool_use")
      deepStrictEqual(message.content, [
        { type: "thinking", thinking: "Let me", signature: "c2lnbmVk" },
        { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Paris" }, caller: { type: "direct" } }
      ])
      assertInclude(yield* Effect.flip(ask), "overloaded_error")
    }))
})

describe.each(formats)("a stream in any format, here %s's,", (format) => {
  const start = opening[format]
  const finish = closing[format]
  const told = (...pieces: ReadonlyArray<string>) => [...start, ...pieces]

  /** Events, how the body ended for the client, and how for the server. */
  const whole: ReadonlyArray<readonly [Fault.StreamEnd, number, ReadonlyArray<string>]> = [
    ["end", 1, [...told("One", " two", " three."), ...finish, "done"]],
    ["eof", 2, told("One", " two")],
    ["eof", 9, told("One", " two", " three.")],
    ["no done", 0, [...told("One", " two", " three."), ...finish]],
    ["malformed", 1, [...told("One", "malformed", " two", " three."), ...finish, "done"]],
    ["malformed twice", 0, [...told("malformed", "malformed", "One", " two", " three."), ...finish, "done"]]
  ]
  it.scopedLive.each(whole)("ends properly: %s after %i pieces", ([then, after, events]) =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, after, then }))
      const seen = yield* read(server, format, "m")
      deepStrictEqual(seen.events, events)
      strictEqual(seen.error, "")
      strictEqual(yield* howEnded(server), "answered")
      yield* server.awaitClosed
    }))

  const errors: ReadonlyArray<readonly [Fault.StreamError, Readonly<Record<Format, string>>]> = [
    ["overloaded", {
      OpenAI: "server_is_overloaded",
      Responses: "server_is_overloaded",
      Anthropic: "overloaded_error"
    }],
    ["rate-limited", {
      OpenAI: "rate_limit_exceeded",
      Responses: "rate_limit_exceeded",
      Anthropic: "rate_limit_error"
    }],
    ["server-error", { OpenAI: "server_error", Responses: "server_error", Anthropic: "api_error" }],
    ["invalid-request", {
      OpenAI: "null",
      Responses: "invalid_request_error",
      Anthropic: "invalid_request_error"
    }],
    ["content-filtered", {
      OpenAI: "content_filter",
      Responses: "content_filter",
      Anthropic: "invalid_request_error"
    }]
  ]
  it.scopedLive.each(errors)("fails in the provider's words: %s", ([error, code]) =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, after: 1, then: "error", error }))
      const seen = yield* read(server, format, "m")
      deepStrictEqual(seen.events, told("One", `error ${code[format]}`))
      strictEqual(seen.error, "")
      strictEqual(yield* howEnded(server), "answered")
    }))

  it.scopedLive.each([0, 2])("is cut after %i pieces, all of which arrive", (after) =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, after, then: "cut" }))
      const seen = yield* read(server, format, "m")
      deepStrictEqual(seen.events, told(...["One", " two"].slice(0, after)))
      assertInclude(seen.error, "terminated")
      strictEqual(yield* howEnded(server), "cut")
    }))

  it.scopedLive("is reset, after what was sent has arrived", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, after: 1, then: "reset" }))
      const seen = yield* read(server, format, "m")
      deepStrictEqual(seen.events, told("One"))
      assertInclude(seen.error, "ECONNRESET")
      strictEqual(yield* howEnded(server), "reset")
      yield* server.awaitClosed
    }))

  const leftOpen: ReadonlyArray<readonly [Fault.StreamEnd, number, ReadonlyArray<string>]> = [
    ["stall", 0, start],
    ["stall", 1, told("One")],
    ["no done, open", 0, [...told("One", " two", " three."), ...finish]]
  ]
  it.scopedLive.each(leftOpen)(
    "stays open in silence until the client leaves: %s after %i pieces",
    ([then, after, events]) =>
      Effect.gen(function*() {
        const server = yield* FaultServer.make()
        yield* server.script("m", Fault.stream({ content, after, then }))
        const reading = yield* open(server, format, "m")
        deepStrictEqual(
          named(yield* reading.until((text) => named(text, format).length >= events.length), format),
          events
        )
        assertTrue(yield* reading.isSilent(50))
        strictEqual(yield* server.openSockets, 1)
        yield* reading.leave
        strictEqual(yield* howEnded(server), "closed by client")
        yield* server.awaitClosed
      })
  )

  it.scopedLive("goes on with keep-alives until the client leaves", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, after: 1, then: "pings", pingEvery: "1 millis" }))
      const reading = yield* open(server, format, "m")
      const events = told("One", "ping", "ping", "ping")
      const text = yield* reading.until((text) => named(text, format).length >= events.length)
      deepStrictEqual(named(text, format).slice(0, events.length), events)
      yield* reading.leave
      strictEqual(yield* howEnded(server), "closed by client")
      yield* server.awaitClosed
    }))

  it.scopedLive("sends a line without end only as fast as it is read", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, after: 1, then: "endless line" }))
      const reading = yield* open(server, format, "m")
      const text = yield* reading.until((text) => text.length > 1_000_000)
      deepStrictEqual(named(text, format), told("One", "half"))
      assertTrue(/\ndata: x+$/.test(text))
      const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed
      yield* Effect.sleep("200 millis")
      const grown = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed - before
      assertTrue(grown < 64 * 1024 * 1024, `${grown} bytes for a client that does not read`)
      yield* reading.leave
      strictEqual(yield* howEnded(server), "closed by client")
      yield* server.awaitClosed
    }))

  it.scopedLive("ends when the server does", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.extend(FaultServer.make(), scope)
      yield* server.script("m", Fault.stream({ content, after: 1, then: "stall" }))
      const reading = yield* open(server, format, "m")
      yield* reading.until((text) => text.includes("One"))
      yield* Scope.close(scope, Exit.void)
      assertInclude(yield* Effect.flip(reading.until(() => false)), "terminated")
      strictEqual(yield* howEnded(server), "closed by server")
    }))

  it.scopedLive("opens at once, and says its first word late", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, firstAfter: "100 millis" }))
      const began = performance.now()
      const reading = yield* open(server, format, "m")
      const opened = yield* reading.until((text) => named(text, format).length >= start.length)
      deepStrictEqual(named(opened, format), start)
      yield* reading.until((text) => text.includes("One"))
      assertTrue(performance.now() - began >= 99)
    }))

  it.scopedLive("can fill that time with keep-alives", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, firstAfter: "200 millis", pings: true, pingEvery: "5 millis" }))
      const { events } = yield* read(server, format, "m")
      const first = events.indexOf("One")
      const waited = events.slice(start.length, first)
      assertTrue(waited.length > 1 && waited.every((event) => event === "ping"), waited.join())
      assertTrue(!events.slice(first).includes("ping"))
    }))

  it.scopedLive("pauses between events from the first word on", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, every: "20 millis", then: "eof", after: 3 }))
      const began = performance.now()
      deepStrictEqual((yield* read(server, format, "m")).events, told("One", " two", " three."))
      assertTrue(performance.now() - began >= 39)
    }))

  it.scopedLive("forgets its pauses when the client leaves", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, firstAfter: "1 hour", pings: true, pingEvery: "1 minute" }))
      const reading = yield* open(server, format, "m")
      yield* reading.leave
      strictEqual(yield* howEnded(server), "closed by client")
      yield* server.awaitClosed
    }))

  it.scopedLive("is cut into as many pieces as wanted, never within a character", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const pieces = function*(content: string, chunks?: number) {
        yield* server.script("m", Fault.stream({ content, chunks }))
        const { events } = yield* read(server, format, "m")
        return events.slice(start.length, -finish.length - 1)
      }
      deepStrictEqual(yield* pieces("abcdef", 3), ["ab", "cd", "ef"])
      deepStrictEqual(yield* pieces("😀é", 9), ["😀", "é"])
      deepStrictEqual(yield* pieces("a\n\nb  "), ["a", "\n\nb", "  "])
      deepStrictEqual(yield* pieces(""), [])
    }))

  it.scopedLive("can be a tool call, which can break as well", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const toolCall = { name: "weather", arguments: `{"city":"Paris"}` }
      yield* server.script(
        "m",
        Fault.stream({ toolCall }),
        Fault.stream({ toolCall, chunks: 4, after: 2, then: "eof" }),
        Fault.stream({ toolCall, after: 0, then: "eof" })
      )
      const expected = {
        OpenAI: {
          opening: ["start"],
          first: `{"name":"weather","arguments":""}`,
          piece: (text: string) => JSON.stringify({ arguments: text }),
          closing: ["finish tool_calls", "done"]
        },
        Responses: {
          opening: ["start", "response.in_progress"],
          first: "response.output_item.added",
          piece: (text: string) => text,
          closing: ["response.function_call_arguments.done", "response.output_item.done", "done"]
        },
        Anthropic: {
          opening: ["start", "ping"],
          first: "content_block_start",
          piece: (text: string) => text,
          closing: ["content_block_stop", "finish tool_use", "done"]
        }
      }[format]
      const events = Effect.map(read(server, format, "m"), (seen) => seen.events)
      deepStrictEqual(yield* events, [
        ...expected.opening,
        expected.first,
        expected.piece(`{"city":`),
        expected.piece(`"Paris"}`),
        ...expected.closing
      ])
      deepStrictEqual(yield* events, [...expected.opening, expected.first, expected.piece(`{"ci`)])
      deepStrictEqual(yield* events, expected.opening)
    }))

  it.scopedLive("can reason first, which is not counted", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script(
        "m",
        Fault.stream({ content, reasoning: "Let me", then: "eof" }),
        Fault.stream({ content, reasoning: "Let me", then: "eof", after: 1 })
      )
      const thought = {
        OpenAI: ["start", "Let", " me"],
        Responses: [
          "start",
          "response.in_progress",
          "response.output_item.added",
          "response.reasoning_summary_part.added",
          "Let",
          " me",
          "response.reasoning_summary_text.done",
          "response.reasoning_summary_part.done",
          "response.output_item.done",
          "response.output_item.added",
          "response.content_part.added"
        ],
        // The third delta is the signature of the thinking, which has no words.
        Anthropic: [...start, "Let", " me", "undefined", "content_block_stop", "content_block_start"]
      }[format]
      deepStrictEqual((yield* read(server, format, "m")).events, thought)
      deepStrictEqual((yield* read(server, format, "m")).events, [...thought, "One"])
    }))

  it.scopedLive("meets the faults of plain answers", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script(
        "m",
        Fault.overloaded(),
        Fault.truncatedBody(),
        Fault.truncatedBody({ chunked: true }),
        Fault.truncatedJson,
        Fault.stalledBody()
      )
      const refused = yield* open(server, format, "m")
      deepStrictEqual([refused.response.status, refused.response.headers.get("content-type")], [
        503,
        "application/json"
      ])
      for (const error of ["terminated", "terminated", ""]) {
        const seen = yield* read(server, format, "m")
        assertTrue(seen.events.includes("This") && !seen.events.includes("done"), seen.text)
        strictEqual(seen.events.at(-1), "half")
        assertInclude(seen.error, error)
      }
      const stalled = yield* open(server, format, "m")
      yield* stalled.until((text) => text.includes("This"))
      assertTrue(yield* stalled.isSilent(50))
      yield* stalled.leave
      yield* server.awaitClosed
    }))

  it.scopedLive("is late as a whole when the answer is slow", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.slow("50 millis"))
      const began = performance.now()
      yield* open(server, format, "m")
      assertTrue(performance.now() - began >= 49)
    }))

  it.scopedLive("is none where none was asked for: its faults leave a plain answer well", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      yield* server.script("m", Fault.stream({ content, then: "cut" }))
      for (const more of [{}, { stream: false }]) {
        const response = yield* Effect.promise(() => post(server, format, "m", more))
        strictEqual(response.headers.get("content-type"), "application/json")
        assertInclude(yield* Effect.promise(() => response.text()), content)
      }
    }))
})

describe("the fault of a stream", () => {
  it("is JSON and comes back the same", () => {
    const fault = Fault.stream({ firstAfter: "2 seconds", pings: true, after: 1, then: "error", error: "server-error" })
    const json = JSON.stringify(Schema.encodeSync(Fault.Fault)(fault))
    deepStrictEqual(Schema.decodeUnknownSync(Fault.Fault)(JSON.parse(json)), fault)
    deepStrictEqual(Schema.decodeUnknownSync(Fault.Fault)({ _tag: "Stream" }), Fault.stream())
  })

  it("refuses what cannot be meant", () => {
    throws(() => Fault.stream({ after: -1 }))
    throws(() => Fault.stream({ after: 1.5 }))
    throws(() => Fault.stream({ chunks: 0 }))
    throws(() => Fault.stream({ firstAfter: -1 }))
    throws(() => Fault.stream({ every: NaN }))
    throws(() => Fault.stream({ pingEvery: 0 }))
    throws(() => Schema.decodeUnknownSync(Fault.Fault)({ _tag: "Stream", pingEvery: "0 millis" }))
    throws(() => Schema.decodeUnknownSync(Fault.Fault)({ _tag: "Stream", then: "explode" }))
  })
})
