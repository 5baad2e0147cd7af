/** What protection can fail with by itself: a public type, in a file of its own that shows nothing else. */
import type { CircuitOpen, RateLimited, Timeout } from "../ProviderError.js"

/** What a protected call can fail with besides what the effect fails with. */
export type Raised = Timeout | CircuitOpen | RateLimited
