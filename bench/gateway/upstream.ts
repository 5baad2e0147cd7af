/**
 * The provider that all contenders ask: answers at once, plain or as a stream, in a process of its own.
 *
 * A stream comes as models send it, each event in a packet, but without pauses, so that what is measured is the way and not
 * the model.
 *
 * `tsx upstream.ts PORT`
 */
import { createServer } from "node:http"
import { text } from "node:stream/consumers"
import { setImmediate } from "node:timers/promises"
import { ANSWER, EVENTS } from "./answer.js"

const events = EVENTS.map((event) => Buffer.from(event))

createServer(async (request, response) => {
  const { stream }: { readonly stream?: boolean } = JSON.parse(await text(request))
  if (stream !== true) {
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(ANSWER) })
    response.end(ANSWER)
    return
  }
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" })
  response.socket?.setNoDelay(true)
  for (const event of events) {
    response.write(event)
    await setImmediate()
  }
  response.end()
}).listen(Number(process.argv[2]), "127.0.0.1")
