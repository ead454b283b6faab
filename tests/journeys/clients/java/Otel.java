import static io.opentelemetry.api.common.AttributeKey.stringArrayKey;

import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Scope;
import java.util.List;

/**
 * The trace, made with OpenTelemetry's SDK as the variables set it up; prints its id.
 *
 * <pre>
 * java -javaagent:opentelemetry-javaagent.jar Otel
 * java -Dotel.java.global-autoconfigure.enabled=true Otel
 * </pre>
 *
 * Both export what they still have when the JVM ends.
 */
class Otel {
  public static void main(String[] arguments) {
    Tracer tracer = GlobalOpenTelemetry.get().getTracer("shop", "1.2.3");
    Span checkout = tracer.spanBuilder("checkout").setSpanKind(SpanKind.SERVER).startSpan();
    try (Scope inCheckout = checkout.makeCurrent()) {
      charge(tracer);
    }
    checkout.end();
    System.out.println(checkout.getSpanContext().getTraceId());
  }

  private static void charge(Tracer tracer) {
    Span charge = tracer.spanBuilder("charge").setSpanKind(SpanKind.CLIENT).startSpan();
    charge.setAttribute("retries", 3);
    charge.setAttribute("ratio", 0.25);
    charge.setAttribute("vip", true);
    charge.setAttribute(stringArrayKey("items"), List.of("book", "pen"));
    try (Scope inCharge = charge.makeCurrent()) {
      authorize(tracer);
    }
    charge.end();
  }

  private static void authorize(Tracer tracer) {
    Span authorize = tracer.spanBuilder("authorize").startSpan();
    authorize.addEvent("declined", Attributes.of(AttributeKey.longKey("attempt"), 2L));
    authorize.setStatus(StatusCode.ERROR, "card expired");
    authorize.end();
  }
}
