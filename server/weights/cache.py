"""The model cache on disk. A directory in it is complete or absent.

home/sources/NAME    unpacked wheels
home/models/NAME     GGUF files prepared for the engine
home/staging/NAME    in progress; renamed into place when done; the leftovers of a killed process are deleted by the next attempt
home/locks/NAME      held by the process that fills NAME; the operating system releases the lock of a dead process
"""

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from server.weights.progress import Progress


class PullError(Exception):
    """A model could not be fetched or prepared; the message is meant for the user."""


def build_directory(target: Path, fill: Callable[[Path], None], progress: Progress) -> Path:
    """Returns `target`. Unless it exists, `fill` writes a staging directory that is then renamed to it: safe against other
    processes that build the same target, and against being killed at any moment."""
    if target.exists():
        return target
    home = target.parent.parent
    with _locked(home / "locks" / f"{target.name}.lock", progress):
        if not target.exists():
            staging = _empty_directory(home / "staging" / target.name)
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


def _empty_directory(directory: Path) -> Path:
    """Deletes what a killed process may have left there."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
