"""Tracing, put together: everything that a request passes is wrapped once, at start. Nothing is wrapped where nothing is traced."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from functools import partial

from opentelemetry import trace
from starlette.middleware import Middleware

from server.core.events import Event
from server.core.request import GenerationRequest
from server.core.version import our_version
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.runtime.tracing.engine import TracedEngine
from server.runtime.tracing.export import new_provider, shut_down
from server.runtime.tracing.http import TracingMiddleware
from server.runtime.tracing.loop import traced_loop
from server.runtime.tracing.retrieval import ObserveStage, TracedRetriever, traced_stages
from server.runtime.tracing.tools import TracedToolHost


@dataclass(frozen=True)
class Tracing:
    """Implements LoopTracer. `content`: spans show what users wrote and models answered."""

    tracer: trace.Tracer
    content: bool
    remote: bool  # other servers compute
    close: Callable[[], None]  # blocks for seconds at most

    @property
    def middleware(self) -> Middleware:
        return Middleware(TracingMiddleware, tracer=self.tracer)

    def stages(self, observe: ObserveStage) -> ObserveStage:
        return traced_stages(self.tracer, observe)

    def runtime(self, runtime: Runtime) -> Runtime:
        """The same with every part wrapped."""
        known, host = runtime.knowledge_base, runtime.tool_host
        return replace(
            runtime,
            engine=TracedEngine(runtime.engine, runtime.names[0], self.tracer, self.remote),
            others=tuple(
                other.with_engine(lambda engine, name=other.name: TracedEngine(engine, name, self.tracer, self.remote))
                for other in runtime.others
            ),
            knowledge_base=known and replace(known, retriever=TracedRetriever(known.retriever, self.tracer, self.content)),
            tool_host=host and TracedToolHost(host, self.tracer, self.content),
            tracer=self,
        )

    def loop(self, request: GenerationRequest, model: str, events: AsyncGenerator[tuple[int, Event]]) -> AsyncGenerator[tuple[int, Event]]:
        return traced_loop(self.tracer, request, model, events, content=self.content)


def open_tracing(settings: Settings) -> Tracing:
    """Spans of the MCP SDK come along: it uses whatever provider is set for the process."""
    provider = new_provider(content=settings.tracing_content)
    trace.set_tracer_provider(provider)
    tracer = provider.get_tracer("stoa", our_version())
    return Tracing(tracer, settings.tracing_content, settings.engine == "remote", partial(shut_down, provider))
