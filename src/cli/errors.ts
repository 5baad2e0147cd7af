/** How the program can end other than well, both with an exit code of 1. */
import * as Data from "effect/Data"

/** The command cannot be carried out as it was given. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

/** A call did not end as it was meant to. All there is to say has been shown. */
export class CallFailed extends Data.TaggedError("CallFailed")<{}> {}
