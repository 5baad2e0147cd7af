/**
 * An OpenAI-compatible server with the policies of this library, as an HTTP app.
 *
 * A program in any language gets retries, fallbacks, circuit breakers and deadlines by pointing its OpenAI client at this
 * app. It is a thin shell: what it is asked goes to the same provider layers, chains and clients that an Effect program
 * composes, and what comes back is put into the words of OpenAI's API, errors and broken streams included. It is an app
 * and no server, so that it runs wherever `@effect/platform` does: the command `effect-resilience gateway` serves it with
 * Node, a program of your own may serve it beside its own routes.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as IdempotencyKey from "../IdempotencyKey.js"
import type * as GatewayConfig from "./GatewayConfig.js"
import { Account } from "./internal/account.js"
import type { Asked, House } from "./internal/asked.js"
import * as AskedOf from "./internal/asked.js"
import * as Chat from "./internal/chat.js"
import * as Clients from "./internal/clients.js"
import * as Forward from "./internal/forward.js"
import * as Guard from "./internal/guard.js"
import * as Models from "./internal/models.js"
import type { Refusal } from "./internal/refusals.js"
import * as Refusals from "./internal/refusals.js"
import { traceOf } from "./internal/trace.js"

/**
 * A gateway that is ready to serve.
 *
 * @since 0.1.0
 * @category models
 */
export interface Gateway {
  /**
   * Answers every request and never fails. Its fibers are interruptible: when a client goes away, interrupt the one that
   * serves it, and whatever it asked upstream is cancelled.
   */
  readonly app: HttpApp.Default<never, Scope.Scope>
  /** From now on `GET /ready` says 503, so that load balancers send their requests elsewhere. Others are still served. */
  readonly drain: Effect.Effect<void>
}

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What `GET /metrics` answers, in Prometheus' text format. Default: there is no such path. */
  readonly metrics?: Effect.Effect<string> | undefined
}

type Answer<E = never> = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  E,
  HttpServerRequest.HttpServerRequest | Scope.Scope
>

interface Route {
  readonly method: "GET" | "POST"
  readonly answer: (request: HttpServerRequest.HttpServerRequest, account: Account) => Answer<Refusal>
  /** Asked again and again by machines, so not worth a line of the log. */
  readonly isRoutine?: boolean
}

const serving = (house: House, answer: (asked: Asked) => Answer<Refusal>): Route => ({
  method: "POST",
  answer: (request, account) => Effect.flatMap(AskedOf.read(request, account, house), answer)
})

/** For those who have a key, and for nobody's page. */
const telling = (house: House, answer: Answer<Refusal>): Route => ({
  method: "GET",
  answer: (request, account) =>
    Effect.flatMap(AskedOf.clientOf(request.headers, house), ({ name }) => {
      account.client = name
      return answer
    })
})

const status = (status: string, code = 200): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.unsafeJson({ status }, { status: code })

const listOf = ({ config }: House): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.unsafeJson({
    object: "list",
    data: config.models.map(({ name }) => ({ id: name, object: "model", created: 0, owned_by: "effect-resilience" }))
  })

const routesOf = (
  house: House,
  { metrics }: Options,
  isReady: () => boolean
): ReadonlyMap<string, Route> =>
  new Map<string, Route>([
    ["/v1/chat/completions", serving(house, Chat.answer)],
    ...Models.forwarded.map((what): [string, Route] => [`/v1/${what}`, serving(house, Forward.answer(what))]),
    ["/v1/models", telling(house, Effect.sync(() => listOf(house)))],
    ["/health", { method: "GET", isRoutine: true, answer: () => Effect.sync(() => status("ok")) }],
    ["/ready", {
      method: "GET",
      isRoutine: true,
      answer: () => Effect.sync(() => isReady() ? status("ready") : status("draining", 503))
    }],
    ...metrics === undefined ? [] : [
      ["/metrics", {
        ...telling(
          house,
          Effect.map(metrics, (text) =>
            HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" }))
        ),
        isRoutine: true
      }] satisfies [string, Route]
    ]
  ])

const unknownPath = Refusals.invalid(404, "unknown_url", "There is nothing here. The API begins at /v1.")

const pathOf = (url: string): string => url.replace(/[?#].*$/s, "")

/** Where it broke, without what it was about. */
const placeOf = (defect: unknown): string =>
  defect instanceof Error ? (defect.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line)).join("\n") : ""

const internalError: Refusal = {
  status: 500,
  message: "The gateway has failed at this request. Its log says where.",
  type: "server_error",
  code: "internal_error"
}

const routed = (
  route: Route | undefined,
  request: HttpServerRequest.HttpServerRequest,
  account: Account
): Answer => {
  const isOfRoute = request.method === route?.method || request.method === "HEAD" && route?.method === "GET"
  const answer: Answer<Refusal> = route === undefined
    ? Effect.fail(unknownPath)
    : isOfRoute
    ? route.answer(request, account)
    : Effect.fail(Refusals.invalid(405, "method_not_allowed", `Use ${route.method} here.`))
  const refuse = (refusal: Refusal) => {
    account.error = refusal.code
    return Effect.succeed(Refusals.respond(refusal, refusal.status === 405 ? { allow: route?.method ?? "" } : {}))
  }
  return Effect.catchAllCause(answer, (cause) =>
    Either.match(Cause.failureOrCause(cause), {
      onLeft: refuse,
      onRight: (cause) =>
        Option.match(Cause.dieOption(cause), {
          onNone: () => Effect.failCause(cause),
          onSome: (defect) => Effect.zipRight(Effect.logError("a request died", placeOf(defect)), refuse(internalError))
        })
    }))
}

/**
 * Makes the gateway of a configuration, with an account of its models, circuits and budgets for as long as the scope is
 * open. The HTTP client should have no retries of its own.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Gateway, GatewayConfig } from "effect-resilience/gateway"
 *
 * const gateway = Effect.flatMap(GatewayConfig.load("gateway.yaml"), (config) => Gateway.make(config))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  config: GatewayConfig.GatewayConfig,
  options: Options = {}
): Effect.Effect<Gateway, never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function*() {
    let isReady = true
    const house = yield* Effect.all({
      config: Effect.succeed(config),
      models: Models.make(config),
      clientOf: config.auth === undefined
        ? Effect.succeed(() => Option.some(Clients.anyone))
        : Effect.map(
          Effect.forEach(config.auth.keys, (key) => Effect.map(Clients.make(key), (client) => [key, client] as const)),
          Guard.makeKeyring
        )
    })
    const routes = routesOf(house, options, () => isReady)
    const app: Answer = Effect.gen(function*() {
      const context = yield* Effect.context<HttpServerRequest.HttpServerRequest | Scope.Scope>()
      const request = Context.get(context, HttpServerRequest.HttpServerRequest)
      const path = pathOf(request.url)
      const route = routes.get(path)
      const id = yield* Context.get(context, IdempotencyKey.Generator)
      const account = new Account(`req_${id}`, traceOf(context, request.headers))
      yield* account.closeWith(
        Context.get(context, Scope.Scope),
        { method: request.method, path },
        route?.isRoutine === true
      )
      const response = yield* routed(route, request, account)
      account.status = response.status
      return HttpServerResponse.setHeaders(response, account.headers)
    })
    return { app: Effect.interruptible(app), drain: Effect.sync(() => isReady = false) }
  })
