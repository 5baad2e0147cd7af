import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { EventWatcher } from "../../src/internal/eventWatcher.js"

const watched = (...events: ReadonlyArray<object>) => {
  const watcher = new EventWatcher(() => false)
  watcher.push(new TextEncoder().encode(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")))
  watcher.end()
  return watcher
}

describe("a watcher of the Responses API's events", () => {
  const announcing = [
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.output_item.added",
    "response.reasoning_summary_part.added",
    "response.content_part.added",
    "keepalive"
  ]
  it.each(announcing)("takes what says nothing of the answer for no output: %s", (type) => {
    strictEqual(watched({ type }).outputs, 0)
  })

  it("counts what the model says, its reasoning too", () => {
    const types = [
      "response.reasoning_summary_text.delta",
      "response.output_text.delta",
      "response.function_call_arguments.delta"
    ]
    deepStrictEqual(types.map((type) => watched({ type, delta: "x" }).outputs), [1, 1, 1])
  })

  it("knows by the last event alone that an answer is whole", () => {
    const item = { type: "response.output_item.done" }
    strictEqual(watched(item).isTruncated, true)
    for (const type of ["response.completed", "response.incomplete"]) {
      strictEqual(watched(item, { type }).isTruncated, false)
    }
  })
})
