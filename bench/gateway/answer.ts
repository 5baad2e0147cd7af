/** What is asked, and what is answered: an ordinary question, and an answer of a few sentences. */

/** How many chunks of a stream have text. */
export const CHUNKS = 100

const WORD = " word"

export const questionOf = (stream: boolean): string =>
  JSON.stringify({
    model: "chat",
    messages: [
      { role: "system", content: "You answer in a few sentences." },
      { role: "user", content: "What is a circuit breaker, and when does a program that calls a model need one?" }
    ],
    temperature: 0.2,
    ...(stream ? { stream } : {})
  })

const head = {
  id: "chatcmpl-BQxy7Zc0Vn2mTqLw4sKf9aRdGhJe1",
  created: 1760000000,
  model: "gpt-4o-mini-2024-07-18",
  service_tier: "default",
  system_fingerprint: "fp_34a54ae93c"
}

export const ANSWER = JSON.stringify({
  ...head,
  object: "chat.completion",
  choices: [{
    index: 0,
    message: { role: "assistant", content: WORD.repeat(CHUNKS), refusal: null, annotations: [] },
    logprobs: null,
    finish_reason: "stop"
  }],
  usage: { prompt_tokens: 38, completion_tokens: CHUNKS, total_tokens: CHUNKS + 38 }
})

const chunkOf = (delta: object, reason: string | null): string =>
  `data: ${
    JSON.stringify({
      ...head,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }]
    })
  }\n\n`

export const EVENTS: ReadonlyArray<string> = [
  chunkOf({ role: "assistant", content: "", refusal: null }, null),
  ...Array.from({ length: CHUNKS }, () => chunkOf({ content: WORD }, null)),
  chunkOf({}, "stop"),
  "data: [DONE]\n\n"
]

/** How often a text has a word of the answer. */
export const wordsIn = (text: string): number => text.split(WORD).length - 1
