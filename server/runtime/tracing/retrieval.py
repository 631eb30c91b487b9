"""Spans of searches and of their stages."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.trace import Tracer, get_current_span

from retrieval.api import Retriever, Search, SearchResult
from server.runtime.tracing import names
from server.runtime.tracing.spans import span_around

ObserveStage = Callable[[str, float], None]  # stage, seconds that it took


@dataclass(frozen=True, slots=True)
class TracedRetriever:
    """Implements retrieval.api.Retriever. `content`: queries are shown."""

    retriever: Retriever
    tracer: Tracer
    content: bool

    async def search(self, search: Search) -> SearchResult:
        known = {names.OPERATION: "retrieval", names.DATA_SOURCE: ",".join(search.stores), names.SEARCH_MODE: search.mode}
        with span_around(self.tracer, "retrieval", known) as span:
            if self.content:
                span.set_attribute(names.QUERY_TEXT, "\n".join(search.queries))
            result = await self.retriever.search(search)
            span.set_attribute(names.HITS, len(result.hits))
            return result


def traced_stages(tracer: Tracer, observe: ObserveStage) -> ObserveStage:
    """As `observe`, which is told of each stage when it ends, and a span for it within the current one."""

    def both(stage: str, seconds: float) -> None:
        observe(stage, seconds)
        if get_current_span().is_recording():
            end = time.time_ns()
            tracer.start_span(stage, start_time=end - int(seconds * 1e9)).end(end)

    return both
