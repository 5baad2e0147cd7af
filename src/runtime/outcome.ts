/** How an exit reads in reports, metrics, spans and logs. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Outcome } from "../CallReport.js"
import type { Deadline } from "../Deadline.js"
import type { CallError, Target } from "../ProviderError.js"
import { isCallError, timedOut } from "../ProviderError.js"

/** An outcome, and the error of ours it came with. */
export interface Settled {
  readonly outcome: Outcome
  readonly error: CallError | undefined
}

const success: Settled = { outcome: "Success", error: undefined }

/** Was it carried to its end, and not to a good one? An interruption is no failure. */
export const isFailure = (outcome: Outcome): boolean => outcome !== "Success" && outcome !== "Interrupted"

/** An exit as a report tells it: an interruption by the deadline is a `Timeout`. */
export const settle = (
  exit: Exit.Exit<unknown, unknown>,
  deadline: Option.Option<Deadline>,
  target: Target
): Settled => {
  if (Exit.isSuccess(exit)) {
    return success
  }
  const failure = Cause.failureOption(exit.cause)
  if (Option.isSome(failure)) {
    return isCallError(failure.value)
      ? { outcome: failure.value._tag, error: failure.value }
      : { outcome: "OtherError", error: undefined }
  }
  if (!Cause.isInterruptedOnly(exit.cause)) {
    return { outcome: "Defect", error: undefined }
  }
  return Option.isSome(deadline) && deadline.value.expired()
    ? { outcome: "Timeout", error: timedOut("Deadline", deadline.value.total, target) }
    : { outcome: "Interrupted", error: undefined }
}
