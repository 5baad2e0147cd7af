/**
 * From a request to what happens to it.
 *
 * Every route ends in a `Behaviour`, the ordinary refusals (404, 400) and the control endpoint's answers too, so that one
 * interpreter writes all responses and nothing here touches a socket. Every wire format is a route; the others are the
 * list of models and the control endpoint.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Fault from "../Fault.js"
import { formatOf, formats } from "./formats.js"
import * as ModelNames from "./modelNames.js"
import * as OpenAi from "./openAiCommon.js"
import type { Scripts } from "./scripts.js"
import type { Refusal, StreamWire, Wire } from "./wire.js"

export interface Request {
  /** Its place among the requests of this server, from 1. */
  readonly number: number
  readonly method: string
  /** The path, without the query. */
  readonly path: string
  /** Undefined when it was over the limit. */
  readonly body: string | undefined
  /** Wall time in milliseconds. */
  readonly time: number
}

export interface Reply {
  readonly behaviour: Fault.Behaviour
  readonly wire: Wire
  /** The model that was asked; undefined when the request did not get that far. */
  readonly model?: string
  /** How to stream; undefined when no stream was asked for. */
  readonly stream: StreamWire | undefined
}

/** What the routes read and change. */
export interface State {
  readonly scripts: Scripts
  /** The log as JSON. */
  readonly attempts: () => unknown
  readonly reset: () => void
}

const controlPrefix = "/__"

/** Control requests are about the server: they meet no fault and are not in the log. */
export const isControl = (path: string): boolean => path.startsWith(controlPrefix)

const respond = (status: number, body: unknown): Fault.Behaviour => Fault.status(status, { body })

/** In the words of the format that the path belongs to. */
const refuse = (request: Request, refusal: Refusal): Fault.Behaviour =>
  respond(refusal.status, formatOf(request.path).refusal(request.number, refusal))

const parseJson = Schema.decodeUnknownEither(Schema.parseJson())

const decodeFaults = Schema.decodeUnknownEither(Schema.parseJson(Schema.Array(Fault.Fault)), {
  errors: "all",
  onExcessProperty: "error"
})

const reasons = (error: ParseResult.ParseError): string =>
  ParseResult.ArrayFormatter.formatErrorSync(error)
    .map((issue) => `${issue.path.length === 0 ? "body" : issue.path.join(".")}: ${issue.message}`)
    .join("; ")

const decodeModel = (encoded: string): string | undefined => {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return undefined
  }
}

interface Route {
  readonly method: string
  readonly path: RegExp
  readonly handle: (request: Request & { readonly body: string }, ...groups: Array<string>) => Fault.Behaviour | Reply
}

export const make = (state: State): (request: Request) => Reply => {
  const askModel: Route["handle"] = (request) => {
    const format = formatOf(request.path)
    const json = parseJson(request.body)
    if (Either.isLeft(json) || !Predicate.isRecord(json.right)) {
      return refuse(request, { status: 400, message: "The body of the request is not a JSON object." })
    }
    const fields = json.right
    const { model } = fields
    const wrong = Object.keys(format.fields).find((name) => format.fields[name]?.(fields[name]) !== true)
    if (wrong !== undefined || !Predicate.isString(model)) {
      const param = wrong ?? "model"
      return refuse(request, {
        status: 400,
        param,
        ...(fields[param] === undefined
          ? { message: format.missing(param), code: "missing_required_parameter" }
          : { message: format.invalid(param), code: "invalid_value" })
      })
    }
    const behaviour = state.scripts.next(model) ?? refuse(request, {
      status: 404,
      message: `No fault is called '${model}'. The names are: ${ModelNames.names.join(", ")}.`,
      code: "model_not_found",
      param: "model"
    })
    const wire = format.wire({ ...request, model, fields })
    return { behaviour, wire, model, stream: fields.stream === true ? wire.stream : undefined }
  }

  const listModels: Route["handle"] = () =>
    respond(200, OpenAi.models(new Set(["gpt-4o", ...state.scripts.models(), ...ModelNames.examples])))

  const setFaults: Route["handle"] = (request, encoded) => {
    const model = decodeModel(encoded)
    if (model === undefined) {
      return refuse(request, { status: 400, message: "The model in the path is not URI-encoded." })
    }
    const faults = decodeFaults(request.body)
    if (Either.isLeft(faults)) {
      return refuse(request, { status: 400, message: reasons(faults.left) })
    }
    state.scripts.set(model, faults.right)
    return respond(200, { model, faults: faults.right.length })
  }

  const reset: Route["handle"] = () => {
    state.reset()
    return Fault.status(204)
  }

  const routes: ReadonlyArray<Route> = [
    ...formats.map(({ path }): Route => ({ method: "POST", path, handle: askModel })),
    { method: "GET", path: /^\/v1\/models$/, handle: listModels },
    { method: "PUT", path: /^\/__faults\/(.+)$/, handle: setFaults },
    { method: "DELETE", path: /^\/__faults$/, handle: reset },
    { method: "GET", path: /^\/__attempts$/, handle: () => respond(200, state.attempts()) }
  ]

  const dispatch = (request: Request): Fault.Behaviour | Reply => {
    const { body, method, path } = request
    if (body === undefined) {
      return refuse(request, {
        status: 413,
        message: "The body of the request is too large.",
        code: "request_too_large"
      })
    }
    const known = routes.flatMap((route) => {
      const match = route.path.exec(path)
      return match === null ? [] : [{ route, groups: match.slice(1) }]
    })
    const found = known.find(({ route }) => route.method === method)
    if (found !== undefined) {
      return found.route.handle({ ...request, body }, ...found.groups)
    }
    return known.length === 0
      ? refuse(request, { status: 404, message: `Unknown path: ${path}`, code: "unknown_url" })
      : refuse(request, { status: 405, message: `Not allowed here: ${method}`, code: "method_not_allowed" })
  }

  return (request) => {
    const outcome = dispatch(request)
    // Where no model was asked, the behaviour brings its own body.
    return "_tag" in outcome
      ? {
        behaviour: outcome,
        wire: formatOf(request.path).wire({ ...request, model: "", fields: {} }),
        stream: undefined
      }
      : outcome
  }
}
