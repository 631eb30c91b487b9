"""Measures retrieval on BEIR datasets (corpus.jsonl, queries.jsonl, qrels/test.tsv, each plain or as .gz; Thakur et al. 2021, arXiv
2104.08663) with the store, chunking and search that serve users."""

import asyncio
import gzip
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from retrieval.api import Block, Chunking, Document, Embedder, Retriever, Search
from retrieval.chunking.chunk import chunk
from retrieval.chunking.context import embedding_text
from retrieval.records import IngestedFile, NewFile, NewMember, NewVectorStore
from retrieval.store.api import Store

RankingMode = Literal["dense", "lexical", "fused", "reranked"]
Progress = Callable[[str, int, int], None]  # step, number done, total

RANKING_DEPTH = 100  # documents per ranking, for recall@100
CHUNKS_PER_DOCUMENT = 4  # chunks searched for each document, so that 100 distinct documents are found
BATCH_SIZE = 256  # documents embedded together
LEASE_SECONDS = 600.0  # seconds


class InvalidDataset(ValueError):
    """The folder is not a valid dataset; the message names file and line."""


@dataclass(frozen=True, kw_only=True)
class CorpusDocument:
    id: str
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Query:
    id: str
    text: str
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EvaluationDataset:
    """`relevance`: query id -> document id -> grade; only queries with a relevant document (grade above 0) are measured."""

    corpus: tuple[CorpusDocument, ...]
    queries: tuple[Query, ...]
    relevance: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, kw_only=True)
class RetrievalMetrics:
    """nDCG with linear gain, as trec_eval computes it (Järvelin & Kekäläinen 2002)."""

    ndcg_at_10: float
    recall_at_10: float
    recall_at_100: float
    mrr_at_10: float

    def to_dict(self) -> dict[str, float]:
        return {name.replace("_at_", "@"): round(value, 4) for name, value in asdict(self).items()}


def read_dataset(folder: Path) -> EvaluationDataset:
    """Raises InvalidDataset."""
    corpus = tuple(
        CorpusDocument(id=str(row["_id"]), title=str(row.get("title") or ""), text=str(row["text"]))
        for row in _rows(folder / "corpus.jsonl")
    )
    queries = tuple(
        Query(id=str(row["_id"]), text=str(row["text"]), answers=tuple(map(str, row.get("answers") or ())))
        for row in _rows(folder / "queries.jsonl")
    )
    relevance = _read_relevance(folder / "qrels" / "test.tsv")
    judged = tuple(query for query in queries if any(grade > 0 for grade in relevance.get(query.id, {}).values()))
    if not corpus or not judged:
        raise InvalidDataset(f"{folder}: {len(corpus)} documents and {len(judged)} judged queries; both are needed")
    return EvaluationDataset(corpus=corpus, queries=judged, relevance=relevance)


def measure(ranking: Sequence[str], relevant: Mapping[str, int]) -> RetrievalMetrics:
    """Metrics of one query. `ranking`: document ids, best first."""
    right = {document for document, grade in relevant.items() if grade > 0}
    gains = [relevant.get(document, 0) for document in ranking[:10]]
    ideal = sorted(relevant.values(), reverse=True)[:10]
    first = next((1 / rank for rank, document in enumerate(ranking[:10], 1) if document in right), 0.0)
    return RetrievalMetrics(
        ndcg_at_10=_dcg(gains) / _dcg(ideal),
        recall_at_10=len(right.intersection(ranking[:10])) / len(right),
        recall_at_100=len(right.intersection(ranking[:100])) / len(right),
        mrr_at_10=first,
    )


def mean(judged: Sequence[RetrievalMetrics]) -> RetrievalMetrics:
    return RetrievalMetrics(**{f.name: sum(getattr(m, f.name) for m in judged) / len(judged) for f in fields(RetrievalMetrics)})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`cited`: document id of each citation, in order."""

    query: Query
    text: str
    cited: tuple[str, ...]


def sample_queries(queries: Sequence[Query], count: int) -> list[Query]:
    """At most `count` queries with known answers, evenly spaced over the dataset."""
    known = [query for query in queries if query.answers]
    return [known[i * len(known) // count] for i in range(min(count, len(known)))] if len(known) > count else known


def score_answers(answers: Sequence[Answer], dataset: EvaluationDataset) -> dict[str, float]:
    """hit_rate: share of answers that contain a known one, ignoring case, articles and punctuation (Rajpurkar et al. 2016, arXiv
    1606.05250); citation_precision: share of citations that name a relevant document; citation_recall: share of answers that cite one."""
    cited = [grade(dataset, answer, document) > 0 for answer in answers for document in answer.cited]
    reached = [any(grade(dataset, answer, document) > 0 for document in answer.cited) for answer in answers]
    return {
        "questions": len(answers),
        "hit_rate": round(sum(_has_known_answer(answer) for answer in answers) / len(answers), 4),
        "citation_precision": round(sum(cited) / len(cited), 4) if cited else 0.0,
        "citation_recall": round(sum(reached) / len(answers), 4),
    }


def grade(dataset: EvaluationDataset, answer: Answer, document: str) -> int:
    return dataset.relevance[answer.query.id].get(document, 0)


async def fill(store: Store, embedder: Embedder, entries: Sequence[CorpusDocument], progress: Progress) -> str:
    """Creates a vector store with one file per document, named by its id. Returns the store's id."""
    store_id = store.create_store(NewVectorStore(owner="", name="evaluation")).id
    for start in range(0, len(entries), BATCH_SIZE):
        progress("embedding documents", start, len(entries))
        await _add(store, embedder, store_id, entries[start : start + BATCH_SIZE])
    progress("embedding documents", len(entries), len(entries))
    return store_id


async def rank(
    retriever: Retriever, store_id: str, queries: Sequence[Query], mode: RankingMode, progress: Progress
) -> dict[str, list[str]]:
    """Query id -> document ids, best first."""
    ranked: dict[str, list[str]] = {}
    for done, query in enumerate(queries):
        progress(f"searching, {mode}", done, len(queries))
        hits = (await retriever.search(_search(query.text, store_id, mode))).hits
        ranked[query.id] = list(dict.fromkeys(hit.chunk.filename for hit in hits))[:RANKING_DEPTH]
    progress(f"searching, {mode}", len(queries), len(queries))
    return ranked


def score(ranked: Mapping[str, Sequence[str]], dataset: EvaluationDataset) -> RetrievalMetrics:
    return mean([measure(ranking, dataset.relevance[query]) for query, ranking in ranked.items()])


def _search(text: str, store_id: str, mode: RankingMode) -> Search:
    by = "fused" if mode == "reranked" else mode
    return Search(
        queries=(text,), stores=(store_id,), limit=RANKING_DEPTH * CHUNKS_PER_DOCUMENT, mode=by, rerank=mode == "reranked", distinct=False
    )


def _has_known_answer(answer: Answer) -> bool:
    said = f" {_normalize(answer.text)} "
    return any(f" {_normalize(known)} " in said for known in answer.query.answers)


def _normalize(text: str) -> str:
    words = "".join(character if character.isalnum() else " " for character in text.casefold()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))


def _dcg(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(place + 2) for place, gain in enumerate(gains))


async def _add(store: Store, embedder: Embedder, store_id: str, entries: Sequence[CorpusDocument]) -> None:
    documents = {entry.id: _document(entry) for entry in entries}
    chunked = {name: chunk(document, embedder.offsets, Chunking(), embedder.max_tokens) for name, document in documents.items()}
    rows = await embedder.embed(
        [embedding_text(documents[name], new_chunk) for name, chunks in chunked.items() for new_chunk in chunks], "document"
    )
    await asyncio.to_thread(_queue, store, store_id, entries)
    vectors = {}
    for name, chunks in chunked.items():
        vectors[name], rows = rows[: len(chunks)], rows[len(chunks) :]
    while job := store.claim("evaluation", LEASE_SECONDS):
        name = job.filename
        outcome = IngestedFile(document=documents[name], chunks=chunked[name], vectors=vectors[name], identity=embedder.identity)
        await asyncio.to_thread(store.complete, job, outcome)


def _queue(store: Store, store_id: str, entries: Sequence[CorpusDocument]) -> None:
    put = [store.put_file(NewFile(owner="", filename=entry.id), [f"{entry.title}\n\n{entry.text}".encode()]) for entry in entries]
    store.add_members("", store_id, [NewMember(file_id=file.id) for file in put])


def _document(entry: CorpusDocument) -> Document:
    text = entry.text or entry.title
    return Document(text=text, blocks=(Block(kind="paragraph", start=0, end=len(text)),), media_type="text/plain", title=entry.title)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with _open(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if missing := {"_id", "text"} - set(row):
                    raise ValueError(f"no {min(missing)}")
            except (ValueError, TypeError) as error:
                raise InvalidDataset(f"{path}, line {number}: a JSON object with _id and text is needed ({error})") from error
            yield row


def _read_relevance(path: Path) -> dict[str, dict[str, int]]:
    relevance: dict[str, dict[str, int]] = {}
    with _open(path) as lines:
        for number, line in enumerate(lines, 1):
            cells = line.rstrip("\n").split("\t")
            if number == 1 and not cells[-1].lstrip("-").isdigit():
                continue  # column names
            try:
                query, document, grade = cells
                relevance.setdefault(query, {})[document] = int(grade)
            except ValueError as error:
                raise InvalidDataset(f"{path}, line {number}: query-id, corpus-id and score, separated by tabs, are needed") from error
    return relevance


def _open(path: Path) -> Any:
    """The file, or its .gz beside where it is not there itself."""
    packed = path.with_name(f"{path.name}.gz")
    try:
        return gzip.open(packed, "rt", encoding="utf-8") if packed.exists() and not path.exists() else path.open(encoding="utf-8")
    except OSError as error:
        raise InvalidDataset(f"{path} cannot be read: {error.strerror}") from error
