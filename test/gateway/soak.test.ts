/**
 * Hundreds of requests under mixed faults, from clients of whom many leave: each is answered or failed in bounded time, and
 * nothing stays behind. With SOAK_MINUTES it goes on for so long.
 */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { Array as Arr, Effect, Logger, LogLevel, Random } from "effect"
import { Fault } from "effect-resilience/testing"
import type { FaultServer } from "effect-resilience/testing"
import { heapUsed } from "../heap.js"
import type { Answer, Serving } from "./serving.js"
import { CLIENT_KEY, messages, post, serve } from "./serving.js"

const REQUESTS = 120
const CONCURRENCY = 16
const QUARTERS = 4
const minutes = Number(process.env["SOAK_MINUTES"] ?? 0)

/** Far more than measuring is off by, and far less than so many requests would hold if each held something. */
const HEAP = 8_000_000

const content = "One two three four five six seven eight."

const faults: ReadonlyArray<Fault.Behaviour> = [
  ...(["cut", "reset", "eof", "stall", "pings", "malformed twice", "error", "finish error"] as const)
    .flatMap((then) => [0, 4].map((after) => Fault.stream({ content, after, then, every: "1 millis" }))),
  Fault.silence,
  Fault.resetBeforeHeaders,
  Fault.truncatedJson,
  Fault.overloaded(),
  Fault.badKey,
  Fault.rateLimited({ retryAfter: "20 millis" })
]

const names = faults.map((_, nth) => `m${nth}`)

const script = (upstream: FaultServer.Service, seed: number) =>
  Effect.forEach(
    faults,
    (fault, nth) => upstream.script(`m${nth}`, Fault.random({ rate: 0.4, seed: seed + nth, fault })),
    { discard: true }
  )

const file = {
  auth: { keys: [{ name: "soak", key: CLIENT_KEY, maxConcurrent: CONCURRENCY }] },
  models: Object.fromEntries(
    names.map((name) => [name, { chain: [`first/${name}`, `claude/${name}`], policy: "tight" }])
  ),
  policies: {
    tight: {
      deadline: "3 seconds",
      attemptTimeout: "1 second",
      firstToken: "500 millis",
      idle: "300 millis",
      retry: { base: "2 millis", cap: "10 millis" },
      circuitBreaker: { openFor: "20 millis" },
      onCut: "continue"
    }
  }
}

const asked = (serving: Serving, model: string, stream: boolean): Effect.Effect<Answer> =>
  post(serving, "/v1/chat/completions", { model, messages, stream }, { authorization: `Bearer ${CLIENT_KEY}` })

/** An answer is whole, or says that it is not. */
const isHonest = ({ status, text }: Answer, stream: boolean): boolean =>
  status !== 200
    ? text.includes("\"error\"")
    : stream
    ? text.endsWith("data: [DONE]\n\n") || text.includes("data: {\"error\"")
    : text.includes("\"finish_reason\"")

/** One client, of one of several kinds. */
const client = (serving: Serving) =>
  Effect.gen(function*() {
    const model = names[yield* Random.nextIntBetween(0, names.length)] ?? "m0"
    const stream = yield* Random.nextBoolean
    const leavesAfter = yield* Random.nextIntBetween(0, 200)
    const leaves = (yield* Random.nextIntBetween(0, 4)) === 0
    if (leaves) {
      return yield* Effect.raceFirst(asked(serving, model, stream), Effect.sleep(leavesAfter))
    }
    const answer = yield* asked(serving, model, stream).pipe(
      Effect.timeoutFail({ duration: "20 seconds", onTimeout: () => "no answer" as const }),
      Effect.orDie
    )
    assertTrue(isHonest(answer, stream), `${answer.status} ${answer.text}`)
    // Nobody is turned away, so whoever left has given the place back. It may take a moment to see that somebody left.
    assertTrue(!answer.text.includes("too_many_concurrent_requests") || leaves, answer.text)
  })

describe("a gateway under mixed faults", () => {
  it.live("answers or fails every request in bounded time, and keeps nothing of them", () =>
    Effect.gen(function*() {
      const serving = yield* serve(file)
      const { upstream } = serving
      const heap: Array<number> = []
      const end = Date.now() + minutes * 60_000
      for (let round = 0; round < QUARTERS || Date.now() < end; round++) {
        yield* script(upstream, round)
        yield* Effect.forEach(Arr.range(1, REQUESTS), () => client(serving), {
          concurrency: CONCURRENCY / 2,
          discard: true
        })
        yield* Effect.timeoutFail(upstream.awaitClosed, {
          duration: "10 seconds",
          onTimeout: () => "a connection stays open" as const
        })
        const attempts = yield* upstream.attempts
        deepStrictEqual(attempts.filter(({ end }) => end === undefined), [])
        assertTrue(attempts.length > REQUESTS / 2, `${attempts.length} attempts in round ${round}`)
        yield* upstream.reset
        heap.push(yield* heapUsed)
      }
      const [, second = 0] = heap
      assertTrue((heap.at(-1) ?? 0) - second < HEAP, `heap after each round: ${heap.join(", ")}`)

      // As many as the key may have at a time, which shows that every place is free.
      yield* upstream.script("m0", Fault.slow("100 millis"))
      const answers = yield* Effect.all(Arr.makeBy(CONCURRENCY, () => asked(serving, "m0", false)), {
        concurrency: "unbounded"
      })
      strictEqual(answers.filter(({ text }) => text.includes("too_many_concurrent_requests")).length, 0)
    }).pipe(
      Logger.withMinimumLogLevel(LogLevel.None),
      Effect.withRandom(Random.make("soak")),
      Effect.scoped
    ), 120_000 + minutes * 60_000)
})
