"""Progress reports of downloads and conversions, and the bar that shows them in a terminal."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

Progress = Callable[[str, int, int | None], None]
"""progress(stage, done, total): bytes so far and in all (None: unknown). Called a few times a second at most."""


@contextmanager
def progress_bar() -> Generator[Progress]:
    """A progress bar on standard error, one line per stage; shows nothing where standard error is no terminal."""
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


def no_progress(stage: str, done: int, total: int | None) -> None:
    """A Progress that discards the reports."""
