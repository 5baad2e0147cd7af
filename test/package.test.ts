/** What a stranger gets: the packed package, installed into an empty folder. */
import { describe, it } from "@effect/vitest"
import { assertInclude, assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { execFileSync, spawn } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll } from "vitest"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const manifest: {
  readonly exports: Record<string, string | { readonly types: string; readonly default: string }>
  readonly peerDependencies: Record<string, string>
  readonly peerDependenciesMeta: Record<string, { readonly optional: boolean }>
  readonly version: string
  readonly dependencies?: Record<string, string>
} = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

const required = Object.keys(manifest.peerDependencies).filter((peer) =>
  manifest.peerDependenciesMeta[peer] === undefined
)
const optional = Object.keys(manifest.peerDependenciesMeta)

const run = (command: string, args: ReadonlyArray<string>, cwd: string): string =>
  execFileSync(command, args, { cwd, encoding: "utf8" })

const program = `
import { Effect, Logger, LogLevel, Redacted } from "effect"
import { ChatProvider, OpenAi, ProviderError, Resilience } from "effect-resilience"
import { make } from "effect-resilience/RetryPolicy"
import { ScriptedProvider } from "effect-resilience/testing"

const busy = new ProviderError.RateLimited({ message: "429" })
const provider = ScriptedProvider.layer([busy, "installed"]).pipe(
  Resilience.layer({ retry: { base: "1 millis", jitter: "none" } })
)
const text: Effect.Effect<string, ProviderError.CallError> = ChatProvider.complete({ model: "m", messages: [] }).pipe(
  Effect.map(ChatProvider.text),
  Effect.retry(make()),
  Effect.provide(provider),
  Logger.withMinimumLogLevel(LogLevel.Error)
)
OpenAi.layer({ apiKey: Redacted.make("key") })
Effect.runPromise(text).then((text) => console.log(text))
`

const aiProgram = `
import { LanguageModel } from "@effect/ai"
import { Effect, Layer, Stream } from "effect"
import { LanguageModelFallback } from "effect-resilience/ai"

const model = Layer.effect(
  LanguageModel.LanguageModel,
  LanguageModel.make({
    generateText: () => Effect.succeed([{ type: "text", text: "asked" }]),
    streamText: () => Stream.empty
  })
)
const text = LanguageModel.generateText({ prompt: "Hello" }).pipe(
  Effect.map((response) => response.text),
  Effect.provide(LanguageModelFallback.layer(model))
)
Effect.runPromise(text).then((text) => console.log(text))
`

const gatewayProgram = `
import { Effect } from "effect"
import { GatewayConfig } from "effect-resilience/gateway"

const models = GatewayConfig.parse("providers: { local: { type: openai } }\\nmodels: { chat: { chain: [local/m] } }").pipe(
  Effect.map((config) => config.models.map((model) => model.name).join())
)
Effect.runPromise(models).then((names) => console.log(names))
`

// Declarations are checked too (no skipLibCheck), and no types of Node are at hand.
const compilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  module: "NodeNext",
  target: "ES2022",
  lib: ["ES2022", "DOM", "DOM.Iterable"],
  types: []
}

describe("the packed package", () => {
  const folder = mkdtempSync(join(tmpdir(), "effect-resilience-"))
  const installed = join(folder, "node_modules", "effect-resilience")

  beforeAll(() => {
    run("npm", ["pack", "--silent", "--pack-destination", folder], root)
    const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? ""
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
    // Without peers, of which the command needs none, and so without a registry.
    run("npm", ["install", "--silent", "--offline", "--legacy-peer-deps", join(folder, tarball)], folder)
  }, 120_000)

  const link = (peer: string) => {
    const path = join(folder, "node_modules", peer)
    if (!existsSync(path)) {
      mkdirSync(dirname(path), { recursive: true })
      symlinkSync(join(root, "node_modules", peer), path)
    }
  }

  /** What a program prints that is compiled strictly, its dependencies' declarations included. */
  const output = (source: string, options: object = {}): string => {
    required.forEach(link)
    writeFileSync(join(folder, "program.ts"), source)
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ compilerOptions: { ...compilerOptions, ...options }, files: ["program.ts"] })
    )
    run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder], folder)
    return run(process.execPath, ["program.js"], folder).trim()
  }

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it("depends on effect and @effect/platform as peers, and on nothing else unless it is used", () => {
    deepStrictEqual(required.sort(), ["@effect/platform", "effect"])
    deepStrictEqual(optional, ["@effect/ai", "yaml"])
    strictEqual(manifest.dependencies, undefined)
  })

  it("has every file its exports name, and a subpath for every public module", () => {
    const files = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === "string" ? [entry] : [entry.types, entry.default]
    )
    deepStrictEqual(files.filter((file) => readFileSync(join(installed, file), "utf8") === ""), [])
    const modules = readdirSync(join(root, "src")).filter((name) => /^[A-Z].*\.ts$/.test(name))
    deepStrictEqual(modules.filter((name) => manifest.exports[`./${name.slice(0, -3)}`] === undefined), [])
  })

  const npx = (...args: ReadonlyArray<string>) => ["--no-install", "effect-resilience", ...args]

  it("brings its command along, which needs nothing else", () => {
    deepStrictEqual(readdirSync(join(folder, "node_modules")).filter((name) => !name.startsWith(".")), [
      "effect-resilience"
    ])
    strictEqual(run("npx", npx("--version"), folder).trim(), manifest.version)
    writeFileSync(join(folder, "gateway.yaml"), "providers: {}\nmodels: {}\n")
    assertInclude(run("npx", npx("check", "gateway.yaml"), folder), "gateway.yaml can be used.")
  }, 30_000)

  it("serves a demo, which answers", async () => {
    const gateway = spawn("npx", npx("gateway", "--demo", "--port", "0"), { cwd: folder, detached: true })
    try {
      const said = await new Promise<string>((resolve, reject) => {
        let text = ""
        gateway.on("close", () => reject(new Error(`It ended after:\n${text}`)))
        gateway.stdout.setEncoding("utf8").on("data", (data: string) => {
          text += data
          if (text.includes("Ctrl-C")) {
            resolve(text)
          }
        })
      })
      const [, url = ""] = /Listening on (\S+)/.exec(said) ?? []
      const response = await fetch(`${url}/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "chat", messages: [{ role: "user", content: "Hello" }] })
      })
      strictEqual(response.status, 200)
      assertInclude(await response.text(), "This is claude-haiku-4-5")
    } finally {
      // What npx started is in its group.
      process.kill(-(gateway.pid ?? 0), "SIGTERM")
    }
  }, 30_000)

  it("type-checks in a strict program and runs", () => {
    strictEqual(output(program), "installed")
  }, 60_000)

  it("has an entry point for @effect/ai, where that is installed", () => {
    link("@effect/ai")
    // The declarations of @effect/ai do not all check by themselves.
    strictEqual(output(aiProgram, { skipLibCheck: true }), "asked")
  }, 60_000)

  it("has an entry point for the gateway, where yaml is installed", () => {
    link("yaml")
    strictEqual(output(gatewayProgram), "chat")
  }, 60_000)

  it("carries no test, bench or command of the checkout", () => {
    const top = readdirSync(installed).sort()
    deepStrictEqual(top, ["CHANGELOG.md", "LICENSE", "README.md", "dist", "examples", "package.json", "src"])
    assertTrue(!readdirSync(join(installed, "dist")).includes("cli"))
    deepStrictEqual(readdirSync(join(installed, "dist/bin")), [
      "effect-resilience.js",
      "effect-resilience.js.LEGAL.txt"
    ])
  })
})
