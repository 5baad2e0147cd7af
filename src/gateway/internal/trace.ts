/**
 * The trace that a request belongs to.
 *
 * A server that collects spans has made one of it. Where nobody does, a span would cost more than all that is known of the
 * request, so there is none: the trace that the client named goes on, or a new one begins, and what is asked upstream and
 * the line in the log say which.
 */
import type * as Headers from "@effect/platform/Headers"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { randomFillSync } from "node:crypto"

/** Random bytes for some hundred requests: to be asked for a few costs the system as much as to be asked for many. */
const pool = Buffer.alloc(4096)
let used = pool.length

const hex = (bytes: number): string => {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.toString("hex", used - bytes, used)
}

/** A step of the trace, or the first of a new one. Source of the lengths: W3C Trace Context. */
const step = (client: Option.Option<Tracer.ExternalSpan>): Tracer.AnySpan => {
  const { sampled, traceId } = Option.getOrElse(client, () => ({ sampled: true, traceId: hex(16) }))
  return Tracer.externalSpan({ traceId, spanId: hex(8), sampled })
}

/** The span that a request with these headers, served in this context, is part of. */
export const traceOf = (context: Context.Context<never>, headers: Headers.Headers): Tracer.AnySpan =>
  Option.getOrElse(
    Context.getOption(context, Tracer.ParentSpan),
    () => step(HttpTraceContext.fromHeaders(headers))
  )
