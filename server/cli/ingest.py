"""`stoa ingest`: directories into a vector store, and what has become of each file."""

import asyncio
import json
import math
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from engine.api import EngineError
from retrieval.api import Attributes, Chunking, KnowledgeError, NotFound, Value
from retrieval.ingest.sync import Report, Sync, Tell, Wish
from retrieval.ingest.walk import Walk, walk
from retrieval.records import NewVectorStore
from retrieval.store.api import Store
from retrieval.threads import in_thread
from server.http.lists import EXACT
from server.runtime.knowledge_base import KnowledgeBase, open_knowledge_base
from server.runtime.settings import Settings
from server.weights.cache import PullError, bar

Show = Callable[[str, int], None]  # what is being done, files done
OPERATOR = ""  # who the command line acts for
LOOK = 0.2  # seconds between two looks at the progress
SETTLE = 1.0  # seconds between two looks for what has been replaced
SHOWN = 20  # reasons and notes that are printed


@dataclass(frozen=True)
class Order:
    paths: tuple[Path, ...]
    store: str
    delete: bool
    as_json: bool
    chunking: Chunking | None = None
    attributes: Attributes | None = None


class Stopped(Exception):
    """Said to the thread that compares files."""


def run(order: Order, settings: Settings) -> int:
    """Returns the exit status: 1 when a file has failed. What was queued when it is interrupted stays queued."""
    try:
        expect_words("--store", order.store)
        found = walk(order.paths)
        with bar() as pulling:
            knowledge = opened(settings, pulling)
        report = asyncio.run(_ingest(knowledge, order, found, settings.max_upload_bytes))
    except (KnowledgeError, PullError, EngineError, ValueError) as error:
        print(f"stoa: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stoa: interrupted; what is queued goes on with the next `stoa ingest` or `stoa serve`", file=sys.stderr)
        return 130
    print(json.dumps(as_json(report))) if order.as_json else _show(report)
    if not found.files:
        print(f"stoa: there is nothing to read in {', '.join(map(str, order.paths))}", file=sys.stderr)
    return 1 if report.failed else 0


def expect_words(name: str, given: str) -> None:
    """Raises ValueError."""
    if not given.strip():
        raise ValueError(f"{name}: it is empty")


def parse_chunking(size: int | None, overlap: int | None) -> Chunking | None:
    """None: nothing was wished. Raises ValueError."""
    if size is None and overlap is None:
        return None
    if size is not None and overlap is not None and overlap > size // 2:
        raise ValueError(f"--chunk-overlap {overlap} must be at most half of --chunk-size {size}")
    return Chunking(size=size, overlap=overlap)


def parse_attributes(given: Sequence[str]) -> Attributes | None:
    """KEY=VALUE; a value that reads as a number, true or false is one, unless not every reader of JSON would keep it. None: none
    given. Raises ValueError."""
    attributes: Attributes = {}
    for one in given:
        key, equals, text = one.partition("=")
        if not equals or not 1 <= len(key) <= 64 or len(text) > 512:
            raise ValueError(f"--attribute {one}: expected KEY=VALUE, the key up to 64 characters long, the value up to 512")
        attributes[key] = _value(text)
    if len(attributes) > 16:
        raise ValueError(f"--attribute: {len(attributes)} keys, and a file has 16 at most")
    return attributes or None


def _value(text: str) -> Value:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    match value:
        case int() if abs(value) <= EXACT:  # true and false among them
            return value
        case float() if math.isfinite(value):
            return value
        case _:
            return text


def opened(settings: Settings, pulling: Any) -> KnowledgeBase:
    """Raises KnowledgeError, PullError, ValueError."""
    knowledge = open_knowledge_base(settings, pulling)
    if knowledge is None:
        raise KnowledgeError("the knowledge base needs an embedding model: set STOA_EMBEDDING_MODEL to something else than none")
    return knowledge


def as_json(report: Report) -> dict[str, Any]:
    return asdict(report) | {"skipped": dict(report.skipped)}  # asdict makes a Counter of tuples out of a Counter


async def _ingest(knowledge: KnowledgeBase, order: Order, found: Walk, max_bytes: int) -> Report:
    try:
        store_id = await in_thread(named_or_new, knowledge.store, order.store)
        await in_thread(knowledge.store.expect, store_id, knowledge.embedder.identity)
        wish = Wish(owner=OPERATOR, delete=order.delete, chunking=order.chunking, attributes=order.attributes, max_bytes=max_bytes)
        sync = Sync(knowledge.store, store_id, wish)
        worker = asyncio.create_task(knowledge.ingestor.run())
        try:
            await _work(knowledge, sync, found, store_id)
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)  # what ended it, the drain says too
        return await in_thread(sync.finish)
    finally:
        await knowledge.close()


def named_or_new(store: Store, name: str) -> str:
    """Two that start at the same time end up with the same store: the older of both."""
    try:
        return store.store_named(OPERATOR, name).id
    except NotFound:
        made = store.create_store(NewVectorStore(owner=OPERATOR, name=name)).id
    first = store.store_named(OPERATOR, name).id
    if first != made:
        store.delete_store(OPERATOR, made)
    return first


async def _work(knowledge: KnowledgeBase, sync: Sync, found: Walk, store_id: str) -> None:
    with _progress() as (progress, task):

        def tell(filename: str, done: int, total: int) -> None:
            progress.update(task, description=f"reading {_short(filename)}", completed=done, total=total)
            knowledge.ingestor.wake()

        def show(text: str, done: int) -> None:
            progress.update(task, description=text, completed=done)

        await _begin(sync, found, tell)
        knowledge.ingestor.wake()
        progress.update(task, description="", completed=0, total=len(sync.pending))
        drain = asyncio.create_task(knowledge.ingestor.drain(store_id))
        try:
            await _watch(knowledge, sync, store_id, drain, show)
        finally:
            drain.cancel()
            await asyncio.wait({drain})


async def _begin(sync: Sync, found: Walk, tell: Tell) -> None:
    """Cancelled, it ends before the next file."""
    stopped = Event()

    def told(filename: str, done: int, total: int) -> None:
        if stopped.is_set():
            raise Stopped
        tell(filename, done, total)

    beginning = asyncio.ensure_future(asyncio.to_thread(sync.begin, found, told))
    try:
        await asyncio.shield(beginning)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait({beginning})
        beginning.exception()
        raise


async def _watch(knowledge: KnowledgeBase, sync: Sync, store_id: str, drain: "asyncio.Task[None]", show: Show) -> None:
    begun = settled = time.monotonic()
    while not (await asyncio.wait({drain}, timeout=LOOK))[0]:
        counts = (await in_thread(knowledge.store.store, OPERATOR, store_id)).counts
        tally = knowledge.ingestor.tally
        present = [f"{stage.state} {_short(name)}" for name, stage in tally.present[:1]] or ["waiting for another process"]
        rate = tally.pieces / (time.monotonic() - begun)
        show(f"{present[0]}  {rate:.0f} chunks/s", max(0, len(sync.pending) - counts.in_progress))
        if time.monotonic() - settled > SETTLE:
            await in_thread(sync.settle)
            settled = time.monotonic()
    drain.result()


@contextmanager
def _progress() -> Generator[tuple[Progress, TaskID]]:
    """On standard error; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield progress, progress.add_task("", total=None)


def _short(filename: str) -> str:
    return filename if len(filename) <= 40 else f"…{filename[-39:]}"


def _show(report: Report) -> None:
    table = Table("", "files", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name in ("new", "changed", "deleted", "unchanged", "again", "same"):
        paths = getattr(report, name)
        if paths or name not in ("again", "same"):
            table.add_row({"again": "tried again", "same": "same content as another"}.get(name, name), str(len(paths)))
    table.add_row("failed", str(len(report.failed)), style="red" if report.failed else None)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for path, notes in list(report.notes.items())[:SHOWN]:
        console.print(f"[yellow]note[/yellow]   {escape(path)}: {escape('; '.join(notes))}")
    for path, reason in list(report.failed.items())[:SHOWN]:
        console.print(f"[red]failed[/red] {escape(path)}: {escape(reason)}")
    if (more := len(report.failed) - SHOWN) > 0:
        console.print(f"[red]failed[/red] and {more} more; --json lists all")
    if report.skipped:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in report.skipped.most_common())
        console.print(f"[dim]skipped, because they are no documents: {escape(kinds)}[/dim]")
