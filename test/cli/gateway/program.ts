/** The program as it is installed: one file, run as a process of its own. */
import { Effect, Schedule } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../../", import.meta.url))

/** A folder with the program in it, until `remove`. */
export const bundle = () => {
  const folder = mkdtempSync(join(tmpdir(), "effect-resilience-cli-"))
  const file = join(folder, "effect-resilience.mjs")
  execFileSync(process.execPath, ["--import", "tsx", "scripts/bundle.ts", file], { cwd: root })
  return {
    file,
    /** Writes a file beside it. */
    write: (name: string, content: unknown): string => {
      const path = join(folder, name)
      writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content))
      return path
    },
    remove: () => rmSync(folder, { recursive: true, force: true })
  }
}

/** A process of the program, which ends with the scope at the latest. */
export const start = (file: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [file, ...args], { env: { ...env } })
      const output = { stdout: "", stderr: "" }
      child.stdout.setEncoding("utf8").on("data", (data: string) => void (output.stdout += data))
      child.stderr.setEncoding("utf8").on("data", (data: string) => void (output.stderr += data))
      const closed = new Promise<number | NodeJS.Signals | null>((resolve) =>
        child.on("close", (code, signal) => resolve(code ?? signal))
      )
      const shows = (stream: "stdout" | "stderr", pattern: RegExp) =>
        Effect.suspend(() => Effect.fromNullable(pattern.exec(output[stream]))).pipe(
          Effect.retry({ schedule: Schedule.spaced("10 millis"), while: () => child.exitCode === null }),
          Effect.orElse(() => Effect.dieMessage(`It never said ${pattern}:\n${output.stdout}${output.stderr}`))
        )
      return {
        output,
        /** The match of what it has said, as soon as it has. */
        shows,
        /** Where it listens. */
        url: Effect.map(shows("stdout", /Listening on (\S+)\/v1/), ([, url = ""]) => url),
        signal: (signal: NodeJS.Signals) => Effect.sync(() => void child.kill(signal)),
        /** Its exit code, or the signal that ended it. */
        exit: Effect.promise(() => closed),
        child
      }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

/** How a process ends that ends by itself. */
export const finish = (file: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Effect.scoped(Effect.gen(function*() {
    const { exit, output } = yield* start(file, args, env)
    return { code: yield* exit, ...output }
  }))
