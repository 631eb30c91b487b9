"""POST /v1/chat/completions: what happens in the loop, in the words of chat completions."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import uuid4

from starlette.types import Send

from server.api.chat_completions import types as wire
from server.api.chat_completions.request import wish
from server.api.chat_completions.response import Answered, listed, searched
from server.api.chat_completions.tool_types import McpListTools
from server.api.common.logprobs import chat_logprobs
from server.api.common.output_format import expect_stream_options
from server.api.common.usage import Tally
from server.archive.api import Archive, StoredCompletion
from server.chat import loop
from server.chat.tools.approvals import remember, settle
from server.core.errors import bad
from server.core.events import Approval, Ended, Event, Listed, Logged, Piece, Searched
from server.core.request import Caller
from server.core.threads import threaded
from server.core.timing import Watch
from server.http.context import Call
from server.http.endpoint import Endpoint
from server.http.handlers import speaking
from server.http.sse import DONE, send_events, send_json
from server.runtime.runtime import Served
from server.runtime.state import House
from server.text.tokenizer import Text


@dataclass(frozen=True)
class Chat:
    """A request that can be answered."""

    plan: loop.Plan
    body: wire.ChatRequest
    id: str
    usage: bool  # the stream ends with it
    archive: Archive | None  # where the answer is kept; None: nowhere


@dataclass
class Answers:
    """All that has happened so far."""

    chat: Chat
    each: list[Answered]
    search: wire.FileSearchCall | None = None
    lists: list[McpListTools] = field(default_factory=list[McpListTools])
    tally: Tally = field(default_factory=lambda: Tally(each=1))

    def note(self, index: int, event: Event) -> None:
        """What is told of the request as a whole."""
        match event:
            case Searched(queries=queries, hits=hits):
                self.search = searched(queries, hits if self.chat.body.include else None)
            case Listed():
                self.lists.append(listed(event))
            case Ended():
                self.tally.add(index, event.usage, event.thought_tokens)
            case _:
                pass

    def response(self) -> wire.ChatResponse:
        plan = self.chat.plan
        return wire.ChatResponse(
            id=self.chat.id,
            created=plan.created,
            model=plan.served.names[0],
            choices=[self._choice(at, answered) for at, answered in enumerate(self.each)],
            usage=self.tally.usage(),
            metadata=self.chat.body.metadata,
            file_search_call=self.search,
            mcp_list_tools=self.lists or None,
        )

    def _choice(self, index: int, answered: Answered) -> wire.Choice:
        logprobs = None
        if self.chat.body.logprobs:
            logprobs = wire.ChoiceLogprobs(content=chat_logprobs(self.chat.plan.served.text, answered.logged))
        return wire.Choice(index=index, message=answered.message(), logprobs=logprobs, finish_reason=answered.finish)


def endpoints(house: House) -> list[Endpoint]:
    async def run(call: Call, body: wire.ChatRequest, send: Send) -> None:
        await answer(call.served, body, send, watch=house.metrics, owner=call.owner)

    summary = "The assistant's answer to a conversation"
    return [speaking(house, run, "/v1/chat/completions", summary, wire.ChatRequest, wire.ChatResponse, streams=True)]


async def answer(served: Served, body: wire.ChatRequest, send: Send, *, watch: Watch, owner: str = "") -> None:
    """`owner`: whose vector stores may be searched."""
    chat = await prepare(served, body, owner)
    if body.stream:
        await send_events(send, _events(chat, watch))
    else:
        await send_json(send, 200, (await whole(chat, watch)).model_dump_json().encode())


async def prepare(served: Served, body: wire.ChatRequest, owner: str = "") -> Chat:
    """Raises ApiError for what cannot be honoured."""
    served.expect(body.model)
    usage = expect_stream_options(body)
    if body.store and served.archive is None:
        raise bad("store", "store: this server has no database to keep answers in; leave it out")
    plan = await loop.prepare(served, wish(served, body), Caller(owner=owner))
    await settle(served, plan.wish.pending, owner)
    return Chat(plan, body, f"chatcmpl-{uuid4().hex}", usage, served.archive if body.store else None)


async def whole(chat: Chat, watch: Watch) -> wire.ChatResponse:
    answers = _answers(chat)
    async with aclosing(chat.plan.run(watch)) as arriving:
        async for index, event in arriving:
            answers.note(index, event)
            answers.each[index].push(event)
            if isinstance(event, Approval):
                await _remember(chat, answers.each[index], event)
    response = answers.response()
    await _keep(chat, response)
    return response


async def _remember(chat: Chat, answered: Answered, event: Approval) -> None:
    """What is asked with it, before the client reads it."""
    await remember(chat.plan.served, answered.wanted[-1].id, event, chat.plan.caller.owner)


def _answers(chat: Chat) -> Answers:
    count = chat.plan.wish.count
    return Answers(chat, [Answered() for _ in range(count)], tally=Tally(each=count))


async def _keep(chat: Chat, response: wire.ChatResponse) -> None:
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
    await threaded(chat.archive.put_completion, new)


async def _events(chat: Chat, watch: Watch) -> AsyncGenerator[bytes]:
    """Chunks are put together by hand: this runs once per token of every stream."""
    head = _head(chat)
    tail = (',"usage":null' if chat.usage else "") + "}\n\n"
    text, logging = chat.plan.served.text, bool(chat.body.logprobs)
    answers, begun = _answers(chat), set[int]()
    async with aclosing(chat.plan.run(watch)) as arriving:
        async for index, event in arriving:
            answered = answers.each[index]
            if not isinstance(event, Piece):
                answers.note(index, event)
            delta = answered.push(event)
            if isinstance(event, Approval):
                await _remember(chat, answered, event)
            logged = _logged(text, event.logged) if logging and isinstance(event, Piece) and event.logged else "null"
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


def _head(chat: Chat) -> str:
    name = json.dumps(chat.plan.served.names[0])
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


def _logged(text: Text, logged: list[Logged]) -> str:
    return wire.ChoiceLogprobs(content=chat_logprobs(text, logged)).model_dump_json()
