/**
 * A local server that streams one answer as fast as it can, in a process of its own, so that its work is nobody's.
 *
 * The path says how the answer is written: one event at a time (`/event`), each in a turn of the event loop and so in a
 * packet, as models send them; or 64 KiB at a time (`/batch`), as a proxy that buffers does.
 */
import { createServer } from "node:http"
import { setImmediate } from "node:timers/promises"
import { CHUNKS, WORD } from "./answer.js"

const frame = (fields: object): string =>
  `data: ${
    JSON.stringify({
      id: "chatcmpl-BQxy7Zc0Vn2mTqLw4sKf9aRdGhJe1",
      object: "chat.completion.chunk",
      created: 1760000000,
      model: "gpt-4o-mini-2024-07-18",
      service_tier: "default",
      system_fingerprint: "fp_34a54ae93c",
      ...fields
    })
  }\n\n`

const said = (delta: object, reason: string | null): string =>
  frame({ choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }], usage: null })

const usage = { prompt_tokens: 9, completion_tokens: CHUNKS, total_tokens: CHUNKS + 9 }

const events: ReadonlyArray<Buffer> = [
  said({ role: "assistant", content: "", refusal: null }, null),
  ...Array.from({ length: CHUNKS }, () => said({ content: WORD }, null)),
  said({}, "stop"),
  frame({ choices: [], usage }),
  "data: [DONE]\n\n"
].map((event) => Buffer.from(event))

const BATCH = 64 * 1024
const whole = Buffer.concat(events)
const batches = Array.from(
  { length: Math.ceil(whole.length / BATCH) },
  (_, i) => whole.subarray(i * BATCH, (i + 1) * BATCH)
)

const server = createServer(async (request, response) => {
  request.resume()
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" })
  response.socket?.setNoDelay(true)
  for (const piece of request.url?.startsWith("/event") === true ? events : batches) {
    response.write(piece)
    await setImmediate()
  }
  response.end()
})

server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  process.send?.(typeof address === "object" ? address?.port : undefined)
})
process.on("disconnect", () => process.exit())
