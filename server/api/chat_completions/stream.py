"""Chat completion chunks as server-sent events. They are formatted by hand, as this runs for every token of every stream."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from server.api.chat_completions.request import PreparedChat
from server.api.chat_completions.response import ResponseBuilder, new_response_builder
from server.api.chat_completions.stored import store_response
from server.api.chat_completions.types import ChoiceLogprobs
from server.api.common.logprobs import chat_logprobs
from server.chat.tools.approvals import record_request
from server.core.events import ApprovalRequested, Event, OutputDelta
from server.core.timing import TimingObserver
from server.http.sse import DONE
from server.http.warnings import to_warning_objects
from server.text.tokenizer import ChatTokenizer


async def stream_chunks(chat: PreparedChat, observer: TimingObserver) -> AsyncGenerator[bytes]:
    head = _head(chat)
    tail = (',"usage":null' if chat.stream_usage else "") + "}\n\n"
    tokenizer, with_logprobs = chat.plan.runtime.tokenizer, bool(chat.body.logprobs)
    builder, started = new_response_builder(chat), set[int]()
    async with aclosing(chat.plan.run(observer)) as events:
        async for index, event in events:
            choice = builder.choices[index]
            if not isinstance(event, OutputDelta):
                builder.push(index, event)
            delta = choice.push(event)
            if isinstance(event, ApprovalRequested):
                await record_request(chat.plan.runtime, choice.approval_requests[-1].id, event, chat.plan.caller.owner)
            logprobs = _logprobs(tokenizer, event) if with_logprobs else "null"
            finish = f'"{choice.finish_reason}"' if choice.finished else "null"
            if delta or choice.finished or logprobs != "null":
                first = "" if index in started else _first_chunk(builder, head, index, tail)
                started.add(index)
                yield (first + _chunk(head, index, json.dumps(delta), logprobs, finish, tail)).encode()
    if chat.archive is not None:
        await store_response(chat, builder.response())
    if chat.stream_usage:
        yield f'{head},"choices":[],"usage":{builder.usage.usage().model_dump_json()}}}\n\n'.encode()
    yield DONE


def _head(chat: PreparedChat) -> str:
    model = json.dumps(chat.plan.runtime.names[0])
    return f'data: {{"id":"{chat.id}","object":"chat.completion.chunk","created":{chat.plan.created},"model":{model}'


def _chunk(head: str, index: int, delta: str, logprobs: str, finish: str, tail: str) -> str:
    return f'{head},"choices":[{{"index":{index},"delta":{delta},"logprobs":{logprobs},"finish_reason":{finish}}}]{tail}'


def _first_chunk(builder: ResponseBuilder, head: str, index: int, tail: str) -> str:
    """The first chunk of a choice has the role, and the file search, tool lists and warnings of the whole response."""
    search = builder.file_search_call
    extensions = f',"file_search_call":{search.model_dump_json()}' if search else ""
    if builder.mcp_list_tools:
        extensions += f',"mcp_list_tools":[{",".join(tools.model_dump_json() for tools in builder.mcp_list_tools)}]'
    if warnings := to_warning_objects(builder.chat.plan.request.warnings):
        extensions += f',"warnings":[{",".join(warning.model_dump_json() for warning in warnings)}]'
    delta = '{"role":"assistant","content":"","annotations":[]}' if search else '{"role":"assistant","content":""}'
    return _chunk(head, index, delta, "null", "null", extensions + tail)


def _logprobs(tokenizer: ChatTokenizer, event: Event) -> str:
    if not isinstance(event, OutputDelta) or not event.logprobs:
        return "null"
    return ChoiceLogprobs(content=chat_logprobs(tokenizer, event.logprobs)).model_dump_json()
