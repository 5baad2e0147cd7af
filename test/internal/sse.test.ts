import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { FastCheck as fc } from "effect"
import { SseDecoder, type SseEvent } from "../../src/internal/sse.js"

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

const decode = (pieces: ReadonlyArray<Uint8Array>, maxLength = 1_000_000) => {
  const decoder = new SseDecoder(maxLength)
  const events = pieces.flatMap((piece) => decoder.push(piece))
  return { events: [...events, ...decoder.end()], overflowed: decoder.overflowed }
}

const eventsOf = (text: string): ReadonlyArray<SseEvent> => decode([bytesOf(text)]).events

/** The whole text at once, as the standard says it, with the last event whether or not a blank line ends it. */
const reference = (bytes: Uint8Array): ReadonlyArray<SseEvent> => {
  const lines = new TextDecoder().decode(bytes).split(/\r\n|\r|\n/)
  const events: Array<SseEvent> = []
  let event = ""
  let data: Array<string> = []
  for (const line of [...lines, ""]) {
    const [, name, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
    if (line === "") {
      if (data.length > 0) events.push({ event, data: data.join("\n") })
      event = ""
      data = []
    } else if (name === "data") {
      data.push(value)
    } else if (name === "event") {
      event = value
    }
  }
  return events
}

const cut = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const ends = [...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
}

describe("SseDecoder", () => {
  const cases: ReadonlyArray<readonly [promise: string, text: string, events: ReadonlyArray<SseEvent>]> = [
    ["gives the data of each event", "data: {\"a\":1}\n\ndata: [DONE]\n\n", [
      { event: "", data: "{\"a\":1}" },
      { event: "", data: "[DONE]" }
    ]],
    ["gives the name of an event, and forgets it after", "event: ping\ndata: {}\n\ndata: {}\n\n", [
      { event: "ping", data: "{}" },
      { event: "", data: "{}" }
    ]],
    ["joins the lines of one event's data", "data: {\ndata: }\n\n", [{ event: "", data: "{\n}" }]],
    ["drops one space after the colon and no other", "data:x\n\ndata:  x \n\n", [
      { event: "", data: "x" },
      { event: "", data: " x " }
    ]],
    ["overlooks comments, ids and reconnection times", ": OPENROUTER PROCESSING\n\nid: 7\nretry: 10\ndata: x\n:\n\n", [
      { event: "", data: "x" }
    ]],
    ["has no event without data", "event: ping\n\nid: 1\n\n\n\ndatas: x\n\n", []],
    ["takes empty data for data", "data\n\ndata:\ndata:\n\n", [{ event: "", data: "" }, { event: "", data: "\n" }]],
    ["takes every kind of line end, mixed", "data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\r", [
      { event: "", data: "a\nb\nc" },
      { event: "", data: "d" }
    ]],
    ["gives a last event that no blank line ends", "data: a\n\ndata: b\n", [
      { event: "", data: "a" },
      { event: "", data: "b" }
    ]],
    ["gives a last event that no line end ends", "data: a\r\n\r\ndata: b", [
      { event: "", data: "a" },
      { event: "", data: "b" }
    ]],
    ["drops a byte order mark at the start and nowhere else", "\ufeffdata: \ufeffa\n\n", [
      { event: "", data: "\ufeffa" }
    ]],
    ["has nothing for an empty body", "", []]
  ]
  for (const [promise, text, events] of cases) {
    it(promise, () => deepStrictEqual(eventsOf(text), events))
  }

  it("gives an event as soon as its blank line came, even if that is a lone CR", () => {
    const decoder = new SseDecoder(100)
    deepStrictEqual(decoder.push(bytesOf("data: a\r\n\r")), [{ event: "", data: "a" }])
    deepStrictEqual(decoder.push(bytesOf("\ndata: b\n")), [])
    deepStrictEqual(decoder.push(bytesOf("\n")), [{ event: "", data: "b" }])
    deepStrictEqual(decoder.end(), [])
  })

  const lineEnd = fc.constantFrom("\n", "\r\n", "\r")
  const value = fc.oneof(
    fc.constantFrom("", "x", " x", "a: b", "[DONE]", "ü", "日本", "👩‍🚀", "\ufeff", "\u2028", "\u0000"),
    fc.string({ unit: "grapheme", maxLength: 8 }).map((text) => text.replaceAll(/[\r\n]/g, ""))
  )
  const name = fc.constantFrom("data", "data", "data", "event", "id", "retry", "", "other", " data", "\ufeffdata")
  const line = fc.oneof(
    { weight: 5, arbitrary: fc.tuple(name, fc.constantFrom(":", ": "), value).map((parts) => parts.join("")) },
    { weight: 3, arbitrary: fc.constant("") },
    { weight: 1, arbitrary: value }
  )
  const document = fc.tuple(
    fc.constantFrom("", "\ufeff"),
    fc.array(fc.tuple(line, lineEnd).map((parts) => parts.join("")), { maxLength: 20 }),
    line
  ).map(([mark, lines, last]) => bytesOf(mark + lines.join("") + last))
  const places = fc.array(fc.nat(), { maxLength: 40 })

  it.prop("gives the same events wherever the bytes are cut", [document, places], ([bytes, places]) => {
    const expected = { events: reference(bytes), overflowed: false }
    deepStrictEqual(decode([bytes]), expected)
    deepStrictEqual(decode(cut(bytes, places)), expected)
    deepStrictEqual(decode(Array.from(bytes, (byte) => Uint8Array.of(byte))), expected)
  })

  it.prop(
    "a limit leaves out what is too long and what follows, wherever the bytes are cut",
    [document, places, fc.integer({ min: 0, max: 20 })],
    ([bytes, places, limit]) => {
      const whole = decode([bytes], limit)
      deepStrictEqual(decode(cut(bytes, places), limit), whole)
      deepStrictEqual(whole.events, reference(bytes).slice(0, whole.events.length))
      assertTrue(whole.events.every(({ data, event }) => data.length <= limit && event.length <= limit))
      assertTrue(whole.overflowed || whole.events.length === reference(bytes).length)
    }
  )

  it("allows exactly the greatest length of a line and of an event's data", () => {
    const overflows = (text: string, limit: number) => decode([bytesOf(text)], limit).overflowed
    deepStrictEqual([overflows("data: 1234\n\n", 10), overflows("data: 12345\n\n", 10)], [false, true])
    deepStrictEqual([overflows("data:1\ndata:2\n\n", 6), overflows(": a comment\n\n", 10)], [false, true])
    const lines = "data:12\n".repeat(4)
    deepStrictEqual([overflows(lines, 11), overflows(lines, 10)], [false, true])
  })

  it("stops holding a line that never ends", () => {
    const decoder = new SseDecoder(10)
    deepStrictEqual(decoder.push(bytesOf("data: a\n\ndata: 123456")), [{ event: "", data: "a" }])
    assertTrue(decoder.overflowed)
    deepStrictEqual(decoder.push(bytesOf("\n\ndata: b\n\n")), [])
    deepStrictEqual(decoder.end(), [])
  })

  it("reads a line of a million pieces in the time of a million pieces", () => {
    const piece = bytesOf("x")
    const decoder = new SseDecoder(2_000_000)
    decoder.push(bytesOf("data: "))
    for (let n = 0; n < 1_000_000; n++) decoder.push(piece)
    strictEqual(decoder.end()[0]?.data.length, 1_000_000)
  })
})
