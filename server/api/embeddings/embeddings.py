"""POST /v1/embeddings."""

import base64

import numpy as np
from numpy.typing import NDArray

from server.api.common.search.vectors import truncate_vectors
from server.api.embeddings import types as wire
from server.core.errors import bad_request, model_not_found
from server.core.threads import in_thread_if_large, with_api_errors
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint
from server.runtime.knowledge_base import TextEmbedder
from server.runtime.serving import Serving

Batch = list[tuple[int, ...]]


def endpoints(state: Serving) -> list[Endpoint]:
    return [body_endpoint(state, create_embeddings, "/v1/embeddings", "Vectors of texts", wire.EmbeddingRequest, wire.EmbeddingResponse)]


async def create_embeddings(context: RequestContext, body: wire.EmbeddingRequest) -> wire.EmbeddingResponse:
    knowledge = context.knowledge_base
    if context.runtime.real_name(body.model) != knowledge.embedding_name:
        raise model_not_found(body.model, [knowledge.embedding_name])
    dimensions = _dimensions(body, knowledge.embedder)
    batch = await _to_batch(body, knowledge.embedder)
    vectors = await with_api_errors(knowledge.embedder.embed_tokens(batch), "input")
    data = await in_thread_if_large(vectors.size, _to_embeddings, truncate_vectors(vectors, dimensions), body)
    count = sum(map(len, batch))
    usage = wire.EmbeddingUsage(prompt_tokens=count, total_tokens=count)
    return wire.EmbeddingResponse(data=data, model=body.model, usage=usage)


def _dimensions(body: wire.EmbeddingRequest, embedder: TextEmbedder) -> int:
    full = embedder.identity.dimensions
    if body.dimensions is not None and body.dimensions > full:
        raise bad_request("dimensions", f"dimensions: {body.dimensions} is more than the {full} that {body.model} has", "out_of_range")
    return body.dimensions or full


async def _to_batch(body: wire.EmbeddingRequest, embedder: TextEmbedder) -> Batch:
    inputs = _inputs(body.input)
    size = sum(len(text) for text in inputs if isinstance(text, str))
    return await in_thread_if_large(size, lambda: [_to_tokens(value, i, body, embedder) for i, value in enumerate(inputs)])


def _inputs(value: wire.Input) -> list[str] | list[list[int]]:
    if isinstance(value, str):
        return [value]
    return [value] if isinstance(value[0], int) else value  # pyright: ignore[reportReturnType] (no guard sees the other items)


def _to_tokens(value: str | list[int], index: int, body: wire.EmbeddingRequest, embedder: TextEmbedder) -> tuple[int, ...]:
    if isinstance(value, str):
        _expect_fits(value, index, body, embedder)
        return embedder.tokens(value, body.input_type)
    if outside := [token for token in value if token >= embedder.vocab]:
        raise bad_request("input", f"input: there is no token {outside[0]}; the vocabulary has {embedder.vocab}")
    return tuple(value)


def _expect_fits(text: str, index: int, body: wire.EmbeddingRequest, embedder: TextEmbedder) -> None:
    """Raises ApiError for a text that is too long, unless `truncate` is set."""
    if body.truncate or len(text) <= embedder.max_tokens:  # a token has at least a character
        return
    if (count := len(embedder.offsets(text))) > embedder.max_tokens:
        needed = f"input: text {index} has {count} tokens, {body.model} reads {embedder.max_tokens}"
        raise bad_request("input", f"{needed}; shorten it, or let the server cut it off with truncate: true", "context_length_exceeded")


def _to_embeddings(vectors: NDArray[np.float32], body: wire.EmbeddingRequest) -> list[wire.Embedding]:
    if body.encoding_format == "base64":
        encoded = (base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors)
        return [wire.Embedding(index=i, embedding=row) for i, row in enumerate(encoded)]
    return [wire.Embedding(index=i, embedding=row) for i, row in enumerate(vectors.tolist())]
