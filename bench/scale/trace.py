"""Arrivals: a file of them, or drawn ones."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

COLUMNS = ("arrival", "prompt", "answer")


@dataclass(frozen=True)
class Arrival:
    """A request: when it comes, in seconds from the beginning, and its tokens."""

    second: float
    prompt: int
    answer: int


@dataclass(frozen=True)
class Sizes:
    """Prompts and answers are drawn evenly between these numbers of tokens, both ends included."""

    prompt: tuple[int, int] = (40, 300)
    answer: tuple[int, int] = (16, 64)


def read(path: Path) -> list[Arrival]:
    """CSV with the header arrival,prompt,answer. ValueError names the line and the column that is wrong."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}: the first line must be {','.join(COLUMNS)}")
        found = [_arrival(row, f"{path}, line {rows.line_num}") for row in rows]
    if not found:
        raise ValueError(f"{path}: no arrivals behind the first line")
    return sorted(found, key=lambda a: a.second)


def write(path: Path, arrivals: Iterable[Arrival]) -> None:
    lines = [",".join(COLUMNS), *(f"{a.second:.4f},{a.prompt},{a.answer}" for a in arrivals)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def poisson(rate: float, seconds: float, seed: int, sizes: Sizes) -> list[Arrival]:
    """`rate` requests a second on average, for so long. The same seed draws the same."""
    drawn, at, found = Random(seed), 0.0, list[Arrival]()
    while (at := at + drawn.expovariate(rate)) < seconds:
        found.append(Arrival(at, drawn.randint(*sizes.prompt), drawn.randint(*sizes.answer)))
    return found


def _arrival(row: dict[str, str], where: str) -> Arrival:
    second = _number(row, "arrival", where)
    prompt, answer = (_number(row, name, where) for name in COLUMNS[1:])
    if second < 0 or min(prompt, answer) < 1 or prompt % 1 or answer % 1:
        raise ValueError(f"{where}: arrival must be 0 or more, prompt and answer whole numbers of at least 1")
    return Arrival(second, int(prompt), int(answer))


def _number(row: dict[str, str], name: str, where: str) -> float:
    try:
        number = float(row[name] or "")
    except ValueError:
        raise ValueError(f"{where}: {name} must be a number, not {row[name]!r}") from None
    if number != number or abs(number) == float("inf"):
        raise ValueError(f"{where}: {name} must be finite")
    return number
