/**
 * What the gateway costs on the way to a provider, beside another gateway and the least that a proxy can do.
 *
 * All contenders are processes of their own, are sent the same load, and ask the same provider, which answers at once.
 * They take turns, each round beginning with another, so that machine and moment are the same for all. What counts are
 * the ratios.
 */
import { mkdir, writeFile } from "node:fs/promises"
import { CHUNKS } from "./answer.js"
import { plain, streamed } from "./load.js"
import type { Contender } from "./processes.js"
import { withContenders } from "./processes.js"
import type { Rounds } from "./report.js"
import { sections } from "./report.js"

const ROUNDS = 7
const WARMUP_SECONDS = 8
const WARMUP_STREAMS = 40

/** How long a turn of plain answers is, and how many streams each connection reads in one. */
const SECONDS = 2
const STREAMS = { 1: 12, 16: 3 }

type Contenders = ReadonlyMap<string, Contender>

const each = async <A>(contenders: Contenders, measure: (contender: Contender) => Promise<A>, first = 0) => {
  const measured = new Map<string, A>()
  const all = [...contenders]
  for (const [name, contender] of [...all.slice(first), ...all.slice(0, first)]) {
    measured.set(name, await measure(contender))
  }
  return measured
}

const rounds = async <A>(contenders: Contenders, measure: (contender: Contender) => Promise<A>): Promise<Rounds<A>> => {
  const rounds: Array<ReadonlyMap<string, A>> = []
  for (let round = 0; round < ROUNDS; round++) {
    rounds.push(await each(contenders, measure, round % contenders.size))
  }
  return rounds
}

const report = await withContenders(async (contenders) => {
  const memory = () => each(contenders, (contender) => contender.memory())
  const before = await memory()
  await each(contenders, async (contender) => {
    await plain(contender, 16, WARMUP_SECONDS)
    await streamed(contender, 16, WARMUP_STREAMS)
  })
  const plainRounds = new Map<number, Rounds<Awaited<ReturnType<typeof plain>>>>()
  for (const connections of [1, 16, 64]) {
    plainRounds.set(connections, await rounds(contenders, (contender) => plain(contender, connections, SECONDS)))
  }
  const streamedRounds = new Map<number, Rounds<Awaited<ReturnType<typeof streamed>>>>()
  for (const [connections, streams] of Object.entries(STREAMS)) {
    streamedRounds.set(
      Number(connections),
      await rounds(contenders, (contender) => streamed(contender, Number(connections), streams))
    )
  }
  return [
    "# What the gateway costs",
    "",
    `The same load to the same provider, which answers at once, or with a stream of ${CHUNKS} chunks: through this gateway`,
    "with every policy on (a key, its budget and its limit of concurrent requests; deadline, retries, budget, breaker, limit",
    "and a fallback of the model), through Portkey's gateway, through a proxy that passes on what comes, and without any.",
    `Medians of ${ROUNDS} rounds in one run, in which all take turns, Node ${process.version}; \"added\" is the difference to no`,
    "proxy in the same round. Compare the ratios; the rest is this machine's.",
    "",
    ...sections({
      plain: plainRounds,
      streamed: streamedRounds,
      memory: { before, after: await memory() }
    }, [...contenders.keys()])
  ].join("\n")
})

const folder = new URL("../results/", import.meta.url)
await mkdir(folder, { recursive: true })
await writeFile(new URL("gateway.md", folder), report)
process.stdout.write(report)
