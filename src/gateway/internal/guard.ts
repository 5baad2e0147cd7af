/**
 * Who may speak to the gateway at all.
 *
 * A gateway on a developer's machine is within reach of every web page that is open there. Three things keep pages out:
 * they cannot send `application/json` without asking first, what they send names them as its `Origin`, and one whose name
 * was made to point to this machine (DNS rebinding) names itself in `Host`. Behind keys, the key decides.
 */
import type * as Headers from "@effect/platform/Headers"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { createHash, timingSafeEqual } from "node:crypto"
import { rememberLast } from "../../internal/rememberLast.js"
import type { AuthKey, GatewayConfig } from "../GatewayConfig.js"
import { isLoopback } from "./loopback.js"
import type { Refusal } from "./refusals.js"
import { invalid } from "./refusals.js"

const isLocal = rememberLast((host: string): boolean =>
  URL.canParse(`http://${host}`) && isLoopback(new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, ""))
)

/** Refuses what a web page sends. */
export const foreign = (headers: Headers.Headers, { listen }: GatewayConfig): Refusal | undefined => {
  const { host = "", origin } = headers
  if (origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === host)) {
    return invalid(403, "foreign_origin", "Web pages of another origin may not use this gateway.")
  }
  return isLoopback(listen.host) && !isLocal(host)
    ? invalid(403, "foreign_host", "This gateway answers to the names of this machine only, such as localhost.")
    : undefined
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

/** Finds the client by the key it sent; how long that takes tells nothing about any key. */
export const makeKeyring = <A>(keys: ReadonlyArray<readonly [AuthKey, A]>) => {
  const digests = keys.map(([{ key }, client]) => [digest(Redacted.value(key)), client] as const)
  return (authorization: string | undefined): Option.Option<A> => {
    const sent = digest(/^Bearer (.*)$/i.exec(authorization ?? "")?.[1] ?? "")
    return digests.reduce(
      (found: Option.Option<A>, [known, client]) => timingSafeEqual(known, sent) ? Option.some(client) : found,
      Option.none()
    )
  }
}

export const unauthorized: Refusal = invalid(
  401,
  "invalid_api_key",
  "This gateway needs a key of its own: Authorization: Bearer KEY."
)
