/**
 * OpenAI's side of the wire: what the Chat Completions API answers.
 *
 * Knows bodies and headers and nothing of sockets or scripts, so that another wire format is another file like this one.
 */
import * as Predicate from "effect/Predicate"
import { errorFor, headers, invalidRequest } from "./openAiCommon.js"
import type { Answer, Asked, Said, StreamWire, Wire } from "./wire.js"
import { argumentPieces, brokenJson, contentOf, contentPieces, event, usageOf, words } from "./wire.js"

const contextTooLong = invalidRequest(
  "This model's maximum context length is 8192 tokens. However, your messages resulted in 8227 tokens.",
  "context_length_exceeded",
  "messages"
)

const error = (said: Said) => errorFor(said, contextTooLong)

const usage = (answer: Answer, model: string) => {
  const { completionTokens, promptTokens } = usageOf(answer, model)
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens
  }
}

const completion = ({ model, number, time }: Asked, object: string) => ({
  id: `chatcmpl-${number}`,
  object,
  created: Math.floor(time / 1000),
  model
})

const callOf = ({ number }: Asked, called: NonNullable<Answer["toolCall"]>) => ({
  id: `call_${number}`,
  type: "function",
  function: called
})

const finishReason = (answer: Answer) => answer.toolCall === undefined ? "stop" : "tool_calls"

const makeStream = (asked: Asked): StreamWire => {
  const options = asked.fields.stream_options
  const includeUsage = Predicate.isRecord(options) && options.include_usage === true

  const send = (fields: object) => event(JSON.stringify({ ...completion(asked, "chat.completion.chunk"), ...fields }))

  // With include_usage every chunk has the field, null in all but the last.
  const chunk = (delta: object, finishReason: string | null = null, more: object = {}) =>
    send({
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
      ...(includeUsage ? { usage: null } : {}),
      ...more
    })

  const events: StreamWire["events"] = (answer) => {
    const { toolCall } = answer
    const output = toolCall === undefined
      ? contentPieces(answer, contentOf(answer, asked.model)).map((piece) => chunk({ content: piece }))
      : [
        chunk({ tool_calls: [{ index: 0, ...callOf(asked, { ...toolCall, arguments: "" }) }] }),
        ...argumentPieces(answer, toolCall.arguments).map((piece) =>
          chunk({ tool_calls: [{ index: 0, function: { arguments: piece } }] })
        )
      ]
    return {
      opening: [chunk({ role: "assistant", content: toolCall === undefined ? "" : null })],
      reasoning: words(answer.reasoning ?? "").map((piece) => chunk({ reasoning_content: piece })),
      output,
      finish: [
        chunk({}, finishReason(answer)),
        ...(includeUsage ? [send({ choices: [], usage: usage(answer, asked.model) })] : [])
      ],
      done: [event("[DONE]")]
    }
  }

  const errorEvent = (said: Said) => event(JSON.stringify(error(said)))

  return {
    events,
    keepAlive: () => ": ping\n\n",
    malformed: event(brokenJson),
    error: errorEvent,
    nestedError: errorEvent,
    // As OpenRouter has it, which gives the status as the code.
    finishError: (said) =>
      chunk({ content: "" }, "error", { error: { code: said.status, message: error(said).error.message } })
  }
}

/** What a request for the model is answered; the same request gets the same bytes. */
export const make = (asked: Asked): Wire => ({
  answer: (ok) => {
    const said = ok.toolCall === undefined
      ? { content: contentOf(ok, asked.model), refusal: null }
      : { content: null, refusal: null, tool_calls: [callOf(asked, ok.toolCall)] }
    return {
      ...completion(asked, "chat.completion"),
      choices: [{
        index: 0,
        message: {
          role: "assistant",
          ...said,
          ...(ok.reasoning === undefined ? {} : { reasoning_content: ok.reasoning })
        },
        logprobs: null,
        finish_reason: finishReason(ok)
      }],
      usage: usage(ok, asked.model)
    }
  },
  stream: makeStream(asked),
  error,
  failure: error,
  headers: (sending) => headers(asked, sending)
})
