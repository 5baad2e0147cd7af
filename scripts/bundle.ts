/**
 * Bundles the command line into one file, so that `npx effect-resilience` needs nothing installed.
 *
 * Whoever uses the library does not pay for an HTTP server, a command line and OpenTelemetry: they are no dependencies of
 * the package, and what the program uses of them is inside its file. The licenses of all that is in there are beside it.
 *
 * `tsx scripts/bundle.ts [FILE]`
 */
import { build } from "esbuild"
import { appendFileSync, chmodSync, existsSync, readdirSync, readFileSync } from "node:fs"

const outfile = process.argv[2] ?? "dist/bin/effect-resilience.js"

const { metafile } = await build({
  entryPoints: ["src/cli/main.ts"],
  outfile,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  // Names stay as they are, so that a stack trace can be read.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "external",
  metafile: true,
  banner: {
    // Some of what is bundled is CommonJS, and requires parts of Node.
    js: [
      "#!/usr/bin/env node",
      `import { createRequire as createRequireOfBundle } from "node:module"`,
      "const require = createRequireOfBundle(import.meta.url)"
    ].join("\n")
  }
})

/** The folders of the packages that are inside. */
const packages = new Set(
  Object.keys(metafile.inputs).flatMap((path) => {
    const [folder] = /^(.*\/)?node_modules\/(@[^/]+\/)?[^/]+/.exec(path) ?? []
    return folder === undefined ? [] : [folder]
  })
)

const licenseOf = (folder: string): string => {
  const { license, name, version }: { readonly name: string; readonly version: string; readonly license: string } = JSON
    .parse(readFileSync(`${folder}/package.json`, "utf8"))
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name))
  return `${name} ${version}: ${license}\n\n${
    file === undefined ? "" : readFileSync(`${folder}/${file}`, "utf8").trim()
  }\n`
}

const legal = `${outfile}.LEGAL.txt`
const separator = `\n${"-".repeat(80)}\n\n`
appendFileSync(legal, (existsSync(legal) ? separator : "") + [...packages].sort().map(licenseOf).join(separator))
chmodSync(outfile, 0o755)
