"""Measures against numbers worked out by hand, and quality on cuts of real collections with the real model."""

import asyncio
import math
from pathlib import Path

import pytest

from retrieval import evaluate
from retrieval.embedding.embed import EmbedOptions, open_embedder
from retrieval.evaluate import Answer, InvalidDataset, Query, measure, read_dataset, sample_queries, score_answers
from retrieval.search.retriever import KnowledgeSearch
from retrieval.store import StoreOptions, open_store
from server.weights.pull import pull

DATA = Path(__file__).parents[1] / "data"


def test_measures_by_hand() -> None:
    found = measure(["x", "b", "a"], {"a": 3, "b": 1, "c": 2, "no": 0})
    ideal = 3 + 2 / math.log2(3) + 1 / math.log2(4)
    assert found.ndcg_at_10 == pytest.approx((1 / math.log2(3) + 3 / math.log2(4)) / ideal)
    assert (found.recall_at_10, found.recall_at_100, found.mrr_at_10) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 0.5)


def test_places_beyond_ten_count_for_recall_at_100_only() -> None:
    found = measure([str(i) for i in range(50)], {"30": 1})
    assert (found.ndcg_at_10, found.recall_at_10, found.recall_at_100, found.mrr_at_10) == (0, 0, 1, 0)


def test_perfect() -> None:
    assert set(measure(["a", "b"], {"a": 2, "b": 1}).to_dict().values()) == {1.0}


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("corpus.jsonl", '{"_id": "1"}\n', "corpus.jsonl, line 1"),
        ("queries.jsonl", '{"_id": "1", "text": "x"}\nnonsense\n', "queries.jsonl, line 2"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n1 2 3\n", "test.tsv, line 2"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", "0 judged queries"),
    ],
)
def test_broken_sets_are_named(tmp_path: Path, file: str, content: str, said: str) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "1", "text": "one"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "1", "text": "which one?"}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\t1\t1\n")
    assert len(read_dataset(tmp_path).queries) == 1
    (tmp_path / file).write_text(content)
    with pytest.raises(InvalidDataset, match=said):
        read_dataset(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match=r"corpus\.jsonl cannot be read"):
        read_dataset(tmp_path)


def test_answers_are_judged() -> None:
    found = read_dataset(DATA / "xquad")
    one, two = sample_queries(found.queries, 2)
    right = next(iter(found.relevance[one.id]))
    said = Answer(query=one, text=f"It is the {one.answers[0].upper()}!", cited=(right, "nonsense"))
    judged = score_answers([said, Answer(query=two, text="I do not know.", cited=())], found)
    assert judged == {"questions": 2, "hit_rate": 0.5, "citation_precision": 0.5, "citation_recall": 0.5}


def test_part_of_a_word_is_no_answer() -> None:
    found = read_dataset(DATA / "xquad")
    query = Query(id=found.queries[0].id, text="How many?", answers=("four",))
    assert score_answers([Answer(query=query, text="fourteen", cited=())], found)["hit_rate"] == 0.0
    assert score_answers([Answer(query=query, text="There were four.", cited=())], found)["hit_rate"] == 1.0


@pytest.mark.parametrize(("name", "floor"), [("cranfield", 0.5), ("xquad", 0.9), ("gnome-help-ru", 0.0)])
def test_quality_of_minilm(tmp_path: Path, name: str, floor: float) -> None:
    """The cuts are small, so the floors are low; what must hold is that both sides work, where the model knows the language, and that
    together they are no worse than the better one."""
    found = read_dataset(DATA / name)

    async def run() -> dict[str, float]:
        embedder, store = open_embedder(pull("minilm"), EmbedOptions()), open_store(tmp_path / "stoa.db", StoreOptions())
        store_id = await evaluate.fill(store, embedder, found.corpus, lambda *_: None)
        retriever, scores = KnowledgeSearch(store, embedder), {}
        for side in ("dense", "lexical", "fused"):
            ranked = await evaluate.rank(retriever, store_id, found.queries, side, lambda *_: None)
            scores[side] = evaluate.score(ranked, found).ndcg_at_10
        store.close()
        await embedder.close()
        return scores

    scores = asyncio.run(run())
    assert min(scores.values()) > floor and scores["fused"] >= max(scores["dense"], scores["lexical"]) - 0.01
