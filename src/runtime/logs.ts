/**
 * The log lines of attempts.
 *
 * A line is annotated, not worded: its message is a constant to search for. What it takes to build one is paid only
 * where the fiber's log level lets it through.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as LogLevel from "effect/LogLevel"
import type * as Tracer from "effect/Tracer"
import type { Attempt } from "../CallReport.js"
import * as Telemetry from "../Telemetry.js"
import { isFailure } from "./outcome.js"

/** Whole milliseconds, as lines tell durations. */
export const millis = (duration: Duration.Duration): number => Math.round(Duration.toMillis(duration))

type Annotations = Readonly<Record<string, unknown>>

/** Does a line of an attempt that ended so come through? */
export const isLogged = (fiber: Fiber.RuntimeFiber<unknown, unknown>, outcome: Attempt["outcome"]): boolean =>
  LogLevel.lessThanEqual(
    fiber.getFiberRef(FiberRef.currentMinimumLogLevel),
    isFailure(outcome) ? LogLevel.Warning : LogLevel.Debug
  )

const annotated = (line: Effect.Effect<void>, annotations: Annotations): Effect.Effect<void> =>
  Effect.annotateLogs(
    line,
    Object.fromEntries(Object.entries(annotations).filter(([, value]) => value !== undefined))
  )

/** The line of an attempt that ended; `next` says what became of it. */
export const attemptLine = (
  attempt: Attempt,
  span: Tracer.AnySpan | undefined,
  next: Annotations = {}
): Effect.Effect<void> => {
  const { error, outcome } = attempt
  const line = outcome === "Success"
    ? Effect.logDebug(Telemetry.attemptSucceeded)
    : outcome === "Interrupted"
    ? Effect.logDebug(Telemetry.attemptInterrupted)
    : Effect.logWarning(Telemetry.attemptFailed)
  return annotated(line, {
    provider: attempt.provider,
    model: attempt.model,
    attempt: attempt.number,
    outcome,
    reason: error?._tag === "ServerError" || error?._tag === "ClientError" ? error.reason : undefined,
    scope: error?._tag === "Timeout" ? error.scope : undefined,
    status: attempt.status,
    requestId: attempt.requestId,
    waitedMs: millis(attempt.waitedBefore),
    durationMs: millis(attempt.duration),
    traceId: span?.traceId,
    spanId: span?.spanId,
    ...next
  })
}
