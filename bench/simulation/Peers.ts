/**
 * What people use besides: p-retry, opossum, the official `openai` SDK and Vercel's AI SDK, each with its defaults or as
 * its README shows it. They are installed apart (`npm ci --prefix bench/peers`) and loaded when they are measured.
 *
 * Who has no limit for an attempt gets one by a signal, and who has no fallback or deadline those people write by hand.
 */
import * as Arr from "effect/Array"
import type * as Simulated from "../peers/simulated.mjs"
import type { Link, Protect, Send } from "./PromiseContender.js"
import { inTurn, promiseContender, within } from "./PromiseContender.js"
import type { Contender, Scenario } from "./Trial.js"
import { answerOf } from "./wire.js"

type Peers = typeof Simulated

const peer = (name: string, protect: (peers: Peers) => Protect): Contender => ({
  name,
  measure: async (scenario, seed) => {
    const peers = await import("../peers/simulated.mjs")
    return promiseContender(name, protect(peers)).measure(scenario, seed)
  }
})

/** One request, waited for so long. */
const limited = (send: Send, attemptTimeout: number): Send => (signal) =>
  within(attemptTimeout, (timeout) => send(AbortSignal.any([signal, timeout])))

/** A policy around each provider. */
const around = (name: string, policy: (peers: Peers, link: Link, scenario: Scenario) => Send): Contender =>
  peer(name, (peers) => (links, scenario) => {
    const chain = inTurn(Arr.map(links, (link) => policy(peers, link, scenario)))
    return () => within(scenario.deadline, chain)
  })

/** A client for each provider, which reads streams where answers are streamed. */
const withClients = (
  name: string,
  client: (peers: Peers, link: Link, scenario: Scenario) => Simulated.Client
): Contender =>
  peer(name, (peers) => (links, scenario) => {
    const pieces = scenario.providers[0].streamed?.pieces
    const clients = Arr.map(links, (link) => client(peers, link, scenario))
    return ({ onOutput }) => {
      const read = (client: Simulated.Client): Send => async (signal) => {
        const text = await (pieces === undefined ? client.complete(signal) : client.stream(signal, onOutput))
        if (text !== answerOf(pieces ?? 1)) {
          throw new Error(`passed for the answer: ${text}`)
        }
      }
      return within(scenario.deadline, inTurn(Arr.map(clients, read)))
    }
  })

export const peers: ReadonlyArray<Contender> = [
  around(
    "p-retry",
    ({ retrying }, { send }, { attemptTimeout }) => (signal) =>
      retrying(() => limited(send, attemptTimeout)(signal), signal)
  ),
  around("opossum", ({ breaking }, { send }, { attemptTimeout }) => breaking(send, attemptTimeout)),
  withClients("openai SDK", ({ openai }, { fetch }, { attemptTimeout }) => openai({ fetch, timeout: attemptTimeout })),
  withClients("Vercel AI SDK", ({ vercel }, { fetch }, { attemptTimeout }) =>
    vercel({
      fetch: (input, init) => {
        const timeout = AbortSignal.timeout(attemptTimeout)
        return fetch(input, { ...init, signal: AbortSignal.any([timeout, ...init?.signal ? [init.signal] : []]) })
      }
    }))
]
