// The trace, made with Zipkin's own library in two services, between which go B3 headers; prints its id.
//
//	b3 ADDRESS json|proto
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/propagation/b3"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
	"github.com/openzipkin/zipkin-go/reporter"
	zipkinhttp "github.com/openzipkin/zipkin-go/reporter/http"
)

func service(name string, reporter reporter.Reporter) *zipkin.Tracer {
	endpoint, err := zipkin.NewEndpoint(name, "")
	if err != nil {
		log.Fatal(err)
	}
	tracer, err := zipkin.NewTracer(reporter, zipkin.WithLocalEndpoint(endpoint), zipkin.WithSharedSpans(true))
	if err != nil {
		log.Fatal(err)
	}
	return tracer
}

func order(shop, bank *zipkin.Tracer) model.TraceID {
	checkout := shop.StartSpan("checkout", zipkin.Kind(model.Server))
	defer checkout.Finish()
	charge := shop.StartSpan("charge", zipkin.Kind(model.Client), zipkin.Parent(checkout.Context()))
	defer charge.Finish()
	for key, value := range map[string]string{"retries": "3", "ratio": "0.25", "vip": "true", "items": "book,pen"} {
		charge.Tag(key, value)
	}
	request, _ := http.NewRequest("POST", "http://bank/cards", nil)
	if err := b3.InjectHTTP(request)(charge.Context()); err != nil {
		log.Fatal(err)
	}
	authorize := bank.StartSpan("authorize", zipkin.Kind(model.Server), zipkin.Parent(bank.Extract(b3.ExtractHTTP(request))))
	defer authorize.Finish()
	zipkin.TagError.Set(authorize, "card expired")
	authorize.Annotate(time.Now(), "declined")
	return checkout.Context().TraceID
}

func main() {
	var serializer reporter.SpanSerializer = reporter.JSONSerializer{}
	if os.Args[2] == "proto" {
		serializer = zipkin_proto3.SpanSerializer{}
	}
	reporter := zipkinhttp.NewReporter(os.Args[1], zipkinhttp.Serializer(serializer))
	id := order(service("shop", reporter), service("bank", reporter))
	fmt.Printf("%016x%016x\n", id.High, id.Low)
	if err := reporter.Close(); err != nil {
		log.Fatal(err)
	}
}
