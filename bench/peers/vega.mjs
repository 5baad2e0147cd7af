import { parse, resetSVGDefIds, View } from "vega"
import { compile } from "vega-lite"

/** Draws a Vega-Lite specification, without a browser; the same specification gives the same bytes. */
export const svgOf = (spec) => {
  // Clips and gradients are numbered through the process, not the picture.
  resetSVGDefIds()
  return new View(parse(compile(spec).spec), { renderer: "none" }).toSVG()
}
