/**
 * What protection costs: on a call that succeeds at once, on one that an open circuit turns away, and with many keys.
 *
 * All contenders of a table run the same small promise, or the same rejection, in one fiber loop, in one run and by
 * turns, so that machine and moment are the same for all. What counts are the ratios.
 */
import * as cockatiel from "cockatiel"
import { Effect, Either, Schedule } from "effect"
import { CircuitBreaker, ProviderError, Resilience, RetryBudget } from "effect-resilience"
import { mkdir, writeFile } from "node:fs/promises"
import { Bench } from "tinybench"

const CALLS = 1000
const ROUNDS = 7

type Contenders = Readonly<Record<string, Effect.Effect<void>>>

const median = (numbers: ReadonlyArray<number>): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN

/** Microseconds per call of each contender, round by round. */
const measure = async (contenders: Contenders): Promise<ReadonlyArray<(name: string) => number>> => {
  const rounds: Array<(name: string) => number> = []
  for (let i = 0; i < ROUNDS; i++) {
    const bench = new Bench({ time: 250, warmupTime: 50, iterations: 10, warmupIterations: 3 })
    for (const [name, contender] of Object.entries(contenders)) {
      bench.add(name, () => Effect.runPromise(contender))
    }
    await bench.run()
    const times = new Map(bench.tasks.map((task) => {
      if (!("latency" in task.result)) {
        throw new Error(`${task.name} did not finish: ${task.result.state}`)
      }
      return [task.name, task.result.latency.p50 * 1000 / CALLS] as const
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

const BARE = "bare promise"
const NAIVE = "naive Effect (retry of timeoutFail)"
const COCKATIEL = "cockatiel (retry, breaker, timeout)"
const OURS = "effect-resilience (protect, everything on)"

const handled = cockatiel.handleAll
const retry = cockatiel.retry(handled, { maxAttempts: 4, backoff: new cockatiel.ExponentialBackoff() })
const timeout = cockatiel.timeout(60_000, cockatiel.TimeoutStrategy.Aggressive)
const breaker = () =>
  cockatiel.circuitBreaker(handled, {
    halfOpenAfter: 5000,
    breaker: new cockatiel.SamplingBreaker({ threshold: 0.8, duration: 30_000 })
  })
const cockatielPolicy = cockatiel.wrap(retry, breaker(), timeout)

const success = async (): Promise<string> => {
  const ours = Resilience.unsafeMake({ maxConcurrent: 1000 })
  const bareOurs = Resilience.unsafeMake({ circuitBreaker: false })
  const contenders = {
    [BARE]: loop(call),
    [NAIVE]: loop(call.pipe(
      Effect.timeoutFail({ duration: "60 seconds", onTimeout: () => "timeout" }),
      Effect.retry(Schedule.exponential("1 second").pipe(Schedule.intersect(Schedule.recurs(4))))
    )),
    "cockatiel (retry, timeout)": loop(
      Effect.promise(() => cockatiel.wrap(retry, timeout).execute(() => Promise.resolve(1)))
    ),
    [COCKATIEL]: loop(Effect.promise(() => cockatielPolicy.execute(() => Promise.resolve(1)))),
    "effect-resilience (protect, no breaker)": loop(bareOurs.protect(call)),
    [OURS]: loop(ours.protect(call, { provider: "bench", model: "m" }))
  }
  const rounds = await measure(contenders)
  const added = (round: (name: string) => number, name: string) => round(name) - round(BARE)
  return table(
    "A call that succeeds at once",
    ["contender", "µs a call", "µs added", "added, of the naive composition", "added, of cockatiel with a breaker"],
    Object.keys(contenders).map((name) => [
      name,
      median(rounds.map((round) => round(name))).toFixed(1),
      median(rounds.map((round) => added(round, name))).toFixed(1),
      median(rounds.map((round) => added(round, name) / added(round, NAIVE))).toFixed(2),
      median(rounds.map((round) => added(round, name) / added(round, COCKATIEL))).toFixed(2)
    ])
  )
}

// --------------------------------------------------------------------------------------- turned away by an open circuit

const rejection = async (): Promise<string> => {
  const peer = breaker()
  peer.isolate()
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
  `Medians of ${ROUNDS} rounds in one run, Node ${process.version}. Compare the ratios; the times are this machine's.`,
  "",
  await success(),
  await rejection(),
  await keys()
].join("\n")

await mkdir(new URL("results/", import.meta.url), { recursive: true })
await writeFile(new URL("results/overhead.md", import.meta.url), report)
process.stdout.write(report)
