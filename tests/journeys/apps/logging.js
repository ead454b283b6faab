// A program that logs with OpenTelemetry's SDK, through the exporter of a package; prints the ids of its trace and span. The
// packages come with auto-instrumentations-node.
//
//   node logging.js @opentelemetry/exporter-logs-otlp-proto
const { trace } = require("@opentelemetry/api");
const { SeverityNumber } = require("@opentelemetry/api-logs");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BatchLogRecordProcessor, LoggerProvider } = require("@opentelemetry/sdk-logs");
const { NodeTracerProvider } = require("@opentelemetry/sdk-trace-node");

async function main() {
  const { OTLPLogExporter } = require(process.argv[2]);
  new NodeTracerProvider().register(); // its spans go nowhere
  const provider = new LoggerProvider({
    resource: resourceFromAttributes({ "service.name": "shop" }),
    processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() })],
  });
  const log = provider.getLogger("shop.cards", "1.2.3");
  log.emit({ severityNumber: SeverityNumber.INFO, severityText: "info", body: "open for business" });
  trace.getTracer("shop").startActiveSpan("charge", (span) => {
    log.emit({
      severityNumber: SeverityNumber.ERROR, severityText: "error", body: { message: "card declined", codes: [7, 51] },
      attributes: { order: 7, amount: 9.5, retried: false }, eventName: "card.declined",
    });
    const { traceId, spanId } = span.spanContext();
    console.log(traceId, spanId);
    span.end();
  });
  await provider.shutdown();
}

main();
