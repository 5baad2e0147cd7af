/**
 * What protection costs: on a call that succeeds at once, after one failure, or is turned away by an open circuit; in
 * memory; with many calls at once, and with many keys.
 *
 * All contenders of a table run the same small promise, or the same rejection, in fibers, in one run and by turns, so
 * that machine and moment are the same for all. What counts are the ratios.
 */
import * as cockatiel from "cockatiel"
import { Effect, Either, Fiber, Logger, LogLevel, Schedule } from "effect"
import { CircuitBreaker, ProviderError, Resilience, RetryBudget } from "effect-resilience"
import { mkdir, writeFile } from "node:fs/promises"
import { Bench } from "tinybench"
import * as opossum from "./peers/opossum.mjs"
import * as pRetry from "./peers/p-retry.mjs"
import { median } from "./statistics.js"

const CALLS = 1000
const ROUNDS = 5

type Contenders = Readonly<Record<string, Effect.Effect<void>>>

/** Microseconds per call of each contender, each of which makes so many, round by round. */
const measure = async (contenders: Contenders, calls = CALLS): Promise<ReadonlyArray<(name: string) => number>> => {
  const rounds: Array<(name: string) => number> = []
  for (let i = 0; i < ROUNDS; i++) {
    const bench = new Bench({ time: 100, warmupTime: 20, iterations: calls > CALLS ? 1 : 3, warmupIterations: 1 })
    for (const [name, contender] of Object.entries(contenders)) {
      bench.add(name, () => Effect.runPromise(contender))
    }
    await bench.run()
    const times = new Map(bench.tasks.map((task) => {
      if (!("latency" in task.result)) {
        throw new Error(`${task.name} did not finish: ${task.result.state}`, {
          cause: "error" in task.result ? task.result.error : undefined
        })
      }
      return [task.name, task.result.latency.p50 * 1000 / calls] as const
    }))
    rounds.push((name) => times.get(name) ?? NaN)
  }
  return rounds
}

/** The nth call of so many in a row, one after the other in one fiber. */
const calls = (nth: (n: number) => Effect.Effect<unknown, unknown>): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let n = 0; n < CALLS; n++) {
      yield* nth(n)
    }
  }).pipe(Effect.orDie)

const loop = (call: Effect.Effect<unknown, unknown>): Effect.Effect<void> => calls(() => call)

const table = (heading: string, columns: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [
    `## ${heading}`,
    "",
    `| ${columns.join(" | ")} |`,
    `|---|${columns.slice(1).map(() => "---:|").join("")}`,
    ...rows.map((row) => `| ${row.join(" | ")} |`),
    ""
  ].join("\n")

const call = Effect.promise(() => Promise.resolve(1))

// ------------------------------------------------------------------------------------ a call that succeeds at once

const BARE = "plain Effect, unprotected"
const NAIVE = "naive Effect (retry of timeoutFail)"
const COCKATIEL = "cockatiel (retry, breaker, timeout)"
const OPOSSUM = "opossum (breaker, timeout)"
const P_RETRY = "p-retry (retry)"
const OURS = "effect-resilience (protect, everything on)"

const handled = cockatiel.handleAll
const retry = (backoff: cockatiel.IBackoffFactory<cockatiel.IRetryBackoffContext<unknown>>) =>
  cockatiel.retry(handled, { maxAttempts: 4, backoff })
const timeout = cockatiel.timeout(60_000, cockatiel.TimeoutStrategy.Aggressive)
const breaker = () =>
  cockatiel.circuitBreaker(handled, {
    halfOpenAfter: 5000,
    breaker: new cockatiel.SamplingBreaker({ threshold: 0.8, duration: 30_000 })
  })

type Protected = Readonly<Record<string, Effect.Effect<unknown, unknown>>>

const looped = (calls: Protected): Contenders =>
  Object.fromEntries(Object.entries(calls).map(([name, call]) => [name, loop(call)]))

/** What is added to the bare call, and that beside the naive composition and cockatiel. */
const added = async (heading: string, calls: Protected): Promise<string> => {
  const rounds = await measure(looped(calls))
  const more = (round: (name: string) => number, name: string) => round(name) - round(BARE)
  return table(
    heading,
    ["contender", "µs a call", "µs added", "added, of the naive composition", "added, of cockatiel with a breaker"],
    Object.keys(calls).map((name) => [
      name,
      median(rounds.map((round) => round(name))).toFixed(1),
      median(rounds.map((round) => more(round, name))).toFixed(1),
      median(rounds.map((round) => more(round, name) / more(round, NAIVE))).toFixed(2),
      median(rounds.map((round) => more(round, name) / more(round, COCKATIEL))).toFixed(2)
    ])
  )
}

/** Everyone's protection of a promise. */
const around = (send: () => Promise<number>): Protected => {
  const call = Effect.promise(send)
  const policy = cockatiel.wrap(retry(new cockatiel.ExponentialBackoff()), breaker(), timeout)
  const retried = pRetry.retrying(send, 1000)
  const circuit = opossum.breaker(send)
  circuits.push(circuit)
  return {
    [BARE]: call,
    [NAIVE]: call.pipe(
      Effect.timeoutFail({ duration: "60 seconds", onTimeout: () => "timeout" }),
      Effect.retry(Schedule.exponential("1 second").pipe(Schedule.intersect(Schedule.recurs(4))))
    ),
    [P_RETRY]: Effect.promise(retried),
    [OPOSSUM]: Effect.promise(circuit.fire),
    [COCKATIEL]: Effect.promise(() => policy.execute(send)),
    [OURS]: Resilience.unsafeMake({ maxConcurrent: 100_000 }).protect(call, { provider: "bench", model: "m" })
  }
}

/** Opossum's keep timers until they are told to stop. */
const circuits: Array<{ readonly shutdown: () => void }> = []

const success = (): Promise<string> => {
  const bareOurs = Resilience.unsafeMake({ circuitBreaker: false })
  const two = cockatiel.wrap(retry(new cockatiel.ExponentialBackoff()), timeout)
  return added("A call that succeeds at once", {
    ...around(() => Promise.resolve(1)),
    "cockatiel (retry, timeout)": Effect.promise(() => two.execute(() => Promise.resolve(1))),
    "effect-resilience (protect, no breaker)": bareOurs.protect(call)
  })
}

// ------------------------------------------------------------------------------------ a call that succeeds at second try

/** Waits of no time end at the next turn of the event loop and not a millisecond later, for all. */
const withoutWaits = async <A>(run: () => Promise<A>): Promise<A> => {
  const original = globalThis.setTimeout
  const hurried = (f: (...args: Array<unknown>) => void, millis?: number, ...args: Array<unknown>) =>
    (millis ?? 0) <= 1 ? setImmediate(f, ...args) : original(f, millis, ...args)
  Object.assign(globalThis, { setTimeout: Object.assign(hurried, original) })
  try {
    return await run()
  } finally {
    globalThis.setTimeout = original
  }
}

const second = (): Promise<string> => {
  const down = new ProviderError.ServerError({ message: "503", reason: "Overloaded" })
  /** What fails the first time only, made anew for each call. */
  const flaky = () => {
    let failed = false
    return () => {
      if (failed) {
        return Promise.resolve(1)
      }
      failed = true
      return Promise.reject(down)
    }
  }
  const attempt = () => Effect.tryPromise({ try: flaky(), catch: () => down })
  const policy = cockatiel.wrap(retry(new cockatiel.ConstantBackoff(0)), breaker(), timeout)
  const ours = Resilience.unsafeMake({ retry: Schedule.recurs(4), maxConcurrent: 1000 })
  const quiet = Logger.withMinimumLogLevel(LogLevel.None)
  return withoutWaits(() =>
    added("A call that succeeds after one failure, retried without a wait", {
      [BARE]: Effect.suspend(() => {
        const once = attempt()
        return Effect.catchAll(once, () => once)
      }),
      [NAIVE]: Effect.suspend(() =>
        attempt().pipe(
          Effect.timeoutFail({ duration: "60 seconds", onTimeout: () => down }),
          Effect.retry(Schedule.recurs(4))
        )
      ),
      [P_RETRY]: Effect.promise(() => pRetry.retrying(flaky(), 0)()),
      [COCKATIEL]: Effect.suspend(() => {
        const send = flaky()
        return Effect.promise(() => policy.execute(send))
      }),
      // Half of all attempts fail here for minutes: a budget is there to refuse that.
      [OURS]: quiet(
        Effect.provideService(
          Effect.suspend(() => ours.protect(attempt())),
          RetryBudget.CurrentBudget,
          RetryBudget.unlimited
        )
      )
    })
  )
}

// --------------------------------------------------------------------------------------- turned away by an open circuit

const rejection = async (): Promise<string> => {
  const peer = breaker()
  peer.isolate()
  const other = opossum.breaker(() => Promise.resolve(1))
  other.open()
  circuits.push(other)
  const down = new ProviderError.ServerError({ message: "503", reason: "Overloaded" })
  const circuit = CircuitBreaker.unsafeMake({
    trip: CircuitBreaker.consecutiveFailures(1),
    openFor: "1 hour",
    maxOpenFor: "1 hour"
  })
  const ours = Resilience.unsafeMake({ circuitBreaker: circuit })
  await Effect.runPromise(Effect.ignore(CircuitBreaker.protect(down, circuit)))
  const contenders = {
    "cockatiel (circuit breaker)": loop(
      Effect.promise(() => peer.execute(() => Promise.resolve(1)).then(() => false, () => true))
    ),
    "opossum (circuit breaker)": loop(Effect.promise(() => other.fire().then(() => false, () => true))),
    "effect-resilience (CircuitBreaker.protect)": loop(Effect.either(CircuitBreaker.protect(call, circuit))),
    "effect-resilience (protect, everything on)": loop(Effect.either(ours.protect(call)))
  }
  const turnedAway = await Effect.runPromise(Effect.either(ours.protect(call)))
  if (Either.isRight(turnedAway)) {
    throw new Error("the circuit is not open")
  }
  const rounds = await measure(contenders)
  return table(
    "A call that an open circuit turns away",
    ["contender", "µs a call", "of cockatiel"],
    Object.keys(contenders).map((name) => [
      name,
      median(rounds.map((round) => round(name))).toFixed(1),
      median(rounds.map((round) => round(name) / round("cockatiel (circuit breaker)"))).toFixed(2)
    ])
  )
}

// ---------------------------------------------------------------------------------------------------------- memory

const collected = (): number => {
  if (globalThis.gc === undefined) {
    throw new Error("memory is measured with --expose-gc")
  }
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().heapUsed
}

const IN_FLIGHT = 10_000
const HEAP_ROUNDS = 3

const memory = async (): Promise<string> => {
  const rows: Array<ReadonlyArray<string>> = []
  let answers: Array<(value: number) => void> = []
  const calls = around(() => new Promise((resolve) => answers.push(resolve)))
  for (const [name, call] of Object.entries(calls)) {
    const held: Array<number> = []
    const left: Array<number> = []
    for (let round = 0; round <= HEAP_ROUNDS; round++) {
      const before = collected()
      const started = Effect.runFork(Effect.all(Array.from({ length: IN_FLIGHT }, () => Effect.forkDaemon(call))))
      const fibers = await Effect.runPromise(Fiber.join(started))
      while (answers.length < IN_FLIGHT) {
        await new Promise(setImmediate)
      }
      const during = collected()
      answers.forEach((answer) => answer(1))
      answers = []
      await Effect.runPromise(Fiber.joinAll(fibers).pipe(Effect.asVoid, Effect.orDie))
      fibers.length = 0
      // The first round fills what is kept for good.
      if (round > 0) {
        held.push((during - before) / IN_FLIGHT)
        left.push(Math.max(0, collected() - before) / IN_FLIGHT)
      }
    }
    rows.push([name, Math.round(median(held)).toLocaleString("en"), Math.round(median(left)).toLocaleString("en")])
  }
  return table(
    `Heap of a call while ${IN_FLIGHT.toLocaleString("en")} wait for their answers`,
    ["contender", "bytes a call", "bytes a call, all ended"],
    rows
  )
}

// ----------------------------------------------------------------------------------------------------- many at once

const concurrency = async (): Promise<string> => {
  const calls = around(() => new Promise((resolve) => setImmediate(resolve, 1)))
  const sizes = [1, 100, 10_000]
  const columns: Array<(name: string) => string> = []
  for (const size of sizes) {
    const times = Math.max(1, 1000 / size)
    const rounds = await measure(
      Object.fromEntries(
        Object.entries(calls).map(([name, call]) => {
          const together = Effect.all(Array.from({ length: size }, () => call), {
            concurrency: "unbounded",
            discard: true
          })
          return [name, Effect.orDie(Effect.repeatN(together, times - 1))]
        })
      ),
      size * times
    )
    columns.push((name) => median(rounds.map((round) => round(name) - round(BARE))).toFixed(1))
    columns.push((name) =>
      median(rounds.map((round) => (round(name) - round(BARE)) / (round(NAIVE) - round(BARE)))).toFixed(2)
    )
  }
  return table(
    "Calls that run at once, each for a turn of the event loop",
    [
      "µs added a call, and that of the naive composition",
      ...sizes.flatMap((size) => [`${size.toLocaleString("en")} at once`, "of naive"])
    ],
    Object.keys(calls).filter((name) => name !== BARE).map((name) => [name, ...columns.map((column) => column(name))])
  )
}

// ------------------------------------------------------------------------------------------------------- many keys

const keys = async (): Promise<string> => {
  const contenders: Record<string, Effect.Effect<void>> = {}
  const sizes = [1, 100, 10_000, 100_000]
  const kinds: Readonly<Record<string, (ours: Resilience.Resilience, key: string) => Effect.Effect<unknown, unknown>>> =
    {
      "budget keys": (ours, key) => RetryBudget.withKey(ours.protect(call), key),
      "circuits": (ours, key) => ours.protect(call, { provider: "bench", model: key })
    }
  for (const [kind, protect] of Object.entries(kinds)) {
    for (const size of sizes) {
      const ours = Resilience.unsafeMake()
      let next = 0
      contenders[`${kind}, ${size}`] = calls(() => protect(ours, `key-${next++ % size}`))
    }
  }
  const rounds = await measure(contenders)
  return table(
    "Calls that succeed at once, each with the next of so many keys",
    ["", ...sizes.map((size) => size.toLocaleString("en"))],
    Object.keys(kinds).map((kind) => [
      `${kind}, µs a call of that with one`,
      ...sizes.map((size) => median(rounds.map((round) => round(`${kind}, ${size}`) / round(`${kind}, 1`))).toFixed(2))
    ])
  )
}

const report = [
  "# What protection costs",
  "",
  `Medians of ${ROUNDS} rounds in one run (of ${HEAP_ROUNDS} for memory), Node ${process.version}, without logging. Compare the ratios;`,
  "the times are this machine's.",
  ""
]
for (const section of [success, second, rejection, memory, concurrency, keys]) {
  const text = await section()
  process.stdout.write(text)
  report.push(text)
}
circuits.forEach((circuit) => circuit.shutdown())

await mkdir(new URL("results/", import.meta.url), { recursive: true })
await writeFile(new URL("results/overhead.md", import.meta.url), report.join("\n"))
