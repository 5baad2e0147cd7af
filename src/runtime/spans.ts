/**
 * The span of a chat and those of its attempts.
 *
 * They are made by hand and not by `Effect.withSpan`, for three reasons. An attempt ends when its policy says so, which
 * may be before the request in it has stopped. A span ends with words of ours alone: a foreign error or a defect may
 * quote the prompt, and exporters write messages and causes down. And where nobody collects spans (Effect's own tracer
 * keeps them to itself) none is made, since a span costs more than the whole protection of a call.
 *
 * Source: OpenTelemetry's semantic conventions for generative AI (a span for the operation with all its retries, a child
 * for each request) and for HTTP (`http.request.resend_count`).
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Chunk from "effect/Chunk"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import type * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"
import type { ChatRequest } from "../ChatProvider.js"
import { deadlineIn } from "../Deadline.js"
import type { JsonChunk } from "../internal/chunks.js"
import { Facts } from "../internal/chunks.js"
import type { Target } from "../ProviderError.js"
import { changing } from "./bracket.js"
import { clockOf } from "./caller.js"
import { chatEnded, firstChunkArrived } from "./metrics.js"
import type { Settled } from "./outcome.js"
import { isFailure, settle } from "./outcome.js"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>
type Attributes = Readonly<Record<string, unknown>>

/** What it takes to open a span where no fiber is at hand. */
interface Tracing {
  readonly tracer: Tracer.Tracer
  readonly now: () => bigint
  readonly annotations: HashMap.HashMap<string, unknown>
  readonly links: ReadonlyArray<Tracer.SpanLink>
}

/** A chat while it runs. */
interface Chat {
  readonly tracing: Tracing | undefined
  readonly span: Tracer.Span | undefined
  over: boolean
}

/** A span of an attempt while it is open. */
export interface AttemptSpan {
  readonly span: Tracer.Span
  readonly end: (settled: Settled, attributes: Attributes) => void
}

class CurrentChat extends Context.Reference<CurrentChat>()(
  "effect-resilience/CurrentChat",
  { defaultValue: (): Chat | undefined => undefined }
) {}

const nativeTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/** Does anybody get to see the spans? Effect's own tracer keeps them to itself. */
export const isCollecting = (tracer: Tracer.Tracer): boolean => tracer !== nativeTracer

const tracingOf = (fiber: AnyFiber, clock: Clock.Clock): Tracing | undefined => {
  const tracer = Context.get(fiber.currentDefaultServices, Tracer.Tracer)
  if (!isCollecting(tracer) || !fiber.getFiberRef(FiberRef.currentTracerEnabled)) {
    return undefined
  }
  const timed = fiber.getFiberRef(FiberRef.currentTracerTimingEnabled)
  return {
    tracer,
    now: () => timed ? clock.unsafeCurrentTimeNanos() : 0n,
    annotations: fiber.getFiberRef(FiberRef.currentTracerSpanAnnotations),
    links: Chunk.toReadonlyArray(fiber.getFiberRef(FiberRef.currentTracerSpanLinks))
  }
}

const describe = (span: Tracer.Span, attributes: Attributes): void => {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) {
      span.attribute(key, value)
    }
  }
}

const open = (tracing: Tracing, name: string, parent: Option.Option<Tracer.AnySpan>): Tracer.Span => {
  const { annotations, links, now, tracer } = tracing
  const span = tracer.span(name, parent, Context.empty(), links, now(), "client", { captureStackTrace: false })
  for (const [key, value] of annotations) {
    span.attribute(key, value)
  }
  return span
}

/** An error for exporters to write down: what happened in our words, with no stack, no cause and no `detail`. */
const shown = ({ error, outcome }: Settled): Error => {
  const shown = new Error(error?.message ?? outcome)
  shown.name = outcome
  shown.stack = `${outcome}: ${shown.message}`
  return shown
}

const end = (tracing: Tracing, span: Tracer.Span, settled: Settled, attributes: Attributes): void => {
  if (span.status._tag === "Ended") {
    return
  }
  const { outcome } = settled
  describe(span, { ...attributes, "error.type": isFailure(outcome) ? outcome : undefined })
  span.end(
    tracing.now(),
    outcome === "Success"
      ? Exit.void
      : outcome === "Interrupted"
      ? Exit.interrupt(FiberId.none)
      : Exit.fail(shown(settled))
  )
}

/** Our parent, unless a span around asked not to be followed. */
const propagating = (span: Tracer.AnySpan | undefined): Tracer.AnySpan | undefined =>
  span !== undefined && Context.get(span.context, Tracer.DisablePropagation)
    ? span._tag === "Span" ? propagating(Option.getOrUndefined(span.parent)) : undefined
    : span

const parentIn = (context: Context.Context<never>): Tracer.AnySpan | undefined =>
  propagating(Option.getOrUndefined(Context.getOption(context, Tracer.ParentSpan)))

const numberOf = (value: unknown): number | undefined => typeof value === "number" ? value : undefined

const textOf = (value: unknown): string | undefined => typeof value === "string" ? value : undefined

/** Numbers alone: whatever is a text in a request may have been written by a user. */
const requestAttributes = (request: ChatRequest | undefined): Attributes =>
  request === undefined ? {} : {
    "gen_ai.request.max_tokens": numberOf(request.max_tokens) ?? numberOf(request.max_completion_tokens),
    "gen_ai.request.temperature": numberOf(request.temperature),
    "gen_ai.request.top_p": numberOf(request.top_p),
    "gen_ai.request.top_k": numberOf(request.top_k),
    "gen_ai.request.frequency_penalty": numberOf(request.frequency_penalty),
    "gen_ai.request.presence_penalty": numberOf(request.presence_penalty),
    "gen_ai.request.seed": numberOf(request.seed),
    "gen_ai.request.choice.count": request.n === 1 ? undefined : numberOf(request.n)
  }

const recordIn = (value: unknown, key: string): Readonly<Record<string, unknown>> => {
  const inner = Predicate.isRecord(value) ? value[key] : undefined
  return Predicate.isRecord(inner) ? inner : {}
}

const responseAttributes = (response: unknown): Attributes => {
  if (!Predicate.isRecord(response)) {
    return {}
  }
  const usage = recordIn(response, "usage")
  const reasons = (Array.isArray(response.choices) ? response.choices : [])
    .map((choice: unknown) => Predicate.isRecord(choice) ? textOf(choice.finish_reason) : undefined)
    .filter(Predicate.isNotUndefined)
  return {
    "gen_ai.response.id": textOf(response.id),
    "gen_ai.response.model": textOf(response.model),
    "gen_ai.response.finish_reasons": reasons.length === 0 ? undefined : reasons,
    "gen_ai.usage.input_tokens": numberOf(usage.prompt_tokens),
    "gen_ai.usage.output_tokens": numberOf(usage.completion_tokens),
    "gen_ai.usage.cache_read.input_tokens": numberOf(recordIn(usage, "prompt_tokens_details").cached_tokens),
    "gen_ai.usage.reasoning.output_tokens": numberOf(recordIn(usage, "completion_tokens_details").reasoning_tokens)
  }
}

const openSpan = (
  tracing: Tracing,
  context: Context.Context<never>,
  target: Target,
  request: ChatRequest | undefined
): Tracer.Span => {
  const name = target.model === undefined ? "chat" : `chat ${target.model}`
  const span = open(tracing, name, Option.fromNullable(parentIn(context)))
  describe(span, {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": target.provider,
    "gen_ai.request.model": target.model,
    ...requestAttributes(request)
  })
  return span
}

const withSpan = <R>(context: Context.Context<R>, span: Tracer.Span | undefined): Context.Context<R> =>
  span === undefined ? context : Context.add(context, Tracer.ParentSpan, span)

/** A chat that begins: the context it is made in, and what ends it. */
export interface OpenChat<R> {
  readonly inside: Context.Context<R>
  /** The first output of a stream arrived. */
  readonly firstOutput: () => void
  /** A chunk of a stream arrived; only where somebody wants to know. */
  readonly chunk: ((chunk: JsonChunk) => void) | undefined
  readonly end: (exit: Exit.Exit<unknown, unknown>) => void
}

/** Opens a chat, with its span and its duration, unless the context is part of one already. */
export const openChat = <R>(
  fiber: AnyFiber,
  context: Context.Context<R>,
  target: Target,
  request: ChatRequest | undefined
): OpenChat<R> | undefined => {
  const around = Context.get(context, CurrentChat)
  if (around !== undefined && !around.over) {
    return undefined
  }
  const clock = clockOf(fiber)
  const startedAt = clock.unsafeCurrentTimeNanos()
  const deadline = deadlineIn(context)
  const tracing = tracingOf(fiber, clock)
  const span = tracing === undefined ? undefined : openSpan(tracing, context, target, request)
  const chat: Chat = { tracing, span, over: false }
  const facts = new Facts()
  let streamed = false
  return {
    inside: withSpan(Context.add(context, CurrentChat, chat), span),
    firstOutput: () => {
      const seconds = Number(clock.unsafeCurrentTimeNanos() - startedAt) / 1e9
      firstChunkArrived(fiber, target, seconds)
      span?.attribute("gen_ai.response.time_to_first_chunk", seconds)
    },
    chunk: span === undefined ? undefined : (chunk) => {
      streamed = true
      facts.note(chunk)
    },
    end: (exit) => {
      chat.over = true
      const settled = settle(exit, deadline, target)
      if (settled.outcome !== "Interrupted") {
        chatEnded(fiber, target, settled.outcome, Number(clock.unsafeCurrentTimeNanos() - startedAt) / 1e9)
      }
      if (tracing !== undefined && span !== undefined) {
        const response = streamed ? facts.response : Exit.isSuccess(exit) ? exit.value : undefined
        end(tracing, span, settled, responseAttributes(response))
      }
    }
  }
}

/** The span of an attempt about to be made in the context; none outside of a chat, or where nobody collects spans. */
export const attemptSpan = (context: Context.Context<never>): AttemptSpan | undefined => {
  const chat = Context.get(context, CurrentChat)
  if (chat === undefined || chat.over || chat.tracing === undefined || chat.span === undefined) {
    return undefined
  }
  const { tracing } = chat
  const span = open(tracing, "attempt", Option.some(chat.span))
  return { span, end: (settled, attributes) => end(tracing, span, settled, attributes) }
}

/** The context in which what is done is part of the attempt. */
export const withAttemptSpan = <R>(
  context: Context.Context<R>,
  attempt: AttemptSpan | undefined
): Context.Context<R> => withSpan(context, attempt?.span)

/** Something happened in the chat around. */
export const chatEvent = (context: Context.Context<never>, name: string, attributes: Attributes): void => {
  const chat = Context.get(context, CurrentChat)
  if (chat !== undefined && !chat.over && chat.tracing !== undefined && chat.span !== undefined) {
    chat.span.event(name, chat.tracing.now(), attributes)
  }
}

/** Where log lines and other systems are told to look for what happens in the context. */
export const traceOf = (context: Context.Context<never>): Tracer.AnySpan | undefined => parentIn(context)

/** Whom a URL asks, as spans name it. */
export const serverOf = (url: string): Attributes => {
  if (!URL.canParse(url)) {
    return {}
  }
  const { hostname, port, protocol } = new URL(url)
  return {
    "server.address": hostname,
    "server.port": port !== "" ? Number(port) : protocol === "https:" ? 443 : 80
  }
}

const anyRequest = () => true

/** The change by which an HTTP client makes no span of its own: if it failed, it would hold the request, and the prompt. */
export const untraced = changing(HttpClient.currentTracerDisabledWhen, () => anyRequest)

/**
 * The request with the `traceparent` of the span around, as the client does it when its own span is not disabled, and
 * as it can be switched off there: `HttpClient.withTracerPropagation`. Source: W3C Trace Context.
 */
export const propagated = (
  request: HttpClientRequest.HttpClientRequest,
  fiber: AnyFiber
): HttpClientRequest.HttpClientRequest => {
  const span = traceOf(fiber.currentContext)
  return span === undefined || !fiber.getFiberRef(HttpClient.currentTracerPropagation) ||
      !fiber.getFiberRef(FiberRef.currentTracerEnabled)
    ? request
    : HttpClientRequest.setHeader(
      request,
      "traceparent",
      `00-${span.traceId}-${span.spanId}-${span.sampled ? "01" : "00"}`
    )
}
