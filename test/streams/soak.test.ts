/**
 * Hundreds of streams, many of which go wrong, to readers of whom many leave: nothing may stay behind.
 *
 * Faults and readers are drawn from a seed. Which of them meet is left to the scheduler, so nothing is said here of what a
 * reader sees; that is the matter of the other tests.
 */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual } from "@effect/vitest/utils"
import { Array as Arr, Effect, Layer, Logger, LogLevel, Random, Schedule, Stream, Supervisor } from "effect"
import { Anthropic, ChatProvider, Fallback, OpenAi, Resilience } from "effect-resilience"
import { Fault, FaultServer } from "effect-resilience/testing"
import { heapUsed } from "../heap.js"
import { clients } from "../providerOverHttp.js"

const QUARTERS = 4
const STREAMS = 150
const CONCURRENCY = 16
const SLOTS = 20

/** Far more than measuring is off by, and far less than so many streams would hold if each held something. */
const HEAP = 8_000_000

const content = "One two three four five six seven eight."

const broken = (["cut", "reset", "eof", "stall", "pings", "malformed twice", "error", "finish error"] as const)
  .flatMap((then) => [0, 4].map((after) => Fault.stream({ content, after, then, every: "1 millis" })))

const faults: ReadonlyArray<Fault.Behaviour> = [
  ...broken,
  Fault.silence,
  Fault.resetBeforeHeaders,
  Fault.overloaded(),
  Fault.stream({ content, then: "no done, open" }),
  Fault.stream({ content, firstAfter: "50 millis", pings: true, pingEvery: "5 millis" })
]

const models = faults.map((_, nth) => `m${nth}`)

const script = (server: FaultServer.Service, seed: number) =>
  Effect.forEach(
    faults,
    (fault, nth) => server.script(`m${nth}`, Fault.random({ rate: 0.4, seed: seed + nth, fault })),
    { discard: true }
  )

const pick = <A>(values: Arr.NonEmptyReadonlyArray<A>) =>
  Effect.map(Random.nextIntBetween(0, values.length), (nth) => values[nth] ?? values[0])

const leave = Effect.fail("the reader's own")

/** One reader, of one of many kinds. */
const reader = Effect.gen(function*() {
  const model = `m${yield* Random.nextIntBetween(0, models.length)}`
  const request: ChatProvider.ChatRequest = { model, messages: [{ role: "user", content: "Count." }] }
  const stream = (yield* Random.nextBoolean) ? ChatProvider.stream(request) : ChatProvider.streamWithRestarts(request)
  const chunks = yield* Random.nextIntBetween(1, 8)
  const millis = yield* Random.nextIntBetween(0, 200)
  let read = 0
  const failing = Stream.runForEach(stream, () => ++read < chunks ? Effect.void : leave)
  const all = Stream.runDrain(stream)
  const kind = yield* pick([
    all,
    all,
    Stream.runDrain(Stream.take(stream, chunks)),
    failing,
    Effect.timeoutFail(all, { duration: millis, onTimeout: () => "the reader's own" }),
    Effect.raceFirst(all, Effect.sleep(millis)),
    Stream.runDrain(Stream.interruptWhen(stream, Effect.sleep(millis))),
    Stream.runForEach(stream, () => Effect.sleep(2))
  ])
  yield* Effect.exit(kind)
})

/** Limits long enough that a busy machine is not taken for a silent provider too often. */
const chain = ({ url }: FaultServer.Service) => {
  const protectedBy = Resilience.layer({
    attemptTimeout: "5 seconds",
    firstToken: "1 second",
    idle: "300 millis",
    retry: { base: "2 millis", cap: "10 millis" },
    maxConcurrent: SLOTS,
    circuitBreaker: { openFor: "20 millis" }
  })
  return Fallback.layer(
    { onCut: "continue" },
    protectedBy(OpenAi.layer({ baseUrl: `${url}/v1` })),
    protectedBy(Anthropic.layer({ baseUrl: url }))
  )
}

const soon = Effect.timeoutFail({ duration: "10 seconds", onTimeout: () => new Error("not within 10 seconds") })

describe("hundreds of streams", () => {
  it.live("leave no connection, no fiber, no slot and no memory behind", () =>
    Effect.gen(function*() {
      const server = yield* FaultServer.make()
      const context = yield* Layer.build(chain(server))
      const supervisor = yield* Supervisor.track
      const heap: Array<number> = []
      for (let quarter = 0; quarter < QUARTERS; quarter++) {
        yield* script(server, quarter)
        yield* Effect.forEach(Arr.range(1, STREAMS), () => reader, { concurrency: CONCURRENCY, discard: true }).pipe(
          Effect.provide(context),
          Effect.supervised(supervisor)
        )
        yield* soon(server.awaitClosed)
        const attempts = yield* server.attempts
        deepStrictEqual(attempts.filter(({ end }) => end === undefined), [])
        assertTrue(attempts.length > STREAMS / 2, `${attempts.length} attempts in quarter ${quarter}`)
        // A connection that is kept for the next request is seen to its end by a fiber of its own.
        yield* soon(
          Effect.repeat(supervisor.value, { until: (fibers) => fibers.length === 0, schedule: Schedule.spaced(5) })
        )
        yield* server.reset
        heap.push(yield* heapUsed)
      }
      const [, second = 0, , last = 0] = heap
      assertTrue(last - second < HEAP, `heap after each quarter: ${heap.join(", ")}`)

      // As many as there are slots can be under way at a time, which shows that every slot is free.
      yield* server.script("fresh", Fault.stream({ content, firstAfter: "100 millis" }))
      const texts = yield* Effect.forEach(
        Arr.range(1, SLOTS),
        () =>
          ChatProvider.stream({ model: "fresh", messages: [{ role: "user", content: "Count." }] }).pipe(
            Stream.map((chunk) => ChatProvider.deltaText(chunk)),
            Stream.mkString
          ),
        { concurrency: "unbounded" }
      ).pipe(Effect.provide(context), soon)
      deepStrictEqual(texts, texts.map(() => content))
      const paths = (yield* server.attempts).map(({ path }) => path)
      deepStrictEqual(paths, paths.map(() => "/v1/chat/completions"))
    }).pipe(
      Logger.withMinimumLogLevel(LogLevel.None),
      Effect.withRandom(Random.make("soak")),
      Effect.provide(clients.fetch),
      Effect.scoped
    ), 90_000)
})
