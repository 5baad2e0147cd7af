/** What a request cost so far: who was asked, how often, and how long was waited. Told in the headers of the answer. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as CallReport from "../../CallReport.js"
import type { Target } from "../../ProviderError.js"

/** As a header can hold it. */
const legal = (name: string): string => name.replace(/[^\x21-\x7e]/g, "?")

export class Account {
  asked: Target = {}
  attempts = 0
  fallbacks = 0
  private waited = 0

  /** Notes what happens in the effect, and in what it hands on. */
  readonly keep = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    CallReport.observe(self, (event) => Effect.sync(() => this.note(event)))

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

  get waitedMs(): number {
    return Math.round(this.waited)
  }

  get headers(): Readonly<Record<string, string>> {
    const { model, provider } = this.asked
    return {
      ...(provider === undefined ? {} : { "x-resilience-provider": legal(provider) }),
      ...(model === undefined ? {} : { "x-resilience-model": legal(model) }),
      "x-resilience-attempts": `${this.attempts}`,
      "x-resilience-fallbacks": `${this.fallbacks}`,
      "x-resilience-waited-ms": `${this.waitedMs}`
    }
  }
}
