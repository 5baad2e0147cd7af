/** Circuit breakers by key, as `CircuitBreaker.Registry` keeps them. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { CircuitBreaker, Options, RegistryOptions, RegistryService } from "../CircuitBreaker.js"
import { Keyed } from "../internal/keyed.js"
import { millisOf } from "./circuit.js"
import * as OptionsOf from "./options.js"

/** Checks the options, and gives what makes a registry by them. */
export const prepareRegistry = (
  options: RegistryOptions,
  prepare: (options: Options) => (name: string) => CircuitBreaker
): () => RegistryService => {
  const capacity = OptionsOf.positiveCount("capacity", options.capacity ?? 1000)
  const idleFor = Duration.toMillis(OptionsOf.positiveDuration("idleFor", options.idleFor ?? "10 minutes"))
  return () => {
    const circuits = new Keyed<CircuitBreaker>(capacity, idleFor, (circuit, reading) => circuit.worth(reading))
    const kept = Effect.clockWith((clock) => Effect.succeed(circuits.kept(millisOf(clock))))
    const getNow: RegistryService["getNow"] = (clock, key, make) => circuits.get(key, millisOf(clock), make)
    return {
      get: (key, options = {}) =>
        Effect.clockWith((clock) =>
          Effect.succeed(
            getNow(clock, key, (name) => prepare(Predicate.isFunction(options) ? options() : options)(name))
          )
        ),
      getNow,
      size: Effect.map(kept, (circuits) => circuits.length),
      snapshot: Effect.flatMap(
        kept,
        Effect.forEach(([key, { name, state }]) => Effect.map(state, (state) => ({ key, name, state })))
      )
    }
  }
}
