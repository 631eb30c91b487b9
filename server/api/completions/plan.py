"""From the body of a legacy completion to requests of the engine."""

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import uuid4

from engine.api import Closing, ModelInfo, Request
from server.api.common.generation import output_options, sampling_params, wants_stream_usage
from server.api.common.generation_types import UNLIMITED
from server.api.common.output_format import grammar_field, to_grammar
from server.api.completions import types as wire
from server.api.completions.reading import expect_vocabulary, read_prompt
from server.api.completions.shared import with_shared_prompt_logprobs
from server.chat.decoding import expect_text_reader, with_decoding
from server.chat.output_parser import OutputParser
from server.chat.sampling import engine_sampling, expect_room, tokens_left, too_long
from server.chat.streams import merge, output_deltas
from server.core.errors import ErrorFields, bad_request, engine_errors_as_api_errors, map_engine_errors
from server.core.events import OutputDelta
from server.core.request import RequestWarning
from server.core.threads import in_thread_if_large
from server.core.timing import TimingObserver
from server.http.warnings import hint_warnings
from server.runtime.runtime import Runtime
from server.text.infill import infill_prompt
from server.text.prompt import Prompt
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
    warnings: tuple[RequestWarning, ...]

    @property
    def sequences_per_prompt(self) -> int:
        return self.body.best_of or self.body.n or 1

    def run(self, observer: TimingObserver) -> AsyncGenerator[tuple[int, OutputDelta]]:
        running = [self._run_one(request, observer) for request in self.requests]
        outputs = merge(running)
        if self.sequences_per_prompt > 1 and _prompt_logprobs(self.body) is not None:
            outputs = with_shared_prompt_logprobs(outputs, self.sequences_per_prompt)
        return map_engine_errors(outputs, ErrorFields(prompt="prompt", grammar=grammar_field(self.body)))

    def _run_one(self, request: Request, observer: TimingObserver) -> AsyncGenerator[OutputDelta]:
        parser = OutputParser(self.runtime.tokenizer, request, output_options(self.body), None)
        return output_deltas(self.runtime.engine, request, parser, observer)


async def prepare(runtime: Runtime, body: wire.CompletionRequest, owner: str) -> CompletionPlan:
    """`owner`: hex SHA-256 of the caller's key. Raises ApiError for what cannot be honoured."""
    runtime.expect_model(body.model)
    expect_text_reader(runtime)
    stream_usage = wants_stream_usage(body)
    with engine_errors_as_api_errors(ErrorFields(prompt="prompt", grammar=grammar_field(body))):
        grammar = await runtime.grammar_cache.answer_grammar(to_grammar(body))
    per_prompt, count = _sequences_per_prompt(body), len(_prompts(body.prompt))
    if count * per_prompt > MAX_SEQUENCES:
        raise bad_request("n", f"{count} prompts times n={per_prompt} are more than {MAX_SEQUENCES} sequences")
    for prompt in _prompts(body.prompt) if body.truncate_prompt_tokens is None else ():
        expect_room(runtime, len(prompt) if isinstance(prompt, str) else 0, "prompt")
    prompts = await in_thread_if_large(_text_length(body.prompt), encode, runtime, body)
    info, params = runtime.engine.info, sampling_params(body)
    max_tokens = _max_tokens(body, runtime, prompts)
    samplings = [
        engine_sampling(
            params,
            i,
            info=info,
            tokenizer=runtime.tokenizer,
            max_tokens=max_tokens,
            logprobs=_generated_logprobs(body),
            prompt_logprobs=_prompt_logprobs(body) if i == 0 else None,
        )
        for i in range(per_prompt)
    ]
    closing = None if grammar is None else Closing()
    salt = body.cache_salt or ""
    requests = tuple(
        with_decoding(
            runtime,
            Request(
                tokens=prompt.tokens,
                sampling=s,
                grammar=grammar,
                priority=params.rank,
                closing=closing,
                speculative=params.speculative,
                salt=salt,
            ),
            prompt,
            params,
            per_prompt,
        )
        for prompt in prompts
        for s in samplings
    )
    echoes = tuple(echo for echo in _echoes(runtime.tokenizer, body, prompts) for _ in samplings)
    id, warnings = f"cmpl-{body.request_id or uuid4().hex}", tuple(hint_warnings(body))
    return CompletionPlan(runtime, body, requests, echoes, stream_usage, id, int(time.time()), warnings)


def encode(runtime: Runtime, body: wire.CompletionRequest) -> list[Prompt]:
    """Raises ApiError."""
    if (model := runtime.tokenizer.encoder_decoder) is not None:
        return [read_prompt(runtime, model, prompt, body) for prompt in _prompts(body.prompt)]
    prompts = [_tokens(runtime, prompt, body) for prompt in _prompts(body.prompt)]
    return [Prompt(_truncated(runtime.engine.info, prompt, body)) for prompt in prompts]


def _sequences_per_prompt(body: wire.CompletionRequest) -> int:
    n = body.n or 1
    if body.best_of is None:
        return n
    if body.best_of < n:
        raise bad_request("best_of", f"best_of: {body.best_of} is less than n={n}")
    if body.best_of > n and body.stream:
        raise bad_request("best_of", "best_of cannot be combined with stream: the best are known at the end")
    return body.best_of


def _generated_logprobs(body: wire.CompletionRequest) -> int | None:
    """best_of needs them, to choose."""
    return 0 if body.logprobs is None and body.best_of is not None else body.logprobs


def _prompt_logprobs(body: wire.CompletionRequest) -> int | None:
    wanted = [body.prompt_logprobs, body.logprobs if body.echo else None]
    return max((number for number in wanted if number is not None), default=None)


def _prompts(prompt: wire.Prompt) -> list[str] | list[list[int]]:
    if isinstance(prompt, str):
        return [prompt]
    return [prompt] if isinstance(prompt[0], int) else prompt  # pyright: ignore[reportReturnType] (no guard sees the other items)


def _tokens(runtime: Runtime, prompt: str | list[int], body: wire.CompletionRequest) -> tuple[int, ...]:
    if isinstance(prompt, str):
        tokens = runtime.tokenizer.encode(
            prompt, parse_special=body.parse_special is not False, add_special=body.add_special_tokens is not False
        )
    else:
        expect_vocabulary(prompt, runtime.engine.info.vocab)
        tokens = tuple(prompt)
    if not body.suffix:
        return tokens
    if (infill := infill_prompt(runtime.tokenizer, tokens, body.suffix)) is None:
        raise bad_request("suffix", "suffix: this model has no tokens for infilling, it only continues a text", "unsupported")
    return infill


def _truncated(info: ModelInfo, prompt: tuple[int, ...], body: wire.CompletionRequest) -> tuple[int, ...]:
    """The last tokens, where truncate_prompt_tokens asks for it."""
    limit = body.truncate_prompt_tokens
    if limit is None:
        return prompt
    limit = max(1, info.context - max(_requested(body) or DEFAULT_MAX_TOKENS, 1)) if limit == -1 else limit
    return prompt[-limit:] if limit else prompt


def _text_length(prompt: wire.Prompt) -> int:
    return len(prompt) if isinstance(prompt, str) else sum(len(p) for p in prompt if isinstance(p, str))


def _requested(body: wire.CompletionRequest) -> int | None:
    """Tokens, by either of its names. Raises ApiError for two values."""
    if None not in (body.max_tokens, body.n_predict) and body.max_tokens != body.n_predict:
        raise bad_request("n_predict", "n_predict: max_tokens says something different; send one")
    return body.n_predict if body.max_tokens is None else body.max_tokens


def _max_tokens(body: wire.CompletionRequest, runtime: Runtime, prompts: list[Prompt]) -> int:
    """Unlike in chat completions, prompt and max_tokens together must fit the context. Raises ApiError."""
    requested, info = _requested(body), runtime.engine.info
    longest = max(len(prompt.tokens) for prompt in prompts)
    left = min(tokens_left(info, prompt, "prompt") for prompt in prompts)
    if requested == UNLIMITED:
        return min(runtime.answer_limit or left, left)
    max_tokens = DEFAULT_MAX_TOKENS if requested is None else requested
    if requested is not None and max_tokens > left:
        what = "prompt" if info.reader is None else "the answer's beginning"
        need = f"{what} ({longest} tokens) and max_tokens ({max_tokens})"
        raise too_long("max_tokens", f"{need} exceed the model's context of {info.context} tokens")
    return min(max_tokens, left)


def _echoes(tokenizer: ChatTokenizer, body: wire.CompletionRequest, prompts: list[Prompt]) -> list[str]:
    """The prompts as text, as they are after truncation."""
    if not body.echo:
        return [""] * len(prompts)
    given = _prompts(body.prompt)
    whole = body.truncate_prompt_tokens is None
    return [
        text if isinstance(text, str) and whole else tokenizer.decode(prompt.tokens) for text, prompt in zip(given, prompts, strict=True)
    ]
