/**
 * What a streamed answer costs on its way through the whole stack: chunks per second, and processor time per chunk.
 *
 * All contenders read the same answer from the same server over the same `fetch`, count its characters and take turns, so
 * that machine and moment are the same for all. The server runs in another process. What counts are the ratios.
 */
import { FetchHttpClient, HttpClient, HttpClientRequest } from "@effect/platform"
import { Effect, Layer, ManagedRuntime, Stream } from "effect"
import { ChatProvider, Fallback, OpenAi, Resilience } from "effect-resilience"
import { fork } from "node:child_process"
import { once } from "node:events"
import { mkdir, writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import * as sdk from "./peers/openai.mjs"
import { median } from "./statistics.js"
import { CHUNKS, WORD } from "./streams/answer.js"

const ROUNDS = 15
const WARMUP = 4
/** How often a contender reads the answer in one turn. */
const READS = 4

/** Reads the answer, and counts its characters. */
type Contender = () => Promise<number>

interface Cost {
  /** Microseconds from one chunk to the next. */
  readonly time: number
  /** Microseconds of this process, per chunk. */
  readonly cpu: number
}

const SDK = "openai SDK"
const NAIVE = "@effect/platform, naive"
const OURS = "effect-resilience (OpenAi, Resilience, Fallback)"

const request = { model: "m", messages: [{ role: "user", content: "Go on" }] }

const runtime = ManagedRuntime.make(FetchHttpClient.layer)

/** The lines of the body, decoded; no errors but those of the transport, no end but that of the connection. */
const naive = (baseUrl: string): Contender => {
  const asked = HttpClientRequest.post(`${baseUrl}/chat/completions`).pipe(
    HttpClientRequest.bodyUnsafeJson({ ...request, stream: true })
  )
  const program = HttpClient.HttpClient.pipe(
    Effect.flatMap((client) => client.execute(asked)),
    Effect.map((response) => response.stream),
    Stream.unwrap,
    Stream.decodeText(),
    Stream.splitLines,
    Stream.filter((line) => line.startsWith("data: ") && line !== "data: [DONE]"),
    Stream.map((line) => JSON.parse(line.slice(6))),
    Stream.runFold(0, (length, chunk) => length + (chunk.choices[0]?.delta.content?.length ?? 0)),
    Effect.orDie
  )
  return () => runtime.runPromise(program)
}

const ours = (baseUrl: string): Contender => {
  const provider = (model: string) => OpenAi.layer({ baseUrl, model }).pipe(Resilience.layer())
  const chain = provider("m").pipe(Fallback.orElse(provider("other")), Layer.provide(FetchHttpClient.layer))
  const runtime = ManagedRuntime.make(chain)
  const program = ChatProvider.stream(request).pipe(
    Stream.runFold(0, (length, chunk) => length + ChatProvider.deltaText(chunk).length)
  )
  return () => runtime.runPromise(program)
}

const turn = async (contender: Contender): Promise<Cost> => {
  const cpu = process.cpuUsage()
  const start = performance.now()
  for (let i = 0; i < READS; i++) {
    const length = await contender()
    if (length !== CHUNKS * WORD.length) {
      throw new Error(`read ${length} characters of ${CHUNKS * WORD.length}`)
    }
  }
  const time = (performance.now() - start) * 1000
  const { system, user } = process.cpuUsage(cpu)
  return { time: time / (READS * CHUNKS), cpu: (user + system) / (READS * CHUNKS) }
}

const table = async (heading: string, baseUrl: string): Promise<string> => {
  const contenders: Record<string, Contender> = {
    [SDK]: sdk.read(baseUrl),
    [NAIVE]: naive(baseUrl),
    [OURS]: ours(baseUrl)
  }
  const rounds: Array<(name: string) => Cost> = []
  for (let round = -WARMUP; round < ROUNDS; round++) {
    const costs = new Map<string, Cost>()
    for (const [name, contender] of Object.entries(contenders)) {
      costs.set(name, await turn(contender))
    }
    if (round >= 0) {
      rounds.push((name) => costs.get(name) ?? { time: NaN, cpu: NaN })
    }
  }
  const speed = (name: string, other: string) =>
    median(rounds.map((round) => round(other).time / round(name).time)).toFixed(2)
  return [
    `## ${heading}`,
    "",
    "| contender | chunks/s | speed, of the SDK | speed, of the naive reader | CPU µs a chunk |",
    "|---|---:|---:|---:|---:|",
    ...Object.keys(contenders).map((name) =>
      `| ${
        [
          name,
          Math.round(median(rounds.map((round) => 1e6 / round(name).time))).toLocaleString("en"),
          speed(name, SDK),
          speed(name, NAIVE),
          median(rounds.map((round) => round(name).cpu)).toFixed(1)
        ].join(" | ")
      } |`
    ),
    ""
  ].join("\n")
}

const server = fork(fileURLToPath(new URL("streams/server.ts", import.meta.url)))
const [port] = await once(server, "message")
const report = [
  "# What streaming costs",
  "",
  `An answer of ${
    CHUNKS.toLocaleString("en")
  } chunks from a local server in another process, all over the same \`fetch\`;`,
  `medians of ${ROUNDS} rounds in one run, Node ${process.version}. Compare the ratios; the rest is this machine's.`,
  "",
  await table("One event per write", `http://127.0.0.1:${port}/event`),
  await table("Writes of 64 KiB", `http://127.0.0.1:${port}/batch`)
].join("\n")
server.disconnect()

const results = new URL("results/", import.meta.url)
await mkdir(results, { recursive: true })
await writeFile(new URL("streams.md", results), report)
process.stdout.write(report)
