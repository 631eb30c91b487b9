"""A prompt in, its continuation out. The prompt is the caller's own template: it may steer, with control tokens in it."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import uuid4

from starlette.types import Send

from engine.api import ModelInfo, Request, Usage
from server.api.common.generation import sampling_params, stop_strings, wants_stream_usage
from server.api.common.output_format import grammar_field, to_grammar
from server.api.common.usage import UsageCounter
from server.api.completions import types as wire
from server.api.completions.logprobs import completion_logprobs
from server.chat.output_parser import OutputParser
from server.chat.sampling import engine_sampling, tokens_left, too_long
from server.chat.streams import merge, output_deltas
from server.core.errors import ErrorFields, bad_request, map_engine_errors
from server.core.events import LoggedToken, OutputDelta
from server.core.threads import in_thread_if_large
from server.core.timing import TimingObserver
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_stream_endpoint
from server.http.sse import DONE, send_events, send_json
from server.runtime.runtime import Runtime
from server.runtime.state import ServerState
from server.text.tokenizer import ChatTokenizer

MAX_SEQUENCES = 256  # of one request: prompts times n
MAX_TOKENS = 16  # OpenAI's default


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything runs. Sequences of one prompt lie next to each other."""

    runtime: Runtime
    body: wire.CompletionRequest
    requests: tuple[Request, ...]
    echoes: tuple[str, ...]  # one per sequence
    usage: bool  # the stream ends with it
    id: str
    created: int

    def run(self, watch: TimingObserver) -> AsyncGenerator[tuple[int, OutputDelta]]:
        running = [self._one(request, watch) for request in self.requests]
        return map_engine_errors(merge(running), ErrorFields(prompt="prompt", grammar=grammar_field(self.body)))

    def _one(self, request: Request, watch: TimingObserver) -> AsyncGenerator[OutputDelta]:
        if request.sampling.max_tokens == 0:
            return _nothing(request)
        parser = OutputParser(self.runtime.tokenizer, request, stop_strings(self.body), None)
        return output_deltas(self.runtime.engine, request, parser, watch)


def endpoints(state: ServerState) -> list[Endpoint]:
    async def run(call: RequestContext, body: wire.CompletionRequest, send: Send) -> None:
        await answer(call.runtime, body, send, watch=state.metrics)

    summary = "The continuation of a prompt"
    return [body_stream_endpoint(state, run, "/v1/completions", summary, wire.CompletionRequest, wire.CompletionResponse, streams=True)]


async def answer(runtime: Runtime, body: wire.CompletionRequest, send: Send, *, watch: TimingObserver) -> None:
    """POST /v1/completions."""
    plan = await prepare(runtime, body)
    if body.stream:
        await send_events(send, _events(plan, watch))
    else:
        await send_json(send, 200, (await _whole(plan, watch)).model_dump_json().encode())


async def prepare(runtime: Runtime, body: wire.CompletionRequest) -> Plan:
    """Raises ApiError for what cannot be honoured."""
    runtime.expect_model(body.model)
    usage, form, n = wants_stream_usage(body), await runtime.grammar_cache.answer_grammar(to_grammar(body)), body.n or 1
    _expect_possible(body)
    prompts = await in_thread_if_large(_size(body.prompt), encode, runtime, body)
    if len(prompts) * n > MAX_SEQUENCES:
        raise bad_request("n", f"{len(prompts)} prompts times n={n} are more than {MAX_SEQUENCES} sequences")
    info, ends = runtime.engine.info, runtime.tokenizer.stop_tokens
    limit = _limit(body, info, prompts)
    params = sampling_params(body)
    chosen = [engine_sampling(params, i, info=info, ends=ends, max_tokens=limit, logprobs=body.logprobs) for i in range(n)]
    requests = tuple(Request(tokens=prompt, sampling=s, grammar=form) for prompt in prompts for s in chosen)
    echoes = tuple(echo for echo in _echoes(runtime.tokenizer, body, prompts) for _ in chosen)
    return Plan(runtime, body, requests, echoes, usage, f"cmpl-{uuid4().hex}", int(time.time()))


def encode(runtime: Runtime, body: wire.CompletionRequest) -> list[tuple[int, ...]]:
    return [_tokens(runtime, prompt, body) for prompt in _prompts(body.prompt)]


def _expect_possible(body: wire.CompletionRequest) -> None:
    if body.echo and body.logprobs is not None:
        raise bad_request("echo", "echo cannot be combined with logprobs: those of a prompt are not computed")
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise bad_request("best_of", "best_of: this server does not choose among answers; ask for n and choose")


def _prompts(prompt: wire.Prompt) -> list[str] | list[list[int]]:
    if isinstance(prompt, str):
        return [prompt]
    return [prompt] if isinstance(prompt[0], int) else prompt  # pyright: ignore[reportReturnType] (no guard sees the other items)


def _tokens(runtime: Runtime, prompt: str | list[int], body: wire.CompletionRequest) -> tuple[int, ...]:
    if isinstance(prompt, str):
        return runtime.tokenizer.encode(prompt, parse_special=body.parse_special, add_special=body.add_special_tokens)
    vocab = runtime.engine.info.vocab
    if outside := [token for token in prompt if token >= vocab]:
        raise bad_request("prompt", f"prompt: there is no token {outside[0]}; the vocabulary has {vocab}")
    return tuple(prompt)


def _size(prompt: wire.Prompt) -> int:
    return len(prompt) if isinstance(prompt, str) else sum(len(p) for p in prompt if isinstance(p, str))


def _limit(body: wire.CompletionRequest, info: ModelInfo, prompts: list[tuple[int, ...]]) -> int:
    """Unlike a conversation's, this limit is no upper bound: prompt and max_tokens must fit the context together."""
    asked = MAX_TOKENS if body.max_tokens is None else body.max_tokens
    longest = max(map(len, prompts))
    left = min(tokens_left(info, len(prompt), "prompt") for prompt in prompts)
    if body.max_tokens is not None and asked > left:
        need = f"prompt ({longest} tokens) and max_tokens ({asked})"
        raise too_long("max_tokens", f"{need} exceed the model's context of {info.context} tokens")
    return min(asked, left)


def _echoes(text: ChatTokenizer, body: wire.CompletionRequest, prompts: list[tuple[int, ...]]) -> list[str]:
    if not body.echo:
        return [""] * len(prompts)
    return [given if isinstance(given, str) else text.decode(given) for given in _prompts(body.prompt)]


async def _nothing(request: Request) -> AsyncGenerator[OutputDelta]:
    yield OutputDelta(finish="length", usage=Usage(prompt=len(request.tokens), completion=0, cached=0))


async def _whole(plan: Plan, watch: TimingObserver) -> wire.CompletionResponse:
    whole = [OutputDelta(text=echo) for echo in plan.echoes]
    tally = UsageCounter(sequences_per_prompt=plan.body.n or 1)
    async with aclosing(plan.run(watch)) as arriving:
        async for index, piece in arriving:
            whole[index].text += piece.text
            whole[index].logprobs += piece.logprobs
            whole[index].finish = piece.finish
            if piece.finish and piece.usage:
                tally.add(index, piece.usage, 0)
    choices = [_choice(plan, i, piece) for i, piece in enumerate(whole)]
    return wire.CompletionResponse(id=plan.id, created=plan.created, model=plan.runtime.names[0], choices=choices, usage=tally.usage())


def _choice(plan: Plan, index: int, whole: OutputDelta) -> wire.Choice:
    assert whole.finish is not None  # `pieces` ends with it
    logprobs = None if plan.body.logprobs is None else completion_logprobs(plan.runtime.tokenizer, whole.logprobs, len(plan.echoes[index]))
    return wire.Choice(index=index, text=whole.text, logprobs=logprobs, finish_reason=whole.finish)


async def _events(plan: Plan, watch: TimingObserver) -> AsyncGenerator[bytes]:
    """Chunks are put together by hand: this runs once per token of every stream."""
    head = f'data: {{"id":"{plan.id}","object":"text_completion","created":{plan.created},"model":{json.dumps(plan.runtime.names[0])}'
    tail = (',"usage":null' if plan.usage else "") + "}\n\n"
    tally = UsageCounter(sequences_per_prompt=plan.body.n or 1)
    echoes = dict(enumerate(plan.echoes))
    async with aclosing(plan.run(watch)) as arriving:
        async for index, piece in arriving:
            text, logprobs = json.dumps(echoes.pop(index, "") + piece.text), _logged(plan, index, piece.logprobs)
            choice = f'{{"index":{index},"text":{text},"logprobs":{logprobs},"finish_reason":{json.dumps(piece.finish)}}}'
            yield f'{head},"choices":[{choice}]{tail}'.encode()
            if piece.finish and piece.usage:
                tally.add(index, piece.usage, 0)
    if plan.usage:
        yield f'{head},"choices":[],"usage":{tally.usage().model_dump_json()}}}\n\n'.encode()
    yield DONE


def _logged(plan: Plan, index: int, logged: list[LoggedToken]) -> str:
    if plan.body.logprobs is None:
        return "null"
    return completion_logprobs(plan.runtime.tokenizer, logged, len(plan.echoes[index])).model_dump_json()
