"""How well words, vectors and both together find, set by set: fused must not fall below the better of its two sides in any language.

python -m bench.fusion --set DIR --set DIR --json results.json     folders in BEIR format

Beside ours, reciprocal rank fusion of the same two rankings (Cormack et al. 2009, k = 60) and bm25s with the language's own Snowball
stemmer. nDCG@10 throughout.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import bm25s
import Stemmer
from rich.console import Console
from rich.table import Table

from bench.report import machine
from retrieval import evaluate
from retrieval.analysis.languages import DEFAULT
from retrieval.analysis.terms import text_language
from retrieval.api import Embedder
from retrieval.embedding.embed import EmbedOptions, open_embedder
from retrieval.search.retriever import KnowledgeSearch
from retrieval.store import StoreOptions, open_store
from server.weights.progress import progress_bar
from server.weights.pull import pull

SIDES: tuple[evaluate.RankingMode, ...] = ("dense", "lexical", "fused")
COLUMNS = ("dense", "lexical", "bm25s", "rrf", "fused")
RRF_K = 60
Rankings = dict[str, list[str]]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fusion", description="Measure fusion with MiniLM.")
    parser.add_argument("--set", action="append", default=[], metavar="DIR", required=True, help="a BEIR-format folder (repeatable)")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    options = parser.parse_args(argv)
    with progress_bar() as progress:
        model = pull("minilm", progress=progress)
    sets = asyncio.run(run(model, [Path(folder) for folder in options.set]))
    _show(sets)
    if options.json:
        numbers = {"sets": sets, "machine": machine(), "command": "python -m bench.fusion " + " ".join(f"--set {name}" for name in sets)}
        Path(options.json).write_text(json.dumps(numbers, indent=1, ensure_ascii=False), encoding="utf-8")


async def run(model: Path, folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    embedder = open_embedder(model, EmbedOptions())
    try:
        return {folder.name: await _measured(embedder, evaluate.read_dataset(folder)) for folder in folders}
    finally:
        await embedder.close()


async def _measured(embedder: Embedder, found: evaluate.EvaluationDataset) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "stoa.db", StoreOptions())
        retriever = KnowledgeSearch(store, embedder)
        store_id = await evaluate.fill(store, embedder, found.corpus, _say)
        ranked = {side: await evaluate.rank(retriever, store_id, found.queries, side, _say) for side in SIDES}
        store.close()
    ranked["rrf"] = _reciprocal_ranks(ranked["dense"], ranked["lexical"])
    language = Counter(text_language(entry.text) for entry in found.corpus).most_common(1)[0][0] or DEFAULT
    ranked["bm25s"] = _bm25s(found, language)
    scores = {side: round(evaluate.score(ranked[side], found).ndcg_at_10, 4) for side in COLUMNS}
    fluency = sum(embedder.fluency(query.text) for query in found.queries) / len(found.queries)
    return {"documents": len(found.corpus), "queries": len(found.queries), "language": language, "fluency": round(fluency, 2), **scores}


def _reciprocal_ranks(first: Rankings, second: Rankings) -> Rankings:
    fused: Rankings = {}
    for query in first:
        scores: defaultdict[str, float] = defaultdict(float)
        for ranking in (first[query], second[query]):
            for rank, document in enumerate(ranking, 1):
                scores[document] += 1 / (RRF_K + rank)
        fused[query] = sorted(scores, key=lambda document: -scores[document])
    return fused


def _bm25s(found: evaluate.EvaluationDataset, language: str) -> Rankings:
    try:
        stemmer = Stemmer.Stemmer(language)
    except KeyError:  # Snowball has none
        stemmer = None
    index, tokenize = bm25s.BM25(), cast(Any, bm25s.tokenize)
    texts = [f"{entry.title}\n{entry.text}" for entry in found.corpus]
    index.index(tokenize(texts, stopwords=[], stemmer=stemmer, show_progress=False), show_progress=False)
    asked = tokenize([query.text for query in found.queries], stopwords=[], stemmer=stemmer, show_progress=False)
    rows, scores = index.retrieve(asked, k=min(evaluate.RANKING_DEPTH, len(texts)), show_progress=False)
    return {
        query.id: [found.corpus[i].id for i, score in zip(row, of, strict=True) if score > 0]
        for query, row, of in zip(found.queries, rows, scores, strict=True)
    }


def _say(what: str, done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{what}: {done}/{of}\x1b[K", end="" if done < of else "\n", file=sys.stderr, flush=True)


def _show(sets: dict[str, dict[str, Any]]) -> None:
    shown = Table(title="nDCG@10", caption=machine())
    for column in ("set", "fluency", *COLUMNS, "fused - best side", "fused - rrf"):
        shown.add_column(column, justify="left" if column == "set" else "right")
    for name, of in sets.items():
        best = max(of["dense"], of["lexical"])
        cells = [f"{of[column]:.3f}" for column in COLUMNS]
        shown.add_row(name, f"{of['fluency']:.2f}", *cells, f"{of['fused'] - best:+.3f}", f"{of['fused'] - of['rrf']:+.3f}")
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
