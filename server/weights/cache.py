"""Where pulled models lie, and how a directory comes to be there whole or not at all.

home/sources/NAME    unpacked wheels          home/models/NAME      GGUF files prepared for the engine
home/staging/NAME    being made; renamed into place when done, swept by the next attempt when its maker was killed
home/locks/NAME      one maker at a time; the operating system releases the lock of a dead process
"""

import os
import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

Progress = Callable[[str, int, int | None], None]
"""progress(stage, done, total): bytes so far and in all (None: unknown). Called a few times a second at most."""


class PullError(Exception):
    """A model could not be fetched or prepared; the message is meant for the person who asked for it."""


def default_home() -> Path:
    """$STOA_HOME, or the platform's place for files that can be fetched again."""
    if named := os.environ.get("STOA_HOME"):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "stoa"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "stoa"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stoa"


def default_database() -> Path:
    """$STOA_HOME/stoa.db, or the platform's place for what cannot be fetched again: whoever empties the caches loses nothing."""
    if os.environ.get("STOA_HOME"):
        return default_home() / "stoa.db"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "stoa" / "stoa.db"
    if sys.platform == "win32":
        return default_home().with_name("stoa-data") / "stoa.db"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "stoa" / "stoa.db"


def build(target: Path, fill: Callable[[Path], None], progress: Progress) -> Path:
    """`target`, made by `fill` in a staging directory and renamed unless it exists. Safe against other processes that
    want the same target, and against being killed at any moment."""
    if target.exists():
        return target
    home = target.parent.parent
    with _locked(home / "locks" / f"{target.name}.lock", progress):
        if not target.exists():
            staging = _empty(home / "staging" / target.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                fill(staging)
                staging.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return target


@contextmanager
def _locked(path: Path, progress: Progress) -> Generator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("wait for another process", 0, None)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _empty(directory: Path) -> Path:
    """What a killed process left there is worth nothing."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


@contextmanager
def bar() -> Generator[Progress]:
    """A progress bar on standard error, one line per stage; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    bars = Bars(*columns, console=console, disable=not console.is_terminal)
    tasks: dict[str, int] = {}

    def show(stage: str, done: int, total: int | None) -> None:
        if not tasks:
            bars.start()  # not before there is something to show
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage if len(stage) <= 32 else f"{stage[:31]}…", total=total)
        bars.update(bars.task_ids[tasks[stage]], completed=done, total=total)

    try:
        yield show
    finally:
        if tasks and not bars.disable:
            bars.stop()


def silent(stage: str, done: int, total: int | None) -> None:
    """The progress of whoever does not want to see any."""
