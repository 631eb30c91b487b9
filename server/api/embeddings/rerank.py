"""POST /v1/rerank: documents by their relevance to a query."""

from uuid import uuid4

import numpy as np

from server.api.embeddings import rerank_types as wire
from server.api.embeddings.types import EmbeddingUsage
from server.core.errors import model_not_found
from server.core.threads import in_thread_if_large, with_api_errors
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.state import ServerState


def endpoints(state: ServerState) -> list[Endpoint]:
    return [
        body_endpoint(state, create_rerank, "/v1/rerank", "Texts by their relevance to a query", wire.RerankRequest, wire.RerankResponse)
    ]


async def create_rerank(context: RequestContext, body: wire.RerankRequest) -> wire.RerankResponse:
    """With a cross-encoder (--rerank-model) the score is its own; with the embedding model it is the
    cosine between query and document, scaled from -1..1 to 0..1. Without a `model` the cross-encoder is used if there is one."""
    knowledge, model = context.knowledge_base, scoring_model(context, body.model)
    texts = [document if isinstance(document, str) else document.text for document in body.documents]
    scores = await with_api_errors(relevance_scores(knowledge, model, body.query, texts), "documents")
    best = sorted(range(len(texts)), key=lambda i: (-scores[i], i))[: body.top_n]
    results = [wire.RerankResult(index=i, relevance_score=scores[i], document=_document(body, texts[i])) for i in best]
    count = await count_tokens(knowledge, [body.query, *texts])
    return wire.RerankResponse(
        id=f"rerank-{uuid4().hex}", model=model, results=results, usage=EmbeddingUsage(prompt_tokens=count, total_tokens=count)
    )


def scoring_model(context: RequestContext, requested: str | None) -> str:
    """The cross-encoder if there is one, unless another is requested. Raises ApiError 404."""
    knowledge, requested = context.knowledge_base, None if requested is None else context.runtime.real_name(requested)
    known = [name for name in (knowledge.rerank_name, knowledge.embedding_name) if name]
    if requested is not None and requested not in known:
        raise model_not_found(requested, known)
    return requested or known[0]


async def relevance_scores(knowledge: KnowledgeBase, model: str, query: str, texts: list[str]) -> list[float]:
    """0..1, of each text for the query."""
    if knowledge.reranker is not None and model == knowledge.rerank_name:
        return [min(1.0, max(0.0, score)) for score in await knowledge.reranker.score(query, texts)]
    query_vector = (await knowledge.embedder.embed([query], "query"))[0]
    vectors = await knowledge.embedder.embed(texts, "document")
    cosines = vectors @ query_vector / np.maximum(np.linalg.norm(vectors, axis=1) * np.linalg.norm(query_vector), 1e-12)
    return [float(score) for score in np.clip((1 + cosines) / 2, 0, 1)]


def _document(body: wire.RerankRequest, text: str) -> wire.RerankDocument | None:
    return None if body.return_documents is False else wire.RerankDocument(text=text)


async def count_tokens(knowledge: KnowledgeBase, texts: list[str]) -> int:
    """In tokens of the embedding model."""
    size = sum(map(len, texts))
    return await in_thread_if_large(size, lambda: sum(len(knowledge.embedder.tokens(text)) for text in texts))
