"""/v1/rerank: with a cross-encoder, and with the embedding model alone."""

from typing import Any

import pytest

from tests.server.fake_knowledge import knowledge
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
PLAIN, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, knowledge())
CROSSED, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, knowledge(reranker=True))
TEXTS = ["the sea is deep", "a lamp", "the sea"]


def rerank(app: Any, status: int = 200, **body: Any) -> Any:
    answer = ask(app, "POST", "/v1/rerank", json={"query": "the deep sea", "documents": TEXTS, **body})
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


@pytest.mark.parametrize(("app", "model"), [(PLAIN, "words"), (CROSSED, "shares")])
def test_best_first(app: Any, model: str) -> None:
    answer = rerank(app)
    assert [result["index"] for result in answer["results"]] == [0, 2, 1] and answer["model"] == model
    assert [result["document"]["text"] for result in answer["results"]] == [TEXTS[0], TEXTS[2], TEXTS[1]]
    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True) and 0 <= scores[-1] < scores[0] <= 1
    assert answer["usage"]["total_tokens"] > 0


def test_options() -> None:
    short = rerank(PLAIN, top_n=1, return_documents=False, documents=[{"text": one} for one in TEXTS])
    assert [result["index"] for result in short["results"]] == [0] and short["results"][0]["document"] is None
    assert rerank(CROSSED, model="words")["model"] == "words"
    assert len(rerank(PLAIN, top_n=99)["results"]) == 3
    assert rerank(CROSSED, model="shares")["results"][0]["relevance_score"] == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [({"documents": []}, "documents"), ({"documents": [5]}, "documents.0"), ({"query": ""}, "query"), ({"top_n": 0}, "top_n"),
     ({"documents": [{"text": "a", "title": "b"}]}, "documents.0.title"), ({"max_chunks_per_doc": 3}, "max_chunks_per_doc")],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    assert rerank(PLAIN, 400, **body)["param"] == param


def test_unknown_models() -> None:
    assert rerank(PLAIN, 404, model="shares")["code"] == "model_not_found"
