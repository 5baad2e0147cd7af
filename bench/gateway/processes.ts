/**
 * The contenders, each in a process of its own and as one would run it in production, and the provider they ask.
 */
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** Where a contender is asked, and with which headers. */
export interface Contender {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** The mebibytes of memory that are its own at this moment; the provider itself has none that counts. */
  readonly memory: () => Promise<number>
}

/** The provider without a proxy: what the others add is told from it. */
export const DIRECT = "no proxy"
export const BARE = "bare Node proxy (undici)"
export const PORTKEY = "@portkey-ai/gateway"
export const OURS = "effect-resilience gateway"

const KEY = "a-key-of-the-gateway"

/** Every policy that there is, and limits that this load does not reach. */
const configOf = (upstream: string) => ({
  auth: {
    keys: [{ name: "bench", key: "env:BENCH_KEY", budget: { limit: 1000, per: "1 hour" }, maxConcurrent: 256 }]
  },
  providers: {
    first: { type: "openai", baseUrl: `${upstream}/v1`, apiKey: "a-key-of-the-provider" },
    second: { type: "openai", baseUrl: `${upstream}/v1`, apiKey: "a-key-of-the-provider" }
  },
  models: { chat: { chain: ["first/gpt-4o-mini", "second/gpt-4o-mini"], policy: "all" } },
  policies: {
    all: {
      deadline: "60 seconds",
      patience: "10 seconds",
      onCut: "continue",
      retry: { maxAttempts: 3 },
      attemptTimeout: "30 seconds",
      firstToken: "10 seconds",
      idle: "10 seconds",
      circuitBreaker: { trip: { failureRate: { threshold: 0.5 } }, openFor: "10 seconds" },
      maxConcurrent: 256
    }
  }
})

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" && address !== null ? address.port : NaN
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false))
    socket.once("connect", () => socket.destroy())
  })

const residentOf = async (pid: number): Promise<number> => {
  const { stdout } = await promisify(execFile)("ps", ["-o", "rss=", "-p", `${pid}`])
  return Number(stdout) / 1024
}

const pathOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Starts everything, runs what it is given with it, and ends everything. */
export const withContenders = async <A>(
  run: (contenders: ReadonlyMap<string, Contender>) => Promise<A>
): Promise<A> => {
  const folder = await mkdtemp(join(tmpdir(), "gateway-bench-"))
  const ends: Array<() => void> = []
  const start = async (name: string, argsOf: (port: number) => ReadonlyArray<string>) => {
    const port = await freePort()
    const child = spawn(process.execPath, argsOf(port), {
      env: { NODE_ENV: "production", BENCH_KEY: KEY },
      stdio: ["ignore", "ignore", "inherit"]
    })
    ends.push(() => child.kill())
    while (!await listens(port)) {
      if (child.exitCode !== null) {
        throw new Error(`${name} ended before it listened`)
      }
      await setTimeout(20)
    }
    return { url: `http://127.0.0.1:${port}`, memory: () => residentOf(child.pid ?? NaN) }
  }
  try {
    const direct = await start(DIRECT, (port) => ["--import", "tsx", pathOf("upstream.ts"), `${port}`])
    const config = join(folder, "gateway.json")
    await writeFile(config, JSON.stringify(configOf(direct.url)))
    const bare = await start(BARE, (port) => [pathOf("../peers/proxy.mjs"), `${port}`, direct.url])
    const portkey = await start(PORTKEY, (port) => [
      pathOf("../peers/node_modules/@portkey-ai/gateway/build/start-server.js"),
      `--port=${port}`,
      "--headless"
    ])
    const ours = await start(OURS, (port) => [
      pathOf("../../dist/bin/effect-resilience.js"),
      ...["gateway", "--config", config, "--port", `${port}`, "--log-level", "warning"]
    ])
    const headers = { "content-type": "application/json", "authorization": `Bearer ${KEY}` }
    return await run(
      new Map([
        [DIRECT, { ...direct, headers, memory: () => Promise.resolve(NaN) }],
        [BARE, { ...bare, headers }],
        [PORTKEY, {
          ...portkey,
          headers: { ...headers, "x-portkey-provider": "openai", "x-portkey-custom-host": `${direct.url}/v1` }
        }],
        [OURS, { ...ours, headers }]
      ])
    )
  } finally {
    ends.forEach((end) => end())
    await rm(folder, { recursive: true })
  }
}
