// The trace, made with Zipkin's own library in two services, between which go B3 headers; prints its id.
//
//   node b3.js ADDRESS
const { Annotation, BatchRecorder, ExplicitContext, HttpHeaders, Instrumentation, Tracer } = require("zipkin");
const { jsonEncoder, option } = require("zipkin");
const { HttpLogger } = require("zipkin-transport-http");

const logger = new HttpLogger({ endpoint: process.argv[2], jsonEncoder: jsonEncoder.JSON_V2 });
const service = (localServiceName) =>
  new Tracer({ ctxImpl: new ExplicitContext(), recorder: new BatchRecorder({ logger }), localServiceName });

const [shop, bank] = [service("shop"), service("bank")];

function pay() {
  const client = new Instrumentation.HttpClient({ tracer: shop });
  const { headers } = client.recordRequest({ headers: {} }, "http://bank/cards", "POST");
  const span = shop.id;
  shop.recordRpc("charge");
  for (const [key, value] of [["retries", 3], ["ratio", 0.25], ["vip", true], ["items", "book,pen"]])
    shop.recordBinary(key, value);
  bank.scoped(() => authorize((name) => (name in headers ? new option.Some(headers[name]) : option.None)));
  client.recordResponse(span, 200);
}

function authorize(readHeader) {
  const server = new Instrumentation.HttpServer({ tracer: bank, port: 80 });
  const span = server.recordRequest("POST", "/cards", readHeader);
  bank.recordRpc("authorize");
  bank.recordMessage("declined");
  server.recordResponse(span, 200, "card expired");
}

function checkout() {
  const server = new Instrumentation.HttpServer({ tracer: shop, port: 80 });
  const span = server.recordRequest("POST", "/checkout", () => option.None);
  shop.recordRpc("checkout");
  console.log(span.traceId.padStart(32, "0"));
  shop.scoped(pay);
  server.recordResponse(span, 200);
}

shop.scoped(checkout);
logger.processQueue(fetch); // at once: the interval that does it lets the process end before
