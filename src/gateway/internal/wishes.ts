/**
 * What a request asks for in its headers: less time, a budget to be charged, a key that tells a repetition.
 *
 * A client can only ask for less than it is given: its deadline shortens that of the model, its budget is charged besides
 * its own.
 */
import type * as Headers from "@effect/platform/Headers"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as IdempotencyKey from "../../IdempotencyKey.js"
import * as RetryBudget from "../../RetryBudget.js"
import type { Client } from "./clients.js"
import type { Refusal } from "./refusals.js"
import { invalid } from "./refusals.js"

export interface Wishes {
  readonly deadline: Duration.Duration | undefined
  readonly budgetKey: string | undefined
  readonly idempotencyKey: string | undefined
}

/** A key is sent on behind the client's name, and 255 characters is what providers take. */
const isKey = (value: string): boolean => /^[\x21-\x7e]{1,128}$/.test(value)

/** A day: longer than any call, and far from what timers cannot count. */
const MAX_DEADLINE_MS = 86_400_000

export const read = (headers: Headers.Headers): Either.Either<Wishes, Refusal> => {
  const { "idempotency-key": idempotencyKey, "x-budget-key": budgetKey, "x-deadline-ms": deadline } = headers
  if (deadline !== undefined && !(/^\d{1,12}$/.test(deadline) && Number(deadline) > 0)) {
    return Either.left(
      invalid(400, "invalid_header", "x-deadline-ms: expected a whole number of milliseconds, above 0.")
    )
  }
  const bad = [["x-budget-key", budgetKey] as const, ["idempotency-key", idempotencyKey] as const].find(([, value]) =>
    value !== undefined && !isKey(value)
  )
  return bad === undefined
    ? Either.right({
      deadline: deadline === undefined ? undefined : Duration.millis(Math.min(Number(deadline), MAX_DEADLINE_MS)),
      budgetKey,
      idempotencyKey
    })
    : Either.left(invalid(400, "invalid_header", `${bad[0]}: expected 1 to 128 visible ASCII characters.`))
}

/** What the client is charged, and its key, in the context of everything done for a request. */
export const granted =
  ({ budgetKey, idempotencyKey }: Wishes, { budget, name }: Client) =>
  <R>(context: Context.Context<R>): Context.Context<R> => {
    const paid = budget === undefined ? context : Context.add(context, RetryBudget.CurrentBudget, budget)
    const charged = RetryBudget.keyed(name)(paid)
    const apart = budgetKey === undefined ? charged : RetryBudget.keyed(`${name}:${budgetKey}`)(charged)
    return idempotencyKey === undefined ? apart : IdempotencyKey.keyed(`${name}:${idempotencyKey}`)(apart)
  }
