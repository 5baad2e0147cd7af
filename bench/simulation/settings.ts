/**
 * What the command line asks for. The main process and its workers read the same arguments, so that a job is named by
 * three numbers.
 */
import { parseArgs } from "node:util"
import { contenders, ours } from "./Contenders.js"
import { swept } from "./parameters.js"
import { scenarios } from "./Scenarios.js"
import type { Contender, Scenario } from "./Trial.js"

export interface Settings {
  readonly scenarios: ReadonlyArray<Scenario>
  readonly contenders: ReadonlyArray<Contender>
  readonly seeds: ReadonlyArray<number>
  /** Are these the tables to publish, or somebody's own question? */
  readonly whole: boolean
}

/**
 * `--scenario part-of-an-id` (repeatable), `--seeds 5`, `--sweep retry.base="500 millis,1 second"` (repeatable: every
 * combination, against the defaults; `--peers` adds the others).
 */
export const settingsOf = (args: ReadonlyArray<string>): Settings => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      scenario: { type: "string", multiple: true, default: [] },
      seeds: { type: "string", default: "3" },
      sweep: { type: "string", multiple: true, default: [] },
      peers: { type: "boolean", default: false }
    }
  })
  const { peers, scenario: parts, seeds, sweep } = values
  const chosen = scenarios.filter(({ id }) => parts.length === 0 || parts.some((part) => id.includes(part)))
  const count = Number(seeds)
  if (chosen.length === 0 || !Number.isSafeInteger(count) || count < 1) {
    throw new RangeError(`expected a scenario of ${scenarios.map(({ id }) => id).join(", ")} and a number of seeds`)
  }
  return {
    scenarios: chosen,
    contenders: sweep.length === 0 ? contenders : [...(peers ? contenders : [ours()]), ...swept(sweep)],
    seeds: Array.from({ length: count }, (_, i) => i + 1),
    whole: args.length === 0
  }
}
