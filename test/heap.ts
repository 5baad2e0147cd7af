/** How much memory is in use, once what can be collected is gone. */
import { Effect } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

export const heapUsed = Effect.sync(() => {
  setFlagsFromString("--expose-gc")
  const collect: unknown = runInNewContext("gc")
  if (typeof collect === "function") {
    collect()
    collect()
  }
  return process.memoryUsage().heapUsed
})
