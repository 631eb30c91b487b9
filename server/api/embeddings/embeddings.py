"""Texts in, vectors out."""

import base64

import numpy as np
from numpy.typing import NDArray

from server.api.embeddings import types as wire
from server.core.errors import bad_request, model_not_found
from server.core.threads import in_thread_if_large, with_api_errors
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint
from server.runtime.knowledge_base import TextEmbedder
from server.runtime.state import ServerState

Batch = list[tuple[int, ...]]


def endpoints(state: ServerState) -> list[Endpoint]:
    return [body_endpoint(state, create_embeddings, "/v1/embeddings", "Vectors of texts", wire.EmbeddingRequest, wire.EmbeddingResponse)]


async def create_embeddings(call: RequestContext, body: wire.EmbeddingRequest) -> wire.EmbeddingResponse:
    """POST /v1/embeddings."""
    knowledge = call.knowledge_base
    if body.model != knowledge.embedding_name:
        raise model_not_found(body.model, [knowledge.embedding_name])
    width = _width(body, knowledge.embedder)
    batch = await _tokens(body, knowledge.embedder)
    vectors = await with_api_errors(knowledge.embedder.embed_tokens(batch), "input")
    data = await in_thread_if_large(vectors.size, _written, truncate_vectors(vectors, width), body)
    count = sum(map(len, batch))
    usage = wire.EmbeddingUsage(prompt_tokens=count, total_tokens=count)
    return wire.EmbeddingResponse(data=data, model=body.model, usage=usage)


def truncate_vectors(vectors: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """The first `width` numbers of each, made unit vectors again (Kusupati et al. 2022, arXiv 2205.13147). How much that
    costs depends on how the model was trained."""
    if width == vectors.shape[1]:
        return vectors
    short = vectors[:, :width]
    norms = np.linalg.norm(short, axis=1, keepdims=True)
    return (short / np.where(norms == 0, 1, norms)).astype(np.float32)


def _width(body: wire.EmbeddingRequest, embedder: TextEmbedder) -> int:
    full = embedder.identity.dimensions
    if body.dimensions is not None and body.dimensions > full:
        raise bad_request("dimensions", f"dimensions: {body.dimensions} is more than the {full} that {body.model} has", "out_of_range")
    return body.dimensions or full


async def _tokens(body: wire.EmbeddingRequest, embedder: TextEmbedder) -> Batch:
    given = _inputs(body.input)
    size = sum(len(one) for one in given if isinstance(one, str))
    return await in_thread_if_large(size, lambda: [_read(one, i, body, embedder) for i, one in enumerate(given)])


def _inputs(given: wire.Input) -> list[str] | list[list[int]]:
    if isinstance(given, str):
        return [given]
    return [given] if isinstance(given[0], int) else given  # pyright: ignore[reportReturnType] (no guard sees the other items)


def _read(given: str | list[int], index: int, body: wire.EmbeddingRequest, embedder: TextEmbedder) -> tuple[int, ...]:
    if isinstance(given, str):
        _expect_short(given, index, body, embedder)
        return embedder.tokens(given, body.input_type)
    if outside := [token for token in given if token >= embedder.vocab]:
        raise bad_request("input", f"input: there is no token {outside[0]}; the vocabulary has {embedder.vocab}")
    return tuple(given)


def _expect_short(text: str, index: int, body: wire.EmbeddingRequest, embedder: TextEmbedder) -> None:
    """Nothing is cut off unless the caller wants it."""
    if body.truncate or len(text) <= embedder.max_tokens:  # a token has at least a character
        return
    if (count := len(embedder.offsets(text))) > embedder.max_tokens:
        needed = f"input: text {index} has {count} tokens, {body.model} reads {embedder.max_tokens}"
        raise bad_request("input", f"{needed}; shorten it, or let the server cut it off with truncate: true", "context_length_exceeded")


def _written(vectors: NDArray[np.float32], body: wire.EmbeddingRequest) -> list[wire.Embedding]:
    if body.encoding_format == "base64":
        coded = (base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors)
        return [wire.Embedding(index=i, embedding=row) for i, row in enumerate(coded)]
    return [wire.Embedding(index=i, embedding=row) for i, row in enumerate(vectors.tolist())]
