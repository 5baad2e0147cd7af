/**
 * Every policy with every other: what each provider is asked, and what the caller sees, as two separate promises.
 *
 * The expectations come from a plain loop over numbers that knows the rules and nothing of the code.
 */
import { describe, it } from "@effect/vitest"
import { deepStrictEqual } from "@effect/vitest/utils"
import { Clock, Context, Deferred, Effect, Exit, Layer } from "effect"
import {
  ChatProvider,
  CircuitBreaker,
  Deadline,
  Fallback,
  type ProviderError,
  Resilience,
  RetryBudget
} from "effect-resilience"
import { clientError, failureOf, nameOf, notStreamed, overloaded, rateLimited, simulate } from "./utils.js"

const behaviours = ["answers", "503 once", "503", "429 once", "429", "hangs", "401"] as const
const chains = ["alone", "healthy backup", "backup down"] as const

/** Every way to have six policies on or off. */
const combinations = Array.from({ length: 64 }, (_, bits) => ({
  retry: (bits & 1) > 0,
  breaker: (bits & 2) > 0,
  timeout: (bits & 4) > 0,
  budget: (bits & 8) > 0,
  bulkhead: (bits & 16) > 0,
  deadline: (bits & 32) > 0
}))

interface Case {
  readonly primary: typeof behaviours[number]
  readonly chain: typeof chains[number]
  readonly retry: boolean
  readonly breaker: boolean
  readonly timeout: boolean
  readonly budget: boolean
  readonly bulkhead: boolean
  readonly deadline: boolean
}

const LATENCY = 100
const RETRY_AFTER = 2000
const OCCUPIED = 800
const RESERVE = 500
const deadlineOf = (one: Case) => one.deadline ? 10_000 : Infinity
const timeoutOf = (one: Case) => one.timeout ? 1000 : 60_000
const attemptsOf = (one: Case) => one.retry ? 3 : 1

interface Result {
  readonly asked: readonly [primary: number, backup: number]
  readonly saw: string
  readonly at: number
}

// ------------------------------------------------------------------------------------------------ what is expected

type Step = "ok" | "503" | "429" | "hang" | "401"

const stepOf = (behaviour: Case["primary"], n: number): Step => {
  switch (behaviour) {
    case "answers":
      return "ok"
    case "503 once":
      return n === 1 ? "503" : "ok"
    case "429 once":
      return n === 1 ? "429" : "ok"
    case "hangs":
      return "hang"
    default:
      return behaviour
  }
}

const names: Record<Step, string> = {
  "ok": "ok",
  "503": "ServerError",
  "429": "RateLimited",
  "hang": "Timeout Attempt",
  "401": "ClientError"
}

/** What one provider makes of a call that reaches it at `start`, with so many retries left in the budget. */
const provider = (
  one: Case,
  behaviour: Case["primary"],
  start: number,
  left: number,
  occupied: boolean,
  budget: { tokens: number }
) => {
  let at = start
  let asked = 0
  let sameTag = 0
  let consecutive = 0
  const deadline = deadlineOf(one)
  if (occupied && one.bulkhead) {
    if (left > 0) {
      return { asked, at, saw: "RateLimited" }
    }
    at = OCCUPIED
  }
  while (true) {
    asked += 1
    const step = stepOf(behaviour, asked)
    const limit = Math.min(timeoutOf(one), left > 0 ? (deadline - at) / 2 : Infinity)
    at += step === "hang" ? limit : LATENCY
    if (at >= deadline) {
      return { asked, at: deadline, saw: "Timeout Deadline" }
    }
    const saw = names[step]
    if (step === "ok" || step === "401" || asked === attemptsOf(one)) {
      return { asked, at, saw }
    }
    sameTag += 1
    consecutive += step === "429" ? 0 : 1
    const wait = step === "429" ? Math.max(RETRY_AFTER, 1000 * 2 ** (sameTag - 1)) : 1000 * 2 ** (sameTag - 1)
    const refused = (step === "hang" && (left > 0 || sameTag === 2)) ||
      at + wait + RESERVE > deadline ||
      (one.breaker && consecutive >= 2) ||
      (step !== "429" && budget.tokens === 0)
    if (refused) {
      return { asked, at, saw }
    }
    budget.tokens -= step === "429" ? 0 : 1
    at += wait
  }
}

const expected = (one: Case): Result => {
  const left = one.chain === "alone" ? 0 : 1
  const budget = { tokens: one.budget ? 1 : Infinity }
  const first = provider(one, one.primary, 0, left, true, budget)
  if (first.saw === "ok" || first.saw === "Timeout Deadline" || left === 0) {
    return { asked: [first.asked, 0], saw: first.saw === "ok" ? "from primary" : first.saw, at: first.at }
  }
  if (first.at + RESERVE > deadlineOf(one)) {
    return { asked: [first.asked, 0], saw: first.saw, at: first.at }
  }
  const second = provider(one, one.chain === "backup down" ? "503" : "answers", first.at, 0, false, budget)
  // Who was turned away before anything was sent has less to tell than who was not.
  const told = second.saw === "Timeout Deadline" || first.asked === 0 ? second.saw : first.saw
  const saw = second.saw === "ok" ? "from backup" : told
  return { asked: [first.asked, second.asked], saw, at: second.at }
}

// ------------------------------------------------------------------------------------------------- what is measured

const play = (step: Step, name: string): Effect.Effect<ChatProvider.ChatResponse, ProviderError.CallError> => {
  const after = Effect.delay(LATENCY)
  switch (step) {
    case "ok":
      return after(Effect.succeed({ choices: [{ message: { content: `from ${name}` } }] }))
    case "503":
      return after(overloaded())
    case "429":
      return after(rateLimited(RETRY_AFTER))
    case "401":
      return after(clientError("Authentication"))
    case "hang":
      return Effect.never
  }
}

const occupy: ChatProvider.ChatRequest = { messages: [{ role: "user", content: "occupy" }] }

const measured = (one: Case) =>
  Effect.gen(function*() {
    const asked = { primary: 0, backup: 0 }
    const occupied = yield* Deferred.make<void>()
    const bare = (name: "primary" | "backup", behaviour: Case["primary"]) =>
      Layer.succeed(ChatProvider.ChatProvider, {
        provider: name,
        model: "m",
        stream: notStreamed,
        complete: (request) =>
          request === occupy
            ? Effect.zipRight(Deferred.succeed(occupied, undefined), Effect.delay(play("ok", name), OCCUPIED - LATENCY))
            : Effect.suspend(() => play(stepOf(behaviour, asked[name] += 1), name))
      })
    const policies = (name: "primary" | "backup") =>
      Resilience.layer({
        retry: { maxAttempts: attemptsOf(one), jitter: "none" },
        attemptTimeout: timeoutOf(one),
        circuitBreaker: one.breaker && { trip: CircuitBreaker.consecutiveFailures(2), openFor: "1 minute" },
        maxConcurrent: one.bulkhead && name === "primary" ? 1 : undefined
      })
    const primary = bare("primary", one.primary).pipe(policies("primary"))
    const backup = bare("backup", one.chain === "backup down" ? "503" : "answers").pipe(policies("backup"))
    const service = Context.get(
      yield* Layer.build(one.chain === "alone" ? primary : primary.pipe(Fallback.orElse(backup))),
      ChatProvider.ChatProvider
    )
    if (one.bulkhead) {
      yield* Effect.fork(service.complete(occupy))
      yield* Deferred.await(occupied)
    }
    const call = service.complete({ messages: [{ role: "user", content: "Hello" }] }).pipe(
      Effect.map(ChatProvider.text)
    )
    const start = yield* Clock.currentTimeMillis
    const { at, exit } = yield* (one.deadline ? Deadline.within(call, "10 seconds") : call).pipe(
      Effect.provideServiceEffect(
        RetryBudget.CurrentBudget,
        one.budget ? RetryBudget.make({ initial: 1, ratio: 0, minPerSecond: 0 }) : Effect.succeed(RetryBudget.unlimited)
      ),
      (one) => simulate(one, "5 minutes")
    )
    const result: Result = {
      asked: [asked.primary, asked.backup],
      saw: Exit.isSuccess(exit) ? exit.value : nameOf(failureOf(exit)),
      at: at - start
    }
    return result
  }).pipe(Effect.scoped)

describe("a composition of policies", () => {
  for (const primary of behaviours) {
    for (const chain of chains) {
      it.effect(`primary: ${primary}, chain: ${chain}; every policy on and off`, () =>
        Effect.gen(function*() {
          for (const policies of combinations) {
            const one: Case = { primary, chain, ...policies }
            deepStrictEqual({ one, result: yield* measured(one) }, { one, result: expected(one) })
          }
        }), 60_000)
    }
  }
})
