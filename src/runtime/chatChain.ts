/** A chain of chat providers: who of them can do what is asked, and what they are called. */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import type { ChatRequest, Service } from "../ChatProvider.js"
import type { CallError, Target } from "../ProviderError.js"
import type { Answered, Candidate, Question } from "./chain.js"
import { ask } from "./chain.js"
import { denied } from "./recorder.js"

/** The providers of a chain, in order. */
export type Links = Arr.NonEmptyReadonlyArray<Service>

/**
 * Those that can do what is asked. One that would have to leave a part of it out is skipped; if all would, the first one
 * says so itself.
 */
export const able = (services: Links, request: ChatRequest): Links => {
  const [first, ...rest] = services.filter((service) => (service.unsupported?.(request) ?? []).length === 0)
  return first === undefined ? [services[0]] : [first, ...rest]
}

const targetOf = (service: Service, request: ChatRequest): Target => ({
  provider: service.provider,
  model: service.model ?? request.model
})

/** What is asked of a chain of chat providers; `from` counts those that are able. */
export interface ChatQuestion<A>
  extends Pick<Question<Service, A, CallError, never>, "settings" | "send" | "round" | "from">
{
  readonly services: Links
  readonly request: ChatRequest
}

export const askChat = <A>(
  { from, request, round, send, services, settings }: ChatQuestion<A>
): Effect.Effect<Answered<Service, A>, CallError> => {
  const candidates = Arr.map(
    able(services, request),
    (service): Candidate<Service> => ({ service, target: targetOf(service, request) })
  )
  const skipped = round === 0
    ? services.filter((service) => !candidates.some((candidate) => candidate.service === service))
    : []
  const asked = ask({ candidates, settings, send, callErrorOf: Effect.succeed, round, from })
  return skipped.length === 0 ? asked : Effect.zipRight(
    Effect.forEach(skipped, (service) => denied("unsupported", targetOf(service, request)), { discard: true }),
    asked
  )
}
