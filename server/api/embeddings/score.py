"""POST /v1/score: how relevant one text is to another. The scores are those of /v1/rerank."""

import time
from uuid import uuid4

from server.api.embeddings import score_types as wire
from server.api.embeddings.rerank import count_tokens, relevance_scores, scoring_model
from server.api.embeddings.types import EmbeddingUsage
from server.core.errors import bad_request
from server.core.threads import with_api_errors
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint
from server.runtime.state import ServerState


def endpoints(state: ServerState) -> list[Endpoint]:
    return [body_endpoint(state, create_score, "/v1/score", "How relevant texts are to others", wire.ScoreRequest, wire.ScoreResponse)]


async def create_score(context: RequestContext, body: wire.ScoreRequest) -> wire.ScoreResponse:
    """Raises ApiError."""
    knowledge, model = context.knowledge_base, scoring_model(context, body.model)
    scores = list[float]()
    for query, documents in _groups(body):
        scores += await with_api_errors(relevance_scores(knowledge, model, query, documents), "text_2")
    count = await count_tokens(knowledge, [text for query, documents in _groups(body) for text in (query, *documents)])
    return wire.ScoreResponse(
        id=f"score-{uuid4().hex}",
        created=int(time.time()),
        model=model,
        data=[wire.Score(index=i, score=score) for i, score in enumerate(scores)],
        usage=EmbeddingUsage(prompt_tokens=count, total_tokens=count),
    )


def _groups(body: wire.ScoreRequest) -> list[tuple[str, list[str]]]:
    """Each query with its documents. Raises ApiError for lists of different lengths."""
    queries = [body.text_1] if isinstance(body.text_1, str) else body.text_1
    documents = [body.text_2] if isinstance(body.text_2, str) else body.text_2
    if len(queries) == 1:
        return [(queries[0], documents)]
    if len(queries) != len(documents):
        raise bad_request("text_2", f"text_2: {len(documents)} texts for {len(queries)} in text_1; there must be as many, or one text_1")
    return [(query, [document]) for query, document in zip(queries, documents, strict=True)]
