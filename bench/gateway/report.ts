/**
 * The tables. Every number in them was measured; a difference or a ratio is that of two contenders in the same round, and
 * what is shown is its median over the rounds.
 */
import { median } from "../statistics.js"
import type { Plain, Streamed } from "./load.js"
import { DIRECT, OURS, PORTKEY } from "./processes.js"

/** What each contender did in a round. */
export type Rounds<A> = ReadonlyArray<ReadonlyMap<string, A>>

/** Mebibytes of each contender. */
export interface Memory {
  readonly before: ReadonlyMap<string, number>
  readonly after: ReadonlyMap<string, number>
}

export interface Results {
  /** By the number of connections. */
  readonly plain: ReadonlyMap<number, Rounds<Plain>>
  readonly streamed: ReadonlyMap<number, Rounds<Streamed>>
  readonly memory: Memory
}

interface Target {
  readonly what: string
  readonly wanted: string
  readonly measured: number
  readonly isMet: boolean
}

const over = <A>(rounds: Rounds<A>, value: (of: (name: string) => A) => number): number =>
  median(rounds.map((round) =>
    value((name) => {
      const found = round.get(name)
      if (found === undefined) {
        throw new Error(`${name} was not measured`)
      }
      return found
    })
  ))

const added = <A>(rounds: Rounds<A>, time: (of: A) => number, name: string): number =>
  over(rounds, (of) => time(of(name)) - time(of(DIRECT)))

const p50 = ({ p50 }: Plain): number => p50
const first = ({ first }: Streamed): number => first
const total = ({ total }: Streamed): number => total

const table = (columns: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => [
  `| ${columns.join(" | ")} |`,
  `|---|${columns.slice(1).map(() => "---:|").join("")}`,
  ...rows.map((row) => `| ${row.join(" | ")} |`),
  ""
]

const connectionsOf = (count: number): string => count === 1 ? "1 connection" : `${count} connections`

const unlessDirect = (name: string, cell: () => string): string => name === DIRECT ? "" : cell()

const plainTable = (connections: number, rounds: Rounds<Plain>, names: ReadonlyArray<string>) => [
  `### ${connectionsOf(connections)}`,
  "",
  ...table(
    ["", "requests/s", "of Portkey's", "p50 ms", "p99 ms", "added p50 ms"],
    names.map((name) => [
      name,
      over(rounds, (of) => of(name).rate).toFixed(0),
      over(rounds, (of) => of(name).rate / of(PORTKEY).rate).toFixed(2),
      over(rounds, (of) => of(name).p50).toFixed(2),
      over(rounds, (of) => of(name).p99).toFixed(2),
      unlessDirect(name, () => added(rounds, p50, name).toFixed(2))
    ])
  )
]

const streamedTable = (connections: number, rounds: Rounds<Streamed>, names: ReadonlyArray<string>) => [
  `### ${connectionsOf(connections)}`,
  "",
  ...table(
    ["", "first token ms", "added ms", "whole stream ms", "added ms"],
    names.map((name) => [
      name,
      over(rounds, (of) => of(name).first).toFixed(1),
      unlessDirect(name, () => added(rounds, first, name).toFixed(1)),
      over(rounds, (of) => of(name).total).toFixed(1),
      unlessDirect(name, () => added(rounds, total, name).toFixed(1))
    ])
  )
]

const targetsOf = ({ plain, streamed }: Results): ReadonlyArray<Target> => [
  ...[...plain].flatMap(([connections, rounds]): ReadonlyArray<Target> => {
    const rate = over(rounds, (of) => of(OURS).rate / of(PORTKEY).rate)
    const share = added(rounds, p50, OURS) / added(rounds, p50, PORTKEY)
    return [
      {
        what: `requests/s, of Portkey's, ${connectionsOf(connections)}`,
        wanted: "1.5 or more",
        measured: rate,
        isMet: rate >= 1.5
      },
      {
        what: `added p50, of Portkey's, ${connectionsOf(connections)}`,
        wanted: "less than 1",
        measured: share,
        isMet: share < 1
      }
    ]
  }),
  ...[...streamed].map(([connections, rounds]): Target => {
    const share = added(rounds, first, OURS) / added(rounds, first, PORTKEY)
    return {
      what: `added time to first token, of Portkey's, ${connectionsOf(connections)}`,
      wanted: "0.2 or less",
      measured: share,
      isMet: share <= 0.2
    }
  })
]

export const sections = (results: Results, names: ReadonlyArray<string>): ReadonlyArray<string> => [
  "## Targets",
  "",
  ...table(
    ["", "wanted", "measured", "met"],
    targetsOf(results).map(({ isMet, measured, wanted, what }) => [
      what,
      wanted,
      measured.toFixed(2),
      isMet ? "yes" : "no"
    ])
  ),
  "## Plain answers",
  "",
  ...[...results.plain].flatMap(([connections, rounds]) => plainTable(connections, rounds, names)),
  "## Streams",
  "",
  ...[...results.streamed].flatMap(([connections, rounds]) => streamedTable(connections, rounds, names)),
  "## Memory",
  "",
  ...table(
    ["resident, MiB", "at the start", "after the load"],
    names.filter((name) => name !== DIRECT).map((name) => [
      name,
      ...[results.memory.before, results.memory.after].map((memory) => (memory.get(name) ?? NaN).toFixed(0))
    ])
  )
]
