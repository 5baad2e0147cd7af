/**
 * What protection adds to a call that succeeds at once.
 *
 * Every contender runs the same small promise a thousand times in one fiber loop, in one run and by turns, so that
 * machine and moment are the same for all. What counts is the time each adds to the bare promise, as a ratio to what the
 * naive Effect composition adds.
 */
import * as cockatiel from "cockatiel"
import { Effect, Schedule } from "effect"
import { Resilience } from "effect-resilience"
import { mkdir, writeFile } from "node:fs/promises"
import { Bench } from "tinybench"

const CALLS = 1000
const ROUNDS = 7

const NAIVE = "naive Effect (retry of timeoutFail)"

const call = Effect.promise(() => Promise.resolve(1))

const policy = cockatiel.wrap(
  cockatiel.retry(cockatiel.handleAll, { maxAttempts: 4, backoff: new cockatiel.ExponentialBackoff() }),
  cockatiel.timeout(60_000, cockatiel.TimeoutStrategy.Aggressive)
)

const ours = Resilience.unsafeMake()

const contenders: Record<string, Effect.Effect<number, unknown>> = {
  "bare promise": call,
  [NAIVE]: call.pipe(
    Effect.timeoutFail({ duration: "60 seconds", onTimeout: () => "timeout" }),
    Effect.retry(Schedule.exponential("1 second").pipe(Schedule.intersect(Schedule.recurs(4))))
  ),
  "cockatiel (retry + timeout)": Effect.promise(() => policy.execute(() => Promise.resolve(1))),
  "effect-resilience (protect)": ours.protect(call)
}

const loop = (contender: Effect.Effect<number, unknown>) =>
  Effect.gen(function*() {
    for (let i = 0; i < CALLS; i++) {
      yield* contender
    }
  })

const median = (numbers: ReadonlyArray<number>): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN

const round = async (): Promise<Map<string, number>> => {
  const bench = new Bench({ time: 300, warmupTime: 100 })
  for (const [name, contender] of Object.entries(contenders)) {
    bench.add(name, () => Effect.runPromise(loop(contender)).then(() => undefined))
  }
  await bench.run()
  return new Map(bench.tasks.map((task) => {
    if (!("latency" in task.result)) {
      throw new Error(`${task.name} did not finish: ${task.result.state}`)
    }
    return [task.name, task.result.latency.p50 * 1000 / CALLS] as const
  }))
}

const rounds: Array<Map<string, number>> = []
for (let i = 0; i < ROUNDS; i++) {
  rounds.push(await round())
}

const added = (round: Map<string, number>, name: string): number =>
  (round.get(name) ?? NaN) - (round.get("bare promise") ?? NaN)

const row = (name: string): string => {
  const perCall = median(rounds.map((round) => round.get(name) ?? NaN))
  const extra = median(rounds.map((round) => added(round, name)))
  const ratio = median(rounds.map((round) => added(round, name) / added(round, NAIVE)))
  return `| ${name} | ${perCall.toFixed(1)} | ${extra.toFixed(1)} | ${ratio.toFixed(2)} |`
}

const table = [
  "# What protection adds to a call that succeeds at once",
  "",
  `Medians of ${ROUNDS} rounds in one run, Node ${process.version}. Compare the ratios; the times are this machine's.`,
  "",
  "| contender | µs a call | µs added | added, of the naive composition |",
  "|---|---:|---:|---:|",
  ...Object.keys(contenders).map(row),
  ""
].join("\n")

await mkdir(new URL("results/", import.meta.url), { recursive: true })
await writeFile(new URL("results/overhead.md", import.meta.url), table)
process.stdout.write(table)
