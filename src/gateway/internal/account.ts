/**
 * What a request came to: who was asked, how often, how long was waited, and how it ended.
 *
 * The client is told in the headers of the answer, as far as it is known by then; the operator in one line of the log, when
 * all is over. Neither has a key, a prompt or an answer in it.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import * as CallReport from "../../CallReport.js"
import type { Target } from "../../ProviderError.js"
import { clockOf } from "../../runtime/caller.js"

/** As a header can hold it. */
const legal = (name: string): string => name.replace(/[^\x21-\x7e]/g, "?")

/** What a client is told that did not wait for an answer: by nginx' custom. */
const CLIENT_CLOSED_REQUEST = 499

export class Account {
  /** Who sent it, as its key is called. */
  client: string | undefined
  /** What was asked for, if it is a model of the gateway. */
  model: string | undefined
  status = CLIENT_CLOSED_REQUEST
  /** The code of the error that it ended with. */
  error: string | undefined
  private asked: Target = {}
  private attempts = 0
  private fallbacks = 0
  private waited = 0
  private readonly leaving: Array<() => void> = []

  constructor(readonly requestId: string, private readonly trace: Tracer.AnySpan) {}

  private readonly noting = CallReport.noting((event) => this.note(event))

  /** The context in which this notes what happens, as part of the trace. */
  readonly keeping = <R>(context: Context.Context<R>): Context.Context<R> =>
    Context.add(this.noting(context), Tracer.ParentSpan, this.trace)

  private note(event: CallReport.Event): void {
    switch (event._tag) {
      case "AttemptStarted":
        this.asked = event.target
        this.attempts += 1
        return
      case "FellBack":
        this.fallbacks += 1
        return
      case "Waiting":
        this.waited += Duration.toMillis(event.delay)
        return
    }
  }

  get headers(): Readonly<Record<string, string>> {
    const { model, provider } = this.asked
    return {
      "x-request-id": this.requestId,
      ...(provider === undefined ? {} : { "x-resilience-provider": legal(provider) }),
      ...(model === undefined ? {} : { "x-resilience-model": legal(model) }),
      "x-resilience-attempts": `${this.attempts}`,
      "x-resilience-fallbacks": `${this.fallbacks}`,
      "x-resilience-waited-ms": `${Math.round(this.waited)}`
    }
  }

  private get line() {
    const { attempts, client, error, fallbacks, model, requestId, status } = this
    return {
      status,
      requestId,
      ...(client === undefined ? {} : { client }),
      ...(model === undefined ? {} : { model }),
      ...(this.asked.provider === undefined ? {} : {
        provider: this.asked.provider,
        attempts,
        fallbacks,
        waitedMs: Math.round(this.waited)
      }),
      ...(error === undefined ? {} : { error })
    }
  }

  /** What else there is to do when all is over. */
  readonly atEnd = (leave: () => void): void => {
    this.leaving.push(leave)
  }

  /** When the scope closes, after the last byte, it writes the line and does what else there is to do. */
  readonly closeWith = (
    scope: Scope.Scope,
    request: { readonly method: string; readonly path: string },
    isRoutine: boolean
  ): Effect.Effect<void> => {
    const level = isRoutine ? LogLevel.Debug : LogLevel.Info
    const written = (begun: bigint, ended: bigint) =>
      Effect.logWithLevel(level, "request").pipe(
        Effect.annotateLogs({
          ...request,
          ...this.line,
          traceId: this.trace.traceId,
          durationMs: Math.round(Number(ended - begun) / 1e6)
        })
      )
    return Effect.withFiberRuntime((fiber) => {
      const begun = clockOf(fiber).unsafeCurrentTimeNanos()
      const closed = Effect.withFiberRuntime((fiber) => {
        this.leaving.forEach((leave) => leave())
        return LogLevel.lessThan(level, fiber.getFiberRef(FiberRef.currentMinimumLogLevel))
          ? Effect.void
          : written(begun, clockOf(fiber).unsafeCurrentTimeNanos())
      })
      // `Effect.addFinalizer` would compare all references of the fiber, twice, to run it with those it had then.
      return Scope.addFinalizer(scope, closed)
    })
  }
}
