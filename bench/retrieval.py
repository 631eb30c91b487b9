"""The knowledge base measured: how well it finds, how fast it embeds, searches and grows.

python -m bench.retrieval                              speed alone
python -m bench.retrieval --set DIR --set DIR          quality too, on folders in BEIR format; the texts of the first are embedded
python -m bench.retrieval --json results.json
python -m bench.retrieval --avx2                       as on a processor without AVX-512, for both sides
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.corpus import Corpus
from bench.report import machine
from retrieval import evaluate
from retrieval.api import Embedder, Search
from retrieval.embedding.embed import EmbedOptions, open_embedder
from retrieval.records import NewFile, NewMember, NewVectorStore
from retrieval.search.retriever import KnowledgeSearch
from retrieval.store import StoreOptions, open_store
from retrieval.store.api import Store
from server.weights.progress import progress_bar
from server.weights.pull import pull

Numbers = dict[str, Any]
SIDES: tuple[evaluate.RankingMode, ...] = ("dense", "lexical", "fused")
LOADED = 100_000  # chunks in the large store
SEARCHES = 200
ADDED = 40  # documents
LEASE = 600.0  # seconds
AVX2 = {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}  # torch held to it


def main(argv: list[str] | None = None) -> None:
    options = _parser().parse_args(argv)
    with progress_bar() as progress:
        model = pull("minilm", progress=progress)
    if options.avx2:
        os.environ |= AVX2  # read when torch first computes
    plan = Plan([Path(folder) for folder in options.set], options.chunks, options.rounds, "avx2" if options.avx2 else None)
    numbers = asyncio.run(run(model, plan))
    numbers |= {"machine": machine(), "command": " ".join(sys.argv)}
    _show(numbers)
    if options.json:
        Path(options.json).write_text(json.dumps(numbers, indent=1), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval", description="Measure the knowledge base with MiniLM.")
    parser.add_argument("--set", action="append", default=[], metavar="DIR", help="a BEIR-format folder (repeatable)")
    parser.add_argument("--chunks", type=int, default=LOADED, help="size of the large store")
    parser.add_argument("--rounds", type=int, default=3, help="the two embedders take turns; medians are shown")
    parser.add_argument("--avx2", action="store_true", help="hold both embedders to AVX2")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    return parser


@dataclass(frozen=True)
class Plan:
    folders: Sequence[Path]
    chunks: int
    rounds: int
    level: str | None  # of our kernels


async def run(model: Path, plan: Plan) -> Numbers:
    embedder = open_embedder(model, EmbedOptions(level=plan.level))
    sets = {folder.name: evaluate.read_dataset(folder) for folder in plan.folders}
    try:
        quality = {name: await _quality(embedder, found) for name, found in sets.items()}
        texts = next(([f"{e.title} {e.text}".strip() for e in found.corpus] for found in sets.values()), Corpus(seed=1).texts(400))
        return {
            "quality": quality,
            "embedding": await _embedding(embedder, model, texts, plan.rounds),
            **await _size(embedder, plan.chunks),
        }
    finally:
        await embedder.close()


async def _quality(embedder: Embedder, found: evaluate.EvaluationDataset) -> Numbers:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "stoa.db", StoreOptions())
        retriever = KnowledgeSearch(store, embedder)
        store_id = await evaluate.fill(store, embedder, found.corpus, _say)
        scored: Numbers = {}
        for side in SIDES:
            ranked = await evaluate.rank(retriever, store_id, found.queries, side, _say)
            scored[side] = evaluate.score(ranked, found).to_dict()
        store.close()
        return scored


async def _embedding(embedder: Embedder, model: Path, texts: Sequence[str], rounds: int) -> Numbers:
    """Passages per second, the same texts to both in turn."""
    from sentence_transformers import SentenceTransformer

    library = SentenceTransformer(str(model), device="cpu")
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(rounds):
        _say("embedding, in turns", turn, rounds)
        ours.append(len(texts) / await _seconds(lambda: embedder.embed(texts, "document")))
        theirs.append(len(texts) / await _seconds(lambda: asyncio.to_thread(library.encode, list(texts), normalize_embeddings=True)))
    return {"passages": len(texts), "ours": ours, "sentence_transformers": theirs, "ratio": median(ours) / median(theirs)}


async def _size(embedder: Embedder, chunks: int) -> Numbers:
    """An empty and a large store in one database each; documents are added to both in turn."""
    with tempfile.TemporaryDirectory() as folder:
        empty = open_store(Path(folder) / "empty.db", StoreOptions())
        large = open_store(Path(folder) / "large.db", StoreOptions())
        corpus = Corpus(seed=2)
        small_id, large_id = (store.create_store(NewVectorStore(owner="", name="bench")).id for store in (empty, large))
        for done in range(0, chunks, 100):
            _say("filling the large store", done, chunks)
            _add(large, large_id, embedder, corpus, 100)
        searched = await _searched(KnowledgeSearch(large, embedder), large_id, corpus)
        added = [(_added(empty, small_id, embedder, corpus), _added(large, large_id, embedder, corpus)) for _ in range(ADDED)]
        visible = await _searched(KnowledgeSearch(large, embedder), large_id, corpus, searches=20)
        empty.close()
        large.close()
    in_empty, in_large = (median(times) for times in zip(*added, strict=True))
    grown = {"ms_empty": in_empty * 1e3, "ms_large": in_large * 1e3, "ratio": in_large / in_empty}
    return {"chunks": chunks, "search": searched, "search_after_adding": visible, "add": grown}


async def _searched(retriever: KnowledgeSearch, store_id: str, corpus: Corpus, searches: int = SEARCHES) -> Numbers:
    """Milliseconds, the query's embedding included."""
    first = await _seconds(lambda: retriever.search(Search(queries=(corpus.question(),), stores=(store_id,))))
    times = []
    for _ in range(searches):
        search = Search(queries=(corpus.question(),), stores=(store_id,))
        times.append(await _seconds(lambda search=search: retriever.search(search)) * 1e3)
    times.sort()
    return {"cold": first * 1e3, "p50": median(times), "p95": times[int(len(times) * 0.95)]}


def _added(store: Store, store_id: str, embedder: Embedder, corpus: Corpus) -> float:
    """Seconds for one document of ten chunks: what was embedded already becomes searchable."""
    return _add(store, store_id, embedder, corpus, 10)


def _add(store: Store, store_id: str, embedder: Embedder, corpus: Corpus, chunks: int) -> float:
    outcome = corpus.outcome(chunks, embedder.identity)
    begun = time.perf_counter()
    file = store.put_file(NewFile(owner="", filename="made.txt"), [outcome.document.text.encode()])
    store.add_members("", store_id, [NewMember(file_id=file.id)])
    job = store.claim("bench", LEASE)
    if job is None or not store.complete(job, outcome):
        raise RuntimeError("the queue did not hand out the file that was just put there")
    return time.perf_counter() - begun


async def _seconds(run: Callable[[], Awaitable[Any]]) -> float:
    begun = time.perf_counter()
    await run()
    return time.perf_counter() - begun


def _say(what: str, done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{what}: {done}/{of}\x1b[K", end="" if done < of else "\n", file=sys.stderr, flush=True)


def _show(numbers: Numbers) -> None:
    shown = Table(title="the knowledge base", caption=numbers["machine"])
    shown.add_column("")
    shown.add_column("", justify="right")
    for name, sides in numbers["quality"].items():
        for side, measured in sides.items():
            shown.add_row(f"{name}, {side}: nDCG@10 / recall@100", f"{measured['ndcg@10']:.3f} / {measured['recall@100']:.3f}")
    embedding, add, search = numbers["embedding"], numbers["add"], numbers["search"]
    shown.add_row(f"embedding {embedding['passages']} passages, per second", f"{median(embedding['ours']):.1f}")
    theirs = median(embedding["sentence_transformers"])
    shown.add_row("sentence-transformers on the same", f"{theirs:.1f} ({embedding['ratio']:.2f}×)")
    shown.add_row(f"search in {numbers['chunks']:,} chunks, p50 / p95, ms", f"{search['p50']:.1f} / {search['p95']:.1f}")
    shown.add_row("first search, ms", f"{search['cold']:.0f}")
    shown.add_row(
        "adding a document to an empty / the large store, ms", f"{add['ms_empty']:.1f} / {add['ms_large']:.1f} ({add['ratio']:.2f}×)"
    )
    Console().print(shown)


if __name__ == "__main__":
    main()
