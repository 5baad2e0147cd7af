/**
 * What can go wrong between a program and a model, each case as a scene to watch.
 *
 * A scene is data: what the models of the chain do, in the words of `Fault`, which calls are made, and what a stranger
 * should look for. The settings are those a program would choose, but for shorter waits, so that a scene takes seconds.
 */
import * as Arr from "effect/Array"
import type * as Duration from "effect/Duration"
import * as Fault from "../../testing/Fault.js"

/** Who is asked in turn, unless the command line says otherwise: two APIs, so that one outage does not take all. */
export const models = ["gpt-4o", "claude-haiku-4-5", "gpt-4o-mini"] as const

type Faults = ReadonlyArray<Fault.Fault>

/** What can become of a stream that breaks after its first output: what a chain does, or a new answer in its place. */
export const onCuts = ["fail", "continue", "hold", "restart"] as const

export type OnCut = typeof onCuts[number]

/** The policies of a chain, as far as they are not the defaults. */
export interface Policies {
  /** How long a call may take. */
  readonly deadline: Duration.DurationInput
  /** How long a wait is worth while another provider is left. */
  readonly patience: Duration.DurationInput
  /** The first wait at most, and any. */
  readonly backoff: { readonly base: Duration.DurationInput; readonly cap: Duration.DurationInput }
  /** A circuit for each model: after how many failures in a row it opens, and for how long. */
  readonly circuit?: { readonly failures: number; readonly openFor: Duration.DurationInput }
  /** The retries of each user: in reserve, and earned by every call. */
  readonly budget?: { readonly initial: number; readonly ratio: number }
  /** How many calls may be under way at a time, at each provider. */
  readonly maxConcurrent?: number
  /** How long a stream may take to its first output. */
  readonly firstToken?: Duration.DurationInput
  /** How long a stream may be silent after it. */
  readonly idle?: Duration.DurationInput
  /** What becomes of a stream that breaks after it. */
  readonly onCut?: OnCut
}

/** One of the calls of a scene. */
export interface Call {
  /** How long after the one before it ended, or began if they overlap. Default: at once. */
  readonly after?: Duration.DurationInput
  /** Who makes it, and pays for its retries. Default: nobody in particular. */
  readonly user?: string
  /** How it is meant to end. Default: as the scene does. */
  readonly ends?: "answer" | "error"
}

export interface Scene {
  readonly name: string
  /** One line, for the list of scenes too. */
  readonly shows: string
  readonly lookFor: string
  /** Who is asked in turn. Default: `models`. */
  readonly models?: Arr.NonEmptyReadonlyArray<string>
  /** What each of the models does, request by request, the last one again and again; nothing: it answers well. */
  readonly faults: ReadonlyArray<Faults>
  /** Default: one. */
  readonly calls?: Arr.NonEmptyReadonlyArray<Call>
  /** Whether a call may begin before the one before it has ended. Default: no. */
  readonly overlapping?: boolean
  /** Whether it is about streams. Default: only if they are asked for. */
  readonly stream?: boolean
  /** How its calls are meant to end. */
  readonly ends: "answer" | "error"
  readonly policies?: Partial<Policies>
}

/** The pause between two words of a stream: fast enough for a scene, and slow enough to see. */
const WORD = "60 millis"

const begun = "When a stream is cut, what was said so far"

/** What holds for a scene that does not say otherwise: waits short enough to watch. */
export const policies: Policies = {
  deadline: "10 seconds",
  patience: "5 seconds",
  backoff: { base: "200 millis", cap: "1 second" }
}

/** Played without a key and without a choice: a bit of everything. */
export const tour: Scene = {
  name: "tour",
  shows: "an overloaded model, and a busy one of another provider.",
  lookFor: "retries with backoff, the fallback to another API, and a wait that the server asked for.",
  faults: [
    [Fault.overloaded()],
    [Fault.rateLimited({ retryAfter: "1 second" }), Fault.ok()]
  ],
  ends: "answer"
}

/** Played without a key for models of one's own choice. */
export const named: Scene = {
  name: "named",
  shows: "the models you named: those whose name begins with fault- fail, the others answer.",
  lookFor: "what each failure leads to.",
  faults: [],
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
    policies: { patience: "1 second" }
  },
  {
    name: "outage",
    shows: "the primary is down, and the chain falls over to the next provider.",
    lookFor: "three attempts with backoff, no more while another provider is left, then the fallback.",
    faults: [[Fault.overloaded()]],
    ends: "answer"
  },
  {
    name: "flaky",
    shows: "two 503s, then success: the same provider, after backoff.",
    lookFor: "two waits, each random up to its limit (full jitter), and no fallback.",
    faults: [[Fault.overloaded(), Fault.overloaded(), Fault.ok()]],
    ends: "answer"
  },
  {
    name: "slow",
    shows: "the primary never answers, under a deadline of 4 seconds.",
    lookFor: "it gets half of what remains, no retry, and the next provider still has time to answer.",
    faults: [[Fault.silence]],
    ends: "answer",
    policies: { deadline: "4 seconds" }
  },
  {
    name: "truncated",
    shows: "bodies that are cut: 200 and half an answer is no answer.",
    lookFor: "ServerError (Truncated) twice, in two ways, and not half an answer but a whole one.",
    faults: [[Fault.truncatedBody(), Fault.truncatedJson, Fault.ok()]],
    ends: "answer"
  },
  {
    name: "bad-key",
    shows: "the primary's key is wrong.",
    lookFor: "no retry, for asking again cannot cure it, the fallback, and a circuit that opens at once.",
    faults: [[Fault.badKey]],
    ends: "answer"
  },
  {
    name: "quota",
    shows: "429 because the credit is used up, which waiting does not cure.",
    lookFor: "not RateLimited but ClientError (QuotaExhausted): no wait, and the circuit opens.",
    faults: [[Fault.quotaExhausted]],
    ends: "answer"
  },
  {
    name: "invalid-request",
    shows: "the first provider says 400, and no other is asked. Ends with the error.",
    lookFor: "one attempt only: the next provider would say the same.",
    faults: [[Fault.status(400)]],
    ends: "error"
  },
  {
    name: "deadline",
    shows: "every provider hangs, under a deadline of 4 seconds. Ends with the error.",
    lookFor: "each gets half of what remains, the last one all of it, and the call ends after 4 s sharp.",
    faults: [[Fault.silence], [Fault.silence], [Fault.silence]],
    ends: "error",
    policies: { deadline: "4 seconds" }
  },
  {
    name: "all-down",
    shows: "every provider fails in its own way. Ends with the error.",
    lookFor: "the error that surfaces is the first provider's, however the others fail.",
    faults: [[Fault.overloaded()], [Fault.resetBeforeHeaders], [Fault.htmlBadGateway]],
    ends: "error"
  },
  {
    name: "breaker",
    shows: "the primary is down for a while, and a circuit breaker keeps calls away from it.",
    lookFor: "the circuit opens, calls skip it, one probe fails, the next one closes it.",
    faults: [[...Arr.replicate(Fault.overloaded(), 5), Fault.ok()]],
    calls: [{}, {}, {}, { after: "2 seconds" }, { after: "2 seconds" }, {}],
    ends: "answer",
    policies: { circuit: { failures: 4, openFor: "2 seconds" } }
  },
  {
    name: "budget",
    shows: "the only provider fails, and retries are paid from each user's own budget.",
    lookFor: "anna's calls are denied a retry once hers is spent; ben still has his.",
    models: ["gpt-4o"],
    faults: [[...Arr.replicate(Fault.overloaded(), 5), Fault.ok()]],
    calls: [{ user: "anna" }, { user: "anna" }, { user: "ben", ends: "answer" }],
    ends: "error",
    policies: { budget: { initial: 2, ratio: 0.2 } }
  },
  {
    name: "pause",
    shows: "one call is told to wait, and the others do not ask either.",
    lookFor: "calls 2 and 3 skip the first provider, and call 3 waits for the last as call 2 has to.",
    models: ["gpt-4o", "claude-haiku-4-5"],
    faults: [
      [Fault.rateLimited({ retryAfter: "8 seconds" })],
      [Fault.ok(), Fault.rateLimited({ retryAfter: "2 seconds" }), Fault.ok()]
    ],
    calls: [{}, { after: "1 second" }, { after: "1 second" }],
    overlapping: true,
    ends: "answer"
  },
  {
    name: "bulkhead",
    shows: "four calls at once, and one at a time is allowed at each provider.",
    lookFor: "the others turn to the next provider, and wait in line at the last one.",
    faults: [[Fault.slow("600 millis")], [Fault.slow("800 millis")], [Fault.slow("1 second"), Fault.ok()]],
    calls: [{}, {}, {}, {}],
    overlapping: true,
    ends: "answer",
    policies: { maxConcurrent: 1 }
  },
  {
    name: "stream-cut",
    shows: "an answer is cut halfway, and the rest of it is asked for.",
    lookFor: "the provider says it all again, and the reader gets only what is new.",
    faults: [[
      Fault.stream({ content: `${begun} is lost again.`, every: WORD, after: 11, then: "cut" }),
      Fault.stream({ content: `${begun} is kept, and the reader gets the rest.`, every: WORD })
    ]],
    stream: true,
    ends: "answer",
    policies: { onCut: "continue" }
  },
  {
    name: "stream-stall",
    shows: "an answer falls silent, and the connection stays open.",
    lookFor: "Timeout (Idle) after a second of silence, and the next provider says the rest.",
    faults: [
      [Fault.stream({ content: `${begun} is lost again.`, every: WORD, after: 10, then: "stall" })],
      [Fault.stream({ content: `${begun} is kept, and another model says the rest.`, every: WORD })]
    ],
    stream: true,
    ends: "answer",
    policies: { idle: "1 second", onCut: "continue" }
  },
  {
    name: "stream-slow",
    shows: "the first provider sends keep-alives, and the first word late.",
    lookFor: "Timeout (FirstToken) after a second, no retry, and the reader sees one answer only.",
    faults: [
      [Fault.stream({ firstAfter: "5 seconds", pings: true })],
      [Fault.stream({ every: WORD })]
    ],
    stream: true,
    ends: "answer",
    policies: { firstToken: "1 second" }
  },
  {
    name: "stream-restart",
    shows: "the provider fails halfway through an answer, and a new one takes its place.",
    lookFor: "what came so far is taken back, and the answer is whole and of one piece.",
    faults: [[
      Fault.stream({ content: "This is the first answer, and", every: WORD, then: "error", after: 6 }),
      Fault.stream({ content: "This is the second answer, and it is whole.", every: WORD })
    ]],
    stream: true,
    ends: "answer",
    policies: { onCut: "restart" }
  }
]

/** What a model of the local server does that no scene has a word on: it answers well, unless it fails by its name. */
export const faultsOf = ({ faults }: Scene, model: string, index: number): Faults =>
  faults[index] ?? (model.startsWith("fault-") ? [] : [Fault.ok()])

/** The same, with the good answers word by word, as models write them. */
export const paced = (faults: Faults): Faults =>
  faults.map((fault) =>
    fault._tag === "Ok"
      ? Fault.stream({ content: fault.content, usage: fault.usage, firstAfter: fault.delay, every: WORD })
      : fault
  )

/** One line for each scene. */
export const list: Arr.NonEmptyReadonlyArray<string> = Arr.map(
  scenes,
  ({ name, shows }) => `  ${name.padEnd(15)}  ${shows}`
)
