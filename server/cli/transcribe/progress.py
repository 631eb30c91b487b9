"""The progress bar of one file, on standard error; nothing where that is no terminal."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text


@dataclass(frozen=True)
class Bar:
    progress: Progress
    task: TaskID

    def begin(self, seconds: float) -> None:
        """The length of the recording is known."""
        self.progress.update(self.task, total=seconds)

    def move(self, seconds: float) -> None:
        """So much of it has been heard."""
        self.progress.update(self.task, completed=seconds)


class _Heard(TextColumn):
    """How much of how much, in minutes, and how many times faster than it was said."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        if not task.total:
            return Text("")
        speed = f"  {task.completed / task.elapsed:.0f}x" if task.elapsed and task.completed else ""
        return Text(f"{_minutes(task.completed)} of {_minutes(task.total)}{speed}")


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


@contextmanager
def progress_bars(name: str) -> Generator[Bar]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), _Heard(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield Bar(progress, progress.add_task(escape(name), total=None))
