import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { generateText, streamText } from "ai"
import OpenAI from "openai"
import CircuitBreaker from "opossum"
import pRetry from "p-retry"

// Its warnings are for people who look at a terminal.
globalThis.AI_SDK_LOG_WARNINGS = false

const baseURL = "http://provider.test/v1"

export const retrying = (attempt, signal) => pRetry(attempt, { retries: 5, signal })

export const breaking = (attempt, timeout) => {
  const breaker = new CircuitBreaker(attempt, { timeout, errorThresholdPercentage: 50, resetTimeout: 30_000 })
  return (...args) => breaker.fire(...args)
}

export const openai = ({ fetch, timeout }) => {
  const client = new OpenAI({ apiKey: "none", baseURL, fetch, timeout })
  const request = { model: "m", messages: [{ role: "user", content: "Hello" }] }
  return {
    complete: async (signal) => {
      const completion = await client.chat.completions.create(request, { signal })
      return completion.choices[0].message.content
    },
    stream: async (signal, onOutput) => {
      const stream = await client.chat.completions.create({ ...request, stream: true }, { signal })
      let text = ""
      for await (const chunk of stream) {
        onOutput()
        text += chunk.choices[0]?.delta.content ?? ""
      }
      return text
    }
  }
}

export const vercel = ({ fetch }) => {
  const model = createOpenAICompatible({ name: "provider", baseURL, fetch }).chatModel("m")
  return {
    complete: async (abortSignal) => (await generateText({ model, prompt: "Hello", abortSignal })).text,
    stream: async (abortSignal, onOutput) => {
      let text = ""
      const { fullStream } = streamText({ model, prompt: "Hello", abortSignal, onError: () => {} })
      for await (const part of fullStream) {
        if (part.type === "error") {
          throw part.error
        }
        if (part.type === "abort") {
          throw abortSignal.reason
        }
        if (part.type === "text-delta") {
          onOutput()
          text += part.text
        }
      }
      return text
    }
  }
}
