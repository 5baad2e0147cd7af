/** `check FILE`: what is wrong with a configuration, and where; or else what would run. */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Doc from "@effect/printer/Doc"
import * as Effect from "effect/Effect"
import * as GatewayConfig from "../../gateway/GatewayConfig.js"
import { NotConfigured } from "../errors.js"
import * as Screen from "../screen.js"
import * as Summary from "./summary.js"

/** A configuration, or all that is wrong with it. */
export const load = (file: string) =>
  GatewayConfig.load(file).pipe(
    Effect.mapError(({ message }) => new NotConfigured({ message: `${file} cannot be used:\n${message}` }))
  )

const file = Args.text({ name: "FILE" }).pipe(Args.withDescription("The configuration, in JSON or YAML."))

/** The command. */
export const command = Command.make("check", { file }, ({ file }) =>
  load(file).pipe(
    Effect.flatMap((config) => Screen.print(Doc.text(`${file} can be used.`), Doc.empty, ...Summary.lines(config)))
  )).pipe(
    Command.withDescription(
      "Checks the configuration of a gateway, as it would be read at its start. Environment variables it names have to " +
        "be set. The exit code is 0, or 2 if it cannot be used."
    )
  )
