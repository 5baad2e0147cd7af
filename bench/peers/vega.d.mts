/** Draws a Vega-Lite specification, without a browser; the same specification gives the same bytes. */
export declare const svgOf: (spec: object) => Promise<string>
