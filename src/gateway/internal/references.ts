/**
 * What two parts of a configuration have to agree on.
 *
 * It is looked for in the file as it was written and not in what was decoded, so that a chain without its provider and
 * a misspelt duration elsewhere are reported together. What has the wrong shape is passed over here: that is for the
 * schema to say.
 */
import * as Predicate from "effect/Predicate"
import { splitTarget } from "./file.js"
import { isLoopback } from "./loopback.js"
import type { Path, Problem } from "./problems.js"
import { problem } from "./problems.js"

const own = (value: unknown, key: string): unknown =>
  Predicate.isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined

const entries = (value: unknown): ReadonlyArray<readonly [string, unknown]> =>
  Predicate.isRecord(value) ? Object.entries(value) : []

/** The texts of a list, each with its place. */
const texts = (value: unknown, path: Path): ReadonlyArray<readonly [string, Path]> =>
  Array.isArray(value)
    ? value.flatMap((item: unknown, index) => Predicate.isString(item) ? [[item, [...path, index]] as const] : [])
    : []

const unknown = (kind: "provider" | "policy", name: string, parts: unknown): string => {
  const names = entries(parts).map(([name]) => JSON.stringify(name))
  return `no ${kind} is named ${JSON.stringify(name)}, there ${
    names.length === 0 ? "is none" : `${names.length === 1 ? "is" : "are"} ${names.join(", ")}`
  }`
}

/** What is asked of a provider that is not there. */
const lostTargets = (file: unknown): ReadonlyArray<Problem> => {
  const providers = own(file, "providers")
  const targets = [
    ...entries(own(file, "models")).flatMap(([name, model]) => texts(own(model, "chain"), ["models", name, "chain"])),
    ...texts(own(file, "passthrough"), ["passthrough"])
  ]
  return !Predicate.isRecord(providers) ? [] : targets.flatMap(([target, path]) => {
    const split = splitTarget(target)
    return split === undefined || Object.hasOwn(providers, split.provider)
      ? []
      : [problem(path, unknown("provider", split.provider, providers))]
  })
}

const lostPolicies = (file: unknown): ReadonlyArray<Problem> => {
  const policies = own(file, "policies") ?? {}
  return !Predicate.isRecord(policies) ? [] : entries(own(file, "models")).flatMap(([name, model]) => {
    const policy = own(model, "policy")
    return !Predicate.isString(policy) || Object.hasOwn(policies, policy)
      ? []
      : [problem(["models", name, "policy"], unknown("policy", policy, policies))]
  })
}

/** A request names what it wants, and that has to be one thing. */
const ambiguous = (file: unknown): ReadonlyArray<Problem> => {
  const models = own(file, "models")
  const passthrough = texts(own(file, "passthrough"), ["passthrough"])
  return passthrough.flatMap(([target, path], index) => {
    if (Predicate.isRecord(models) && Object.hasOwn(models, target)) {
      return [problem(path, `${JSON.stringify(target)} is the name of a model already`)]
    }
    const first = passthrough.findIndex(([other]) => other === target)
    return first < index ? [problem(path, `the same as passthrough[${first}]`)] : []
  })
}

/** Whoever reaches the gateway spends the keys of its providers. */
const open = (file: unknown): ReadonlyArray<Problem> => {
  const host = own(own(file, "listen"), "host")
  return Predicate.isString(host) && !isLoopback(host) && own(file, "auth") === undefined
    ? [problem(["listen", "host"], "other machines can reach this address: auth is required")]
    : []
}

/** The problems between the parts of a file. */
export const problemsBetween = (file: unknown): ReadonlyArray<Problem> => [
  ...open(file),
  ...lostTargets(file),
  ...lostPolicies(file),
  ...ambiguous(file)
]
