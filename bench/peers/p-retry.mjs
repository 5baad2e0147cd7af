import pRetry from "p-retry"

/** Up to four retries of a call, with waits from so many milliseconds on. */
export const retrying = (call, minTimeout) => () => pRetry(call, { retries: 4, minTimeout })
