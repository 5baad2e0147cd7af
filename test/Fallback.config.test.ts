import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual, throws } from "@effect/vitest/utils"
import { Duration, Either, ParseResult, Schema } from "effect"
import { Fallback, OpenAi, Resilience } from "effect-resilience"

const decode = Schema.decodeUnknownEither(Fallback.Config)

const full = { deadline: "30 seconds", patience: "2 seconds", onCut: "hold", maxRetryAfter: "1 minute" }

describe("Fallback.Config", () => {
  it("is the options, with durations as text, and the layer takes them", () => {
    const options = Either.getOrThrow(decode(full))
    deepStrictEqual(options, {
      deadline: Duration.seconds(30),
      patience: Duration.seconds(2),
      onCut: "hold",
      maxRetryAfter: Duration.minutes(1)
    })
    Fallback.layer(options, OpenAi.layer())
  })

  it("may leave everything out", () => deepStrictEqual(decode({}), Either.right({})))

  it("written back, it is the same", () => {
    const once = Either.getOrThrow(decode(full))
    deepStrictEqual(decode(Schema.encodeSync(Fallback.Config)(once)), Either.right(once))
  })

  it("no patience at all is a patience", () =>
    deepStrictEqual(decode({ patience: "0 seconds" }), Either.right({ patience: Duration.zero })))

  for (
    const [path, input] of [
      ["deadlin", { deadlin: "20 seconds" }],
      ["deadline", { deadline: "0 seconds" }],
      ["deadline", { deadline: "20s" }],
      ["deadline", { deadline: 20 }],
      ["deadline", { deadline: `${"9".repeat(400)} seconds` }],
      ["patience", { patience: "-1 seconds" }],
      ["maxRetryAfter", { maxRetryAfter: "0 seconds" }],
      ["onCut", { onCut: "resume" }]
    ] as const
  ) {
    it(`refuses ${JSON.stringify(input).slice(0, 40)}, and says where`, () =>
      strictEqual(
        Either.match(decode(input), {
          onLeft: (error) => ParseResult.ArrayFormatter.formatErrorSync(error)[0]?.path.join("."),
          onRight: () => "accepted"
        }),
        path
      ))
  }

  it("stands beside Resilience.Config in one policy: no option has the same name", () => {
    const names = [...Object.keys(Fallback.Config.fields), ...Object.keys(Resilience.Config.fields)]
    strictEqual(new Set(names).size, names.length)
  })

  it("is as strict as the options themselves", () => {
    for (
      const options of [{ deadline: "0 seconds" }, { patience: "-1 seconds" }, { maxRetryAfter: "0 seconds" }] as const
    ) {
      throws(() => Fallback.layer(options, OpenAi.layer()))
    }
  })
})
