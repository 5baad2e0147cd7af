/**
 * The life of one request: read, entered in the log, routed, answered or not, and its end noted.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Http from "node:http"
import type { End } from "../FaultServer.js"
import type { AttemptLog } from "./attemptLog.js"
import * as Interpreter from "./interpreter.js"
import * as Router from "./router.js"
import { requestId } from "./wire.js"

/** Headers whose values are, or contain, a key. */
const secretHeaders = new Set([
  "api-key",
  "authorization",
  "cookie",
  "ocp-apim-subscription-key",
  "proxy-authorization",
  "x-api-key",
  "x-goog-api-key"
])

const secretQuery = /([?&](?:key|api[-_]?key|access_token)=)[^&]*/gi

const describe = (request: Http.IncomingMessage, redact: boolean) => {
  const url = request.url ?? "/"
  return {
    method: request.method ?? "GET",
    path: redact ? url.replace(secretQuery, "$1<redacted>") : url,
    headers: Object.fromEntries(
      Object.entries(request.headers).map(([name, value = ""]) => [
        name,
        redact && secretHeaders.has(name) ? "<redacted>" : Array.isArray(value) ? value.join(", ") : value
      ])
    )
  }
}

interface Body {
  readonly length: number
  /** Undefined when it was over the limit. */
  readonly text: string | undefined
}

/**
 * The whole body. What is over the limit is read as well, so that the client gets to read its 413, but not kept. Never
 * ends when the client leaves early; the fiber is interrupted then.
 */
const readBody = (request: Http.IncomingMessage, maxBytes: number) =>
  Effect.async<Body>((resume) => {
    const chunks: Array<Buffer> = []
    let length = 0
    request.on("data", (chunk: Buffer) => {
      length += chunk.length
      if (length <= maxBytes) {
        chunks.push(chunk)
      }
    })
    request.once("end", () => {
      const text = length <= maxBytes ? Buffer.concat(chunks).toString("utf8") : undefined
      resume(Effect.succeed({ length, text }))
    })
  })

/** What is noted about a request on its way, and what its responses carry. */
interface Observer {
  readonly routed: (reply: Router.Reply, body: Body) => void
  readonly breaking: (how: End["how"]) => void
  readonly headers: Interpreter.Exchange["headers"]
}

const unobserved: Observer = { routed: () => {}, breaking: () => {}, headers: () => ({}) }

export const make = (server: {
  readonly clock: Clock.Clock
  readonly log: AttemptLog
  readonly route: (request: Router.Request) => Router.Reply
  readonly redact: boolean
  readonly keepBodies: boolean
  readonly maxBodyBytes: number
  readonly isClosing: () => boolean
}): (request: Http.IncomingMessage, response: Http.ServerResponse) => Effect.Effect<void> => {
  const { clock, log } = server
  let requests = 0

  const observe = (request: Http.IncomingMessage, response: Http.ServerResponse, number: number): Observer => {
    const id = requestId(number)
    const start = clock.unsafeCurrentTimeNanos()
    let broken: End["how"] | undefined
    log.add({ id, time: clock.unsafeCurrentTimeMillis(), ...describe(request, server.redact), bodyLength: 0 })
    response.once("close", () => {
      const how = broken ??
        (response.writableFinished ? "answered" : server.isClosing() ? "closed by server" : "closed by client")
      log.update(id, {
        ...(response.headersSent ? { status: response.statusCode } : {}),
        end: { how, time: clock.unsafeCurrentTimeMillis() }
      })
    })
    return {
      routed: ({ behaviour, model }, { length, text }) =>
        log.update(id, {
          bodyLength: length,
          ...(server.keepBodies && text !== undefined ? { body: text } : {}),
          ...(model === undefined ? {} : { model, fault: behaviour })
        }),
      breaking: (how) => {
        broken = how
      },
      headers: (reply, said) =>
        reply.wire.headers({
          elapsed: Number(clock.unsafeCurrentTimeNanos() - start) / 1e6,
          time: clock.unsafeCurrentTimeMillis(),
          said
        })
    }
  }

  return (request, response) =>
    Effect.suspend(() => {
      const path = (request.url ?? "/").replace(/\?.*$/, "")
      const number = Router.isControl(path) ? 0 : requests += 1
      const observer = number === 0 ? unobserved : observe(request, response, number)
      return Effect.gen(function*() {
        const body = yield* readBody(request, server.maxBodyBytes)
        const reply = server.route({
          number,
          method: request.method ?? "GET",
          path,
          body: body.text,
          time: clock.unsafeCurrentTimeMillis()
        })
        observer.routed(reply, body)
        yield* Interpreter.perform(reply, { response, ...observer })
      }).pipe(
        // Such as a body that JSON cannot hold. A client left hanging would hide the mistake.
        Effect.catchAllDefect((defect) =>
          Effect.andThen(
            Effect.logError("FaultServer could not answer", defect),
            Effect.sync(() => {
              observer.breaking("closed by server")
              response.destroy()
            })
          )
        )
      )
    })
}
