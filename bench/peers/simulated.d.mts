/** p-retry as its README shows it. */
export declare const retrying: (attempt: () => Promise<void>, signal: AbortSignal) => Promise<void>

/** An opossum circuit breaker with the options of its README, but for the timeout. */
export declare const breaking: <Args extends ReadonlyArray<unknown>>(
  attempt: (...args: Args) => Promise<void>,
  timeout: number
) => (...args: Args) => Promise<void>

/** A client of a provider, as people have it: it gives the text of the answer. */
export interface Client {
  readonly complete: (signal: AbortSignal) => Promise<string>
  /** Tells of each piece that comes. */
  readonly stream: (signal: AbortSignal, onOutput: () => void) => Promise<string>
}

/** The official `openai` SDK, with its defaults. */
export declare const openai: (options: { readonly fetch: typeof fetch; readonly timeout: number }) => Client

/** Vercel's AI SDK with its provider for whoever speaks like OpenAI, with its defaults. */
export declare const vercel: (options: { readonly fetch: typeof fetch }) => Client
