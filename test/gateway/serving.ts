/** A gateway that runs, between real clients and a server that fails on purpose in the place of its providers. */
import type { Scope } from "effect"
import { Duration, Effect, Layer, Schema } from "effect"
import { Gateway, GatewayConfig } from "effect-resilience/gateway"
import { FaultServer } from "effect-resilience/testing"
import * as Http from "node:http"
import * as Prometheus from "../../src/cli/gateway/prometheus.js"
import * as Server from "../../src/cli/gateway/server.js"
import * as Spans from "../../src/cli/gateway/spans.js"
import * as Upstream from "../../src/cli/gateway/upstream.js"

export const PROVIDER_KEY = "sk-of-the-provider"
export const CLIENT_KEY = "sk-of-the-client"

/** What differs from one gateway to the other. */
export interface File {
  readonly auth?: object
  readonly models?: object
  readonly policies?: object
  readonly passthrough?: ReadonlyArray<string>
}

/** Waits are short, and there are two attempts. */
export const quick = { retry: { maxAttempts: 2, base: "5 millis", jitter: "none" } }

/** `chat` has two providers, `one` the first of them alone. The first speaks OpenAI's protocol, as does the second. */
export const two = {
  models: {
    chat: { chain: ["first/a", "second/b"], policy: "quick" },
    one: { chain: ["first/a"], policy: "quick" },
    claude: { chain: ["claude/c"], policy: "quick" }
  },
  policies: { quick }
} satisfies File

export interface Serving {
  /** Without a slash at the end, and without `/v1`. */
  readonly url: string
  readonly port: number
  /** In the place of all providers, which differ by the models that they are asked for. */
  readonly upstream: FaultServer.Service
  readonly drain: Effect.Effect<void>
}

const filesOf = (upstream: string, { models = two.models, policies = two.policies, ...file }: File) => ({
  providers: {
    first: { type: "openai", baseUrl: `${upstream}/v1`, apiKey: PROVIDER_KEY },
    second: { type: "openai", baseUrl: `${upstream}/v1`, apiKey: PROVIDER_KEY },
    claude: { type: "anthropic", baseUrl: upstream, apiKey: PROVIDER_KEY }
  },
  ...file,
  models,
  policies
})

/** Runs the gateway of a file for as long as the scope is open. Its providers are at `url`, or at a server of faults. */
export const serve = (file: File = {}, url?: string): Effect.Effect<Serving, never, Scope.Scope> =>
  Effect.gen(function*() {
    const upstream = yield* FaultServer.make({ redact: false, keepBodies: true })
    const config = yield* GatewayConfig.decode(filesOf(url ?? upstream.url, file))
    const client = yield* Layer.build(Upstream.layer)
    const metrics = yield* Prometheus.make({ name: "gateway", version: "0" })
    const gateway = yield* Gateway.make(config, { metrics }).pipe(Effect.provide(client))
    const address = yield* Server.serve(gateway.app, {
      host: "127.0.0.1",
      port: 0,
      drain: gateway.drain,
      grace: Duration.zero,
      hurry: Effect.never
    }).pipe(Spans.discreet)
    return { url: Server.urlOf(address), port: address.port, upstream, drain: gateway.drain }
  }).pipe(Effect.orDie)

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly text: string
}

/** Sends exactly this over a connection of its own, and reads the answer. Who is interrupted hangs up. */
export const send = (
  { port }: Pick<Serving, "port">,
  path: string,
  { body, headers = {}, method = body === undefined ? "GET" : "POST" }: {
    readonly method?: string
    readonly headers?: Http.OutgoingHttpHeaders
    readonly body?: string | Uint8Array | undefined
  } = {}
): Effect.Effect<Answer> =>
  Effect.async((resume) => {
    const failed = (error: Error) => resume(Effect.die(error))
    const options = { host: "127.0.0.1", port, path, method, headers, agent: false, setDefaultHeaders: true }
    const request = Http.request(options, (response) => {
      const pieces: Array<Buffer> = []
      response.on("data", (piece: Buffer) => pieces.push(piece))
      response.on("error", failed)
      response.on("end", () =>
        resume(Effect.succeed({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(pieces).toString()
        })))
    })
    request.on("error", failed)
    request.end(body)
    return Effect.sync(() => request.destroy())
  })

/** Sends this as JSON. */
export const post = (
  serving: Pick<Serving, "port">,
  path: string,
  body: unknown,
  headers: Http.OutgoingHttpHeaders = {}
): Effect.Effect<Answer> =>
  send(serving, path, { body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } })

export const messages: [{ role: "user"; content: string }] = [{ role: "user", content: "Count." }]

/** Asks for a chat. */
export const chat = (serving: Pick<Serving, "port">, headers: Http.OutgoingHttpHeaders = {}, body: object = {}) =>
  post(serving, "/v1/chat/completions", { model: "chat", messages, ...body }, headers)

const ErrorBody = Schema.parseJson(Schema.Struct({
  error: Schema.Struct({
    message: Schema.String,
    type: Schema.String,
    param: Schema.NullOr(Schema.String),
    code: Schema.String
  })
}))

/** The error of an answer, which has OpenAI's shape to the last field. */
export const errorOf = ({ text }: Pick<Answer, "text">) =>
  Schema.decodeUnknownSync(ErrorBody, { onExcessProperty: "error" })(text).error

/** Sends this as JSON, and gives the answer as soon as it has begun: to be read, or not. Hangs up with the scope. */
export const open = (
  { port }: Pick<Serving, "port">,
  path: string,
  body: unknown,
  headers: Http.OutgoingHttpHeaders = {}
): Effect.Effect<Http.IncomingMessage, never, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() =>
        Http.request({
          host: "127.0.0.1",
          port,
          path,
          method: "POST",
          agent: false,
          headers: { "content-type": "application/json", ...headers }
        })
      ),
      (request) => Effect.sync(() => request.destroy())
    ),
    (request) =>
      Effect.async((resume) => {
        // Who hangs up is told so by an error.
        request.on("error", () => {})
        request.on("response", (response) => {
          response.on("error", () => {})
          resume(Effect.succeed(response))
        })
        request.end(JSON.stringify(body))
      })
  )
