/** Reads a streamed answer with the official SDK, and counts the characters. */
export declare const read: (baseURL: string) => () => Promise<number>
