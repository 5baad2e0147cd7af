/** How the program can end other than well, and with which exit code. */
import * as Data from "effect/Data"

/** The command cannot be carried out as it was given. Exit code 1. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

/** A call did not end as it was meant to. All there is to say has been shown. Exit code 1. */
export class CallFailed extends Data.TaggedError("CallFailed")<{}> {}

/**
 * There is no configuration, or none that can be used: the same at every start, so that whoever restarts the process can
 * tell it from trouble that passes. Exit code 2.
 */
export class NotConfigured extends Data.TaggedError("NotConfigured")<{ readonly message: string }> {}
