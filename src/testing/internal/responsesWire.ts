/**
 * OpenAI's side of the wire: what the Responses API answers.
 *
 * An answer is a list of items: the reasoning, if there is any, and a message or a call of a function. A stream tells each
 * item with a beginning and an end, in events that are numbered. No `[DONE]` follows: that the response is completed is
 * the end of the protocol, and has all of it once more.
 *
 * A response can say itself that it failed, under a status that promises an answer. It has fewer codes for that than there
 * are errors; what it cannot say is an error as in OpenAI's other APIs.
 */
import { errorFor, headers, invalidRequest } from "./openAiCommon.js"
import type { Answer, Asked, Said, StreamEvent, StreamWire, Wire } from "./wire.js"
import { argumentPieces, brokenJson, contentOf, contentPieces, event, frame, usageOf, words } from "./wire.js"

const contextTooLong = invalidRequest(
  "Your input exceeds the context window of this model. Please adjust your input and try again.",
  "context_length_exceeded",
  "input"
)

const error = (said: Said) => errorFor(said, contextTooLong)

/** Why a response failed, where it can say so. */
const failureCode = ({ kind, status }: Said): string | undefined => {
  switch (kind) {
    case "quota-exhausted":
      return "insufficient_quota"
    case "context-too-long":
      return "context_length_exceeded"
    case "content-filtered":
      return "invalid_prompt"
    case undefined:
      return status === 429 ? "rate_limit_exceeded" : status >= 500 ? "server_error" : undefined
  }
}

const usage = (answer: Answer, model: string) => {
  const { completionTokens, promptTokens } = usageOf(answer, model)
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens
  }
}

const response = ({ model, number, time }: Asked, status: string, fields: object = {}) => ({
  id: `resp_${number}`,
  object: "response",
  created_at: Math.floor(time / 1000),
  status,
  background: false,
  error: null,
  incomplete_details: null,
  instructions: null,
  max_output_tokens: null,
  model,
  output: [],
  parallel_tool_calls: true,
  previous_response_id: null,
  temperature: 1,
  text: { format: { type: "text" } },
  tool_choice: "auto",
  tools: [],
  top_p: 1,
  truncation: "disabled",
  usage: null,
  metadata: {},
  ...fields
})

const failed = (asked: Asked, said: Said) => {
  const code = failureCode(said)
  return code === undefined
    ? undefined
    : response(asked, "failed", { error: { code, message: error(said).error.message } })
}

const send = (type: string, fields: object = {}): StreamEvent => (place) =>
  frame(JSON.stringify({ type, sequence_number: place, ...fields }), type)

/** The events that tell an item. */
interface Told {
  readonly start: ReadonlyArray<StreamEvent>
  readonly pieces: ReadonlyArray<StreamEvent>
  readonly end: ReadonlyArray<StreamEvent>
}

/** An item of the output: as it is in the end, and how a stream tells it. */
interface Item extends Told {
  readonly item: object
}

const makeItem = (index: number, begun: object, item: object, parts: Told): Item => ({
  item,
  start: [send("response.output_item.added", { output_index: index, item: begun }), ...parts.start],
  pieces: parts.pieces,
  end: [...parts.end, send("response.output_item.done", { output_index: index, item })]
})

const reasoningItem = (number: number, index: number, reasoning: string): Item => {
  const id = `rs_${number}`
  const at = { item_id: id, output_index: index, summary_index: 0 }
  const part = (text: string) => ({ type: "summary_text", text })
  const item = (summary: ReadonlyArray<object>) => ({ id, type: "reasoning", summary })
  return makeItem(index, item([]), item([part(reasoning)]), {
    start: [send("response.reasoning_summary_part.added", { ...at, part: part("") })],
    pieces: words(reasoning).map((delta) => send("response.reasoning_summary_text.delta", { ...at, delta })),
    end: [
      send("response.reasoning_summary_text.done", { ...at, text: reasoning }),
      send("response.reasoning_summary_part.done", { ...at, part: part(reasoning) })
    ]
  })
}

const messageItem = (number: number, index: number, text: string, pieces: ReadonlyArray<string>): Item => {
  const id = `msg_${number}`
  const at = { item_id: id, output_index: index, content_index: 0 }
  const part = (text: string) => ({ type: "output_text", text, annotations: [], logprobs: [] })
  const item = (status: string, content: ReadonlyArray<object>) => ({
    id,
    type: "message",
    status,
    role: "assistant",
    content
  })
  return makeItem(index, item("in_progress", []), item("completed", [part(text)]), {
    start: [send("response.content_part.added", { ...at, part: part("") })],
    pieces: pieces.map((delta) => send("response.output_text.delta", { ...at, delta, logprobs: [] })),
    end: [
      send("response.output_text.done", { ...at, text, logprobs: [] }),
      send("response.content_part.done", { ...at, part: part(text) })
    ]
  })
}

const callItem = (
  number: number,
  index: number,
  toolCall: NonNullable<Answer["toolCall"]>,
  pieces: ReadonlyArray<string>
): Item => {
  const id = `fc_${number}`
  const at = { item_id: id, output_index: index }
  const item = (status: string, json: string) => ({
    id,
    type: "function_call",
    status,
    call_id: `call_${number}`,
    name: toolCall.name,
    arguments: json
  })
  return makeItem(index, item("in_progress", ""), item("completed", toolCall.arguments), {
    start: [],
    pieces: pieces.map((delta) => send("response.function_call_arguments.delta", { ...at, delta })),
    end: [
      send("response.function_call_arguments.done", { ...at, name: toolCall.name, arguments: toolCall.arguments })
    ]
  })
}

const itemsOf = ({ model, number }: Asked, answer: Answer) => {
  const { reasoning, toolCall } = answer
  const content = contentOf(answer, model)
  const index = reasoning === undefined ? 0 : 1
  return {
    thought: reasoning === undefined ? undefined : reasoningItem(number, 0, reasoning),
    output: toolCall === undefined
      ? messageItem(number, index, content, contentPieces(answer, content))
      : callItem(number, index, toolCall, argumentPieces(answer, toolCall.arguments))
  }
}

const completed = (asked: Asked, answer: Answer) => {
  const { output, thought } = itemsOf(asked, answer)
  return response(asked, "completed", {
    output: [...(thought === undefined ? [] : [thought.item]), output.item],
    usage: usage(answer, asked.model)
  })
}

const makeStream = (asked: Asked): StreamWire => {
  const events: StreamWire["events"] = (answer) => {
    const { output, thought } = itemsOf(asked, answer)
    // The item of a call tells its name, and is the first piece of the output; that of a text is empty.
    const isCall = answer.toolCall !== undefined
    const textStart = isCall ? [] : output.start
    return {
      opening: [
        send("response.created", { response: response(asked, "in_progress") }),
        send("response.in_progress", { response: response(asked, "in_progress") }),
        ...(thought === undefined ? textStart : thought.start)
      ],
      reasoning: thought === undefined ? [] : [...thought.pieces, ...thought.end, ...textStart],
      output: isCall ? [...output.start, ...output.pieces] : output.pieces,
      finish: output.end,
      done: [send("response.completed", { response: completed(asked, answer) })]
    }
  }

  // By the reference: it has no type beside the code.
  const errorEvent = (said: Said) => {
    const { code, message, param, type } = error(said).error
    return send("error", { code: code ?? type, message, param })
  }

  return {
    events,
    keepAlive: send("keepalive"),
    malformed: event(brokenJson, "response.output_text.delta"),
    error: errorEvent,
    // As the live API has it.
    nestedError: (said) => send("error", error(said)),
    finishError: (said) => {
      const response = failed(asked, said)
      return response === undefined ? errorEvent(said) : send("response.failed", { response })
    }
  }
}

/** What a request for the model is answered; the same request gets the same bytes. */
export const make = (asked: Asked): Wire => ({
  answer: (ok) => completed(asked, ok),
  stream: makeStream(asked),
  error,
  failure: (said) => failed(asked, said) ?? error(said),
  headers: (sending) => headers(asked, sending)
})
