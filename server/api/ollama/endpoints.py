"""Ollama's API over the same loop: POST /api/chat, /api/generate, /api/embed and /api/embeddings."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from starlette.types import Send

from engine.api import Closing, Request
from server.api.common.search.vectors import truncate_vectors
from server.api.ollama import models
from server.api.ollama import types as wire
from server.api.ollama.request import (
    chat_request,
    generate_request,
    logprobs,
    max_tokens,
    model_name,
    option_warnings,
    output_options,
    sampling_params,
    to_grammar,
)
from server.api.ollama.response import AnswerLines, chat_shape, generate_shape, to_line
from server.chat.decoding import expect_text_reader, with_decoding
from server.chat.encoder_decoder import expect_grammars
from server.chat.loop import prepare
from server.chat.output_parser import OutputParser
from server.chat.sampling import engine_sampling, tokens_left
from server.chat.streams import output_deltas
from server.core.errors import ErrorFields, bad_request, map_engine_errors, model_not_found
from server.core.events import AnswerFinished, Event
from server.core.request import Caller, GenerationRequest
from server.core.threads import in_thread_if_large, with_api_errors
from server.core.timing import TimingObserver
from server.http.context import RequestContext
from server.http.endpoint import Endpoint, StreamType
from server.http.handlers import body_endpoint, body_stream_endpoint
from server.http.sse import send_json, send_lines
from server.http.warnings import hint_warnings, warning_headers
from server.runtime.runtime import Runtime
from server.runtime.state import ServerState
from server.text.encoder_decoder import conversation
from server.text.encoder_decoder.languages import NO_LANGUAGES
from server.text.infill import infill_prompt
from server.text.prompt import Prompt


def endpoints(state: ServerState) -> list[Endpoint]:
    async def chat(context: RequestContext, body: wire.OllamaChatRequest, send: Send) -> None:
        context = context.with_model(model_name(body.model))
        context.runtime.expect_model(model_name(body.model))
        lines = AnswerLines(body.model, chat_shape, context.runtime.tokenizer)
        if not body.messages:
            await send_json(send, 200, to_line(lines.last("load")))
            return
        await _run_loop(context, chat_request(context.runtime, body), lines, body, send, state.metrics)

    async def generate(context: RequestContext, body: wire.GenerateRequest, send: Send) -> None:
        context = context.with_model(model_name(body.model))
        context.runtime.expect_model(model_name(body.model))
        lines = AnswerLines(body.model, generate_shape, context.runtime.tokenizer)
        if not body.prompt and body.suffix is None:
            await send_json(send, 200, to_line(lines.last("load")))
        elif body.raw or body.suffix or not context.runtime.tokenizer.takes_messages:
            lines.warnings = (*hint_warnings(body), *option_warnings(context.runtime, body.options))
            await _send(send, lines, await raw_events(context.runtime, body, state.metrics), body)
        else:
            await _run_loop(context, generate_request(context.runtime, body), lines, body, send, state.metrics)

    chat_summary, generate_summary = "The assistant's answer, as Ollama has it", "The answer to a prompt, as Ollama has it"
    lines: StreamType = "application/x-ndjson"
    found = [
        body_stream_endpoint(state, chat, "/api/chat", chat_summary, wire.OllamaChatRequest, wire.OllamaChatResponse, streams=lines),
        body_stream_endpoint(
            state, generate, "/api/generate", generate_summary, wire.GenerateRequest, wire.GenerateResponse, streams=lines
        ),
        body_endpoint(state, embed, "/api/embed", "Vectors of texts, as Ollama has it", wire.EmbedRequest, wire.EmbedResponse),
        body_endpoint(state, embed_one, "/api/embeddings", "A vector, as Ollama has had it", wire.EmbeddingRequest, wire.EmbeddingResponse),
        *models.endpoints(state),
    ]
    return [replace(endpoint, error=wire.Error) for endpoint in found]


async def _run_loop(
    context: RequestContext,
    request: GenerationRequest,
    lines: AnswerLines,
    body: wire.GenerationFields,
    send: Send,
    observer: TimingObserver,
) -> None:
    plan = await prepare(context.runtime, request, Caller(owner=context.owner))
    lines.warnings = plan.request.warnings
    await _send(send, lines, plan.run(observer), body)


async def _send(send: Send, lines: AnswerLines, events: AsyncGenerator[tuple[int, Event]], body: wire.GenerationFields) -> None:
    headers = warning_headers(lines.warnings)
    async with aclosing(events):
        if body.stream is False:
            await send_json(send, 200, to_line(await lines.whole(events)), headers)
        else:
            await send_lines(send, (to_line(line) async for line in lines.lines(events)), headers)


async def raw_events(runtime: Runtime, body: wire.GenerateRequest, observer: TimingObserver) -> AsyncGenerator[tuple[int, Event]]:
    """The continuation of a prompt, or of what fills the gap before its suffix. Raises ApiError."""
    if body.images:
        raise bad_request("images", "images: a raw prompt has no place for them: leave out raw and suffix", "unsupported")
    expect_text_reader(runtime)
    prompt = await in_thread_if_large(len(body.prompt or ""), _raw_prompt, runtime, body)
    info, tokenizer = runtime.engine.info, runtime.tokenizer
    left, wanted = tokens_left(info, prompt, "prompt"), max_tokens(body.options) or runtime.answer_limit
    params = sampling_params(body.options)
    sampling = engine_sampling(params, 0, info=info, tokenizer=tokenizer, max_tokens=min(left, wanted or left), logprobs=logprobs(body))
    grammar = await runtime.grammar_cache.answer_grammar(to_grammar(body.format))
    closing = None if grammar is None else Closing()
    asked = Request(tokens=prompt.tokens, sampling=sampling, grammar=grammar, closing=closing)
    request = with_decoding(runtime, asked, prompt, params)
    parser = OutputParser(tokenizer, request, output_options(body.options), None)
    fields = ErrorFields(prompt="prompt", grammar="format")
    return map_engine_errors(_with_end(runtime, request, parser, observer), fields)


async def _with_end(
    runtime: Runtime, request: Request, parser: OutputParser, observer: TimingObserver
) -> AsyncGenerator[tuple[int, Event]]:
    async with aclosing(output_deltas(runtime.engine, request, parser, observer)) as deltas:
        async for delta in deltas:
            yield 0, delta
            if delta.finish and delta.usage:
                yield 0, AnswerFinished(reason=delta.finish, usage=delta.usage)


def _raw_prompt(runtime: Runtime, body: wire.GenerateRequest) -> Prompt:
    prompt, model = body.prompt or "", runtime.tokenizer.encoder_decoder
    if model is not None:
        if body.suffix:
            raise bad_request("suffix", "suffix: this model reads a text and answers it; it fills no gaps", "unsupported")
        if body.format:
            expect_grammars(model, "format")
        with conversation.language_errors():
            return runtime.tokenizer.encode_input(model, prompt, NO_LANGUAGES, parse_special=body.raw is True)
    tokens = runtime.tokenizer.encode(prompt, parse_special=body.raw is True, add_special=True)
    if not body.suffix:
        return Prompt(tokens)
    infill = infill_prompt(runtime.tokenizer, runtime.tokenizer.encode(prompt), body.suffix)
    if infill is None:
        raise bad_request("suffix", "suffix: this model has no tokens for infilling, it only continues a text", "unsupported")
    return Prompt(infill)


async def embed(context: RequestContext, body: wire.EmbedRequest) -> wire.EmbedResponse:
    """Raises ApiError."""
    started = time.perf_counter()
    texts = [body.input] if isinstance(body.input, str) else body.input
    vectors, count = await _embed(context, body.model, texts, body.truncate is not False, body.dimensions)
    return wire.EmbedResponse(
        model=body.model, embeddings=vectors, total_duration=int((time.perf_counter() - started) * 1e9), prompt_eval_count=count
    )


async def embed_one(context: RequestContext, body: wire.EmbeddingRequest) -> wire.EmbeddingResponse:
    """Raises ApiError."""
    vectors, _ = await _embed(context, body.model, [body.prompt] if body.prompt else [], True, None)
    return wire.EmbeddingResponse(embedding=vectors[0] if vectors else [])


async def _embed(
    context: RequestContext, model: str, texts: list[str], truncate: bool, dimensions: int | None
) -> tuple[list[list[float]], int]:
    """The vectors, and how many tokens were read."""
    knowledge, name = context.knowledge_base, context.runtime.real_name(model_name(model))
    if name != knowledge.embedding_name:
        raise model_not_found(model, [knowledge.embedding_name])
    embedder = knowledge.embedder
    if dimensions is not None and dimensions > embedder.identity.dimensions:
        raise bad_request("dimensions", f"dimensions: {model} has {embedder.identity.dimensions}", "out_of_range")
    if any(not text for text in texts):
        raise bad_request("input", "input: an empty text has no vector")
    if not truncate and (long := [i for i, text in enumerate(texts) if len(embedder.offsets(text)) > embedder.max_tokens]):
        needed = f"input: text {long[0]} has more than the {embedder.max_tokens} tokens that {model} reads"
        raise bad_request("input", needed, "context_length_exceeded")
    if not texts:
        return [], 0
    batch = await in_thread_if_large(sum(map(len, texts)), lambda: [embedder.tokens(text) for text in texts])
    vectors = await with_api_errors(embedder.embed_tokens(batch), "input")
    return truncate_vectors(vectors, dimensions or vectors.shape[1]).tolist(), sum(map(len, batch))
