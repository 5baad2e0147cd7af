/** The README's code is the examples' code, which the type checker and the tests have seen. */
import { it } from "@effect/vitest"
import { assertTrue, deepStrictEqual } from "@effect/vitest/utils"
import { readdirSync, readFileSync } from "node:fs"

const root = new URL("../", import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), "utf8")

it("every piece of code in the README stands in an example", () => {
  const examples = readdirSync(new URL("examples/", root)).map((name) => read(`examples/${name}`))
  const blocks = [...read("README.md").matchAll(/```(?:ts|yaml)\n([\s\S]*?)```/g)].map((match) => match[1] ?? "")
  assertTrue(blocks.length > 0)
  deepStrictEqual(blocks.filter((block) => !examples.some((example) => example.includes(block))), [])
})

it("every file the README links to is there", () => {
  const links = [...read("README.md").matchAll(/\]\((?!https?:|#)([^)]+)\)/g)].map((match) => match[1] ?? "")
  deepStrictEqual(links.filter((link) => read(link) === ""), [])
})
