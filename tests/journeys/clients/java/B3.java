import brave.Span;
import brave.Tracer;
import brave.Tracing;
import brave.propagation.B3Propagation;
import brave.propagation.Propagation;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import zipkin2.reporter.brave.AsyncZipkinSpanHandler;
import zipkin2.reporter.urlconnection.URLConnectionSender;

/**
 * The trace, made with Brave in two services, between which go B3 headers; prints its id.
 *
 * <pre>java B3 ADDRESS</pre>
 */
class B3 {
  private final Tracing shop;
  private final Tracing bank;

  private B3(AsyncZipkinSpanHandler reported) {
    shop = service("shop", reported);
    bank = service("bank", reported);
  }

  public static void main(String[] arguments) {
    URLConnectionSender sender = URLConnectionSender.create(arguments[0]);
    try (AsyncZipkinSpanHandler reported =
        AsyncZipkinSpanHandler.newBuilder(sender).closeTimeout(10, TimeUnit.SECONDS).build()) {
      System.out.println(new B3(reported).order());
      reported.flush(); // what has not begun to be sent when it is closed is dropped
    }
  }

  private static Tracing service(String name, AsyncZipkinSpanHandler reported) {
    return Tracing.newBuilder()
        .localServiceName(name)
        .propagationFactory(B3Propagation.FACTORY)
        .addSpanHandler(reported)
        .build();
  }

  private String order() {
    Span checkout = shop.tracer().newTrace().name("checkout").kind(Span.Kind.SERVER).start();
    Span charge = shop.tracer().newChild(checkout.context()).name("charge").kind(Span.Kind.CLIENT).start();
    charge.tag("retries", "3").tag("ratio", "0.25").tag("vip", "true").tag("items", "book,pen");
    Map<String, String> headers = new HashMap<>();
    shop.propagation().injector((Propagation.Setter<Map<String, String>, String>) Map::put).inject(charge.context(), headers);
    authorize(headers);
    charge.finish();
    checkout.finish();
    return "%32s".formatted(checkout.context().traceIdString()).replace(' ', '0');
  }

  private void authorize(Map<String, String> headers) {
    Tracer tracer = bank.tracer();
    Propagation.Getter<Map<String, String>, String> getter = Map::get;
    Span authorize = tracer.nextSpan(bank.propagation().extractor(getter).extract(headers));
    authorize.name("authorize").kind(Span.Kind.SERVER).start();
    authorize.annotate("declined").tag("error", "card expired");
    authorize.finish();
  }
}
