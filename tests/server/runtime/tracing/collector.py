"""An OTLP collector that keeps what it gets: POST /v1/traces, protobuf, decoded by OpenTelemetry's own messages."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

PATIENCE = 60.0


@dataclass(frozen=True)
class Seen:
    """A span. Times in nanoseconds."""

    name: str
    kind: int  # 1 internal, 2 server, 3 client
    trace: str
    id: str
    parent: str
    begin: int
    end: int
    failed: bool
    scope: str
    service: str
    attributes: dict[str, Any]


@dataclass
class Collector:
    url: str
    spans: list[Seen] = field(default_factory=list[Seen])
    bodies: list[bytes] = field(default_factory=list[bytes])  # as they came

    def take(self, body: bytes) -> None:
        found = [span for part in ExportTraceServiceRequest.FromString(body).resource_spans for span in _spans(part)]
        self.bodies.append(body)
        self.spans += found

    def trace_of(self, holds: Callable[[Seen], bool], complete: Callable[[list[Seen]], bool]) -> list[Seen]:
        """All spans of the trace of the last span for which `holds`, once they are complete."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            trace = next((span.trace for span in reversed(self.spans[:]) if holds(span)), None)
            if trace and complete(found := [span for span in self.spans[:] if span.trace == trace]):
                return found
            time.sleep(0.02)
        raise AssertionError(f"the trace did not come: {[(span.name, span.attributes) for span in self.spans]}")


@contextmanager
def collecting() -> Iterator[Collector]:
    found = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
            found.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _spans(part: Any) -> Iterator[Seen]:
    resource = {pair.key: _value(pair.value) for pair in part.resource.attributes}
    for scoped in part.scope_spans:
        for span in scoped.spans:
            yield Seen(
                name=span.name,
                kind=span.kind,
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                begin=span.start_time_unix_nano,
                end=span.end_time_unix_nano,
                failed=span.status.code == 2,
                scope=scoped.scope.name,
                service=resource["service.name"],
                attributes={pair.key: _value(pair.value) for pair in span.attributes},
            )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, str(kind))
