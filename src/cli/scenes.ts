/**
 * What can go wrong between a program and a model, each case as a scene to watch.
 *
 * A scene is data: what the three models of the chain do, in the words of `Fault`, and what a stranger should look for.
 * The settings are those a program would choose, but for shorter waits, so that a scene takes seconds.
 */
import * as Arr from "effect/Array"
import type * as Duration from "effect/Duration"
import * as Fault from "../testing/Fault.js"

/** Who is asked in turn, unless the command line says otherwise. */
export const models = ["gpt-4o", "gpt-4o-mini", "gpt-4.1-mini"] as const

type Faults = ReadonlyArray<Fault.Fault>

/** The first wait at most, and any. */
export interface Backoff {
  readonly base: Duration.DurationInput
  readonly cap: Duration.DurationInput
}

/** How long a call may take, and how long a wait is worth while another provider is left. */
export interface Limits {
  readonly deadline: Duration.DurationInput
  readonly patience: Duration.DurationInput
}

export interface Scene {
  readonly name: string
  /** One line, for the list of scenes too. */
  readonly shows: string
  readonly lookFor: string
  /** What each of the models does, request by request, the last one again and again; nothing: it answers well. */
  readonly faults: readonly [Faults, Faults, Faults]
  /** How it is meant to end. */
  readonly ends: "answer" | "error"
  readonly limits?: Partial<Limits>
}

/** Waits short enough to watch. */
export const backoff: Backoff = { base: "200 millis", cap: "1 second" }

/** What holds for a scene that does not say otherwise. */
export const limits: Limits = { deadline: "10 seconds", patience: "5 seconds" }

const answers: Faults = []

/** Played without a key and without a choice: a bit of everything. */
export const tour: Scene = {
  name: "tour",
  shows: "an overloaded model, one with a long Retry-After and one with a short one.",
  lookFor: "retries with backoff, two fallbacks, and one wait that the server asked for.",
  faults: [
    [Fault.overloaded()],
    [Fault.rateLimited({ retryAfter: "20 seconds" })],
    [Fault.rateLimited({ retryAfter: "1 second" }), Fault.ok()]
  ],
  ends: "answer"
}

/** Played without a key for models of one's own choice. */
export const named: Scene = {
  name: "named",
  shows: "the models you named: those whose name begins with fault- fail, the others answer.",
  lookFor: "what each failure leads to.",
  faults: [answers, answers, answers],
  ends: "answer"
}

export const scenes: Arr.NonEmptyReadonlyArray<Scene> = [
  {
    name: "rate-limited",
    shows: "429 with Retry-After: too long to wait for, and waited for.",
    lookFor: "patience turns the long waits into fallbacks; the last provider gets the wait it asks for.",
    faults: [
      [Fault.rateLimited({ retryAfter: "30 seconds" })],
      [Fault.rateLimited({ retryAfter: "20 seconds" })],
      [Fault.rateLimited({ retryAfter: "1 second" }), Fault.ok()]
    ],
    ends: "answer"
  },
  {
    name: "all-wait",
    shows: "every provider says 429 with Retry-After; the one ready first is waited for.",
    lookFor: "the chain goes on to the end, waits once, and resumes at the second provider.",
    faults: [
      [Fault.rateLimited({ retryAfter: "8 seconds" })],
      [Fault.rateLimited({ retryAfter: "2 seconds" }), Fault.ok()],
      [Fault.rateLimited({ retryAfter: "5 seconds" })]
    ],
    ends: "answer",
    limits: { patience: "1 second" }
  },
  {
    name: "outage",
    shows: "the primary is down, and the chain falls over to the next provider.",
    lookFor: "three attempts with backoff, no more while another provider is left, then the fallback.",
    faults: [[Fault.overloaded()], answers, answers],
    ends: "answer"
  },
  {
    name: "flaky",
    shows: "two 503s, then success: the same provider, after backoff.",
    lookFor: "two waits, each random up to its limit (full jitter), and no fallback.",
    faults: [[Fault.overloaded(), Fault.overloaded(), Fault.ok()], answers, answers],
    ends: "answer"
  },
  {
    name: "slow",
    shows: "the primary never answers, under a deadline of 4 seconds.",
    lookFor: "it gets half of what remains, no retry, and the next provider still has time to answer.",
    faults: [[Fault.silence], answers, answers],
    ends: "answer",
    limits: { deadline: "4 seconds" }
  },
  {
    name: "truncated",
    shows: "bodies that are cut: 200 and half an answer is no answer.",
    lookFor: "ServerError (Truncated) twice, in two ways, and not half an answer but a whole one.",
    faults: [[Fault.truncatedBody(), Fault.truncatedJson, Fault.ok()], answers, answers],
    ends: "answer"
  },
  {
    name: "bad-key",
    shows: "the primary's key is wrong.",
    lookFor: "no retry, for asking again cannot cure it, and the fallback at once.",
    faults: [[Fault.badKey], answers, answers],
    ends: "answer"
  },
  {
    name: "quota",
    shows: "429 because the credit is used up, which waiting does not cure.",
    lookFor: "not RateLimited but ClientError (QuotaExhausted): no wait, the fallback at once.",
    faults: [[Fault.quotaExhausted], answers, answers],
    ends: "answer"
  },
  {
    name: "invalid-request",
    shows: "the first provider says 400, and no other is asked. Ends with the error.",
    lookFor: "one attempt only: the next provider would say the same.",
    faults: [[Fault.status(400)], answers, answers],
    ends: "error"
  },
  {
    name: "deadline",
    shows: "every provider hangs, under a deadline of 4 seconds. Ends with the error.",
    lookFor: "each gets half of what remains, the last one all of it, and the call ends after 4 s sharp.",
    faults: [[Fault.silence], [Fault.silence], [Fault.silence]],
    ends: "error",
    limits: { deadline: "4 seconds" }
  },
  {
    name: "all-down",
    shows: "every provider fails in its own way. Ends with the error.",
    lookFor: "the error that surfaces is the first provider's, however the others fail.",
    faults: [[Fault.overloaded()], [Fault.resetBeforeHeaders], [Fault.htmlBadGateway]],
    ends: "error"
  }
]

/** One line for each scene. */
export const list: Arr.NonEmptyReadonlyArray<string> = Arr.map(
  scenes,
  ({ name, shows }) => `  ${name.padEnd(15)}  ${shows}`
)
