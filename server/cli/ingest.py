"""`stoa ingest`: synchronizes a vector store with files and directories, and reports the result for each file."""

import asyncio
import json
import math
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
from retrieval.ingest.sync import ProgressCallback, Sync, SyncOptions, SyncReport
from retrieval.ingest.walk import WalkResult, walk
from retrieval.records import NewVectorStore
from retrieval.store.api import Store
from retrieval.threads import in_thread
from server.cli.errors import print_error
from server.cli.knowledge_base import OPERATOR, expect_not_blank, open_for_command
from server.http.lists import MAX_EXACT_INT
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.settings import Settings
from server.weights.cache import PullError

ShowProgress = Callable[[str, int], None]  # (description, files done)
PROGRESS_INTERVAL = 0.2  # seconds between updates of the progress bar
SETTLE_INTERVAL = 1.0  # seconds between removals of replaced files
MAX_PRINTED = 20  # failures, and notes, that are printed


@dataclass(frozen=True)
class IngestCommand:
    paths: tuple[Path, ...]
    store: str
    delete: bool  # remove files from the store that are gone from the directories
    as_json: bool
    chunking: Chunking | None = None
    attributes: Attributes | None = None


class Interrupted(Exception):
    """Raised in the thread that compares files, to end it."""


def run_ingest(command: IngestCommand, settings: Settings) -> int:
    """Returns the exit status: 1 if a file failed, 130 if interrupted; files that are queued then stay queued."""
    try:
        expect_not_blank("--store", command.store)
        walk(command.paths)  # a path that is not there is told before models are loaded
        report, found = asyncio.run(_ingest(open_for_command(settings), command, settings))
    except (KnowledgeError, PullError, EngineError, ValueError) as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        print_error("interrupted; what is queued goes on with the next `stoa ingest` or `stoa serve`")
        return 130
    print(json.dumps(to_json(report))) if command.as_json else _print_report(report)
    if not found.files:
        print_error(f"there is nothing to read in {', '.join(map(str, command.paths))}")
    return 1 if report.failed else 0


def parse_chunking(size: int | None, overlap: int | None) -> Chunking | None:
    """None: neither option was given. Raises ValueError."""
    if size is None and overlap is None:
        return None
    if size is not None and overlap is not None and overlap > size // 2:
        raise ValueError(f"--chunk-overlap {overlap} must be at most half of --chunk-size {size}")
    return Chunking(size=size, overlap=overlap)


def parse_attributes(options: Sequence[str]) -> Attributes | None:
    """From KEY=VALUE each; None: there are none. VALUE is a number or boolean if it is JSON for one that all JSON parsers read exactly,
    else a string. Raises ValueError."""
    attributes: Attributes = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or not 1 <= len(key) <= 64 or len(text) > 512:
            raise ValueError(f"--attribute {option}: expected KEY=VALUE, the key up to 64 characters long, the value up to 512")
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
        case int() if abs(value) <= MAX_EXACT_INT:  # includes true and false
            return value
        case float() if math.isfinite(value):
            return value
        case _:
            return text


def to_json(report: SyncReport) -> dict[str, Any]:
    return asdict(report) | {"skipped": dict(report.skipped)}  # asdict turns a Counter into a Counter of tuples


async def _ingest(knowledge: KnowledgeBase, command: IngestCommand, settings: Settings) -> tuple[SyncReport, WalkResult]:
    heard, seen = settings.transcription_model is not None, knowledge.image_embedder is not None
    try:
        found = await in_thread(walk, command.paths, recordings=heard, pictures=seen)
        store_id = await in_thread(get_or_create_store, knowledge.store, command.store)
        await in_thread(knowledge.store.expect, store_id, knowledge.embedder.identity)
        options = SyncOptions(
            owner=OPERATOR,
            delete=command.delete,
            chunking=command.chunking,
            attributes=command.attributes,
            max_bytes=settings.max_upload_bytes,
        )
        sync = Sync(knowledge.store, store_id, options)
        worker = asyncio.create_task(knowledge.ingestor.run())
        try:
            await _synchronize(knowledge, sync, found, store_id)
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)  # its errors are raised by the drain, too
        return await in_thread(sync.finish), found
    finally:
        await knowledge.close()


def get_or_create_store(store: Store, name: str) -> str:
    """The id of the store of this name. Two processes that create it at the same time both use the older one."""
    try:
        return store.store_named(OPERATOR, name).id
    except NotFound:
        created = store.create_store(NewVectorStore(owner=OPERATOR, name=name)).id
    first = store.store_named(OPERATOR, name).id
    if first != created:
        store.delete_store(OPERATOR, created)
    return first


async def _synchronize(knowledge: KnowledgeBase, sync: Sync, found: WalkResult, store_id: str) -> None:
    with _progress() as (progress, task):

        def on_file_compared(filename: str, done: int, total: int) -> None:
            progress.update(task, description=f"reading {_shorten(filename)}", completed=done, total=total)
            knowledge.ingestor.wake()

        def show(text: str, done: int) -> None:
            progress.update(task, description=text, completed=done)

        await _compare_files(sync, found, on_file_compared)
        knowledge.ingestor.wake()
        progress.update(task, description="", completed=0, total=len(sync.pending))
        drain = asyncio.create_task(knowledge.ingestor.drain(store_id))
        try:
            await _follow_progress(knowledge, sync, store_id, drain, show)
        finally:
            drain.cancel()
            await asyncio.wait({drain})


async def _compare_files(sync: Sync, found: WalkResult, on_file_compared: ProgressCallback) -> None:
    """In a thread; when cancelled, it ends before the next file."""
    cancelled = Event()

    def check_cancelled(filename: str, done: int, total: int) -> None:
        if cancelled.is_set():
            raise Interrupted
        on_file_compared(filename, done, total)

    comparison = asyncio.ensure_future(asyncio.to_thread(sync.begin, found, check_cancelled))
    try:
        await asyncio.shield(comparison)
    except asyncio.CancelledError:
        cancelled.set()
        await asyncio.wait({comparison})
        comparison.exception()
        raise


async def _follow_progress(knowledge: KnowledgeBase, sync: Sync, store_id: str, drain: "asyncio.Task[None]", show: ShowProgress) -> None:
    started = settled = time.monotonic()
    while not (await asyncio.wait({drain}, timeout=PROGRESS_INTERVAL))[0]:
        counts = (await in_thread(knowledge.store.store, OPERATOR, store_id)).counts
        stats = knowledge.ingestor.stats
        active = [f"{stage.state} {_shorten(name)}" for name, stage in stats.active[:1]] or ["waiting for another process"]
        rate = stats.chunks / (time.monotonic() - started)
        show(f"{active[0]}  {rate:.0f} chunks/s", max(0, len(sync.pending) - counts.in_progress))
        if time.monotonic() - settled > SETTLE_INTERVAL:
            await in_thread(sync.settle)
            settled = time.monotonic()
    drain.result()


@contextmanager
def _progress() -> Generator[tuple[Progress, TaskID]]:
    """A bar on standard error; shows nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield progress, progress.add_task("", total=None)


def _shorten(filename: str) -> str:
    return filename if len(filename) <= 40 else f"…{filename[-39:]}"


def _print_report(report: SyncReport) -> None:
    table = Table("", "files", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name in ("new", "changed", "deleted", "unchanged", "again", "same"):
        paths = getattr(report, name)
        if paths or name not in ("again", "same"):
            table.add_row({"again": "tried again", "same": "same content as another"}.get(name, name), str(len(paths)))
    table.add_row("failed", str(len(report.failed)), style="red" if report.failed else None)
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    for path, notes in list(report.notes.items())[:MAX_PRINTED]:
        console.print(f"[yellow]note[/yellow]   {escape(path)}: {escape('; '.join(notes))}")
    for path, reason in list(report.failed.items())[:MAX_PRINTED]:
        console.print(f"[red]failed[/red] {escape(path)}: {escape(reason)}")
    if (more := len(report.failed) - MAX_PRINTED) > 0:
        console.print(f"[red]failed[/red] and {more} more; --json lists all")
    if report.skipped:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in report.skipped.most_common())
        console.print(f"[dim]skipped, because they are no documents: {escape(kinds)}[/dim]")
