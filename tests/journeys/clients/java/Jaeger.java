import io.jaegertracing.Configuration;
import io.jaegertracing.internal.JaegerTracer;
import io.opentracing.Span;
import io.opentracing.tag.Tags;
import java.util.Map;

/** The trace, made with Jaeger's own client, which sends to JAEGER_ENDPOINT; prints its id. */
class Jaeger {
  public static void main(String[] arguments) {
    try (JaegerTracer tracer = Configuration.fromEnv().getTracer()) {
      Span checkout = tracer.buildSpan("checkout").withTag(Tags.SPAN_KIND, Tags.SPAN_KIND_SERVER).start();
      Span charge = tracer.buildSpan("charge").asChildOf(checkout).withTag(Tags.SPAN_KIND, Tags.SPAN_KIND_CLIENT).start();
      charge.setTag("retries", 3).setTag("ratio", 0.25).setTag("vip", true).setTag("items", "book,pen");
      Span authorize = tracer.buildSpan("authorize").asChildOf(charge).start();
      authorize.log(Map.of("event", "declined", "attempt", 2));
      authorize.setTag(Tags.ERROR, true);
      authorize.finish();
      charge.finish();
      checkout.finish();
      System.out.println("%32s".formatted(checkout.context().toTraceId()).replace(' ', '0'));
    }
  }
}
