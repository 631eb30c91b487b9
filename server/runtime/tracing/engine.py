"""A span for each generation of an engine, with one for each of its phases: queue, prefill, decode."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import cast

from opentelemetry import context as contexts
from opentelemetry import propagate
from opentelemetry.trace import Span, SpanKind, Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

from engine.api import Delta, Engine, ModelInfo, Request, Stats, Usage
from server.runtime.tracing import names
from server.runtime.tracing.spans import error_type, fail

OPERATION_KEY = contexts.create_key("stoa operation")  # in a context: what a generation inside is part of


@dataclass(frozen=True, slots=True)
class TracedEngine:
    """Implements engine.api.Engine. `remote`: other servers compute, and are told which trace they belong to."""

    engine: Engine
    model: str
    tracer: Tracer
    remote: bool

    @property
    def info(self) -> ModelInfo:
        return self.engine.info

    @property
    def alive(self) -> bool:
        return self.engine.alive

    @property
    def fault(self) -> str | None:
        return self.engine.fault

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        """The parent is the span that is current when the first delta is asked for."""
        operation = str(contexts.get_value(OPERATION_KEY) or "text_completion")
        kind = SpanKind.CLIENT if self.remote else SpanKind.INTERNAL
        span = self.tracer.start_span(f"{operation} {self.model}", kind=kind, attributes=_attributes(operation, self.model, request))
        seen = _Seen()
        try:
            asked = replace(request, trace=_headers(span)) if self.remote else request
            async with aclosing(cast(AsyncGenerator[Delta], self.engine.generate(asked))) as deltas:
                async for delta in deltas:
                    seen.note(delta)
                    yield delta
        except Exception as error:
            fail(span, error_type(error))
            raise
        finally:
            seen.describe(span, self.tracer)
            span.end()

    def stats(self) -> Stats:
        return self.engine.stats()

    async def close(self) -> None:
        await self.engine.close()


@dataclass(slots=True)
class _Seen:
    """What has come of an answer. Times are nanoseconds since 1970, as OpenTelemetry has them."""

    began: int = field(default_factory=time.time_ns)
    first: int = 0  # when the first delta came; 0: none has
    tokens: int = 0
    usage: Usage | None = None
    finish: str | None = None  # None: closed before the end

    def note(self, delta: Delta) -> None:
        self.first = self.first or time.time_ns()
        self.tokens += len(delta.tokens)
        self.usage, self.finish = delta.usage or self.usage, delta.finish

    def describe(self, span: Span, tracer: Tracer) -> None:
        if not span.is_recording() or not self.first:
            return
        span.set_attribute(names.FIRST_CHUNK, (self.first - self.began) / 1e9)
        span.set_attribute(names.OUTPUT_TOKENS, self.tokens)
        if self.finish is not None:
            span.set_attribute(names.FINISH_REASONS, (self.finish,))
        if self.usage is not None:
            span.set_attribute(names.INPUT_TOKENS, self.usage.prompt)
            span.set_attribute(names.CACHED_TOKENS, self.usage.cached)
            self._phases(span, tracer, self.usage.queued)

    def _phases(self, span: Span, tracer: Tracer, queued: float | None) -> None:
        """Of another server's answer they are not known: its own spans tell, if it traces."""
        if queued is None:
            return
        within = set_span_in_context(span)
        started = min(self.began + int(queued * 1e9), self.first)
        phases = (("queue", self.began, started), ("prefill", started, self.first), ("decode", self.first, time.time_ns()))
        for name, begin, end in phases[: 3 if self.tokens > 1 else 2]:
            tracer.start_span(name, within, start_time=begin).end(end)


def _attributes(operation: str, model: str, request: Request) -> Mapping[str, AttributeValue]:
    sampling = request.sampling
    known: dict[str, AttributeValue] = {
        names.OPERATION: operation,
        names.PROVIDER: names.STOA,
        names.REQUEST_MODEL: model,
        names.RESPONSE_MODEL: model,
        names.MAX_TOKENS: sampling.max_tokens,
        names.TEMPERATURE: sampling.temperature,
        names.TOP_P: sampling.top_p,
        names.FREQUENCY_PENALTY: sampling.frequency_penalty,
        names.PRESENCE_PENALTY: sampling.presence_penalty,
    }
    return {**known, names.TOP_K: sampling.top_k} if sampling.top_k else known


def _headers(span: Span) -> tuple[tuple[str, str], ...]:
    headers = dict[str, str]()
    propagate.inject(headers, set_span_in_context(span))
    return tuple(headers.items())
