import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const src = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-resilience\/(ai|gateway|testing)$/, replacement: src("$1/index.ts") },
      { find: /^effect-resilience\/(.+)$/, replacement: src("$1.ts") },
      { find: /^effect-resilience$/, replacement: src("index.ts") }
    ]
  },
  test: {
    // A failed attempt logs a warning, which here is what was meant to happen.
    silent: "passed-only",
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    // Many tests wait for sockets, so every core can have a worker.
    maxWorkers: "100%",
    // A promise about time is kept in virtual time or says its limit; this one is for machines that are busy.
    testTimeout: 30_000,
    sequence: { concurrent: false }
  }
})
