// The trace, made with OpenTelemetry's SDK; prints its id.
//
//	otel http|grpc|zipkin|jaeger    with this exporter, set up by the usual variables
//	otel auto                       with what the variables choose
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/jaeger"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/zipkin"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func exporter(ctx context.Context, name string) (sdk.SpanExporter, error) {
	switch name {
	case "http":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	case "zipkin":
		return zipkin.New("") // OTEL_EXPORTER_ZIPKIN_ENDPOINT
	case "jaeger":
		return jaeger.New(jaeger.WithCollectorEndpoint()) // OTEL_EXPORTER_JAEGER_ENDPOINT
	default:
		return autoexport.NewSpanExporter(ctx)
	}
}

func order(ctx context.Context, tracer trace.Tracer) trace.TraceID {
	ctx, checkout := tracer.Start(ctx, "checkout", trace.WithSpanKind(trace.SpanKindServer))
	defer checkout.End()
	ctx, charge := tracer.Start(ctx, "charge", trace.WithSpanKind(trace.SpanKindClient))
	defer charge.End()
	_, authorize := tracer.Start(ctx, "authorize")
	defer authorize.End()
	charge.SetAttributes(
		attribute.Int("retries", 3),
		attribute.Float64("ratio", 0.25),
		attribute.Bool("vip", true),
		attribute.StringSlice("items", []string{"book", "pen"}),
	)
	authorize.AddEvent("declined", trace.WithAttributes(attribute.Int("attempt", 2)))
	authorize.SetStatus(codes.Error, "card expired")
	return checkout.SpanContext().TraceID()
}

func main() {
	ctx := context.Background()
	exporter, err := exporter(ctx, os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter))
	fmt.Println(order(ctx, provider.Tracer("shop", trace.WithInstrumentationVersion("1.2.3"))))
	if err := provider.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
