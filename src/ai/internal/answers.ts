/**
 * What one model answers, as the parts that a model made of several gives on.
 *
 * A `LanguageModel` hands out parts that are decoded, and runs tools by itself. Whoever makes a `LanguageModel` of others
 * has to give encoded parts, and wants the tool calls without their results: so the tools are shown to the model with
 * nobody to run them, and the parts are encoded again.
 */
import * as AiError from "@effect/ai/AiError"
import type * as LanguageModel from "@effect/ai/LanguageModel"
import * as Response from "@effect/ai/Response"
import { CurrentSpanTransformer } from "@effect/ai/Telemetry"
import * as Tool from "@effect/ai/Tool"
import * as Toolkit from "@effect/ai/Toolkit"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { CallError, Target } from "../../ProviderError.js"
import * as ProviderError from "../../ProviderError.js"
import * as AiErrors from "../AiErrors.js"

const MODULE = "LanguageModelFallback"

type Method = "generateText" | "generateObject" | "streamText"

export const failed = (error: CallError, method: Method): AiError.AiError =>
  AiErrors.fromCallError(error, { module: MODULE, method })

const malformed = (method: Method) => (error: ParseResult.ParseError): AiError.AiError =>
  AiError.MalformedOutput.fromParseError({ module: MODULE, method, error })

/** Checks parameters as their schema does, and leaves them as they are. */
const checking = (parameters: Tool.Any["parametersSchema"]) =>
  Schema.transformOrFail(Schema.asSchema(parameters), Schema.Unknown, {
    strict: true,
    decode: (_decoded, _options, _ast, raw) => ParseResult.succeed(raw),
    encode: (raw) => ParseResult.succeed(raw)
  })

/** A tool as it was, but for what becomes of its parameters. */
const unread = (tool: Tool.Any): Tool.Any =>
  Object.assign(Object.create(Object.getPrototypeOf(tool)), tool, {
    description: tool.description ?? Tool.getDescriptionFromSchemaAst(tool.parametersSchema.ast),
    parametersSchema: checking(tool.parametersSchema)
  })

/** The tools, as far as a model has to know them. */
const shown = (tools: ReadonlyArray<Tool.Any>): Toolkit.WithHandler<Record<string, Tool.Any>> => ({
  tools: Object.fromEntries(tools.map((tool) => [tool.name, unread(tool)])),
  handle: (name) => Effect.dieMessage(`${MODULE}: ${name} is not to be run here`)
})

/**
 * Whoever transforms spans does it once, for the call, so a model is given a transformer that does nothing, where it would
 * see another: the call's, or one from when it was built. Where it would see none it gets none, since each of them costs a
 * stream a copy of all its parts for every part. (To leave the call's out is not enough: a stream would look it up again.)
 */
const untransformed = (remembered: boolean) => (context: Context.Context<never>) =>
  remembered || Option.isSome(Context.getOption(context, CurrentSpanTransformer))
    ? Context.add(context, CurrentSpanTransformer, () => {})
    : context

const asked = ({ prompt, toolChoice, tools }: LanguageModel.ProviderOptions) => ({
  prompt,
  toolkit: shown(tools),
  toolChoice,
  disableToolCallResolution: true as const
})

type Tools = Record<string, Tool.Any>

/** A call or a result of a tool, as the model wrote it. */
const written = (part: Response.ToolCallParts<Tools> | Response.ToolResultParts<Tools>) =>
  part.type === "tool-call" ? part : { ...part, result: part.encodedResult }

const encodePart = Schema.encode(Response.Part(Toolkit.empty))

const encoded = (part: Response.Part<Tools>): Effect.Effect<Response.PartEncoded, ParseResult.ParseError> =>
  part.type === "tool-call" || part.type === "tool-result" ? Effect.succeed(written(part)) : encodePart(part)

const encodeStreamPart = Schema.encode(Response.StreamPart(Toolkit.empty))

const encodedOfStream = (
  part: Response.StreamPart<Tools>
): Effect.Effect<Response.StreamPartEncoded, ParseResult.ParseError> =>
  part.type === "tool-call" || part.type === "tool-result" ? Effect.succeed(written(part)) : encodeStreamPart(part)

/** Who is asked, and whether a transformer of spans was there when the model was built. */
export interface Asked {
  readonly model: LanguageModel.Service
  readonly transformed: boolean
}

/** A whole answer, checked against the schemas of what was asked for. */
export const generate = (
  { model, transformed }: Asked,
  options: LanguageModel.ProviderOptions
): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> => {
  const { responseFormat } = options
  const request = asked(options)
  const answer = responseFormat.type === "text" ? model.generateText(request) : model.generateObject({
    ...request,
    objectName: responseFormat.objectName,
    // What the schema needs, the program that asked for the object provides.
    schema: Schema.make<unknown, Record<string, unknown>, never>(responseFormat.schema.ast)
  })
  return answer.pipe(
    Effect.mapInputContext(untransformed(transformed)),
    Effect.flatMap(({ content }) =>
      Effect.mapError(
        Effect.forEach(content, encoded),
        malformed(responseFormat.type === "text" ? "generateText" : "generateObject")
      )
    )
  )
}

/** Does the model say anything in this part of a stream? */
export const isOutput = (part: Response.StreamPartEncoded): boolean => {
  switch (part.type) {
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      return part.delta !== ""
    case "tool-call":
    case "tool-result":
    case "file":
    case "source":
      return true
    default:
      return false
  }
}

/** The error that a part of a stream is, in the place of an answer. */
const errorIn = (part: Response.StreamPartEncoded, now: number, target: Target): CallError | undefined => {
  const response = { headers: {}, now }
  if (part.type === "finish" && part.reason === "error") {
    return ProviderError.fromInBand({ error: { type: "server_error" } }, response, target)
  }
  return part.type !== "error"
    ? undefined
    : ProviderError.fromInBand(part.error, response, target) ??
      ProviderError.fromInBand({ error: part.error }, response, target) ??
      ProviderError.malformed({ status: 200, headers: {} }, target)
}

/** A stream that ends well only with `finish`, and fails with the error that comes in the place of an answer. */
const honest = (
  stream: Stream.Stream<Response.StreamPartEncoded, AiError.AiError>,
  target: Target
): Stream.Stream<Response.StreamPartEncoded, AiError.AiError> =>
  Stream.suspend(() => {
    let spoke = false
    let finished = false
    const check = (parts: Chunk.Chunk<Response.StreamPartEncoded>) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        for (const part of parts) {
          spoke ||= isOutput(part)
          const error = spoke ? undefined : errorIn(part, now, target)
          if (error !== undefined) {
            return Effect.fail(failed(error, "streamText"))
          }
          finished ||= part.type === "finish" || part.type === "error"
        }
        return Effect.succeed(parts)
      })
    const end = Stream.suspend(() =>
      finished ? Stream.empty : Stream.fail(
        failed(ProviderError.fromTransport({ response: { status: 200, headers: {} } }, target), "streamText")
      )
    )
    return Stream.concat(Stream.mapChunksEffect(stream, check), end)
  })

/** An answer as it comes. */
export const stream = (
  { model, transformed }: Asked,
  options: LanguageModel.ProviderOptions,
  target: Target
): Stream.Stream<Response.StreamPartEncoded, AiError.AiError> => {
  const request = asked(options)
  const parts = model.streamText(request).pipe(
    Stream.mapChunksEffect((parts) =>
      Effect.mapBoth(Effect.forEach(parts, encodedOfStream), {
        onFailure: malformed("streamText"),
        onSuccess: Chunk.unsafeFromArray
      })
    ),
    Stream.mapInputContext(untransformed(transformed))
  )
  return honest(parts, target)
}
