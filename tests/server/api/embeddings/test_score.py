"""/v1/score gives pairs the scores that /v1/rerank gives documents."""

from typing import Any

import pytest

from tests.server.api.embeddings.test_rerank import CROSSED, PLAIN, TEXTS, rerank
from tests.server.fakes import ask


def score(app: Any, status: int = 200, **body: Any) -> Any:
    answer = ask(app, "POST", "/v1/score", json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


@pytest.mark.parametrize("app", [PLAIN, CROSSED])
def test_one_with_many(app: Any) -> None:
    answer = score(app, text_1="the deep sea", text_2=TEXTS)
    expected = {result["index"]: result["relevance_score"] for result in rerank(app)["results"]}
    assert {entry["index"]: entry["score"] for entry in answer["data"]} == expected
    assert answer["usage"]["total_tokens"] > 0 and answer["model"] == rerank(app)["model"]


def test_pairs() -> None:
    pairs = score(CROSSED, text_1=["the sea", "a lamp"], text_2=["the sea", "a cat"])["data"]
    assert [entry["score"] for entry in pairs] == [
        score(CROSSED, text_1=one, text_2=other)["data"][0]["score"] for one, other in (("the sea", "the sea"), ("a lamp", "a cat"))
    ]


def test_what_does_not_fit() -> None:
    assert score(CROSSED, 400, text_1=["a", "b"], text_2=["c"])["param"] == "text_2"
    assert score(CROSSED, 400, text_1="a", text_2=[])["param"] == "text_2"
    assert score(CROSSED, 404, text_1="a", text_2="b", model="other")["code"] == "model_not_found"
