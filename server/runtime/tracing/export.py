"""Where spans go: over OTLP, in batches, from a thread of its own. What cannot be sent is dropped, and no request waits for it.

All variables of OpenTelemetry's SDK count: OTEL_EXPORTER_OTLP_*, OTEL_BSP_*, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME ..."""

import threading
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from server.core.version import our_version
from server.runtime.tracing import names

LAST_WORDS = 3.0  # seconds that a server which ends waits for its last spans to be taken


class WithoutMessages(SpanExporter):
    """Leaves out messages of errors, which may quote what users wrote: those of the MCP SDK's spans."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._inner.export([_without_messages(span) if span.events or span.status.description else span for span in spans])

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


def new_provider(*, content: bool) -> TracerProvider:
    exporter = OTLPSpanExporter()
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter if content else WithoutMessages(exporter)))
    return provider


def shut_down(provider: TracerProvider) -> None:
    """Sends what is left. Blocks, but not for long: a collector that is away must not hold up the end of the server."""
    ending = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
    ending.start()
    ending.join(LAST_WORDS)


def _resource() -> Resource:
    found = Resource.create({SERVICE_VERSION: our_version()})
    given = not str(found.attributes[SERVICE_NAME]).startswith("unknown_service")
    return found if given else found.merge(Resource({SERVICE_NAME: names.STOA}))


def _without_messages(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
