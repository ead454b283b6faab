"""Who takes part in the shop: its services, and what they are written in.

Names follow OpenTelemetry's semantic conventions as of `SCHEMA_URL`. The scopes are those of the
instrumentations that people load for each language, so that scope names look as they do at home.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from functools import cached_property
from urllib.parse import unquote

from minitrace.model import Attributes, LogRecord, Resource, Scope, Severity

SCHEMA_URL = "https://opentelemetry.io/schemas/1.40.0"
NAMESPACE = "demo-shop"


@dataclass(frozen=True)
class Language:
    """What a service is written in: its SDK, its runtime, and who instruments what.

    `scopes` has a scope's name and version for each role that a service of this language plays.
    """

    name: str
    sdk_version: str
    runtime: tuple[str, str]
    scopes: dict[str, tuple[str, str]]
    distro: tuple[str, str] | None = None


NODE = Language(
    "nodejs",
    "2.2.0",
    ("nodejs", "22.21.1"),
    {
        "server": ("@opentelemetry/instrumentation-http", "0.208.0"),
        "client": ("@opentelemetry/instrumentation-http", "0.208.0"),
        "log": ("@opentelemetry/instrumentation-pino", "0.55.0"),
        "grpc": ("@opentelemetry/instrumentation-grpc", "0.208.0"),
        "redis": ("@opentelemetry/instrumentation-ioredis", "0.56.0"),
        "sql": ("@opentelemetry/instrumentation-pg", "0.61.0"),
    },
)
PYTHON = Language(
    "python",
    "1.39.0",
    ("cpython", "3.13.9"),
    {
        "server": ("opentelemetry.instrumentation.fastapi", "0.60b0"),
        "client": ("opentelemetry.instrumentation.httpx", "0.60b0"),
        "grpc": ("opentelemetry.instrumentation.grpc", "0.60b0"),
        "redis": ("opentelemetry.instrumentation.redis", "0.60b0"),
        "sql": ("opentelemetry.instrumentation.psycopg", "0.60b0"),
        "llm": ("opentelemetry.instrumentation.openai_v2", "2.2b0"),
    },
)
GO = Language(
    "go",
    "1.38.0",
    ("go", "go1.25.4"),
    {
        "server": ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0.63.0"),
        "client": ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0.63.0"),
        "grpc": ("go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc", "0.63.0"),
        "sql": ("github.com/XSAM/otelsql", "0.40.0"),
        "log": ("go.opentelemetry.io/contrib/bridges/otelslog", "0.13.0"),
        "kafka": ("github.com/twmb/franz-go/plugin/kotel", "1.6.0"),
    },
)
JAVA = Language(
    "java",
    "1.56.0",
    ("OpenJDK Runtime Environment", "21.0.9+10-LTS"),
    {
        "server": ("io.opentelemetry.tomcat-10.0", "2.22.0-alpha"),
        "grpc": ("io.opentelemetry.grpc-1.6", "2.22.0-alpha"),
        "sql": ("io.opentelemetry.jdbc", "2.22.0-alpha"),
        "kafka": ("io.opentelemetry.kafka-clients-0.11", "2.22.0-alpha"),
    },
    distro=("opentelemetry-java-instrumentation", "2.22.0"),
)
DOTNET = Language(
    "dotnet",
    "1.14.0",
    (".NET", "9.0.11"),
    {
        "grpc": ("Microsoft.AspNetCore", "9.0.11"),
        "redis": ("OpenTelemetry.Instrumentation.StackExchangeRedis", "1.14.0-beta.1"),
    },
)
RUST = Language(
    "rust",
    "0.31.0",
    ("rustc", "1.91.1"),
    {
        "server": ("axum-tracing-opentelemetry", "0.32.1"),
        "client": ("reqwest-tracing", "0.5.8"),
        "log": ("opentelemetry-appender-tracing", "0.31.1"),
    },
)
RUBY = Language(
    "ruby",
    "1.10.0",
    ("ruby", "3.4.7"),
    {
        "kafka": ("OpenTelemetry::Instrumentation::Rdkafka", "0.9.0"),
        "smtp": ("OpenTelemetry::Instrumentation::Net::SMTP", "0.1.0"),
    },
)


@dataclass(frozen=True)
class Service:
    """One service of the shop, running as one process."""

    name: str
    language: Language
    version: str
    port: int = 8080
    database: str = "postgresql"

    @cached_property
    def resource(self) -> Resource:
        """What its SDK says about it; always the same."""
        instance = uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{NAMESPACE}")
        attributes: Attributes = {
            "service.name": self.name,
            "service.namespace": NAMESPACE,
            "service.version": self.version,
            "service.instance.id": str(instance),
            "deployment.environment.name": "development",
            "host.name": f"{self.name}-{instance.hex[:10]}-{instance.hex[-5:]}",
            "host.arch": "amd64",
            "os.type": "linux",
            "process.pid": 1 + instance.int % 40,
            "process.runtime.name": self.language.runtime[0],
            "process.runtime.version": self.language.runtime[1],
            "telemetry.sdk.language": self.language.name,
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.version": self.language.sdk_version,
        }
        if self.language.distro:
            name, version = self.language.distro
            attributes |= {"telemetry.distro.name": name, "telemetry.distro.version": version}
        return Resource(attributes, schema_url=SCHEMA_URL)

    @cached_property
    def scopes(self) -> dict[str, Scope]:
        """The scope for each role; ``app`` is the service's own code, ``log`` what logs."""
        libraries = {role: Scope(*library) for role, library in self.language.scopes.items()}
        return {"app": Scope(f"{NAMESPACE}/{self.name}", self.version), "log": Scope(self.name), **libraries}


FRONTEND = Service("frontend", NODE, "4.12.0", port=3000)
CATALOG = Service("catalog", PYTHON, "2.31.1", port=8000)
RECOMMENDATION = Service("recommendation", PYTHON, "0.9.4", port=8000)
CART = Service("cart", DOTNET, "3.4.0", port=7070)
CHECKOUT = Service("checkout", GO, "1.18.2", port=5050)
PAYMENT = Service("payment", NODE, "5.0.3", port=8443)
INVENTORY = Service("inventory", JAVA, "2.7.0", port=9090, database="mysql")
SHIPPING = Service("shipping", RUST, "1.3.0")
EMAIL = Service("email", RUBY, "1.1.6")
FULFILMENT = Service("fulfilment-worker", GO, "1.18.2")

REGRESSED = {"inventory": "2.8.0", "payment": "5.1.0"}  # the versions that are worse, by service


@dataclass
class Release:
    """What is deployed: `is_regressed` is the shop after a bad release; `extra` is said of every service."""

    is_regressed: bool = False
    extra: Attributes = field(default_factory=dict)
    _resources: dict[str, Resource] = field(default_factory=dict, init=False)

    def resource(self, service: Service) -> Resource:
        """What a service says about itself; always the same."""
        if service.name not in self._resources:
            version = REGRESSED.get(service.name, service.version) if self.is_regressed else service.version
            described = replace(service, version=version).resource
            described.attributes = {**self.extra, **described.attributes}
            self._resources[service.name] = described
        return self._resources[service.name]

    def record(
        self, service: Service, time_ns: int, severity: Severity, body: str, attributes: Attributes | None = None
    ) -> LogRecord:
        """What a service says at a time, in no trace."""
        return LogRecord(
            time_ns,
            time_ns,
            severity,
            severity.name,
            body,
            dict(attributes or {}),
            resource=self.resource(service),
            scope=service.scopes["log"],
        )


def read_attributes(text: str) -> Attributes:
    """The value of OTEL_RESOURCE_ATTRIBUTES: ``team=shop,minitrace.run.id=1f``, percent-encoded.

    See https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
    """
    pairs = (pair.partition("=") for pair in text.split(","))
    return {unquote(key.strip()): unquote(value.strip()) for key, equals, value in pairs if equals and key.strip()}
