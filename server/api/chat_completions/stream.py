"""Chat completion chunks as server-sent events. They are formatted by hand, as this runs for every token of every stream."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from server.api.chat_completions.request import PreparedChat
from server.api.chat_completions.response import ResponseBuilder, new_response_builder
from server.api.chat_completions.stored.endpoints import store_response
from server.api.chat_completions.types import ChoiceLogprobs
from server.api.common.logprobs import chat_logprobs
from server.api.common.usage import UsageCounter
from server.chat.tools.approvals import record_request
from server.core.events import ApprovalRequested, Event, OutputDelta
from server.core.timing import TimingObserver
from server.http.sse import DONE
from server.http.warnings import to_warning_objects


async def stream_chunks(chat: PreparedChat, observer: TimingObserver) -> AsyncGenerator[bytes]:
    head, extras = _head(chat), ChunkExtras(chat)
    with_logprobs = bool(chat.body.logprobs)
    builder, started = new_response_builder(chat), set[int]()
    async with aclosing(chat.plan.run(observer)) as events:
        async for index, event in events:
            choice = builder.choices[index]
            builder.push(index, event)
            extras.push(index, event)
            delta = choice.push(event)
            if isinstance(event, ApprovalRequested):
                await record_request(chat.plan.runtime, choice.approval_requests[-1].id, event, chat.plan.caller.owner)
            logprobs = _logprobs(chat, event) if with_logprobs else "null"
            finish = f'"{choice.finish_reason}"' if choice.finished else "null"
            if delta or choice.finished or logprobs != "null":
                tail = extras.of_chunk(builder)
                first = "" if index in started else _first_chunk(builder, head, index, tail)
                started.add(index)
                yield (first + _chunk(head, index, json.dumps(delta), logprobs, finish + extras.of_choice(index), tail)).encode()
    if chat.archive is not None:
        await store_response(chat, builder.response())
    if chat.stream_usage:
        yield f'{head},"choices":[],"usage":{builder.usage.usage().model_dump_json()}}}\n\n'.encode()
    yield DONE


def _head(chat: PreparedChat) -> str:
    model = json.dumps(chat.plan.runtime.names[0])
    fingerprint = json.dumps(chat.plan.runtime.fingerprint)
    known = f'"created":{chat.plan.created},"model":{model},"system_fingerprint":{fingerprint}'
    return f'data: {{"id":"{chat.id}","object":"chat.completion.chunk",{known}'


def _chunk(head: str, index: int, delta: str, logprobs: str, finish: str, tail: str) -> str:
    return f'{head},"choices":[{{"index":{index},"delta":{delta},"logprobs":{logprobs},"finish_reason":{finish}}}]{tail}'


def _first_chunk(builder: ResponseBuilder, head: str, index: int, tail: str) -> str:
    """The first chunk of a choice has the role, and the file search, tool lists and warnings of the whole response."""
    search = builder.file_search_call
    extensions = f',"file_search_call":{search.model_dump_json()}' if search else ""
    if builder.mcp_list_tools:
        extensions += f',"mcp_list_tools":[{",".join(tools.model_dump_json() for tools in builder.mcp_list_tools)}]'
    if builder.prompt_logprobs is not None:
        entries = (entry and {id: logprob.model_dump() for id, logprob in entry.items()} for entry in builder.prompt_logprobs)
        extensions += f',"prompt_logprobs":{json.dumps(list(entries))}'
    if builder.chat.body.return_token_ids:
        extensions += f',"prompt_token_ids":{json.dumps(builder.chat.plan.first_turn.prompt.text)}'
    if warnings := to_warning_objects(builder.chat.plan.request.warnings):
        extensions += f',"warnings":[{",".join(warning.model_dump_json() for warning in warnings)}]'
    delta = '{"role":"assistant","content":"","annotations":[]}' if search else '{"role":"assistant","content":""}'
    return _chunk(head, index, delta, "null", "null", extensions + tail)


def _logprobs(chat: PreparedChat, event: Event) -> str:
    if not isinstance(event, OutputDelta) or not event.logprobs:
        return "null"
    logged = chat_logprobs(chat.plan.runtime.tokenizer, event.logprobs, as_ids=chat.body.return_tokens_as_token_ids is True)
    return ChoiceLogprobs(content=logged).model_dump_json()


class ChunkExtras:
    """What a chunk has besides its delta, where the request asks for it: usage so far, timings, token ids."""

    def __init__(self, chat: PreparedChat) -> None:
        options, self._body = chat.body.stream_options, chat.body
        self._continuous = options is not None and options.continuous_usage_stats is True
        self._usage = UsageCounter(
            sequences_per_prompt=chat.plan.request.n, audio=chat.audio_tokens, images=chat.plan.first_turn.prompt.image_tokens
        )
        self._tokens = [list[int]() for _ in range(chat.plan.request.n)]  # of each choice, since its last chunk
        self._plain = (',"usage":null' if chat.stream_usage else "") + "}\n\n"

    def push(self, index: int, event: Event) -> None:
        if isinstance(event, OutputDelta):
            self._tokens[index] += event.tokens
            self._usage.add_tokens(len(event.tokens))
            if event.usage is not None:
                self._usage.begin(index, event.usage)

    def of_chunk(self, builder: ResponseBuilder) -> str:
        """The end of the chunk, behind its choices."""
        if not (self._continuous or self._body.timings_per_token):
            return self._plain
        usage = self._usage.usage()
        timings = f',"timings":{builder.timing.timings(usage).model_dump_json()}' if self._body.timings_per_token else ""
        return timings + (f',"usage":{usage.model_dump_json()}}}\n\n' if self._continuous else self._plain)

    def of_choice(self, index: int) -> str:
        """The end of the choice, behind its finish_reason."""
        tokens, self._tokens[index] = self._tokens[index], []
        return f',"token_ids":{json.dumps(tokens)}' if self._body.return_token_ids else ""
