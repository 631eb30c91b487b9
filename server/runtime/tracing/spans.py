"""Spans that say nothing of what users wrote: of an error its type alone is kept, as messages may quote anything."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from server.core.errors import ApiError
from server.runtime.tracing import names


@contextmanager
def span_around(tracer: Tracer, name: str, attributes: Mapping[str, AttributeValue], kind: SpanKind = SpanKind.INTERNAL) -> Generator[Span]:
    """The parent of whatever begins inside. Not for generators that yield meanwhile: what is current belongs to a task."""
    with tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            fail(span, error_type(error))
            raise


@contextmanager
def attached(context: Context) -> Generator[None]:
    """`context` is the current one inside. Not for generators that yield meanwhile."""
    token = contexts.attach(context)
    try:
        yield
    finally:
        contexts.detach(token)


def fail(span: Span, kind: str) -> None:
    span.set_attribute(names.ERROR, kind)
    span.set_status(Status(StatusCode.ERROR))


def error_type(error: BaseException) -> str:
    if isinstance(error, ApiError):
        return error.code or str(error.status)
    return type(error).__name__
