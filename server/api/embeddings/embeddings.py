"""POST /v1/embeddings: of texts, and of images where the model reads them."""

import base64

import numpy as np
from numpy.typing import NDArray

from retrieval.api import Vectors
from server.api.common.search.vectors import truncate_vectors
from server.api.embeddings import types as wire
from server.core.errors import bad_request, model_not_found
from server.core.images import image_bytes, with_image_errors
from server.core.threads import in_thread_if_large, with_api_errors
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint
from server.runtime.knowledge_base import KnowledgeBase, TextEmbedder
from server.runtime.serving import Serving

Tokens = tuple[int, ...]
Item = Tokens | bytes  # a text, or the file of an image


def endpoints(state: Serving) -> list[Endpoint]:
    return [
        body_endpoint(
            state, create_embeddings, "/v1/embeddings", "Vectors of texts and images", wire.EmbeddingRequest, wire.EmbeddingResponse
        )
    ]


async def create_embeddings(context: RequestContext, body: wire.EmbeddingRequest) -> wire.EmbeddingResponse:
    embedder = chosen_embedder(context.knowledge_base, body.model, context.runtime.real_name(body.model))
    dimensions = _dimensions(body, embedder)
    items = await _to_items(body, embedder)
    vectors, count = await _vectors(items, body, embedder)
    data = await in_thread_if_large(vectors.size, _to_embeddings, truncate_vectors(vectors, dimensions), body)
    usage = wire.EmbeddingUsage(prompt_tokens=count, total_tokens=count)
    return wire.EmbeddingResponse(data=data, model=body.model, usage=usage)


def chosen_embedder(knowledge: KnowledgeBase, asked: str, name: str) -> TextEmbedder:
    """That of texts, or that of images and texts. Raises ApiError 404."""
    known = {knowledge.embedding_name: knowledge.embedder}
    if knowledge.image_embedder is not None and knowledge.image_embedding_name is not None:
        known.setdefault(knowledge.image_embedding_name, knowledge.image_embedder)
    if name not in known:
        raise model_not_found(asked, list(known))
    return known[name]


def _dimensions(body: wire.EmbeddingRequest, embedder: TextEmbedder) -> int:
    full = embedder.identity.dimensions
    if body.dimensions is not None and body.dimensions > full:
        raise bad_request("dimensions", f"dimensions: {body.dimensions} is more than the {full} that {body.model} has", "out_of_range")
    return body.dimensions or full


async def _vectors(items: list[Item], body: wire.EmbeddingRequest, embedder: TextEmbedder) -> tuple[Vectors, int]:
    """And how many tokens, or rows of an image, the model has read."""
    texts = {i: item for i, item in enumerate(items) if isinstance(item, tuple)}
    images = {i: item for i, item in enumerate(items) if isinstance(item, bytes)}
    found, count = np.empty((len(items), embedder.identity.dimensions), np.float32), sum(map(len, texts.values()))
    if images:
        if embedder.sight is None:
            raise bad_request("input", f"input: {body.model} reads texts, and no images", "unsupported_value")
        seen = await with_api_errors(with_image_errors(embedder.sight.embed(list(images.values())), "input"), "input")
        found[list(images)], count = seen.vectors, count + seen.rows
    if texts:
        found[list(texts)] = await with_api_errors(embedder.embed_tokens(list(texts.values())), "input")
    return found, count


async def _to_items(body: wire.EmbeddingRequest, embedder: TextEmbedder) -> list[Item]:
    inputs = _inputs(body.input)
    size = sum(map(_characters, inputs))
    return await in_thread_if_large(size, lambda: [_to_item(value, i, body, embedder) for i, value in enumerate(inputs)])


def _inputs(value: wire.Input) -> list[str | list[int] | wire.Part]:
    if isinstance(value, str):
        return [value]
    return [value] if isinstance(value[0], int) else value  # pyright: ignore[reportReturnType] (no guard sees the other items)


def _characters(value: str | list[int] | wire.Part) -> int:
    match value:
        case str(text) | wire.TextPart(text=text):
            return len(text)
        case wire.ImagePart(image_url=image):
            return len(image.url)
        case _:
            return 0


def _to_item(value: str | list[int] | wire.Part, index: int, body: wire.EmbeddingRequest, embedder: TextEmbedder) -> Item:
    match value:
        case wire.ImagePart(image_url=image):
            return image_bytes(image.url, f"input.{index}")
        case wire.TextPart(text=text):
            return _to_tokens(text, index, body, embedder)
        case text_or_tokens:
            return _to_tokens(text_or_tokens, index, body, embedder)


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
