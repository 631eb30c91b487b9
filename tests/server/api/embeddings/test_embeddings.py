"""/v1/embeddings, with an embedder that knows words by their hash."""

import base64
import math
from typing import Any

import numpy as np
import pytest

from tests.server.fake_knowledge import LONGEST, VOCAB, WIDTH, WordEmbedder, knowledge
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
WORDS = WordEmbedder()
APP, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, knowledge())


def embed(status: int = 200, **body: Any) -> Any:
    answer = ask(APP, "POST", "/v1/embeddings", json={"model": "words", **body})
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


def vectors(answer: Any) -> list[Any]:
    assert [item["index"] for item in answer["data"]] == list(range(len(answer["data"])))
    return [item["embedding"] for item in answer["data"]]


def test_all_kinds_of_input_are_one() -> None:
    tokens = [WORDS.tokens("a b"), WORDS.tokens("c")]
    of_texts, of_tokens = embed(input=["a b", "c"]), embed(input=tokens)
    assert vectors(of_texts) == vectors(of_tokens) and of_texts["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert vectors(embed(input="a b")) == vectors(embed(input=list(tokens[0]))) == vectors(of_texts)[:1]
    assert of_texts["model"] == "words" and of_texts["object"] == "list"
    assert len(vectors(of_texts)[0]) == WIDTH and math.isclose(np.linalg.norm(vectors(of_texts)[0]), 1, rel_tol=1e-6)


def test_base64_is_little_endian_float32() -> None:
    (coded,) = vectors(embed(input="a b", encoding_format="base64"))
    assert np.frombuffer(base64.b64decode(coded), "<f4").tolist() == pytest.approx(vectors(embed(input="a b"))[0])


def test_fewer_dimensions_are_the_first_of_all_as_a_unit_vector() -> None:
    (whole,), (short,) = vectors(embed(input="a b")), vectors(embed(input="a b", dimensions=8))
    assert short == pytest.approx(whole[:8] / np.linalg.norm(whole[:8])) and len(short) == 8
    assert vectors(embed(input="a b", dimensions=WIDTH)) == [whole]
    assert embed(400, input="a", dimensions=WIDTH + 1)["param"] == "dimensions"
    assert embed(400, input="a", dimensions=0)["param"] == "dimensions"


def test_prompts_are_asked_for() -> None:
    plain, query, document = embed(input="a"), embed(input="a", input_type="query"), embed(input="a", input_type="document")
    assert vectors(plain) != vectors(query) != vectors(document)
    assert (plain["usage"]["total_tokens"], query["usage"]["total_tokens"]) == (2, 3)
    assert embed(400, input="a", input_type="passage")["param"] == "input_type"


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [("", "input", "string_too_short"), (["a", ""], "input.1", "string_too_short"), ([""], "input.0", "string_too_short"),
     ([], "input", "too_short"), ([[1], []], "input.1", "too_short"), ([[]], "input.0", "too_short")],
)  # fmt: skip
def test_what_is_empty_is_named(given: Any, param: str, code: str) -> None:
    error = embed(400, input=given)
    assert (error["param"], error["code"]) == (param, code) and error["message"].startswith(f"{param}: ")


def test_space_is_not_nothing() -> None:
    assert len(vectors(embed(input=[" ", "a"]))) == 2


def test_nothing_is_cut_off_silently() -> None:
    long = "word " * (LONGEST + 1)
    error = embed(400, input=["short", long])
    assert error["code"] == "context_length_exceeded" and f"text 1 has {LONGEST + 1} tokens" in error["message"]
    assert vectors(embed(input=long, truncate=True)) == vectors(embed(input="word " * LONGEST))
    assert embed(400, input=[5] * (LONGEST + 3))["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("body", "param"),
    [({"input": []}, "input"), ({"input": [[]]}, "input"), ({"input": [VOCAB]}, "input"), ({"input": [-1]}, "input"),
     ({"input": [1, "a"]}, "input"), ({"input": None}, "input"), ({}, "input"), ({"input": ["a"] * 2049}, "input"),
     ({"input": "a", "encoding_format": "int8"}, "encoding_format"), ({"input": "a", "dimension": 5}, "dimension")],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(body: dict[str, Any], param: str) -> None:
    assert embed(400, **body)["param"].startswith(param)


def test_only_the_embedding_model_embeds() -> None:
    for name in ("tiny", "text-embedding-3-small"):
        error = embed(404, model=name, input="a")
        assert error["code"] == "model_not_found" and "there is words" in error["message"]


def test_without_an_embedding_model_the_setting_is_named() -> None:
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT)
    for path, body in (("embeddings", {"input": "x"}), ("rerank", {"query": "x", "documents": ["x"]}), ("vector_stores", {})):
        answer = ask(app, "POST", f"/v1/{path}", json={"model": "tiny", **body} if body else {})
        assert answer.status_code == 400 and answer.json()["error"]["code"] == "no_embedding_model"
        assert "--embedding-model" in answer.json()["error"]["message"]
    assert ask(app, "GET", "/v1/files").json()["error"]["code"] == "nothing_stored"


def test_the_models_are_listed() -> None:
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, knowledge(reranker=True))
    assert [model["id"] for model in ask(app, "GET", "/v1/models").json()["data"]] == ["tiny", "words", "shares"]
    assert ask(app, "GET", "/v1/models/words").json()["max_model_len"] == LONGEST
