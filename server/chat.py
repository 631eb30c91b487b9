"""A conversation in, the assistant's words out: render, generate, answer."""

import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from starlette.types import Send

from engine.api import Grammar, Request
from server.controls import NoMark
from server.dialects import reasoning
from server.errors import Blame, bad
from server.logprobs import chat_logprobs
from server.openai import chat as wire
from server.reply import Logged, Piece, Reader, Watch, merged, pieces
from server.sampling import expect_stream_options, grammar, grammar_field, room, sampling, stops
from server.served import Served, Tally, blamed
from server.stream import DONE, offloaded, send_events, send_json
from server.template import Message, TemplateRefused
from server.text import NoTemplate, Prompt, Text

OURS = frozenset({"messages", "tools", "documents", "add_generation_prompt"})  # template variables that a request has no say in


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything runs."""

    served: Served
    body: wire.ChatRequest
    prompt: Prompt
    requests: tuple[Request, ...]
    usage: bool  # the stream ends with it
    id: str
    created: int

    def run(self, watch: Watch) -> AsyncGenerator[tuple[int, Piece]]:
        running = [pieces(self.served.engine, r, self._reader(r), watch) for r in self.requests]
        return blamed(merged(running), Blame(prompt="messages", grammar=grammar_field(self.body)))

    def _reader(self, request: Request) -> Reader:
        text = self.served.text
        thoughts = reasoning.Reasoning(thinking=self.prompt.thinking) if text.thinks else None
        return Reader(text, request, stops(self.body), thoughts)


async def answer(served: Served, body: wire.ChatRequest, send: Send, *, watch: Watch) -> None:
    """POST /v1/chat/completions."""
    plan = await prepare(served, body)
    if body.stream:
        await send_events(send, _events(plan, watch))
    else:
        await send_json(send, 200, (await _whole(plan, watch)).model_dump_json().encode())


async def prepare(served: Served, body: wire.ChatRequest) -> Plan:
    """Raises ApiError for what cannot be honoured."""
    served.expect(body.model)
    usage, form, logprobs = expect_stream_options(body), grammar(body), _logprobs(body)
    variables = _variables(body, served.text, form is not None)
    prompt = await offloaded(_size(body.messages), render, served.text, body.messages, variables)
    if form is not None and prompt.thinking:
        raise bad(grammar_field(body), f"{grammar_field(body)}: this model thinks first, and its thoughts would not fit the format")
    limit = _limit(body, room(served.engine.info, len(prompt.tokens), "messages"))
    requests = tuple(_request(served, body, i, prompt, form, limit, logprobs) for i in range(body.n or 1))
    return Plan(served, body, prompt, requests, usage, f"chatcmpl-{uuid4().hex}", int(time.time()))


def render(text: Text, messages: list[wire.Message], variables: Mapping[str, Any]) -> Prompt:
    try:
        return text.chat([_plain(text, i, message) for i, message in enumerate(messages)], variables)
    except (NoTemplate, TemplateRefused, NoMark) as error:
        raise bad("messages", str(error)) from error


def _request(
    served: Served, body: wire.ChatRequest, index: int, prompt: Prompt, form: Grammar | None, limit: int, logprobs: int | None
) -> Request:
    info, ends = served.engine.info, served.text.stop_tokens
    chosen = sampling(body, index, info=info, ends=ends, max_tokens=limit, logprobs=logprobs)
    return Request(tokens=prompt.tokens, sampling=chosen, grammar=form)


def _plain(text: Text, index: int, message: wire.Message) -> Message:
    """A message as templates know it."""
    content = _content(message.content)
    plain = {"role": "system" if message.role == "developer" else message.role, "content": content}
    if message.role == "assistant":
        said = reasoning.split(content) if text.thinks else reasoning.Said(answer=content)
        thought = message.reasoning_content or said.thought
        plain |= {"content": said.answer} | ({"reasoning_content": thought} if thought else {})
    if message.name is not None:
        if text.template is None or not text.template.reads("name"):
            raise bad(f"messages.{index}.name", f"messages.{index}.name: this model's chat template has no place for names")
        plain["name"] = message.name
    return plain


def _size(messages: list[wire.Message]) -> int:
    return sum(len(_content(message.content)) for message in messages)


def _content(content: wire.Content) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


def _variables(body: wire.ChatRequest, text: Text, formed: bool) -> dict[str, Any]:
    """What the template is told. An answer that must have a form is given without thoughts, where a model has the choice."""
    known = (text.template.variables if text.template else frozenset[str]()) - OURS
    given: dict[str, Any] = dict(body.chat_template_kwargs or {})
    if formed and "enable_thinking" in known:
        given = {"enable_thinking": False, **given}
    if unknown := sorted(given.keys() - known):
        field = f"chat_template_kwargs.{unknown[0]}"
        raise bad(field, f"{field}: this model's chat template does not know it")
    if (effort := body.reasoning_effort) is None:
        return given
    if "reasoning_effort" in known:
        return {"reasoning_effort": effort, **given}
    if "enable_thinking" in known:
        return {"enable_thinking": effort != "none", **given}
    if effort == "none" and not text.thinks:
        return given
    raise bad("reasoning_effort", f"reasoning_effort: this model cannot be told how much to think (asked for {effort!r})")


def _limit(body: wire.ChatRequest, left: int) -> int:
    """An upper bound, so one that reaches beyond the context is none."""
    asked = {n for n in (body.max_completion_tokens, body.max_tokens) if n is not None}
    if len(asked) > 1:
        raise bad("max_tokens", "max_tokens and max_completion_tokens say different things; send one")
    return min(*asked, left) if asked else left


def _logprobs(body: wire.ChatRequest) -> int | None:
    if body.top_logprobs is not None and not body.logprobs:
        raise bad("top_logprobs", "top_logprobs needs logprobs: true")
    return (body.top_logprobs or 0) if body.logprobs else None


async def _whole(plan: Plan, watch: Watch) -> wire.ChatResponse:
    whole = [Piece() for _ in plan.requests]
    tally = Tally(each=len(whole))
    async with aclosing(plan.run(watch)) as arriving:
        async for index, piece in arriving:
            _extend(whole[index], piece)
            if piece.usage:
                tally.add(index, piece.usage, piece.thought_tokens)
    choices = [_choice(plan, i, piece) for i, piece in enumerate(whole)]
    name = plan.served.names[0]
    return wire.ChatResponse(
        id=plan.id, created=plan.created, model=name, choices=choices, usage=tally.usage(), metadata=plan.body.metadata
    )


def _extend(whole: Piece, piece: Piece) -> None:
    whole.answer += piece.answer
    whole.thought += piece.thought
    whole.logged += piece.logged
    whole.end = piece.end


def _choice(plan: Plan, index: int, whole: Piece) -> wire.Choice:
    assert whole.end is not None  # `pieces` ends with it
    message = wire.ResponseMessage(content=whole.answer, reasoning_content=whole.thought or None)
    logprobs = wire.ChoiceLogprobs(content=chat_logprobs(plan.served.text, whole.logged)) if plan.body.logprobs else None
    return wire.Choice(index=index, message=message, logprobs=logprobs, finish_reason=whole.end)


async def _events(plan: Plan, watch: Watch) -> AsyncGenerator[bytes]:
    """Chunks are put together by hand: this runs once per token of every stream."""
    head = f'data: {{"id":"{plan.id}","object":"chat.completion.chunk","created":{plan.created},"model":{json.dumps(plan.served.names[0])}'
    tail = (',"usage":null' if plan.usage else "") + "}\n\n"
    tally = Tally(each=len(plan.requests))
    begun: set[int] = set()
    async with aclosing(plan.run(watch)) as arriving:
        async for index, piece in arriving:
            first = "" if index in begun else _chunk(head, index, '{"role":"assistant","content":""}', "null", "null", tail)
            begun.add(index)
            logprobs = _logged(plan, piece.logged) if plan.body.logprobs else "null"
            end = json.dumps(piece.end)
            yield (first + _chunk(head, index, _delta(piece), logprobs, end, tail)).encode()
            if piece.usage:
                tally.add(index, piece.usage, piece.thought_tokens)
    if plan.usage:
        yield f'{head},"choices":[],"usage":{tally.usage().model_dump_json()}}}\n\n'.encode()
    yield DONE


def _chunk(head: str, index: int, delta: str, logprobs: str, end: str, tail: str) -> str:
    return f'{head},"choices":[{{"index":{index},"delta":{delta},"logprobs":{logprobs},"finish_reason":{end}}}]{tail}'


def _delta(piece: Piece) -> str:
    parts = {"reasoning_content": piece.thought, "content": piece.answer}
    return json.dumps({name: value for name, value in parts.items() if value})


def _logged(plan: Plan, logged: list[Logged]) -> str:
    return wire.ChoiceLogprobs(content=chat_logprobs(plan.served.text, logged)).model_dump_json()
