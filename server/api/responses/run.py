"""Runs a request: prepares its plan, turns its events into those of the API, and sends and stores the response of a client that
waits. Background responses: stored/background.py."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass

from starlette.types import Send

from server.api.responses.client_tools import by_model_name, without_namespaces
from server.api.responses.compaction.threshold import Compacted, compact_now, compact_threshold
from server.api.responses.events.emitter import EventEmitter
from server.api.responses.events.output_items import OutputItems
from server.api.responses.events.sse import FINISHED_TYPES, event_json, final_event, sse_frame
from server.api.responses.ids import new_id_generator
from server.api.responses.include import LOGPROBS, filter_event, filter_response
from server.api.responses.request import to_generation_request
from server.api.responses.resolved_input import Remembered, ResolvedInput, expect_archive_for, resolve_input
from server.api.responses.response import ResponseBuilder
from server.api.responses.stored.images import with_kept_images
from server.api.responses.types.request import ResponseRequest
from server.chat.loop import GenerationPlan, prepare
from server.chat.tools.approvals import consume_decisions, record_request
from server.chat.turn import CONTEXT_OVERFLOW
from server.core.errors import ApiError, bad_request
from server.core.events import ApprovalRequested
from server.core.messages import Json
from server.core.request import Caller, GenerationRequest
from server.core.threads import in_thread, in_thread_if_large_body
from server.core.timing import TimingObserver
from server.http.context import RequestContext
from server.http.sse import send_events, send_json
from server.http.warnings import warning_headers
from server.runtime.runtime import expect_writable


@dataclass(frozen=True, kw_only=True)
class ResponseRun:
    builder: ResponseBuilder
    plan: GenerationPlan
    items: OutputItems

    @property
    def include(self) -> list[str]:
        return [*(self.builder.body.include or ())]

    @property
    def headers(self) -> Mapping[str, str]:
        return warning_headers(self.plan.request.warnings)

    def conversation_items(self, body: Json) -> list[Json]:
        """The items that the finished Response `body` adds to its conversation: none if it has failed."""
        return [] if body["status"] == "failed" else [*self.builder.input.new_items, *body["output"]]

    async def events(self, observer: TimingObserver) -> AsyncGenerator[Json]:
        """Events without `sequence_number`, filtered by `include`; only the last one (of FINISHED_TYPES) has the unfiltered
        Response. Closing the generator aborts generation and tools. Raises ApiError."""
        tokenizer, logprobs = self.plan.runtime.tokenizer, LOGPROBS in self.include
        tools = by_model_name(self.builder.body.tools or ())
        emitter = EventEmitter(self.items, tokenizer, tools, logprobs=logprobs, summary=self.builder.summary is not None)
        for event in self.items.take_events():  # of what was done before the answer
            yield event
        async with aclosing(self.plan.run(observer)) as core_events:
            async for _, core_event in core_events:
                events = emitter.events(core_event)
                if isinstance(core_event, ApprovalRequested):  # recorded before the client can answer it
                    await record_request(self.plan.runtime, self.items.output[-1]["id"], core_event, self.builder.owner)
                for event in events:
                    yield filter_event(event, self.include)
        assert emitter.finished is not None  # AnswerFinished is a plan's last event
        yield final_event(self.builder.build_finished(self.items.output, emitter.finished))


async def prepare_run(
    context: RequestContext, body: ResponseRequest, observer: TimingObserver, remembered: Remembered | None = None
) -> ResponseRun:
    """`remembered`: what the connection knows of responses. Raises ApiError for what this server cannot do."""
    _expect_consistent(body)
    if body.store or body.background:
        expect_archive_for(context.runtime, "store" if body.store else "background")
    stored = body.store is not False and context.runtime.archive is not None
    if stored:
        expect_writable(context.runtime)
    ids = new_id_generator()
    resolved = await resolve_input(context.runtime, body, context.owner, ids, remembered)
    items = OutputItems(ids)
    plan, compacted = await _prepare_compacted(context, body, resolved, observer)
    if compacted is not None:
        items.add_item("compaction", encrypted_content=compacted.sealed).finish()
    if stored or resolved.conversation_id is not None:
        resolved = await with_kept_images(context.runtime, resolved)
    await consume_decisions(context.runtime, plan.request.approval_decisions, context.owner)
    builder = ResponseBuilder(
        ids=ids,
        owner=context.owner,
        created=plan.created,
        model=context.runtime.names[0],
        body=body,
        input=resolved,
        stored=stored,
        sampling=context.runtime.tokenizer.sampling,
        warnings=plan.request.warnings,
        compaction_usage=compacted and compacted.usage,
    )
    return ResponseRun(builder=builder, plan=plan, items=items)


async def _prepare_compacted(
    context: RequestContext, body: ResponseRequest, resolved: ResolvedInput, observer: TimingObserver
) -> tuple[GenerationPlan, Compacted | None]:
    """The plan, of a compacted conversation where the request wants that and its prompt is too long. Raises ApiError."""
    runtime, threshold = context.runtime, compact_threshold(context.runtime, body)
    request = await in_thread_if_large_body(to_generation_request, runtime, body, resolved)
    try:
        plan = await _prepare_plan(context, body, request)
        if threshold is None or plan.first_turn.prompt.length < threshold:
            return plan, None
    except ApiError as error:
        if threshold is None or error.code != CONTEXT_OVERFLOW:
            raise
        plan = error
    compacted = await compact_now(runtime, resolved, observer)
    if compacted is None:
        if isinstance(plan, ApiError):
            raise plan
        return plan, None
    return await _prepare_plan(context, body, to_generation_request(runtime, body, compacted.resolved)), compacted


async def _prepare_plan(context: RequestContext, body: ResponseRequest, request: GenerationRequest) -> GenerationPlan:
    """Without the tools of namespaces where the prompt does not fit the context with them. Raises ApiError."""
    caller = Caller(owner=context.owner)
    try:
        return await prepare(context.runtime, request, caller)
    except ApiError as error:
        smaller = without_namespaces(request, body.tools or ()) if error.code == CONTEXT_OVERFLOW else None
        if smaller is None:
            raise
    return await prepare(context.runtime, smaller, caller)


async def send_response(run: ResponseRun, send: Send, observer: TimingObserver) -> None:
    """Sends the whole Response or a stream of events. It is stored before the client receives its end."""
    if run.builder.body.stream:
        await send_events(send, _stream(run, observer), run.headers)
    else:
        await send_json(send, 200, json.dumps(filter_response(await _whole(run, observer), run.include)).encode(), run.headers)


async def _whole(run: ResponseRun, observer: TimingObserver) -> Json:
    body: Json = {}
    async with aclosing(run.events(observer)) as events:
        async for event in events:
            body = event.get("response", body)
    await store_finished(run, body)
    return body


async def _stream(run: ResponseRun, observer: TimingObserver) -> AsyncGenerator[bytes]:
    number = 0
    async with aclosing(all_events(run, observer)) as events:
        async for event in events:
            yield sse_frame(event_json(number, event))
            number += 1


async def all_events(run: ResponseRun, observer: TimingObserver) -> AsyncGenerator[Json]:
    """With the events before and after those of the output. Raises ApiError for an error before the first event, which then has an
    HTTP status of its own; a later one becomes response.failed."""
    builder, started = run.builder, False
    try:
        async with aclosing(run.events(observer)) as events:
            async for event in events:
                if not started:
                    started, body = True, builder.build("in_progress")
                    yield {"type": "response.created", "response": body}
                    yield {"type": "response.in_progress", "response": body}
                if event["type"] in FINISHED_TYPES:
                    await store_finished(run, event["response"])
                yield filter_event(event, run.include)
    except ApiError as error:
        if not started:
            raise
        for event in run.items.interrupt():
            yield filter_event(event, run.include)
        body = builder.build_failed(run.items.output, error)
        with suppress(ApiError):  # the archive may be what has failed
            await store_finished(run, body)
        yield filter_event(final_event(body), run.include)


async def store_finished(run: ResponseRun, body: Json) -> None:
    """A conversation also gets the items of a response that is not stored."""
    builder, archive, items = run.builder, run.plan.runtime.archive, run.conversation_items(body)
    if archive is None:
        return
    if builder.stored:
        await in_thread(archive.put_response, builder.to_stored(body), items)
    elif builder.input.conversation_id and items:
        await in_thread(archive.extend_conversation, builder.owner, builder.input.conversation_id, items)


def _expect_consistent(body: ResponseRequest) -> None:
    if body.background and body.store is False:
        raise bad_request("store", "store: a response in the background must be stored, or nobody could read it")
    if body.stream_options is not None and not body.stream:
        raise bad_request("stream_options", "stream_options needs stream: true")
