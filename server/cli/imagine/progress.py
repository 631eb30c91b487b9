"""The progress bar of a picture, on standard error; nothing where that is no terminal."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LONGEST = 40  # characters of a prompt


@dataclass(frozen=True)
class Bar:
    progress: Progress
    task: TaskID

    def move(self, done: int, total: int) -> None:
        """So many steps, or parts of them where a server does not tell of each."""
        self.progress.update(self.task, completed=done, total=total)


@contextmanager
def progress_bar(prompt: str) -> Generator[Bar]:
    console, words = Console(stderr=True), " ".join(prompt.split())
    shown = words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield Bar(progress, progress.add_task(escape(shown), total=None))
