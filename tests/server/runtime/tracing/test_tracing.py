"""Spans of the loop around an engine that knows its lines, and what spans may say."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode, get_current_span
from pydantic import ValidationError

from engine.api import Delta, QueueFull, Request, Sampling, Usage
from server.chat.loop import GenerationPlan, prepare
from server.core.errors import ApiError
from server.core.events import Event
from server.core.request import Caller
from server.core.timing import NoTimings
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.runtime.tracing.api import tracing_problem, tracing_wanted
from server.runtime.tracing.engine import TracedEngine
from server.runtime.tracing.export import WithoutMessages
from server.runtime.tracing.tracing import Tracing
from tests.server.chat.test_loop import HELLO, wish, world

Shape = dict[str, Any]


def traced(runtime: Runtime, *, content: bool = False) -> tuple[Runtime, InMemorySpanExporter]:
    found, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    tracing = Tracing(provider.get_tracer("test"), content, remote=False, close=provider.shutdown)
    return tracing.runtime(runtime), found


def shape(spans: Sequence[ReadableSpan], parent: int | None = None) -> list[Any]:
    """Names and children, in the order in which they began."""
    below = [span for span in spans if (span.parent.span_id if span.parent else None) == parent]
    found = [
        (span.name, shape(spans, span.context.span_id if span.context else None)) for span in sorted(below, key=lambda s: s.start_time or 0)
    ]
    return [(name, children) if children else name for name, children in found]


async def planned(runtime: Runtime, **fields: Any) -> GenerationPlan:
    return await prepare(runtime, wish(**fields), Caller(owner="me"))


def run(runtime: Runtime, **fields: Any) -> list[Event]:
    async def collect() -> list[Event]:
        plan = await planned(runtime, **fields)
        events = [event async for _, event in plan.run(NoTimings())]
        assert not get_current_span().get_span_context().is_valid  # whoever read the events is not inside of the trace
        return events

    return asyncio.run(collect())


def test_turns_and_tools_are_children_of_the_loop() -> None:
    known, found = traced(world("Let me see." + HELLO, "It is HELLO.")[0])
    run(known)
    spans = found.get_finished_spans()
    assert shape(spans) == [("invoke_agent", ["chat tiny", "execute_tool shout", "chat tiny"])]
    loop = next(span for span in spans if span.name == "invoke_agent")
    assert dict(loop.attributes or {})["gen_ai.response.finish_reasons"] == ("stop",)
    assert "HELLO" not in repr([span.to_json() for span in spans]) and "Shout" not in repr([span.to_json() for span in spans])


def test_texts_are_shown_where_the_operator_asks_for_them() -> None:
    known, found = traced(world("Let me see." + HELLO, "It is HELLO.")[0], content=True)
    run(known)
    attributes = {span.name: dict(span.attributes or {}) for span in found.get_finished_spans()}
    assert json.loads(str(attributes["invoke_agent"]["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "Shout hello"}]}
    ]
    (answer,) = json.loads(str(attributes["invoke_agent"]["gen_ai.output.messages"]))
    assert answer == {"role": "assistant", "finish_reason": "stop", "parts": [{"type": "text", "content": "Let me see.It is HELLO."}]}
    tool = attributes["execute_tool shout"]
    assert json.loads(str(tool["gen_ai.tool.call.arguments"])) == {"word": "hello"} and tool["gen_ai.tool.call.result"] == "HELLO"


def test_several_answers_belong_to_one_loop() -> None:
    known, found = traced(world("Ah.")[0])
    run(known, mcp_servers=(), n=3)
    assert shape(found.get_finished_spans()) == [("invoke_agent", ["chat tiny"] * 3)]


def test_who_stops_reading_ends_all_spans() -> None:
    known, found = traced(world("A long story.")[0])

    async def leave() -> None:
        events = (await planned(known, mcp_servers=())).run(NoTimings())
        await anext(events)
        await asyncio.create_task(_close(events))  # in another task, as servers that shut down do

    asyncio.run(leave())
    assert shape(found.get_finished_spans()) == [("invoke_agent", ["chat tiny"])]


async def _close(events: AsyncGenerator[Any]) -> None:
    await events.aclose()


def test_an_error_is_told_by_its_type_alone() -> None:
    known, engine, _ = world("Ah.")
    engine.refusal = QueueFull("so many before you, Shouter")
    watched, found = traced(known)
    with pytest.raises(ApiError):
        run(watched, mcp_servers=())
    spans = {span.name: span for span in found.get_finished_spans()}
    assert {span.status.status_code for span in spans.values()} == {StatusCode.ERROR}
    assert dict(spans["chat tiny"].attributes or {})["error.type"] == "QueueFull" and "Shouter" not in repr(
        [s.to_json() for s in spans.values()]
    )


class Timed:
    """An engine that says how long its request was in the queue."""

    def __init__(self, queued: float | None) -> None:
        self.queued, self.asked = queued, list[Request]()

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        self.asked.append(request)
        await asyncio.sleep(0.02)
        yield Delta(tokens=(1,), usage=Usage(prompt=2, completion=1, cached=1, queued=self.queued))
        yield Delta(tokens=(2, 3), finish="length", usage=Usage(prompt=2, completion=3, cached=1, queued=self.queued))


@pytest.mark.parametrize(("queued", "phases"), [(0.01, ["queue", "prefill", "decode"]), (None, [])])
def test_phases_follow_each_other(queued: float | None, phases: list[str]) -> None:
    found, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    engine: Any = Timed(queued)
    watched = TracedEngine(engine, "m", provider.get_tracer("test"), remote=queued is None)

    async def generate() -> None:
        async with aclosing(watched.generate(Request(tokens=(1, 2), sampling=Sampling(max_tokens=3)))) as deltas:
            assert [delta.tokens async for delta in deltas] == [(1,), (2, 3)]

    asyncio.run(generate())
    *parts, whole = found.get_finished_spans()
    assert [part.name for part in parts] == phases and whole.name == "text_completion m"
    known = dict(whole.attributes or {})
    assert [known[f"gen_ai.usage.{name}"] for name in ("input_tokens", "output_tokens", "cache_read.input_tokens")] == [2, 3, 1]
    for before, after in pairwise(parts):
        assert before.end_time == after.start_time and (before.start_time or 0) <= (before.end_time or 0)
    told, place = "".join(dict(engine.asked[0].trace).values()), whole.context
    assert place is not None
    assert told.startswith(f"00-{place.trace_id:032x}-{place.span_id:016x}-" if queued is None else "")
    assert bool(told) is (queued is None)


def test_messages_of_other_libraries_errors_are_left_out() -> None:
    found, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(WithoutMessages(found)))
    with pytest.raises(ValueError), provider.get_tracer("sdk").start_as_current_span("call", attributes={"a": 1}) as span:
        span.set_status(Status(StatusCode.ERROR, "there is no file secrets.txt"))
        raise ValueError("secrets.txt")
    (kept,) = found.get_finished_spans()
    assert kept.status.status_code is StatusCode.ERROR and dict(kept.attributes or {}) == {"a": 1}
    assert "secrets" not in kept.to_json() and kept.name == "call"


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("setting", "environment", "wanted"),
    [
        (None, {}, False),
        (None, ENDPOINT, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        (False, ENDPOINT, False),
        (True, {}, True),
        (True, {"OTEL_SDK_DISABLED": "true"}, False),
        (None, {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_setting_counts_before_the_standard_variables(setting: bool | None, environment: dict[str, str], wanted: bool) -> None:
    assert tracing_wanted(setting, environment) is wanted


def test_what_cannot_be_sent_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracing_problem({}) is None and tracing_problem({"OTEL_TRACES_EXPORTER": "", "OTEL_EXPORTER_OTLP_PROTOCOL": ""}) is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(ValidationError, match="OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc'"):
        Settings(tracing=True)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(ValidationError, match="OTEL_TRACES_EXPORTER: 'zipkin'"):
        Settings(tracing=True)
    assert Settings(tracing=False).traces is False
