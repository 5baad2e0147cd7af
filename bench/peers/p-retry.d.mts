/** Up to four retries of a call, with waits from so many milliseconds on. */
export declare const retrying: <A>(call: () => Promise<A>, minTimeout: number) => () => Promise<A>
