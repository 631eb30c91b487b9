"""The table, and the same as JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measures import ROWS, Row

Results = Mapping[str, Mapping[str, list[float]]]  # server -> key -> one number per round


def table(results: Results, missing: Mapping[str, str], ours: str = "stoa") -> Table:
    """One column for each server; beside a peer's number, ours divided by it."""
    peers = [name for name in results if name != ours]
    shown = Table(title="ratios: ours divided by theirs, bold where ours is the better one", caption=_caption(missing))
    shown.add_column("")
    for name in (ours, *peers, *missing):
        shown.add_column(name, justify="right")
    for row in ROWS:
        cells = [_cell(results, row, ours), *(_compared(results, row, ours, peer) for peer in peers), *("missing" for _ in missing)]
        shown.add_row(f"{row.title} [dim]{row.unit}[/dim]", *cells)
    return shown


def _caption(missing: Mapping[str, str]) -> str:
    reasons = [f"{name}: {reason}" for name, reason in missing.items()]
    return "\n".join([machine(), *reasons])


def _cell(results: Results, row: Row, name: str) -> str:
    value = middle(results.get(name, {}), row.key)
    return "–" if value is None else f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def _compared(results: Results, row: Row, ours: str, peer: str) -> str:
    theirs, own = middle(results[peer], row.key), middle(results.get(ours, {}), row.key)
    if theirs is None or own is None:
        return _cell(results, row, peer)
    ratio = own / theirs
    won = ratio > 1 if row.better == "more" else ratio < 1
    return f"{_cell(results, row, peer)}  {'[bold]' if won else ''}{ratio:.2f}×{'[/bold]' if won else ''}"


def middle(numbers: Mapping[str, list[float]], key: str) -> float | None:
    return median(numbers[key]) if numbers.get(key) else None


def as_json(results: Results, missing: Mapping[str, str], command: str) -> dict[str, Any]:
    return {"machine": machine(), "command": command, "missing": dict(missing), "results": {k: dict(v) for k, v in results.items()}}


def machine() -> str:
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name"))
    return next(names, platform.processor())


def tell(rows: Sequence[Mapping[str, Any]], command: str, file: Path | None) -> None:
    """Prints rows that have the same columns, and writes them to `file`, where one is given, with what made them."""
    shown = Table(*rows[0])
    for row in rows:
        shown.add_row(*map(str, row.values()))
    Console().print(shown)
    if file:
        file.write_text(json.dumps({"machine": machine(), "command": command, "rows": rows}, indent=1) + "\n")


def show(results: Results, missing: Mapping[str, str]) -> None:
    Console().print(table(results, missing))
