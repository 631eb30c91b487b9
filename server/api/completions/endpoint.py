"""POST /v1/completions: the continuation of a prompt. No template is applied; the prompt may contain control tokens."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import uuid4

from starlette.types import Send

from engine.api import Closing, ModelInfo, Request, Usage
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
DEFAULT_MAX_TOKENS = 16  # OpenAI's default


@dataclass(frozen=True)
class CompletionPlan:
    """A checked request, ready to run. The sequences of one prompt are adjacent."""

    runtime: Runtime
    body: wire.CompletionRequest
    requests: tuple[Request, ...]
    echoes: tuple[str, ...]  # one per sequence
    stream_usage: bool  # the stream ends with a usage chunk
    id: str
    created: int

    def run(self, observer: TimingObserver) -> AsyncGenerator[tuple[int, OutputDelta]]:
        running = [self._run_one(request, observer) for request in self.requests]
        return map_engine_errors(merge(running), ErrorFields(prompt="prompt", grammar=grammar_field(self.body)))

    def _run_one(self, request: Request, observer: TimingObserver) -> AsyncGenerator[OutputDelta]:
        if request.sampling.max_tokens == 0:
            return _empty_output(request)
        parser = OutputParser(self.runtime.tokenizer, request, stop_strings(self.body), None)
        return output_deltas(self.runtime.engine, request, parser, observer)


def endpoints(state: ServerState) -> list[Endpoint]:
    async def handler(context: RequestContext, body: wire.CompletionRequest, send: Send) -> None:
        plan = await prepare(context.runtime, body)
        if body.stream:
            await send_events(send, _stream_chunks(plan, state.metrics))
        else:
            await send_json(send, 200, (await _generate(plan, state.metrics)).model_dump_json().encode())

    summary = "The continuation of a prompt"
    return [body_stream_endpoint(state, handler, "/v1/completions", summary, wire.CompletionRequest, wire.CompletionResponse, streams=True)]


async def prepare(runtime: Runtime, body: wire.CompletionRequest) -> CompletionPlan:
    """Raises ApiError for what cannot be honoured."""
    runtime.expect_model(body.model)
    stream_usage, grammar, n = wants_stream_usage(body), await runtime.grammar_cache.answer_grammar(to_grammar(body)), body.n or 1
    _expect_supported(body)
    prompts = await in_thread_if_large(_text_length(body.prompt), encode, runtime, body)
    if len(prompts) * n > MAX_SEQUENCES:
        raise bad_request("n", f"{len(prompts)} prompts times n={n} are more than {MAX_SEQUENCES} sequences")
    info, ends = runtime.engine.info, runtime.tokenizer.stop_tokens
    max_tokens = _max_tokens(body, info, prompts)
    params = sampling_params(body)
    chosen = [engine_sampling(params, i, info=info, ends=ends, max_tokens=max_tokens, logprobs=body.logprobs) for i in range(n)]
    closing = None if grammar is None else Closing()
    requests = tuple(Request(tokens=prompt, sampling=s, grammar=grammar, closing=closing) for prompt in prompts for s in chosen)
    echoes = tuple(echo for echo in _echoes(runtime.tokenizer, body, prompts) for _ in chosen)
    return CompletionPlan(runtime, body, requests, echoes, stream_usage, f"cmpl-{uuid4().hex}", int(time.time()))


def encode(runtime: Runtime, body: wire.CompletionRequest) -> list[tuple[int, ...]]:
    return [_tokens(runtime, prompt, body) for prompt in _prompts(body.prompt)]


def _expect_supported(body: wire.CompletionRequest) -> None:
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


def _text_length(prompt: wire.Prompt) -> int:
    return len(prompt) if isinstance(prompt, str) else sum(len(p) for p in prompt if isinstance(p, str))


def _max_tokens(body: wire.CompletionRequest, info: ModelInfo, prompts: list[tuple[int, ...]]) -> int:
    """Unlike in chat completions, prompt and max_tokens together must fit the context. Raises ApiError."""
    max_tokens = DEFAULT_MAX_TOKENS if body.max_tokens is None else body.max_tokens
    longest = max(map(len, prompts))
    left = min(tokens_left(info, len(prompt), "prompt") for prompt in prompts)
    if body.max_tokens is not None and max_tokens > left:
        need = f"prompt ({longest} tokens) and max_tokens ({max_tokens})"
        raise too_long("max_tokens", f"{need} exceed the model's context of {info.context} tokens")
    return min(max_tokens, left)


def _echoes(tokenizer: ChatTokenizer, body: wire.CompletionRequest, prompts: list[tuple[int, ...]]) -> list[str]:
    if not body.echo:
        return [""] * len(prompts)
    return [prompt if isinstance(prompt, str) else tokenizer.decode(prompt) for prompt in _prompts(body.prompt)]


async def _empty_output(request: Request) -> AsyncGenerator[OutputDelta]:
    yield OutputDelta(finish="length", usage=Usage(prompt=len(request.tokens), completion=0, cached=0))


async def _generate(plan: CompletionPlan, observer: TimingObserver) -> wire.CompletionResponse:
    outputs = [OutputDelta(text=echo) for echo in plan.echoes]
    usage = UsageCounter(sequences_per_prompt=plan.body.n or 1)
    async with aclosing(plan.run(observer)) as deltas:
        async for index, delta in deltas:
            outputs[index].text += delta.text
            outputs[index].logprobs += delta.logprobs
            outputs[index].finish = delta.finish
            if delta.finish and delta.usage:
                usage.add(index, delta.usage, 0)
    choices = [_choice(plan, i, output) for i, output in enumerate(outputs)]
    return wire.CompletionResponse(id=plan.id, created=plan.created, model=plan.runtime.names[0], choices=choices, usage=usage.usage())


def _choice(plan: CompletionPlan, index: int, output: OutputDelta) -> wire.Choice:
    assert output.finish is not None  # the last delta of each sequence has it
    logprobs = None if plan.body.logprobs is None else completion_logprobs(plan.runtime.tokenizer, output.logprobs, len(plan.echoes[index]))
    return wire.Choice(index=index, text=output.text, logprobs=logprobs, finish_reason=output.finish)


async def _stream_chunks(plan: CompletionPlan, observer: TimingObserver) -> AsyncGenerator[bytes]:
    """Chunks are put together by hand: this runs once per token of every stream."""
    head = f'data: {{"id":"{plan.id}","object":"text_completion","created":{plan.created},"model":{json.dumps(plan.runtime.names[0])}'
    tail = (',"usage":null' if plan.stream_usage else "") + "}\n\n"
    usage = UsageCounter(sequences_per_prompt=plan.body.n or 1)
    echoes = dict(enumerate(plan.echoes))
    async with aclosing(plan.run(observer)) as deltas:
        async for index, delta in deltas:
            text, logprobs = json.dumps(echoes.pop(index, "") + delta.text), _logprobs(plan, index, delta.logprobs)
            choice = f'{{"index":{index},"text":{text},"logprobs":{logprobs},"finish_reason":{json.dumps(delta.finish)}}}'
            yield f'{head},"choices":[{choice}]{tail}'.encode()
            if delta.finish and delta.usage:
                usage.add(index, delta.usage, 0)
    if plan.stream_usage:
        yield f'{head},"choices":[],"usage":{usage.usage().model_dump_json()}}}\n\n'.encode()
    yield DONE


def _logprobs(plan: CompletionPlan, index: int, tokens: list[LoggedToken]) -> str:
    if plan.body.logprobs is None:
        return "null"
    return completion_logprobs(plan.runtime.tokenizer, tokens, len(plan.echoes[index])).model_dump_json()
