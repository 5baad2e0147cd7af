/** The options of `gateway`. */
import * as Options from "@effect/cli/Options"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { AnyDuration } from "../../runtime/configValues.js"

/** Where its configuration is. */
export const config = Options.text("config").pipe(
  Options.withPseudoName("FILE"),
  Options.withDescription("The configuration, in JSON or YAML."),
  Options.optional
)

/** Does it play instead? */
export const demo = Options.boolean("demo").pipe(
  Options.withDescription("No file and no keys: the providers are a local server that fails on purpose.")
)

/** Where it listens, if not where the configuration says. */
export const port = Options.integer("port").pipe(
  Options.filterMap(
    Option.liftPredicate((port: number) => port >= 0 && port <= 65_535),
    "--port: expected a whole number from 0 to 65535."
  ),
  Options.withDescription("The port to listen on, instead of that of the configuration; 0 for any that is free."),
  Options.optional
)

/** The same, for the address. */
export const host = Options.text("host").pipe(
  Options.withDescription("The address to listen on, instead of that of the configuration."),
  Options.optional
)

/** How long what runs has to end: by default a little less than Kubernetes waits before it kills. */
export const grace = Options.text("grace").pipe(
  Options.filterMap(Schema.decodeOption(AnyDuration), `--grace: expected a duration, such as "30 seconds".`),
  Options.withPseudoName("DURATION"),
  Options.withDescription("How long requests have to end once the process is told to stop. Default: 25 seconds."),
  Options.withDefault(Duration.seconds(25))
)
