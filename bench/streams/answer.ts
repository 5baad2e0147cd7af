/** The answer that all contenders read: so many chunks with this text, and what comes around them. */
export const CHUNKS = 5000
export const WORD = " word"
