/**
 * The program's metrics in Prometheus' text format.
 *
 * OpenTelemetry's serializer writes the format, under the names that its exporters give the same metrics elsewhere but
 * for one difference: it leaves out the unit. So the unit goes into the name here, where alert rules expect it, and out of
 * the labels, where Effect keeps it.
 */
import * as Metrics from "@effect/opentelemetry/Metrics"
import * as Resource from "@effect/opentelemetry/Resource"
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus"
import type { MetricData } from "@opentelemetry/sdk-metrics"
import * as Effect from "effect/Effect"

/** As Prometheus writes units. Others, such as `{state}`, are remarks. */
const units: Readonly<Record<string, string>> = {
  s: "seconds",
  seconds: "seconds",
  ms: "milliseconds",
  milliseconds: "milliseconds",
  By: "bytes"
}

const withUnitInName = (metric: MetricData): MetricData => {
  const { name, unit } = metric.descriptor
  const word = units[unit] ?? ""
  for (const { attributes } of metric.dataPoints) {
    delete attributes["unit"]
    delete attributes["time_unit"]
  }
  return {
    ...metric,
    descriptor: {
      ...metric.descriptor,
      unit: word,
      name: word === "" || name.endsWith(word) ? name : `${name}_${word}`
    }
  }
}

/** Reads all metrics of the process, as text. */
export const make = (
  service: { readonly name: string; readonly version: string }
): Effect.Effect<Effect.Effect<string>> =>
  Metrics.makeProducer.pipe(
    Effect.map((producer) => {
      const serializer = new PrometheusSerializer(undefined, false, undefined, false, true)
      return Effect.promise(() => producer.collect()).pipe(
        Effect.map(({ resourceMetrics: { resource, scopeMetrics } }) =>
          serializer.serialize({
            resource,
            scopeMetrics: scopeMetrics.map(({ metrics, scope }) => ({ scope, metrics: metrics.map(withUnitInName) }))
          })
        )
      )
    }),
    Effect.provide(Resource.layer({ serviceName: service.name, serviceVersion: service.version }))
  )
