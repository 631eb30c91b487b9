"""A prompt in, its continuation out. The prompt is the caller's own template: it may steer, with control tokens in it."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import uuid4

from starlette.types import Send

from engine.api import ModelInfo, Request, Usage
from server.api.common.output_format import expect_stream_options, grammar, grammar_field, stops
from server.api.common.usage import Tally
from server.api.completions import types as wire
from server.api.completions.logprobs import completion_logprobs
from server.chat.output_parser import Reader, merged, pieces
from server.chat.sampling import room, sampling, too_long
from server.core.errors import Blame, bad, blamed
from server.core.events import Logged, Piece
from server.core.threads import offloaded
from server.core.timing import Watch
from server.http.context import Call
from server.http.endpoint import Endpoint
from server.http.handlers import speaking
from server.http.sse import DONE, send_events, send_json
from server.runtime.runtime import Served
from server.runtime.state import House
from server.text.tokenizer import Text

MAX_SEQUENCES = 256  # of one request: prompts times n
MAX_TOKENS = 16  # OpenAI's default


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything runs. Sequences of one prompt lie next to each other."""

    served: Served
    body: wire.CompletionRequest
    requests: tuple[Request, ...]
    echoes: tuple[str, ...]  # one per sequence
    usage: bool  # the stream ends with it
    id: str
    created: int

    def run(self, watch: Watch) -> AsyncGenerator[tuple[int, Piece]]:
        running = [self._one(request, watch) for request in self.requests]
        return blamed(merged(running), Blame(prompt="prompt", grammar=grammar_field(self.body)))

    def _one(self, request: Request, watch: Watch) -> AsyncGenerator[Piece]:
        if request.sampling.max_tokens == 0:
            return _nothing(request)
        return pieces(self.served.engine, request, Reader(self.served.text, request, stops(self.body), None), watch)


def endpoints(house: House) -> list[Endpoint]:
    async def run(call: Call, body: wire.CompletionRequest, send: Send) -> None:
        await answer(call.served, body, send, watch=house.metrics)

    summary = "The continuation of a prompt"
    return [speaking(house, run, "/v1/completions", summary, wire.CompletionRequest, wire.CompletionResponse, streams=True)]


async def answer(served: Served, body: wire.CompletionRequest, send: Send, *, watch: Watch) -> None:
    """POST /v1/completions."""
    plan = await prepare(served, body)
    if body.stream:
        await send_events(send, _events(plan, watch))
    else:
        await send_json(send, 200, (await _whole(plan, watch)).model_dump_json().encode())


async def prepare(served: Served, body: wire.CompletionRequest) -> Plan:
    """Raises ApiError for what cannot be honoured."""
    served.expect(body.model)
    usage, form, n = expect_stream_options(body), await served.grammars.form(grammar(body)), body.n or 1
    _expect_possible(body)
    prompts = await offloaded(_size(body.prompt), encode, served, body)
    if len(prompts) * n > MAX_SEQUENCES:
        raise bad("n", f"{len(prompts)} prompts times n={n} are more than {MAX_SEQUENCES} sequences")
    info, ends = served.engine.info, served.text.stop_tokens
    limit = _limit(body, info, prompts)
    chosen = [sampling(body, i, info=info, ends=ends, max_tokens=limit, logprobs=body.logprobs) for i in range(n)]
    requests = tuple(Request(tokens=prompt, sampling=s, grammar=form) for prompt in prompts for s in chosen)
    echoes = tuple(echo for echo in _echoes(served.text, body, prompts) for _ in chosen)
    return Plan(served, body, requests, echoes, usage, f"cmpl-{uuid4().hex}", int(time.time()))


def encode(served: Served, body: wire.CompletionRequest) -> list[tuple[int, ...]]:
    return [_tokens(served, prompt, body) for prompt in _prompts(body.prompt)]


def _expect_possible(body: wire.CompletionRequest) -> None:
    if body.echo and body.logprobs is not None:
        raise bad("echo", "echo cannot be combined with logprobs: those of a prompt are not computed")
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise bad("best_of", "best_of: this server does not choose among answers; ask for n and choose")


def _prompts(prompt: wire.Prompt) -> list[str] | list[list[int]]:
    if isinstance(prompt, str):
        return [prompt]
    return [prompt] if isinstance(prompt[0], int) else prompt  # pyright: ignore[reportReturnType] (no guard sees the other items)


def _tokens(served: Served, prompt: str | list[int], body: wire.CompletionRequest) -> tuple[int, ...]:
    if isinstance(prompt, str):
        return served.text.encode(prompt, control=body.parse_special, special=body.add_special_tokens)
    vocab = served.engine.info.vocab
    if outside := [token for token in prompt if token >= vocab]:
        raise bad("prompt", f"prompt: there is no token {outside[0]}; the vocabulary has {vocab}")
    return tuple(prompt)


def _size(prompt: wire.Prompt) -> int:
    return len(prompt) if isinstance(prompt, str) else sum(len(p) for p in prompt if isinstance(p, str))


def _limit(body: wire.CompletionRequest, info: ModelInfo, prompts: list[tuple[int, ...]]) -> int:
    """Unlike a conversation's, this limit is no upper bound: prompt and max_tokens must fit the context together."""
    asked = MAX_TOKENS if body.max_tokens is None else body.max_tokens
    longest = max(map(len, prompts))
    left = min(room(info, len(prompt), "prompt") for prompt in prompts)
    if body.max_tokens is not None and asked > left:
        need = f"prompt ({longest} tokens) and max_tokens ({asked})"
        raise too_long("max_tokens", f"{need} exceed the model's context of {info.context} tokens")
    return min(asked, left)


def _echoes(text: Text, body: wire.CompletionRequest, prompts: list[tuple[int, ...]]) -> list[str]:
    if not body.echo:
        return [""] * len(prompts)
    return [given if isinstance(given, str) else text.decode(given) for given in _prompts(body.prompt)]


async def _nothing(request: Request) -> AsyncGenerator[Piece]:
    yield Piece(end="length", usage=Usage(prompt=len(request.tokens), completion=0, cached=0))


async def _whole(plan: Plan, watch: Watch) -> wire.CompletionResponse:
    whole = [Piece(answer=echo) for echo in plan.echoes]
    tally = Tally(each=plan.body.n or 1)
    async with aclosing(plan.run(watch)) as arriving:
        async for index, piece in arriving:
            whole[index].answer += piece.answer
            whole[index].logged += piece.logged
            whole[index].end = piece.end
            if piece.end and piece.usage:
                tally.add(index, piece.usage, 0)
    choices = [_choice(plan, i, piece) for i, piece in enumerate(whole)]
    return wire.CompletionResponse(id=plan.id, created=plan.created, model=plan.served.names[0], choices=choices, usage=tally.usage())


def _choice(plan: Plan, index: int, whole: Piece) -> wire.Choice:
    assert whole.end is not None  # `pieces` ends with it
    logprobs = None if plan.body.logprobs is None else completion_logprobs(plan.served.text, whole.logged, len(plan.echoes[index]))
    return wire.Choice(index=index, text=whole.answer, logprobs=logprobs, finish_reason=whole.end)


async def _events(plan: Plan, watch: Watch) -> AsyncGenerator[bytes]:
    """Chunks are put together by hand: this runs once per token of every stream."""
    head = f'data: {{"id":"{plan.id}","object":"text_completion","created":{plan.created},"model":{json.dumps(plan.served.names[0])}'
    tail = (',"usage":null' if plan.usage else "") + "}\n\n"
    tally = Tally(each=plan.body.n or 1)
    echoes = dict(enumerate(plan.echoes))
    async with aclosing(plan.run(watch)) as arriving:
        async for index, piece in arriving:
            text, logprobs = json.dumps(echoes.pop(index, "") + piece.answer), _logged(plan, index, piece.logged)
            choice = f'{{"index":{index},"text":{text},"logprobs":{logprobs},"finish_reason":{json.dumps(piece.end)}}}'
            yield f'{head},"choices":[{choice}]{tail}'.encode()
            if piece.end and piece.usage:
                tally.add(index, piece.usage, 0)
    if plan.usage:
        yield f'{head},"choices":[],"usage":{tally.usage().model_dump_json()}}}\n\n'.encode()
    yield DONE


def _logged(plan: Plan, index: int, logged: list[Logged]) -> str:
    if plan.body.logprobs is None:
        return "null"
    return completion_logprobs(plan.served.text, logged, len(plan.echoes[index])).model_dump_json()
