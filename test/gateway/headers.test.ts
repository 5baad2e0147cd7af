/** What a client may ask for in the headers of its request, what of them goes on, and what it is told in return. */
import { describe, it } from "@effect/vitest"
import { assertFalse, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Clock, Effect } from "effect"
import { Fault } from "effect-resilience/testing"
import type { OutgoingHttpHeaders } from "node:http"
import type { Serving } from "./serving.js"
import { chat, CLIENT_KEY, errorOf, messages, post, PROVIDER_KEY, quick, send, serve, two } from "./serving.js"

/** The ways to ask a provider. */
const endpoints: ReadonlyArray<readonly [what: string, path: string, body: object]> = [
  ["a chat", "/v1/chat/completions", { messages }],
  ["a chat as a stream", "/v1/chat/completions", { messages, stream: true }],
  ["embeddings", "/v1/embeddings", { input: "one" }],
  ["a response", "/v1/responses", { input: "Count." }],
  ["a response as a stream", "/v1/responses", { input: "Count.", stream: true }]
]

const askAll = (serving: Serving, headers: OutgoingHttpHeaders, model = "one") =>
  Effect.forEach(endpoints, ([, path, body]) => post(serving, path, { model, ...body }, headers))

const keys = {
  keys: [{ name: "web", key: CLIENT_KEY }, { name: "app", key: "sk-of-the-app" }]
}
const web = { authorization: `Bearer ${CLIENT_KEY}` }
const app = { authorization: "Bearer sk-of-the-app" }

const header = (serving: Serving, name: string) =>
  Effect.map(serving.upstream.attempts, (attempts) => attempts.map(({ headers }) => headers[name]))

describe("x-deadline-ms", () => {
  for (const [what, path, body] of endpoints) {
    it.scopedLive(`ends ${what} with 504, and what runs upstream`, () =>
      Effect.gen(function*() {
        const serving = yield* serve()
        yield* serving.upstream.script("a", Fault.silence)
        const startedAt = yield* Clock.currentTimeMillis
        const answer = yield* post(serving, path, { model: "one", ...body }, { "x-deadline-ms": "200" })
        const took = (yield* Clock.currentTimeMillis) - startedAt
        deepStrictEqual([answer.status, errorOf(answer).code], [504, "deadline_exceeded"])
        strictEqual(answer.headers["x-should-retry"], "false")
        assertTrue(took >= 190 && took < 3000, `${took} ms`)
        yield* serving.upstream.awaitClosed
        deepStrictEqual((yield* serving.upstream.attempts).map(({ end }) => end?.how), ["closed by client"])
      }))

    it.scopedLive(`gives ${what} no more time than the policy`, () =>
      Effect.gen(function*() {
        const serving = yield* serve({ ...two, policies: { quick: { ...quick, deadline: "200 millis" } } })
        yield* serving.upstream.script("a", Fault.silence)
        const answer = yield* post(serving, path, { model: "one", ...body }, { "x-deadline-ms": "60000" })
        deepStrictEqual([answer.status, errorOf(answer).code], [504, "deadline_exceeded"])
      }))
  }

  it.scopedLive("may be as long as one likes", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      const answers = yield* askAll(serving, { "x-deadline-ms": "999999999999" })
      deepStrictEqual(answers.map(({ status }) => status), [200, 200, 200, 200, 200])
    }))

  for (const value of ["0", "-1", "abc", "1.5", "1e3", "", "10 seconds", "9999999999999"]) {
    it.scopedLive(`is refused as ${JSON.stringify(value)}`, () =>
      Effect.gen(function*() {
        const serving = yield* serve()
        const answer = yield* chat(serving, { "x-deadline-ms": value })
        deepStrictEqual([answer.status, errorOf(answer).code], [400, "invalid_header"])
        deepStrictEqual(yield* serving.upstream.attempts, [])
      }))
  }
})

describe("idempotency-key", () => {
  it.scopedLive("goes on behind the name of the client, the same for all attempts, and another for another provider", () =>
    Effect.gen(function*() {
      const serving = yield* serve({ auth: keys })
      yield* serving.upstream.script("a", Fault.overloaded())
      for (const client of [web, app]) {
        strictEqual((yield* chat(serving, { ...client, "idempotency-key": "k" })).status, 200)
      }
      deepStrictEqual(yield* header(serving, "idempotency-key"), [
        "web:k",
        "web:k",
        "web:k-2",
        "app:k",
        "app:k",
        "app:k-2"
      ])
    }))

  it.scopedLive("goes on whatever is asked for", () =>
    Effect.gen(function*() {
      const serving = yield* serve({ auth: keys })
      yield* askAll(serving, { ...web, "idempotency-key": "k" })
      deepStrictEqual(new Set(yield* header(serving, "idempotency-key")), new Set(["web:k"]))
    }))

  it.scopedLive("is made up where there is none, for each request another", () =>
    Effect.gen(function*() {
      const serving = yield* serve({ auth: keys })
      yield* askAll(serving, web)
      const made = yield* header(serving, "idempotency-key")
      assertTrue(made.every((key) => key !== undefined))
      strictEqual(new Set(made).size, endpoints.length)
    }))

  for (const name of ["idempotency-key", "x-budget-key"]) {
    it.scopedLive(`is as long as a provider takes, and visible (${name})`, () =>
      Effect.gen(function*() {
        const serving = yield* serve({ auth: keys })
        for (const value of ["", "a b", "k".repeat(129), "clé"]) {
          const answer = yield* chat(serving, { ...web, [name]: value })
          deepStrictEqual([answer.status, errorOf(answer).code], [400, "invalid_header"])
        }
        deepStrictEqual(yield* serving.upstream.attempts, [])
      }))
  }
})

describe("a budget of retries", () => {
  const policies = { quick: { ...quick, circuitBreaker: false } }
  const attempts = (serving: Serving, headers: OutgoingHttpHeaders, path: string, body: object) =>
    Effect.map(
      post(serving, path, { model: "one", ...body }, headers),
      (answer) => answer.headers["x-resilience-attempts"]
    )

  for (const [what, path, body] of endpoints) {
    it.scopedLive(`of a client is spent by it alone, asking for ${what}`, () =>
      Effect.gen(function*() {
        const budget = { limit: 2, per: "1 hour" }
        const serving = yield* serve({ ...two, policies, auth: { keys: keys.keys.map((key) => ({ ...key, budget })) } })
        yield* serving.upstream.script("a", Fault.status(500))
        const of = (client: OutgoingHttpHeaders) => Effect.replicateEffect(attempts(serving, client, path, body), 3)
        deepStrictEqual(yield* of(web), ["2", "2", "1"])
        deepStrictEqual(yield* of(app), ["2", "2", "1"])
      }))

    it.scopedLive(`by the name of x-budget-key is that of one client, asking for ${what}`, () =>
      Effect.gen(function*() {
        const serving = yield* serve({ ...two, policies, auth: keys })
        yield* serving.upstream.script("a", Fault.status(500))
        const of = (client: OutgoingHttpHeaders) =>
          attempts(serving, { ...client, "x-budget-key": "user:1" }, path, body)
        const spent = yield* Effect.replicateEffect(of(web), 20)
        assertTrue(spent.includes("1"), spent.join(" "))
        deepStrictEqual(yield* Effect.replicateEffect(of(app), 3), ["2", "2", "2"])
      }))
  }

  it.scopedLive("by the name of x-budget-key is charged besides that of the client", () =>
    Effect.gen(function*() {
      const serving = yield* serve({
        ...two,
        policies,
        auth: { keys: [{ name: "web", key: CLIENT_KEY, budget: { limit: 2, per: "1 hour" } }] }
      })
      yield* serving.upstream.script("a", Fault.status(500))
      const spent = yield* Effect.forEach(["user:1", "user:2", "user:3"], (key) =>
        attempts(serving, { ...web, "x-budget-key": key }, "/v1/chat/completions", { messages }))
      deepStrictEqual(spent, ["2", "2", "1"])
    }))
})

describe("to the provider", () => {
  for (const model of ["one", "claude"]) {
    it.scopedLive(`goes its own key, and nothing that is the client's (${model})`, () =>
      Effect.gen(function*() {
        const serving = yield* serve({ auth: keys })
        yield* askAll(serving, {
          ...web,
          cookie: "session=client-secret",
          "proxy-authorization": "Basic client-secret",
          "x-api-key": "client-secret",
          "api-key": "client-secret",
          "openai-organization": "client-secret",
          "x-forwarded-for": "client-secret",
          "x-anything": "client-secret",
          "x-budget-key": "client-secret",
          "user-agent": "client-secret",
          referer: "http://client-secret"
        }, model)
        const attempts = yield* serving.upstream.attempts
        strictEqual(attempts.length, model === "one" ? 5 : 2)
        for (const { headers } of attempts) {
          strictEqual(
            headers["authorization"] ?? headers["x-api-key"],
            model === "one" ? `Bearer ${PROVIDER_KEY}` : PROVIDER_KEY
          )
          assertFalse(/client/.test(JSON.stringify(headers)), JSON.stringify(headers))
        }
      }))
  }

  it.scopedLive("goes the trace that the client began", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      const traceId = "0af7651916cd43dd8448eb211c80319c"
      yield* askAll(serving, { traceparent: `00-${traceId}-b7ad6b7169203331-01` })
      const sent = yield* header(serving, "traceparent")
      strictEqual(sent.length, endpoints.length)
      for (const traceparent of sent) {
        const [, trace, span] = (traceparent ?? "").split("-")
        strictEqual(trace, traceId)
        assertTrue(span !== "b7ad6b7169203331")
      }
    }))

  it.scopedLive("goes what a client of Responses says of its beta", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      yield* post(serving, "/v1/responses", { model: "one", input: "Count." }, { "openai-beta": "responses=v1" })
      deepStrictEqual(yield* header(serving, "openai-beta"), ["responses=v1"])
    }))
})

describe("the answer says", () => {
  const told = ({ headers }: { readonly headers: NodeJS.Dict<string | Array<string>> }) =>
    ["provider", "model", "attempts", "fallbacks"].map((name) => headers[`x-resilience-${name}`])

  for (const [what, path, body] of endpoints.filter(([what]) => what !== "embeddings")) {
    it.scopedLive(`who answered and what it took, for ${what}`, () =>
      Effect.gen(function*() {
        const serving = yield* serve()
        yield* serving.upstream.script("a", Fault.status(500))
        const fell = yield* post(serving, path, { model: "chat", ...body })
        strictEqual(fell.status, 200)
        deepStrictEqual(told(fell), ["second", "b", "3", "1"])
        strictEqual(fell.headers["x-resilience-waited-ms"], "5")
        const failed = yield* post(serving, path, { model: "one", ...body })
        strictEqual(failed.status, 502)
        deepStrictEqual(told(failed), ["first", "a", "2", "0"])
        const ids = [fell, failed].map(({ headers }) => headers["x-request-id"])
        assertTrue(ids.every((id) => /^req_[0-9a-f-]{36}$/.test(String(id))))
        strictEqual(new Set(ids).size, 2)
      }))
  }

  it.scopedLive("under which id the log has it, whatever it was", () =>
    Effect.gen(function*() {
      const serving = yield* serve()
      for (const path of ["/health", "/v1/models", "/nowhere", "/v1/chat/completions"]) {
        const { headers } = yield* send(serving, path)
        assertTrue(/^req_/.test(String(headers["x-request-id"])))
      }
    }))
})
