// OpenTelemetry's SDK for browsers, bundled for a page: makes the trace, sends it, and says its id.
import { OTLPTraceExporter as AsJson } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as AsProtobuf } from "@opentelemetry/exporter-trace-otlp-proto";
import { ZipkinExporter as AsZipkin } from "@opentelemetry/exporter-zipkin";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, WebTracerProvider } from "@opentelemetry/sdk-trace-web";
import { order } from "../node/order.js";

const exporters = { AsJson, AsProtobuf, AsZipkin };

// Zipkin's exporter sends a beacon and does not wait; the test's browser, which ends with the page, must.
const answered = (url) =>
  new Promise((done) => {
    const seen = (entries) => entries.getEntriesByName(url).length && done();
    new PerformanceObserver(seen).observe({ type: "resource", buffered: true });
  });

globalThis.send = async ([exporter, url, serviceName]) => {
  const provider = new WebTracerProvider({
    resource: resourceFromAttributes({ "service.name": serviceName }),
    spanProcessors: [new BatchSpanProcessor(new exporters[exporter]({ url }))],
  });
  const traceId = order(provider.getTracer("shop", "1.2.3"));
  await provider.shutdown();
  if (exporter === "AsZipkin") await answered(url);
  return traceId;
};
