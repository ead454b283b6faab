// The trace, with a tracer of OpenTelemetry's.
const { trace, context, SpanKind, SpanStatusCode } = require("@opentelemetry/api");

exports.order = (tracer) => {
  const checkout = tracer.startSpan("checkout", { kind: SpanKind.SERVER });
  const inCheckout = trace.setSpan(context.active(), checkout);
  const charge = tracer.startSpan("charge", { kind: SpanKind.CLIENT }, inCheckout);
  const authorize = tracer.startSpan("authorize", {}, trace.setSpan(inCheckout, charge));
  charge.setAttributes({ retries: 3, ratio: 0.25, vip: true, items: ["book", "pen"] });
  authorize.addEvent("declined", { attempt: 2 });
  authorize.setStatus({ code: SpanStatusCode.ERROR, message: "card expired" });
  for (const span of [authorize, charge, checkout]) span.end();
  return checkout.spanContext().traceId;
};
