/** A tracer that keeps the spans it makes, as one that exports them would. */
import { Effect, Tracer } from "effect"

export const rememberingTracer = Effect.map(Effect.tracer, (native) => {
  const spans: Array<Tracer.Span> = []
  const tracer = Tracer.make({
    context: native.context,
    span: (...args) => {
      const span = native.span(...args)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer }
})
