"""What the rest of the server knows of tracing. Imports nothing of OpenTelemetry: a server that does not trace never loads it."""

from collections.abc import AsyncGenerator, Mapping
from importlib.util import find_spec
from typing import Protocol

from server.core.events import Event
from server.core.request import GenerationRequest

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"


class LoopTracer(Protocol):
    def loop(self, request: GenerationRequest, model: str, events: AsyncGenerator[tuple[int, Event]]) -> AsyncGenerator[tuple[int, Event]]:
        """The events, while a span lasts that is the parent of whatever happens between them. `model`: who answers."""
        ...


def tracing_wanted(setting: bool | None, environment: Mapping[str, str]) -> bool:
    """Whether spans are sent: as the setting says; without one, if OpenTelemetry's own variables name a receiver. Those that switch it
    off count in any case."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(map(environment.get, ENDPOINTS)) if setting is None else setting


def tracing_problem(environment: Mapping[str, str]) -> str | None:
    """Why spans cannot be sent as the variables say; None: they can."""
    if (exporter := environment.get("OTEL_TRACES_EXPORTER") or "otlp") != "otlp":
        return f"OTEL_TRACES_EXPORTER: {exporter!r} is not known here; it is otlp or none"
    if (protocol := next(filter(None, map(environment.get, PROTOCOLS)), SPOKEN)) != SPOKEN:
        return f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r} is not spoken here; set {SPOKEN}, which collectors take on port 4318"
    return None if _installed() else "it needs OpenTelemetry's SDK and exporter: pip install 'stoa[otel]'"


def _installed() -> bool:
    try:
        return bool(find_spec("opentelemetry.sdk.trace") and find_spec("opentelemetry.exporter.otlp.proto.http"))
    except ModuleNotFoundError:  # a package above it
        return False
