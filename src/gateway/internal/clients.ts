/**
 * The clients of the gateway, and what each may spend.
 *
 * A client is known by its key, and everything it names is put behind its name: a budget or an idempotency key of one
 * client is never that of another, whatever they call it.
 */
import * as Effect from "effect/Effect"
import * as RetryBudget from "../../RetryBudget.js"
import type { AuthKey } from "../GatewayConfig.js"
import type { Account } from "./account.js"
import type { Refusal } from "./refusals.js"

export interface Client {
  readonly name: string
  /** What its retries are paid from; without one, from that of the model asked. */
  readonly budget: RetryBudget.RetryBudget | undefined
  /** Takes one of the places that it has for requests under way, until the account closes; refuses if there is none. */
  readonly admit: (account: Account) => Refusal | undefined
}

/** Whoever comes where no keys are asked for. */
export const anyone: Client = { name: "local", budget: undefined, admit: () => undefined }

const tooMany = (name: string, limit: number): Refusal => ({
  status: 429,
  message: `The key "${name}" has ${limit} requests under way, which is all it may have at a time.`,
  type: "rate_limit_error",
  code: "too_many_concurrent_requests",
  retryAfter: 1
})

const admitting = (name: string, limit: number): Client["admit"] => {
  let underWay = 0
  return (account) => {
    if (underWay >= limit) {
      return tooMany(name, limit)
    }
    underWay += 1
    account.atEnd(() => {
      underWay -= 1
    })
    return undefined
  }
}

export const make = ({ budget, maxConcurrent, name }: AuthKey): Effect.Effect<Client> =>
  Effect.map(
    budget === undefined ? Effect.succeed(undefined) : RetryBudget.make({ hardCap: budget }),
    (budget) => ({
      name,
      budget,
      admit: maxConcurrent === undefined ? anyone.admit : admitting(name, maxConcurrent)
    })
  )
