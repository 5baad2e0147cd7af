/**
 * Every way a stream goes wrong, at both providers, before and after the first word, in every mode, over real sockets.
 *
 * Each case is held against the oracle: what the reader saw, how it ended, how often each model was asked, and how long
 * it took. Afterwards no connection may be open.
 */
import type { HttpClient } from "@effect/platform"
import { describe, it } from "@effect/vitest"
import { assertSome, deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Clock, Effect, Layer, Stream } from "effect"
import { Anthropic, ChatProvider, Fallback, OpenAi, type ProviderError, Resilience } from "effect-resilience"
import { Fault, FaultServer } from "effect-resilience/testing"
import { clients } from "../providerOverHttp.js"
import type { Case, Format, Mode, Outcome } from "./oracle.js"
import { content, expected, faultOf, isAboutTime, limitsOf, mishaps } from "./oracle.js"

const request: ChatProvider.ChatRequest = { messages: [{ role: "user", content: "Count." }] }

const nameOf = (error: ProviderError.CallError): string =>
  `${error._tag} ${"reason" in error ? error.reason : "scope" in error ? error.scope : ""}`

const provider = (format: Format, { url }: FaultServer.Service, model: string) =>
  format === "OpenAi" ? OpenAi.layer({ baseUrl: `${url}/v1`, model }) : Anthropic.layer({ baseUrl: url, model })

const chainOf = (one: Case, server: FaultServer.Service) => {
  const { attempt, firstToken, idle } = limitsOf(one)
  const protectedBy = Resilience.layer({
    attemptTimeout: attempt,
    firstToken: one.providers === 2 ? firstToken : undefined,
    idle,
    retry: { maxAttempts: 2, base: "5 millis", jitter: "none" }
  })
  const a = protectedBy(provider(one.format, server, "a"))
  const b = protectedBy(provider(one.format, server, "b"))
  const onCut = one.mode === "restart" ? undefined : one.mode
  return one.providers === 1 ? Fallback.layer({ onCut }, a) : Fallback.layer({ onCut }, a, b)
}

/** Reads the stream of a case to its end. */
const play = (one: Case, client: Layer.Layer<HttpClient.HttpClient>) =>
  Effect.gen(function*() {
    const server = yield* FaultServer.make()
    const fault = faultOf(one)
    const fine = Fault.ok({ content })
    yield* one.strikes === "once" ? server.script("a", fault, fine) : server.script("a", fault)
    yield* server.script("b", one.strikes === "everywhere" ? fault : fine)
    const answers: Array<string> = []
    let text: string | undefined
    const stream = one.mode === "restart" ? ChatProvider.streamWithRestarts(request) : ChatProvider.stream(request)
    const startedAt = yield* Clock.currentTimeMillis
    const end = yield* stream.pipe(
      Stream.runForEach((event) =>
        Effect.sync(() => {
          if (event instanceof ChatProvider.Restarted) {
            answers.push(text ?? "")
            text = ""
          } else if (text !== undefined || ChatProvider.deltaText(event) !== "") {
            text = (text ?? "") + ChatProvider.deltaText(event)
          }
        })
      ),
      Effect.match({ onSuccess: () => "ok", onFailure: nameOf }),
      Effect.provide(Layer.provide(chainOf(one, server), client))
    )
    const took = (yield* Clock.currentTimeMillis) - startedAt
    const closed = yield* Effect.timeoutOption(server.awaitClosed, "2 seconds")
    assertSome(closed, undefined)
    const models = (yield* server.attempts).map(({ model }) => model)
    const count = (model: string) => models.filter((other) => other === model).length
    const outcome: Outcome = {
      seen: text === undefined ? answers : [...answers, text],
      end,
      attempts: { a: count("a"), b: count("b") }
    }
    return { outcome, took }
  }).pipe(Effect.scoped)

/** Timers may fire a little early by the clock, and late on a busy machine, but less late than one silence more. */
const EARLY = 15
const LATE = 850

/** Where nothing is waited for, it is over long before anything could have run out of time. */
const AT_ONCE = 5000

const isWrong = ({ met, promised }: { readonly met: string; readonly promised: string }) => met !== promised

const line = (one: Case, { attempts, end, seen }: Outcome, took: string) =>
  [...Object.values(one), "|", `a ${attempts.a} b ${attempts.b}`, "|", ...seen, "|", end, "|", took].join(" ")

const check = (one: Case, client: Layer.Layer<HttpClient.HttpClient>) =>
  Effect.map(play(one, client), ({ outcome, took }) => {
    const { outcome: promised, silence } = expected(one)
    const inTime = took >= silence - EARLY && took <= (silence === 0 ? AT_ONCE : silence + LATE)
    return {
      one,
      promised: line(one, promised, `${silence} ms`),
      met: line(one, outcome, `${inTime ? silence : took} ms`)
    }
  })

/**
 * What is about time is tried apart from what is work, so that work is not taken for silence; and again, alone, if it
 * went wrong, since a machine that others keep busy is silent too. The rest has one try.
 */
const checkAll = (cases: ReadonlyArray<Case>, client: Layer.Layer<HttpClient.HttpClient> = clients.fetch) =>
  Effect.gen(function*() {
    const [busy, waiting] = Arr.partition(cases, isAboutTime)
    const worked = yield* Effect.forEach(busy, (one) => check(one, client), { concurrency: 8 })
    const timed = yield* Effect.forEach(waiting, (one) => check(one, client), { concurrency: 24 })
    const again = timed.filter(isWrong).map(({ one }) => one)
    const alone = yield* Effect.forEach(again, (one) => check(one, client))
    const wrong = [...worked, ...alone].filter(isWrong)
    deepStrictEqual(wrong.map(({ met }) => met), wrong.map(({ promised }) => promised))
  })

const rows = [
  { providers: 1, strikes: "once" },
  { providers: 1, strikes: "always" },
  { providers: 2, strikes: "once" },
  { providers: 2, strikes: "always" },
  { providers: 2, strikes: "everywhere" }
] as const

/** Eight million characters a request are enough once, and two silences after each other in one of the modes. */
const isAffordable = (one: Case) =>
  (one.mishap !== "endless line" || one.strikes === "once") &&
  (one.strikes !== "everywhere" || one.mode === "fail" || !isAboutTime(one))

const modes: ReadonlyArray<readonly [Mode, string]> = [
  ["fail", "fails with what cut it, after what was delivered"],
  ["continue", "is continued, or fails with what cut it first"],
  ["hold", "is released whole or not at all"],
  ["restart", "is begun anew, and says so"]
]

for (const format of ["OpenAi", "Anthropic"] as const) {
  describe(`a stream of ${format} that goes wrong`, () => {
    for (const [mode, what] of modes) {
      it.live(`${what} (${mode})`, () =>
        checkAll(
          rows.flatMap((row) => mishaps.map((mishap) => ({ format, mode, ...row, ...mishap }))).filter(isAffordable)
        ), 60_000)
    }

    it.live("is told from one that is whole by undici as by fetch", () =>
      checkAll(
        mishaps.map((mishap) => ({ format, mode: "fail", providers: 1, strikes: "always", ...mishap })),
        clients.undici
      ), 60_000)
  })
}
