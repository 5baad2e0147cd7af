/** What a program sees that uses OpenAI's SDK and knows nothing of the gateway but its URL. */
import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Effect } from "effect"
import { Fault } from "effect-resilience/testing"
import type OpenAI from "openai"
import { call, chatText, clientOf, readAll, responseText, shown, thrown } from "./sdk.js"
import { messages, quick, serve } from "./serving.js"

const content = "One two three four."

const weather: OpenAI.ChatCompletionTool = {
  type: "function",
  function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } }
}
const called = Fault.ok({ toolCall: { name: "weather", arguments: `{"city":"Paris"}` } })

/** A gateway whose first provider answers with this. */
const answering = (fault: Fault.Fault = Fault.ok({ content })) =>
  Effect.tap(serve(), ({ upstream }) => Effect.zipRight(upstream.script("a", fault), upstream.script("c", fault)))

const bodyOf = (text: string | undefined): unknown => JSON.parse(text ?? "")

describe("through the gateway the SDK gets", () => {
  for (const model of ["chat", "claude"]) {
    it.scopedLive(`a chat, plain (${model})`, () =>
      Effect.gen(function*() {
        const client = clientOf(yield* answering())
        const { data, response } = yield* call((signal) =>
          client.chat.completions.create({ model, messages }, { signal }).withResponse()
        )
        strictEqual(data.choices[0]?.message.content, content)
        strictEqual(data.choices[0]?.finish_reason, "stop")
        assertTrue(Number.isInteger(data.created))
        assertTrue((data.usage?.total_tokens ?? 0) > 0)
        strictEqual(response.headers.get("x-resilience-attempts"), "1")
      }))

    it.scopedLive(`a chat, as a stream (${model})`, () =>
      Effect.gen(function*() {
        const client = clientOf(yield* answering())
        const stream_options = { include_usage: true }
        const read = yield* readAll((signal) =>
          client.chat.completions.create({ model, messages, stream: true, stream_options }, { signal })
        )
        strictEqual(read.error, undefined)
        strictEqual(chatText(read), content)
        const reasons = read.events.flatMap(({ choices }) => choices.flatMap((choice) => choice.finish_reason ?? []))
        deepStrictEqual(reasons, ["stop"])
        assertTrue((read.events.at(-1)?.usage?.total_tokens ?? 0) > 0)
        assertTrue(read.events.every(({ created }) => Number.isInteger(created)))
      }))

    it.scopedLive(`a tool to be called, plain and as a stream (${model})`, () =>
      Effect.gen(function*() {
        const client = clientOf(yield* answering(called))
        const plain = yield* call((signal) =>
          client.chat.completions.create({ model, messages, tools: [weather] }, { signal })
        )
        const streamed = yield* call((signal) =>
          client.chat.completions.stream({ model, messages, tools: [weather] }, { signal }).finalChatCompletion()
        )
        for (const { choices: [choice] } of [plain, streamed]) {
          strictEqual(choice?.finish_reason, "tool_calls")
          const [tool] = choice?.message.tool_calls ?? []
          assertTrue(tool?.type === "function")
          deepStrictEqual([tool.function.name, tool.function.arguments], ["weather", `{"city":"Paris"}`])
        }
      }))
  }

  it.scopedLive("a stream without the usage that it did not ask for", () =>
    Effect.gen(function*() {
      const client = clientOf(yield* answering())
      const read = yield* readAll((signal) =>
        client.chat.completions.create({ model: "chat", messages, stream: true }, { signal })
      )
      assertTrue(read.events.every(({ choices }) => choices.length > 0))
    }))

  it.scopedLive("all that it sends to the provider unchanged, but for the model", () =>
    Effect.gen(function*() {
      const serving = yield* answering(Fault.ok({ content: `{"city":"Paris"}` }))
      const image = `data:image/png;base64,${Buffer.from("no image").toString("base64")}`
      const asked = {
        messages: [
          { role: "system", content: "Be brief." },
          {
            role: "user",
            content: [{ type: "text", text: "Where is this? 東京 🗼 \u2028" }, {
              type: "image_url",
              image_url: { url: image }
            }]
          }
        ],
        response_format: {
          type: "json_schema",
          json_schema: { name: "place", strict: true, schema: { type: "object", properties: {} } }
        },
        temperature: 0.1,
        seed: 7,
        logit_bias: { 50256: -100 },
        metadata: { of: "ours" },
        service_tier: "flex"
      } satisfies Omit<OpenAI.ChatCompletionCreateParams, "model">
      const answer = yield* call((signal) =>
        clientOf(serving).chat.completions.create({ model: "chat", ...asked }, { signal })
      )
      strictEqual(answer.choices[0]?.message.content, `{"city":"Paris"}`)
      const [attempt] = yield* serving.upstream.attempts
      deepStrictEqual(bodyOf(attempt?.body), { ...asked, model: "a" })
    }))

  it.scopedLive("embeddings, of the first provider alone", () =>
    Effect.gen(function*() {
      const serving = yield* answering(Fault.ok())
      const embed = (input: Array<string>) =>
        call((signal) => clientOf(serving).embeddings.create({ model: "chat", input, dimensions: 16 }, { signal }))
      const { data, model } = yield* embed(["one", "two"])
      strictEqual(model, "a")
      deepStrictEqual(data.map(({ embedding, index }) => [index, embedding.length]), [[0, 16], [1, 16]])
      yield* serving.upstream.script("a", Fault.badKey)
      const error = yield* thrown((signal) =>
        clientOf(serving).embeddings.create({ model: "chat", input: "one" }, { signal })
      )
      strictEqual(shown(error), "InternalServerError 502 provider_authentication")
      deepStrictEqual((yield* serving.upstream.attempts).map(({ model }) => model), ["a", "a"])
    }))

  it.scopedLive("a response, plain and as a stream", () =>
    Effect.gen(function*() {
      const serving = yield* answering()
      const client = clientOf(serving)
      const plain = yield* call((signal) => client.responses.create({ model: "chat", input: "Count." }, { signal }))
      strictEqual(plain.output_text, content)
      strictEqual(plain.status, "completed")
      const read = yield* readAll((signal) =>
        client.responses.create({ model: "chat", input: "Count.", stream: true }, { signal })
      )
      strictEqual(read.error, undefined)
      strictEqual(responseText(read), content)
      strictEqual(read.events.at(-1)?.type, "response.completed")
    }))

  it.scopedLive("the list of the models", () =>
    Effect.gen(function*() {
      const client = clientOf(yield* serve({ passthrough: ["first/gpt-4o"] }))
      const { data } = yield* call((signal) => client.models.list({ signal }))
      deepStrictEqual(data.map(({ id }) => id), ["chat", "one", "claude", "first/gpt-4o"])
    }))

  it.scopedLive("an answer from what is passed through", () =>
    Effect.gen(function*() {
      const serving = yield* serve({ passthrough: ["claude/gpt-4o"] })
      const ask = (model: string) => (signal: AbortSignal) =>
        clientOf(serving).chat.completions.create({ model, messages }, { signal })
      strictEqual((yield* call(ask("claude/gpt-4o"))).model, "gpt-4o")
      strictEqual(shown(yield* thrown(ask("first/gpt-4o"))), "NotFoundError 404 model_not_found")
    }))
})

interface Raised {
  readonly fault: Fault.Fault
  readonly as: string
  /** What the provider said. */
  readonly reason?: string
  readonly retryAfter?: string
}

const raised: Readonly<Record<string, Raised>> = {
  "a rate limit": {
    fault: Fault.rateLimited({ retryAfter: "90 seconds" }),
    as: "RateLimitError 429 rate_limit_exceeded",
    reason: "Rate limit reached",
    retryAfter: "90"
  },
  "a rate limit without a time": {
    fault: Fault.rateLimited(),
    as: "RateLimitError 429 rate_limit_exceeded",
    retryAfter: "1"
  },
  "a spent quota": {
    fault: Fault.quotaExhausted,
    as: "RateLimitError 429 insufficient_quota",
    reason: "You exceeded your current quota"
  },
  "an overload": {
    fault: Fault.overloaded({ retryAfter: "61 seconds" }),
    as: "InternalServerError 503 server_is_overloaded",
    reason: "overloaded",
    retryAfter: "61"
  },
  "a request that is wrong": {
    fault: Fault.status(400, { body: { error: { message: "n is too large", type: "invalid_request_error" } } }),
    as: "BadRequestError 400 invalid_request",
    reason: "n is too large"
  },
  "a prompt that is too long": {
    fault: Fault.contextTooLong,
    as: "BadRequestError 400 context_length_exceeded",
    reason: "context"
  },
  "a prompt that is filtered": { fault: Fault.contentFiltered, as: "BadRequestError 400 content_filter" },
  "a model that the provider has not": { fault: Fault.status(404), as: "NotFoundError 404 model_not_found" },
  "what the provider does not permit": { fault: Fault.status(403), as: "PermissionDeniedError 403 permission_denied" },
  "a request that is too large": { fault: Fault.status(413), as: "APIError 413 request_too_large" },
  "a key of the gateway that is wrong": {
    fault: Fault.badKey,
    as: "InternalServerError 502 provider_authentication"
  },
  "a failure": { fault: Fault.status(500), as: "InternalServerError 502 provider_internal" },
  "a page in the place of an answer": {
    fault: Fault.malformedBody({ as: "html" }),
    // Of a stream of chunks it is not known what it was, but that it did not end well.
    as: "InternalServerError 502 provider_"
  },
  "text that is no JSON": { fault: Fault.malformedBody(), as: "InternalServerError 502 provider_malformed" },
  "an answer that is elsewhere": {
    fault: Fault.status(302, { headers: { location: "/login", "content-type": "text/html" } }),
    as: "NotFoundError 404 model_not_found"
  },
  "a connection that breaks": {
    fault: Fault.resetBeforeHeaders,
    as: "InternalServerError 502 provider_connection"
  },
  "an answer that breaks off": { fault: Fault.truncatedBody(), as: "InternalServerError 502 provider_truncated" },
  "no answer": { fault: Fault.silence, as: "InternalServerError 504 timeout" }
}

const impatient = {
  models: { m: { chain: ["first/a"], policy: "impatient" } },
  policies: { impatient: { ...quick, attemptTimeout: "200 millis" } }
}

type Ask = (client: OpenAI, signal: AbortSignal) => PromiseLike<unknown>

const plainly: Readonly<Record<string, Ask>> = {
  "a chat": (client, signal) => client.chat.completions.create({ model: "m", messages }, { signal }),
  "embeddings": (client, signal) => client.embeddings.create({ model: "m", input: "one" }, { signal }),
  "a response": (client, signal) => client.responses.create({ model: "m", input: "Count." }, { signal })
}

const asStreams: Readonly<Record<string, Ask>> = {
  "a chat as a stream": (client, signal) =>
    client.chat.completions.create({ model: "m", messages, stream: true }, { signal }),
  "a response as a stream": (client, signal) =>
    client.responses.create({ model: "m", input: "Count.", stream: true }, { signal })
}

describe("the SDK raises as its own error", () => {
  for (const [what, { as, fault, reason = "", retryAfter }] of Object.entries(raised)) {
    const ways = { ...plainly, ...fault._tag === "Truncated" ? {} : asStreams }
    it.scopedLive(
      `${what}, however it was asked, and makes no more of the retries`,
      () =>
        Effect.forEach(Object.entries(ways), ([how, ask]) =>
          Effect.gen(function*() {
            const serving = yield* serve(impatient)
            yield* serving.upstream.script("a", fault)
            // Whoever is told when to come again may do so, and then waits.
            const client = clientOf(serving, { maxRetries: retryAfter === undefined ? 2 : 0 })
            const error = yield* thrown((signal) => ask(client, signal))
            assertInclude(`${how}: ${shown(error)}`, `${how}: ${as}`)
            assertInclude(error.message, reason)
            const header = (name: string) => error.headers?.get(name) ?? undefined
            strictEqual(header("retry-after"), retryAfter)
            strictEqual(header("x-should-retry"), retryAfter === undefined ? "false" : undefined)
            assertTrue(error.requestID?.startsWith("req_") === true)
            strictEqual(header("x-resilience-attempts"), `${(yield* serving.upstream.attempts).length}`)
          }), { concurrency: 5, discard: true }),
      15_000
    )
  }

  it.scopedLive("a key that is none, and a model that is none", () =>
    Effect.gen(function*() {
      const serving = yield* serve({ auth: { keys: [{ name: "web", key: "sk-other" }] } })
      const ask = (apiKey: string, model: string) => (signal: AbortSignal) =>
        clientOf(serving, { apiKey, maxRetries: 2 }).chat.completions.create({ model, messages }, { signal })
      strictEqual(shown(yield* thrown(ask("sk-none", "chat"))), "AuthenticationError 401 invalid_api_key")
      const unknown = yield* thrown(ask("sk-other", "gpt-9"))
      strictEqual(shown(unknown), "NotFoundError 404 model_not_found")
      strictEqual(unknown.param, "model")
      deepStrictEqual(yield* serving.upstream.attempts, [])
    }))
})
