/**
 * `ask`, which is `npm start` in the repository: which calls are made, and which ends of theirs are good ones.
 *
 * Without a key a local server that fails on purpose stands in for the services, so that a newcomer sees the library at
 * work before signing up for anything. A scene always plays there: it promises what will happen, which a real service
 * cannot. With the key of one service, the chain is what that service has of it. An exit code of 0 says that every call
 * ended as it was meant to: with an answer, or for a scene about a failure with that error.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import type { AnsiDoc } from "@effect/printer-ansi/AnsiDoc"
import * as Doc from "@effect/printer/Doc"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as FaultServer from "../../testing/FaultServer.js"
import { CallFailed, UsageError } from "../errors.js"
import * as Npm from "../npm.js"
import * as Screen from "../screen.js"
import { dim, title } from "../text.js"
import * as Call from "./call.js"
import * as Scenes from "./scenes.js"
import * as Service from "./service.js"
import type * as Settings from "./settings.js"

const prompt = Args.text({ name: "prompt" }).pipe(
  Args.withDescription("What to ask; a greeting if left out. It is sent, and never shown."),
  Args.repeated,
  Args.mapEffect((words) => {
    const option = words.find((word) => /^--?[a-z][a-z-]*(=.*)?$/i.test(word))
    return option === undefined
      ? Effect.succeed(words.length === 0 ? "Say hello in one short sentence." : words.join(" "))
      : Effect.flatMap(
        Npm.typed("ask"),
        (typed) => Effect.fail(HelpDoc.p(`There is no option ${option.replace(/=.*/, "")}. See: ${typed} --help`))
      )
  })
)

const scene = Options.text("scene").pipe(
  Options.withPseudoName("NAME"),
  Options.withDescription("Play one of the scenes above."),
  Options.filterMap(
    (name) => Arr.findFirst(Scenes.scenes, (scene) => scene.name === name),
    ["There is no scene of that name. There are:", "", ...Scenes.list].join("\n")
  ),
  Options.optional
)

const models = Options.text("model").pipe(
  Options.withPseudoName("NAME"),
  Options.withDescription(
    `A model of the chain; repeat it for the next ones. Default: ${Scenes.models.join(", ")}.`
  ),
  Options.repeated
)

const stream = Options.boolean("stream").pipe(
  Options.withDescription("Show the answer as it comes. The scenes about streams do so in any case.")
)

const onCut = Options.choice("on-cut", Scenes.onCuts).pipe(
  Options.withDescription(
    "What becomes of a stream that breaks after its first words: it fails (the default), the rest is asked for, it is " +
      "held back until it is whole, or it is taken back and begins anew. Implies --stream."
  ),
  Options.optional
)

const description = HelpDoc.blocks([
  HelpDoc.p("Sends a prompt through a chain of models and shows every attempt, wait and fallback as it happens."),
  HelpDoc.p([
    "With OPENAI_API_KEY set it calls OpenAI, or the server of OPENAI_BASE_URL. With ANTHROPIC_API_KEY set",
    "it calls Anthropic, or the server of ANTHROPIC_BASE_URL, for models whose name begins with claude.",
    "With one of the two, the chain is the models of that service."
  ].join("\n")),
  HelpDoc.p([
    "Without a key, and for every scene, a local server that fails on purpose answers over real HTTP;",
    "there, models of names such as fault-503 and fault-slow-2s fail by their name."
  ].join("\n")),
  HelpDoc.p([
    "The exit code is 0 when every call ended as it was meant to: with an answer, or for a scene about a",
    "failure with that error. Otherwise it is 1."
  ].join("\n")),
  HelpDoc.h1("SCENES"),
  HelpDoc.p(Scenes.list.join("\n"))
])

const watch = (chain: Settings.Chain, calls: Settings.Calls, prompt: string, introduction: ReadonlyArray<AnsiDoc>) =>
  Screen.print(...introduction).pipe(
    Effect.zipRight(Call.watch(prompt, chain, calls)),
    Effect.provide(Call.layer(chain))
  )

/** How the answers are asked for, where the command line says so. */
interface Manner {
  readonly stream: boolean
  readonly onCut: Option.Option<Scenes.OnCut>
}

const policiesOf = (policies: Scenes.Policies, { onCut }: Manner): Scenes.Policies =>
  Option.match(onCut, { onNone: () => policies, onSome: (onCut) => ({ ...policies, onCut }) })

const mustEndWith =
  (meant: ReadonlyArray<Scenes.Scene["ends"]>) => (outcomes: ReadonlyArray<Either.Either<unknown, unknown>>) =>
    outcomes.every((outcome, index) => Either.isRight(outcome) === (meant[index] === "answer"))
      ? Effect.void
      : Effect.fail(new CallFailed())

type Models = Arr.NonEmptyReadonlyArray<string>

/** Has the models of a local server do what the scene says, and watches the calls to them. */
const play = (scene: Scenes.Scene, manner: Manner, prompt: string, models: Models, introduction: string) =>
  Effect.gen(function*() {
    const server = yield* FaultServer.make().pipe(
      Effect.mapError(({ message }) => new UsageError({ message: `The local server could not start: ${message}` }))
    )
    const { calls = [{}] as const, overlapping = false, stream = manner.stream } = scene
    yield* Effect.forEach(models, (model, index) => {
      const faults = Scenes.faultsOf(scene, model, index)
      // Answers that come at the same time would be read word by word in turns.
      return server.script(model, ...stream && !overlapping ? Scenes.paced(faults) : faults)
    })
    const service = { provider: "demo", baseUrl: `${server.url}/v1` }
    const chain = {
      links: Arr.map(models, (model) => ({ service, model })),
      policies: policiesOf({ ...Scenes.policies, ...scene.policies }, manner)
    }
    yield* watch(chain, { calls, overlapping, stream }, prompt, [
      title(introduction),
      Doc.text(`Shows     ${scene.shows}`),
      Doc.text(`Look for  ${scene.lookFor}`)
    ]).pipe(Effect.flatMap(mustEndWith(calls.map(({ ends }) => ends ?? scene.ends))))
    if (scene.ends === "error") {
      yield* Screen.print(Doc.empty, dim("This is how the scene is meant to end, so the exit code is 0."))
    }
  }).pipe(Effect.scoped)

/** Asks the real services, with waits as long as a program would have them. */
const callServices = (
  links: Settings.Chain["links"],
  missing: ReadonlyArray<string>,
  manner: Manner,
  prompt: string
) => {
  const policies = policiesOf({
    deadline: "60 seconds",
    patience: "5 seconds",
    backoff: { base: "1 second", cap: "60 seconds" }
  }, manner)
  const services = Arr.dedupe(links.map(({ model, service: { apiKey, baseUrl } }) => {
    const key = apiKey === undefined
      ? "without a key, as it is on this machine"
      : `with ${Service.settings[Service.apiOf(model)].key}`
    return `${baseUrl} ${key}`
  }))
  return watch({ links, policies }, { calls: [{}], overlapping: false, stream: manner.stream }, prompt, [
    ...services.map((service) => title(`Live: calling ${service}.`)),
    ...missing.map((model) => Doc.text(`Not asked: ${needs(model)}`))
  ]).pipe(Effect.flatMap(mustEndWith(["answer"])))
}

/** What stands between a model and being asked. */
const needs = (model: string): string => `${model}, as ${Service.settings[Service.apiOf(model)].key} is not set.`

const where = "a local server that fails on purpose, over real HTTP"

/** The command. */
export const command = Command.make(
  "ask",
  { scene, models, stream, onCut, prompt },
  ({ models: named, onCut, prompt, scene, stream }) =>
    Effect.gen(function*() {
      yield* Npm.refuseKept("ask", ["scene", "model", "stream", "on-cut"], "--scene NAME")
      const manner = { stream: stream || Option.isSome(onCut), onCut }
      const own = Option.liftPredicate(named, Arr.isNonEmptyArray)
      if (Option.isSome(scene)) {
        const { models = Scenes.models, name } = scene.value
        return Option.isSome(own)
          ? yield* new UsageError({ message: "A scene has models of its own: use --scene or --model, not both." })
          : yield* play(scene.value, manner, prompt, models, `Scene ${name}: calling ${where}.`)
      }
      const models: Models = Option.getOrElse(own, () => Scenes.models)
      const services = yield* Service.fromEnvironment
      const [missing, links] = Arr.partitionMap(models, (model) => {
        const service = services[Service.apiOf(model)]
        return service === undefined ? Either.left(model) : Either.right({ model, service })
      })
      const isLive = services.OpenAI !== undefined || services.Anthropic !== undefined
      if (isLive && Option.isSome(own) && Arr.isNonEmptyArray(missing)) {
        return yield* new UsageError({ message: `Cannot ask ${needs(missing[0])}` })
      }
      if (Arr.isNonEmptyArray(links)) {
        return yield* callServices(links, missing, manner, prompt)
      }
      yield* play(
        Option.isSome(own) ? Scenes.named : Scenes.tour,
        manner,
        prompt,
        models,
        `Demo: no API key is set, calling ${where}.`
      )
      const typed = yield* Npm.typed("ask")
      yield* Screen.print(
        Doc.empty,
        dim(`More: ${typed} --scene breaker, and --help for all the scenes and the keys.`)
      )
    }).pipe(Effect.onInterrupt(() => Screen.print(Doc.text("Interrupted."))))
).pipe(Command.withDescription(description))
