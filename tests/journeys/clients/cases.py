"""With what people send traces, and by which protocols: each row and cell of the table in docs/clients.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.journeys.clients.toolchains import Browser, Go, Java, Node, Python, Toolchain

ENDPOINT_ONLY, PROTOBUF, JSON, GRPC = "endpoint only", "http/protobuf", "http/json", "grpc"
ZIPKIN, JAEGER = "zipkin", "jaeger.thrift"
PROTOCOLS = (ENDPOINT_ONLY, PROTOBUF, JSON, GRPC, ZIPKIN, JAEGER)

OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "{url}"}
TO_ZIPKIN = {"OTEL_EXPORTER_ZIPKIN_ENDPOINT": "{url}/api/v2/spans"}
TO_JAEGER = {"OTEL_EXPORTER_JAEGER_ENDPOINT": "{url}/api/traces?format=jaeger.thrift"}
PACKED = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}


@dataclass(frozen=True)
class Client:
    """A row: a program, and the variables for each protocol.

    ``{url}``, ``{host}`` and ``{port}`` in words and variables are the server's.
    """

    toolchain: Toolchain
    package: str  # what makes the difference, as the language's registry calls it
    words: tuple[str, ...]
    protocols: Mapping[str, Mapping[str, str]]
    note: str = ""
    is_b3: bool = False  # two services; both spans of a request between them have one id
    has_message: bool = True  # OpenTracing says that something failed, not why

    @property
    def name(self) -> str:
        """What the table calls it, in Markdown."""
        return f"`{self.package}`, {self.note}" if self.note else f"`{self.package}`"

    @property
    def cases(self) -> list[Case]:
        """One for each protocol; two, plain and compressed, where variables name one of OTLP's."""
        plain = [Case(self, protocol, env) for protocol, env in self.protocols.items()]
        named = [case for case in plain if case.protocol in (PROTOBUF, JSON, GRPC) and OTLP.items() <= case.env.items()]
        return plain + [replace(case, env={**case.env, **PACKED}) for case in named]


@dataclass(frozen=True)
class Case:
    """One run of a client's program."""

    client: Client
    protocol: str
    env: Mapping[str, str]

    def __str__(self) -> str:
        packed = "-gzip" if PACKED.items() <= self.env.items() else ""
        return f"{self.client.toolchain.language}-{self.client.package}-{self.client.note}-{self.protocol}{packed}"


def otlp(protocol: str, **more: str) -> dict[str, str]:
    """The endpoint, and the variable that chooses a protocol."""
    return {**OTLP, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, **more}


EVERY_TRACE = {"JAEGER_SAMPLER_TYPE": "const", "JAEGER_SAMPLER_PARAM": "1"}
AUTOCONFIGURED = "-Dotel.java.global-autoconfigure.enabled=true"
# That it is there, and that the JVM shares no classes then, is no complaint.
QUIET_AGENT = (
    "-Xshare:off",
    "-Dio.opentelemetry.javaagent.slf4j.simpleLogger.log.io.opentelemetry.javaagent.tooling.VersionLogger=warn",
)
# All of Java's senders lie on one class path, so each case names its own.
HTTP = "-Dio.opentelemetry.sdk.common.export.HttpSenderProvider=io.opentelemetry.exporter.sender."
OVER_GRPC = "-Dio.opentelemetry.sdk.common.export.GrpcSenderProvider=io.opentelemetry.exporter.sender."
OKHTTP = (f"{HTTP}okhttp.internal.OkHttpHttpSenderProvider", f"{OVER_GRPC}okhttp.internal.OkHttpGrpcSenderProvider")
JDK = (f"{HTTP}jdk.internal.JdkHttpSenderProvider", OKHTTP[1])
NETTY = (OKHTTP[0], f"{OVER_GRPC}grpc.managedchannel.internal.UpstreamGrpcSenderProvider")

PYTHON, PYTHON_2023, NODE, GO, JAVA = Python(), Python("requirements-2023.txt"), Node(), Go(), Java()
BROWSER = Browser(NODE)

CLIENTS = [
    Client(
        PYTHON,
        "opentelemetry-distro",
        ("opentelemetry-instrument", "otel.py"),
        {
            ENDPOINT_ONLY: OTLP,  # gRPC, as is the SDK's default
            PROTOBUF: otlp("http/protobuf"),
            JSON: {**OTLP, "OTEL_TRACES_EXPORTER": "otlp_json_http"},  # the SDK knows no protocol http/json
            GRPC: otlp("grpc"),
            ZIPKIN: {**OTLP, **TO_ZIPKIN, "OTEL_TRACES_EXPORTER": "zipkin_json"},
        },
        "opentelemetry-instrument",
    ),
    Client(
        PYTHON,
        "opentelemetry-exporter-otlp-proto-http",
        ("otel.py", "opentelemetry.exporter.otlp.proto.http.trace_exporter", "OTLPSpanExporter"),
        {PROTOBUF: OTLP},
    ),
    Client(
        PYTHON,
        "opentelemetry-exporter-otlp-json-http",
        ("otel.py", "opentelemetry.exporter.otlp.json.http.trace_exporter", "OTLPSpanExporter"),
        {JSON: OTLP},
    ),
    Client(
        PYTHON,
        "opentelemetry-exporter-otlp-proto-grpc",
        ("otel.py", "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", "OTLPSpanExporter"),
        {GRPC: OTLP},
    ),
    Client(
        PYTHON,
        "opentelemetry-exporter-zipkin-json",
        ("otel.py", "opentelemetry.exporter.zipkin.json", "ZipkinExporter"),
        {ZIPKIN: TO_ZIPKIN},
    ),
    Client(PYTHON, "py-zipkin", ("b3.py", "{host}", "{port}", "V2_JSON"), {ZIPKIN: {}}, is_b3=True),
    Client(PYTHON, "py-zipkin", ("b3.py", "{host}", "{port}", "V2_PROTO3"), {ZIPKIN: {}}, "protobuf", is_b3=True),
    Client(
        PYTHON_2023,
        "opentelemetry-exporter-jaeger-thrift",
        ("otel.py", "opentelemetry.exporter.jaeger.thrift", "JaegerExporter"),
        {JAEGER: {**TO_JAEGER, "PYTHONWARNINGS": "ignore"}},  # that it is deprecated
    ),
    Client(
        NODE,
        "@opentelemetry/auto-instrumentations-node",
        ("--require", "@opentelemetry/auto-instrumentations-node/register", "otel.js"),
        {
            ENDPOINT_ONLY: OTLP,  # http/protobuf
            PROTOBUF: otlp("http/protobuf"),
            JSON: otlp("http/json"),
            GRPC: otlp("grpc"),
            ZIPKIN: {**OTLP, **TO_ZIPKIN, "OTEL_TRACES_EXPORTER": "zipkin"},
        },
        "register",
    ),
    Client(
        NODE,
        "@opentelemetry/exporter-trace-otlp-proto",
        ("otel.js", "@opentelemetry/exporter-trace-otlp-proto", "OTLPTraceExporter"),
        {PROTOBUF: OTLP},
    ),
    Client(
        NODE,
        "@opentelemetry/exporter-trace-otlp-http",
        ("otel.js", "@opentelemetry/exporter-trace-otlp-http", "OTLPTraceExporter"),
        {JSON: OTLP},
    ),
    Client(
        NODE,
        "@opentelemetry/exporter-trace-otlp-grpc",
        ("otel.js", "@opentelemetry/exporter-trace-otlp-grpc", "OTLPTraceExporter"),
        {GRPC: OTLP},
    ),
    Client(
        NODE,
        "@opentelemetry/exporter-zipkin",
        ("otel.js", "@opentelemetry/exporter-zipkin", "ZipkinExporter"),
        {ZIPKIN: TO_ZIPKIN},
    ),
    Client(NODE, "zipkin", ("b3.js", "{url}/api/v2/spans"), {ZIPKIN: {}}, is_b3=True),
    Client(
        NODE,
        "@opentelemetry/exporter-jaeger",
        ("otel.js", "@opentelemetry/exporter-jaeger", "JaegerExporter"),
        {JAEGER: TO_JAEGER},
    ),
    Client(BROWSER, "@opentelemetry/exporter-trace-otlp-http", ("AsJson", "{url}/v1/traces"), {JSON: {}}),
    Client(BROWSER, "@opentelemetry/exporter-trace-otlp-proto", ("AsProtobuf", "{url}/v1/traces"), {PROTOBUF: {}}),
    Client(BROWSER, "@opentelemetry/exporter-zipkin", ("AsZipkin", "{url}/api/v2/spans"), {ZIPKIN: {}}),
    Client(
        GO,
        "go.opentelemetry.io/contrib/exporters/autoexport",
        ("otel", "auto"),
        {
            ENDPOINT_ONLY: OTLP,  # http/protobuf
            PROTOBUF: otlp("http/protobuf"),
            GRPC: otlp("grpc"),
        },
    ),
    Client(GO, "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp", ("otel", "http"), {PROTOBUF: OTLP}),
    Client(GO, "go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc", ("otel", "grpc"), {GRPC: OTLP}),
    Client(GO, "go.opentelemetry.io/otel/exporters/zipkin", ("otel", "zipkin"), {ZIPKIN: TO_ZIPKIN}),
    Client(GO, "github.com/openzipkin/zipkin-go", ("b3", "{url}/api/v2/spans", "json"), {ZIPKIN: {}}, is_b3=True),
    Client(
        GO,
        "github.com/openzipkin/zipkin-go",
        ("b3", "{url}/api/v2/spans", "proto"),
        {ZIPKIN: {}},
        "protobuf",
        is_b3=True,
    ),
    Client(GO, "go.opentelemetry.io/otel/exporters/jaeger", ("otel", "jaeger"), {JAEGER: TO_JAEGER}),
    Client(
        JAVA,
        "io.opentelemetry.javaagent:opentelemetry-javaagent",
        (*QUIET_AGENT, "-javaagent:{agent}/opentelemetry-javaagent.jar", "Otel"),
        {
            ENDPOINT_ONLY: OTLP,  # http/protobuf
            PROTOBUF: otlp("http/protobuf"),
            GRPC: otlp("grpc"),
            ZIPKIN: {**OTLP, **TO_ZIPKIN, "OTEL_TRACES_EXPORTER": "zipkin"},
        },
    ),
    Client(
        JAVA,
        "io.opentelemetry:opentelemetry-exporter-otlp",
        (*OKHTTP, AUTOCONFIGURED, "Otel"),
        {
            ENDPOINT_ONLY: OTLP,  # gRPC
            PROTOBUF: otlp("http/protobuf"),
            GRPC: otlp("grpc"),
            ZIPKIN: {**OTLP, **TO_ZIPKIN, "OTEL_TRACES_EXPORTER": "zipkin"},
        },
        "OkHttp",
    ),
    Client(
        JAVA,
        "io.opentelemetry:opentelemetry-exporter-sender-jdk",
        (*JDK, AUTOCONFIGURED, "Otel"),
        {PROTOBUF: otlp("http/protobuf")},
    ),
    Client(
        JAVA,
        "io.opentelemetry:opentelemetry-exporter-sender-grpc-managed-channel",
        (*NETTY, AUTOCONFIGURED, "Otel"),
        {ENDPOINT_ONLY: OTLP, GRPC: otlp("grpc")},
        "Netty",
    ),
    Client(JAVA, "io.zipkin.brave:brave", ("B3", "{url}/api/v2/spans"), {ZIPKIN: {}}, is_b3=True),
    Client(
        JAVA,
        "io.jaegertracing:jaeger-client",
        ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "Jaeger"),
        {JAEGER: {"JAEGER_ENDPOINT": "{url}/api/traces", "JAEGER_SERVICE_NAME": "shop", **EVERY_TRACE}},
        has_message=False,
    ),
]
CASES = [case for client in CLIENTS for case in client.cases]
