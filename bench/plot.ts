/**
 * Pictures beside the tables: a Vega-Lite specification, drawn without a browser and kept as SVG in `results/`.
 *
 * All share one look, on a white ground, so that they can be read where pages are dark. Vega guesses the width of text
 * when it has no canvas; it guesses the same everywhere, so that the same numbers give the same bytes.
 */
import { mkdir, writeFile } from "node:fs/promises"
import { svgOf } from "./peers/vega.mjs"

const look = {
  background: "white",
  padding: 12,
  config: {
    font: "sans-serif",
    view: { stroke: null },
    axis: { labelFontSize: 11, titleFontSize: 12, titleFontWeight: "normal" },
    legend: { labelFontSize: 11, labelLimit: 400, titleFontSize: 12 },
    title: { fontSize: 14 }
  }
}

/** Draws the specification into `results/<name>.svg`. */
export const writePlot = async (name: string, spec: object): Promise<void> => {
  const directory = new URL("results/", import.meta.url)
  await mkdir(directory, { recursive: true })
  await writeFile(new URL(`${name}.svg`, directory), `${await svgOf({ ...look, ...spec })}\n`)
}
