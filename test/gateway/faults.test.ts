/**
 * Every way a stream goes wrong, through the gateway, as OpenAI's SDK sees it.
 *
 * What has to be seen is what the oracle of the streams says: a stream through the gateway is as good as one without.
 * Until the first word a failure falls over, or is raised with a status; after it the SDK raises the error that comes among
 * the events, behind exactly the text that came. Nothing hangs, and no connection is left open.
 */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Clock, Effect } from "effect"
import { Fault } from "effect-resilience/testing"
import type { Case, Mode } from "../streams/oracle.js"
import { begun, content, expected, faultOf, isAboutTime, limitsOf, mishaps } from "../streams/oracle.js"
import { chatText, clientOf, readAll, responseText, shown } from "./sdk.js"
import type { Serving } from "./serving.js"
import { messages, serve } from "./serving.js"

/** How the stream is asked for: by the protocol of the provider, and that of the client. */
const ways = {
  "of Chat Completions": { format: "OpenAi", chain: ["first/a", "second/b"] },
  "of Chat Completions, from Messages": { format: "Anthropic", chain: ["claude/a", "claude/b"] },
  // As in Messages, an event after the last piece says that the answer is whole.
  "of Responses": { format: "Anthropic", chain: ["first/a", "second/b"] }
} as const

type Way = keyof typeof ways

interface Trial extends Case {
  readonly way: Way
  /** The place of the trial, which has models of its own, and so circuits of its own. */
  readonly name: string
}

const policyOf = ({ mishap, mode, providers }: Pick<Case, "mishap" | "mode" | "providers">) => {
  const { attempt, firstToken, idle } = limitsOf({ mishap })
  return {
    attemptTimeout: `${attempt} millis`,
    ...(providers === 2 ? { firstToken: `${firstToken} millis` } : {}),
    idle: `${idle} millis`,
    retry: { maxAttempts: 2, base: "5 millis", jitter: "none" },
    onCut: mode
  }
}

const modelOf = ({ name, providers, way }: Trial) => ({
  chain: ways[way].chain.slice(0, providers).map((target) => `${target}-${name}`),
  policy: name
})

const meanings: Readonly<Record<string, readonly [status: number, code: string]>> = {
  "ServerError Truncated": [502, "provider_truncated"],
  "ServerError Connection": [502, "provider_connection"],
  "ServerError Malformed": [502, "provider_malformed"],
  "ServerError Overloaded": [503, "server_is_overloaded"],
  "Timeout Attempt": [504, "timeout"],
  "Timeout FirstToken": [504, "timeout"],
  "Timeout Idle": [504, "timeout"]
}

/** What the SDK has to see, and how often each model has to be asked. */
const promised = (trial: Trial) => {
  const { outcome: { attempts, end, seen: [text = ""] }, silence } = expected(trial)
  if (trial.way === "of Responses" && trial.mishap.startsWith("malformed")) {
    // Which is handed on as it is, and what cannot be read is for the SDK to say.
    return { text: trial.after === 0 ? "" : begun, raised: "SyntaxError", a: 1, b: 0, silence: 0 }
  }
  const [status, code] = meanings[end] ?? []
  const raised = code === undefined
    ? "nothing"
    : text === ""
    ? `InternalServerError ${status} ${code}`
    : `APIError ${code}`
  return { text, raised, ...attempts, silence }
}

type Seen = Omit<ReturnType<typeof promised>, "silence">

const ask = (trial: Trial, serving: Serving) => {
  const client = clientOf(serving)
  const model = trial.name
  return trial.way === "of Responses"
    ? Effect.map(
      readAll((signal) => client.responses.create({ model, input: "Count.", stream: true }, { signal })),
      (read) => ({ ...read, text: responseText(read) })
    )
    : Effect.map(
      readAll((signal) => client.chat.completions.create({ model, messages, stream: true }, { signal })),
      (read) => ({ ...read, text: chatText(read) })
    )
}

const play = (trial: Trial, serving: Serving) =>
  Effect.gen(function*() {
    const { upstream } = serving
    const { name, strikes } = trial
    const fault = faultOf(trial)
    const fine = Fault.ok({ content })
    const earlier = (yield* upstream.attempts).length
    yield* strikes === "once" ? upstream.script(`a-${name}`, fault, fine) : upstream.script(`a-${name}`, fault)
    yield* upstream.script(`b-${name}`, strikes === "everywhere" ? fault : fine)
    const startedAt = yield* Clock.currentTimeMillis
    const { error, text } = yield* ask(trial, serving)
    const took = (yield* Clock.currentTimeMillis) - startedAt
    const models = (yield* upstream.attempts).slice(earlier).map(({ model }) => model)
    const count = (model: string) => models.filter((other) => other === `${model}-${name}`).length
    const seen: Seen = { text, raised: error === undefined ? "nothing" : shown(error), a: count("a"), b: count("b") }
    return { seen, took }
  })

/** Longer than a silence more, and than anything that is not waited for, on however busy a machine. */
const LATE = 10_000

const check = (serving: Serving) => (trial: Trial) =>
  Effect.map(play(trial, serving), ({ seen, took }) => {
    const { silence, ...promise } = promised(trial)
    const described = (seen: Seen, took: string) =>
      `${Object.values(trial).join(" ")} | ${JSON.stringify(seen)} ${took}`
    return {
      trial,
      met: described(seen, took < silence + LATE ? "in time" : `after ${took} ms`),
      promise: described(promise, "in time")
    }
  })

/** What is about time is tried again, alone, if it went wrong, since a busy machine is silent too. */
const checkAll = (trials: ReadonlyArray<Trial>) =>
  Effect.gen(function*() {
    const serving = yield* serve({
      models: Object.fromEntries(trials.map((trial) => [trial.name, modelOf(trial)])),
      policies: Object.fromEntries(trials.map((trial) => [trial.name, policyOf(trial)]))
    })
    const [busy, waiting] = Arr.partition(trials, isAboutTime)
    const worked = yield* Effect.forEach(busy, check(serving), { concurrency: 8 })
    const timed = yield* Effect.forEach(waiting, check(serving), { concurrency: 24 })
    const again = timed.filter(({ met, promise }) => met !== promise).map(({ trial }) => trial)
    const alone = yield* Effect.forEach(again, check(serving))
    const wrong = [...worked, ...alone].filter(({ met, promise }) => met !== promise)
    deepStrictEqual(wrong.map(({ met }) => met), wrong.map(({ promise }) => promise))
    yield* serving.upstream.awaitClosed
    assertTrue((yield* serving.upstream.attempts).every(({ end }) => end !== undefined))
  })

const rows = [
  { providers: 1, strikes: "once" },
  { providers: 1, strikes: "always" },
  { providers: 2, strikes: "always" },
  { providers: 2, strikes: "everywhere" }
] as const

/** Eight million characters a request are enough once, and two silences after each other as well. */
const isAffordable = (one: Case) =>
  (one.mishap !== "endless line" || one.strikes === "once") && (one.strikes !== "everywhere" || !isAboutTime(one))

/** Which Responses alone have. */
const nestedErrors = [{ mishap: "nested error", after: 0 }, { mishap: "nested error", after: 4 }] as const

const trialsOf = (way: Way, mode: Mode): ReadonlyArray<Trial> =>
  rows
    .flatMap((row) =>
      [...mishaps, ...way === "of Responses" ? nestedErrors : []].map((mishap): Case => ({
        format: ways[way].format,
        mode,
        ...row,
        ...mishap
      }))
    )
    .filter(isAffordable)
    .map((one, place) => ({ ...one, way, name: `${place}` }))

describe("a stream that goes wrong", () => {
  for (const way of ["of Chat Completions", "of Chat Completions, from Messages"] as const) {
    it.scopedLive(
      `${way}, falls over, or the SDK raises why it ended, behind what came`,
      () => checkAll(trialsOf(way, "fail")),
      60_000
    )
  }

  it.scopedLive(
    "of Chat Completions is whole all the same if the policy says continue, as far as that can be",
    () => checkAll(trialsOf("of Chat Completions", "continue")),
    60_000
  )

  it.scopedLive(
    "of Responses falls over, or the SDK raises why it ended, behind what came",
    () => checkAll(trialsOf("of Responses", "fail")),
    60_000
  )
})
