/**
 * What a reader has to see of a stream that meets a fault, worked out by hand and slowly.
 *
 * It knows the promises alone: what an attempt shows of each fault on its way, how often a provider is asked, who is asked
 * next, and what each mode makes of an answer that breaks. Nothing of the library is used here.
 */
import { Fault } from "effect-resilience/testing"

export type Format = "OpenAi" | "Anthropic"
export type Mode = "fail" | "continue" | "hold" | "restart"

/** How often a fault strikes: at the first request, at all for the first model, or at all for both. */
export type Strikes = "once" | "always" | "everywhere"

export type Mishap =
  | Exclude<Fault.StreamEnd, "end">
  | "silence"
  | "refused"
  | "slow within the limit"
  | "slow beyond the limit"

export interface Case {
  readonly format: Format
  readonly mode: Mode
  readonly mishap: Mishap
  /** How many words come before it. */
  readonly after: 0 | 4
  readonly providers: 1 | 2
  readonly strikes: Strikes
}

export interface Outcome {
  /** The text of the answer, and of each one begun anew. */
  readonly seen: ReadonlyArray<string>
  readonly end: string
  /** How many requests each model got. */
  readonly attempts: { readonly a: number; readonly b: number }
}

export const content = "One two three four five six seven eight."
export const begun = "One two three four"

export const isAboutTime = ({ mishap }: Pick<Case, "mishap">): boolean =>
  ["stall", "pings", "silence", "slow within the limit", "slow beyond the limit", "no done, open"].includes(mishap)

/** In milliseconds. Where nothing has to run out of time, there is so much of it that nothing does. */
export const limitsOf = (one: Pick<Case, "mishap">) =>
  isAboutTime(one)
    ? { attempt: 500, firstToken: 350, idle: 300 }
    : { attempt: 10_000, firstToken: 10_000, idle: 10_000 }

export const faultOf = ({ after, mishap }: Pick<Case, "after" | "mishap">): Fault.Fault => {
  switch (mishap) {
    case "silence":
      return Fault.silence
    case "refused":
      return Fault.resetBeforeHeaders
    case "slow within the limit":
      return Fault.stream({ content, firstAfter: "80 millis" })
    case "slow beyond the limit":
      return Fault.stream({ content, firstAfter: "900 millis" })
    default:
      return Fault.stream({ content, after, then: mishap, pingEvery: "20 millis" })
  }
}

/** Faults that strike in one place only. */
const placeless: ReadonlyArray<Mishap> = [
  "no done",
  "no done, open",
  "silence",
  "refused",
  "slow within the limit",
  "slow beyond the limit"
]

const placed: ReadonlyArray<Mishap> = [
  "cut",
  "reset",
  "eof",
  "stall",
  "pings",
  "malformed",
  "malformed twice",
  "error",
  "finish error",
  "endless line"
]

export const mishaps: ReadonlyArray<Pick<Case, "after" | "mishap">> = [
  ...placeless.map((mishap) => ({ mishap, after: 0 }) as const),
  ...placed.flatMap((mishap) => [{ mishap, after: 0 }, { mishap, after: 4 }] as const)
]

/** What one attempt shows: the words that came, and the error after them; how long it was silent before that. */
interface Shown {
  readonly text: string
  readonly error?: string
  readonly silent?: "no byte" | "pings"
}

const well: Shown = { text: content }

const shownBy = ({ after, format, mishap }: Case): Shown => {
  const text = after === 0 ? "" : begun
  switch (mishap) {
    case "malformed":
    case "slow within the limit":
      return well
    case "cut":
    case "reset":
    case "eof":
      return { text, error: "ServerError Truncated" }
    case "refused":
      return { text: "", error: "ServerError Connection" }
    case "malformed twice":
    case "endless line":
      return { text, error: "ServerError Malformed" }
    case "error":
    case "nested error":
    case "finish error":
      return { text, error: "ServerError Overloaded" }
    case "silence":
    case "slow beyond the limit":
      return { text: "", silent: "no byte" }
    case "stall":
      return { text, silent: "no byte" }
    case "pings":
      return { text, silent: "pings" }
    // The reason why the answer ended is OpenAI's end; Anthropic's comes after it.
    case "no done":
      return format === "OpenAi" ? well : { text: content, error: "ServerError Truncated" }
    case "no done, open":
      return format === "OpenAi" ? well : { text: content, silent: "no byte" }
  }
}

/** What comes of a case, and how many milliseconds of silence have to be waited for. */
export const expected = (one: Case): { readonly outcome: Outcome; readonly silence: number } => {
  const { mode, providers, strikes } = one
  const limits = limitsOf(one)
  const requests = [0, 0]
  let silence = 0

  const answer = (provider: number): Shown => {
    requests[provider] = (requests[provider] ?? 0) + 1
    const struck = strikes === "everywhere" || provider === 0 && (strikes === "always" || requests[0] === 1)
    return struck ? shownBy(one) : well
  }

  /** Waits for what an attempt says next, and how it fails, if it does. */
  const errorOf = ({ error, silent, text }: Shown): string | undefined => {
    if (silent === undefined) {
      return error
    }
    const scope = text !== "" ? "Idle" : providers === 2 ? "FirstToken" : "Attempt"
    silence += scope === "Attempt"
      ? limits.attempt
      : scope === "FirstToken"
      ? limits.firstToken
      : silent === "pings"
      ? 4 * limits.idle
      : limits.idle
    return `Timeout ${scope}`
  }

  /** Asks one provider after the other until one has something to release: its first words, or all of them if held. */
  const open = (from: number): { readonly provider: number; readonly shown: Shown } | string => {
    let first = ""
    for (let provider = from; provider < providers; provider++) {
      const last = provider === providers - 1
      for (let tries = 1; tries <= 2; tries++) {
        const shown = answer(provider)
        if (shown.text !== "" && (mode !== "hold" || shown === well)) {
          return { provider, shown }
        }
        const error = errorOf(shown) ?? ""
        first = first === "" ? error : first
        if (error.startsWith("Timeout") && !last) {
          break
        }
      }
    }
    return first
  }

  const seen: Array<string> = []
  const cuts = [0, 0]
  let end = "ok"
  let from = 0
  for (let round = 0; round <= 3; round++) {
    const opened = open(from)
    if (typeof opened === "string") {
      end = end === "ok" ? opened : end
      break
    }
    const { provider, shown } = opened
    const error = errorOf(shown)
    if (mode === "restart" || seen.length === 0) {
      seen.push(shown.text)
    } else if (shown.text.length > (seen[0]?.length ?? 0)) {
      seen[0] = shown.text
    }
    if (error === undefined) {
      end = "ok"
      break
    }
    end = end === "ok" ? error : end
    const finished = shown.text === content
    if (mode === "fail" || mode === "hold" || mode === "continue" && finished) {
      break
    }
    cuts[provider] = (cuts[provider] ?? 0) + 1
    const passedOver = error.startsWith("Timeout") || cuts[provider] === 2
    from = passedOver && provider + 1 < providers ? provider + 1 : provider
  }
  const [a = 0, b = 0] = requests
  return { outcome: { seen, end, attempts: { a, b } }, silence }
}
