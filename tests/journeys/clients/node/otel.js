// The trace, made with OpenTelemetry's SDK; prints its id.
//
//   node otel.js PACKAGE CLASS                                                  with this exporter, set up by the usual variables
//   node --require @opentelemetry/auto-instrumentations-node/register otel.js   with whatever the variables choose
const { trace } = require("@opentelemetry/api");
const { order } = require("./order.js");

function exportWith(packageName, className) {
  const { NodeTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-node");
  const { resourceFromAttributes } = require("@opentelemetry/resources");
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ "service.name": process.env.OTEL_SERVICE_NAME }),
    spanProcessors: [new BatchSpanProcessor(new (require(packageName)[className])())],
  });
  provider.register();
  return provider;
}

async function main() {
  const [packageName, className] = process.argv.slice(2);
  const provider = packageName ? exportWith(packageName, className) : undefined;
  console.log(order(trace.getTracer("shop", "1.2.3")));
  if (provider) await provider.shutdown();
  else process.kill(process.pid, "SIGTERM"); // what has set up the SDK shuts it down then
}

main();
