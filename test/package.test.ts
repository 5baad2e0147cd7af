/** What a stranger gets: the packed package, installed into an empty folder. */
import { describe, it } from "@effect/vitest"
import { assertTrue, deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll } from "vitest"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const manifest: {
  readonly exports: Record<string, string | { readonly types: string; readonly default: string }>
  readonly peerDependencies: Record<string, string>
  readonly dependencies?: Record<string, string>
} = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

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
    mkdirSync(installed, { recursive: true })
    run("tar", ["-xzf", join(folder, tarball), "-C", installed, "--strip-components", "1"], folder)
    // Its peers, and nothing else of this checkout.
    for (const peer of Object.keys(manifest.peerDependencies)) {
      mkdirSync(dirname(join(folder, "node_modules", peer)), { recursive: true })
      symlinkSync(join(root, "node_modules", peer), join(folder, "node_modules", peer))
    }
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
    writeFileSync(join(folder, "program.ts"), program)
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }))
  }, 120_000)

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it("depends on effect and @effect/platform as peers, and on nothing else", () => {
    deepStrictEqual(Object.keys(manifest.peerDependencies).sort(), ["@effect/platform", "effect"])
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

  it("type-checks in a strict program and runs", () => {
    run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder], folder)
    strictEqual(run(process.execPath, ["program.js"], folder).trim(), "installed")
  }, 60_000)

  it("carries no test, bench or command of the checkout", () => {
    const top = readdirSync(installed).sort()
    deepStrictEqual(top, ["CHANGELOG.md", "LICENSE", "README.md", "dist", "package.json", "src"])
    assertTrue(!readdirSync(join(installed, "dist")).includes("cli"))
  })
})
