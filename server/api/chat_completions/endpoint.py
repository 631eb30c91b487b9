"""POST /v1/chat/completions: what happens in the loop, in the words of chat completions."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import uuid4

from starlette.types import Send

from server.api.chat_completions import types as wire
from server.api.chat_completions.request import to_generation_request
from server.api.chat_completions.response import ChatChoice, to_file_search_call, to_mcp_list_tools
from server.api.chat_completions.tool_types import McpListTools
from server.api.common.generation import wants_stream_usage
from server.api.common.logprobs import chat_logprobs
from server.api.common.usage import UsageCounter
from server.archive.api import Archive, StoredCompletion
from server.chat import loop
from server.chat.tools.approvals import consume_decisions, record_request
from server.core.errors import bad_request
from server.core.events import AnswerFinished, ApprovalRequested, Event, LoggedToken, OutputDelta, SearchFinished, ToolListingFinished
from server.core.request import Caller
from server.core.threads import in_thread
from server.core.timing import TimingObserver
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_stream_endpoint
from server.http.sse import DONE, send_events, send_json
from server.runtime.runtime import Runtime
from server.runtime.state import ServerState
from server.text.tokenizer import ChatTokenizer


@dataclass(frozen=True)
class PreparedChat:
    """A request that can be answered."""

    plan: loop.GenerationPlan
    body: wire.ChatRequest
    id: str
    usage: bool  # the stream ends with it
    archive: Archive | None  # where the answer is kept; None: nowhere


@dataclass
class Answers:
    """All that has happened so far."""

    chat: PreparedChat
    each: list[ChatChoice]
    search: wire.FileSearchCall | None = None
    lists: list[McpListTools] = field(default_factory=list[McpListTools])
    tally: UsageCounter = field(default_factory=lambda: UsageCounter(sequences_per_prompt=1))

    def note(self, index: int, event: Event) -> None:
        """What is told of the request as a whole."""
        match event:
            case SearchFinished(queries=queries, hits=hits):
                self.search = to_file_search_call(queries, hits if self.chat.body.include else None)
            case ToolListingFinished():
                self.lists.append(to_mcp_list_tools(event))
            case AnswerFinished():
                self.tally.add(index, event.usage, event.reasoning_tokens)
            case _:
                pass

    def response(self) -> wire.ChatResponse:
        plan = self.chat.plan
        return wire.ChatResponse(
            id=self.chat.id,
            created=plan.created,
            model=plan.runtime.names[0],
            choices=[self._choice(at, answered) for at, answered in enumerate(self.each)],
            usage=self.tally.usage(),
            metadata=self.chat.body.metadata,
            file_search_call=self.search,
            mcp_list_tools=self.lists or None,
        )

    def _choice(self, index: int, answered: ChatChoice) -> wire.Choice:
        logprobs = None
        if self.chat.body.logprobs:
            logprobs = wire.ChoiceLogprobs(content=chat_logprobs(self.chat.plan.runtime.tokenizer, answered.logprobs))
        return wire.Choice(index=index, message=answered.message(), logprobs=logprobs, finish_reason=answered.finish)


def endpoints(state: ServerState) -> list[Endpoint]:
    async def run(call: RequestContext, body: wire.ChatRequest, send: Send) -> None:
        await answer(call.runtime, body, send, watch=state.metrics, owner=call.owner)

    summary = "The assistant's answer to a conversation"
    return [body_stream_endpoint(state, run, "/v1/chat/completions", summary, wire.ChatRequest, wire.ChatResponse, streams=True)]


async def answer(runtime: Runtime, body: wire.ChatRequest, send: Send, *, watch: TimingObserver, owner: str = "") -> None:
    """`owner`: whose vector stores may be searched."""
    chat = await prepare(runtime, body, owner)
    if body.stream:
        await send_events(send, _events(chat, watch))
    else:
        await send_json(send, 200, (await generate(chat, watch)).model_dump_json().encode())


async def prepare(runtime: Runtime, body: wire.ChatRequest, owner: str = "") -> PreparedChat:
    """Raises ApiError for what cannot be honoured."""
    runtime.expect_model(body.model)
    usage = wants_stream_usage(body)
    if body.store and runtime.archive is None:
        raise bad_request("store", "store: this server has no database to keep answers in; leave it out")
    plan = await loop.prepare(runtime, to_generation_request(runtime, body), Caller(owner=owner))
    await consume_decisions(runtime, plan.request.approval_decisions, owner)
    return PreparedChat(plan, body, f"chatcmpl-{uuid4().hex}", usage, runtime.archive if body.store else None)


async def generate(chat: PreparedChat, watch: TimingObserver) -> wire.ChatResponse:
    answers = _answers(chat)
    async with aclosing(chat.plan.run(watch)) as arriving:
        async for index, event in arriving:
            answers.note(index, event)
            answers.each[index].push(event)
            if isinstance(event, ApprovalRequested):
                await _remember(chat, answers.each[index], event)
    response = answers.response()
    await _keep(chat, response)
    return response


async def _remember(chat: PreparedChat, answered: ChatChoice, event: ApprovalRequested) -> None:
    """What is asked with it, before the client reads it."""
    await record_request(chat.plan.runtime, answered.approval_requests[-1].id, event, chat.plan.caller.owner)


def _answers(chat: PreparedChat) -> Answers:
    count = chat.plan.request.n
    return Answers(chat, [ChatChoice() for _ in range(count)], tally=UsageCounter(sequences_per_prompt=count))


async def _keep(chat: PreparedChat, response: wire.ChatResponse) -> None:
    if chat.archive is None:
        return
    messages = [{"id": f"{chat.id}-{at}", **m.model_dump(mode="json", exclude_none=True)} for at, m in enumerate(chat.body.messages)]
    new = StoredCompletion(
        id=chat.id,
        owner=chat.plan.caller.owner,
        created_at=chat.plan.created,
        model=response.model,
        metadata=chat.body.metadata or {},
        body=response.model_dump(mode="json"),
        messages=messages,
    )
    await in_thread(chat.archive.put_completion, new)


async def _events(chat: PreparedChat, watch: TimingObserver) -> AsyncGenerator[bytes]:
    """Chunks are put together by hand: this runs once per token of every stream."""
    head = _head(chat)
    tail = (',"usage":null' if chat.usage else "") + "}\n\n"
    text, logging = chat.plan.runtime.tokenizer, bool(chat.body.logprobs)
    answers, begun = _answers(chat), set[int]()
    async with aclosing(chat.plan.run(watch)) as arriving:
        async for index, event in arriving:
            answered = answers.each[index]
            if not isinstance(event, OutputDelta):
                answers.note(index, event)
            delta = answered.push(event)
            if isinstance(event, ApprovalRequested):
                await _remember(chat, answered, event)
            logged = _logged(text, event.logprobs) if logging and isinstance(event, OutputDelta) and event.logprobs else "null"
            end = f'"{answered.finish}"' if answered.ended else "null"
            if delta or answered.ended or logged != "null":
                first = "" if index in begun else _first(answers, head, index, tail)
                begun.add(index)
                yield (first + _chunk(head, index, json.dumps(delta), logged, end, tail)).encode()
    if chat.archive is not None:
        await _keep(chat, answers.response())
    if chat.usage:
        yield f'{head},"choices":[],"usage":{answers.tally.usage().model_dump_json()}}}\n\n'.encode()
    yield DONE


def _head(chat: PreparedChat) -> str:
    name = json.dumps(chat.plan.runtime.names[0])
    return f'data: {{"id":"{chat.id}","object":"chat.completion.chunk","created":{chat.plan.created},"model":{name}'


def _chunk(head: str, index: int, delta: str, logprobs: str, end: str, tail: str) -> str:
    return f'{head},"choices":[{{"index":{index},"delta":{delta},"logprobs":{logprobs},"finish_reason":{end}}}]{tail}'


def _first(answers: Answers, head: str, index: int, tail: str) -> str:
    """The first of an answer's chunks; it also tells what was searched, and which tools there are."""
    told = f',"file_search_call":{answers.search.model_dump_json()}' if answers.search else ""
    if answers.lists:
        told += f',"mcp_list_tools":[{",".join(one.model_dump_json() for one in answers.lists)}]'
    delta = '{"role":"assistant","content":"","annotations":[]}' if answers.search else '{"role":"assistant","content":""}'
    return _chunk(head, index, delta, "null", "null", told + tail)


def _logged(text: ChatTokenizer, logged: list[LoggedToken]) -> str:
    return wire.ChoiceLogprobs(content=chat_logprobs(text, logged)).model_dump_json()
