"""How well tool calls come out: valid by their schema, and right.

python -m bench.tools FOLDER                 BFCL's simple, multiple and parallel, each call required
python -m bench.tools FOLDER --cases 50 --choice auto --json results.json
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import servers
from bench.bfcl import CATEGORIES, Case, read, right, valid
from server.weights.progress import progress_bar
from server.weights.pull import pull

CLIENTS = 8
PATIENCE = 600.0  # seconds for one answer
ROOM = 512  # tokens of an answer


@dataclass
class Score:
    cases: int = 0
    calls: int = 0
    valid: int = 0
    right: int = 0
    silent: int = 0  # answers without a call
    ends: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])  # what was not valid
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        share = self.right / max(self.cases, 1)
        told = {name: getattr(self, name) for name in ("cases", "calls", "valid", "right", "silent", "wrong")}
        return {**told, "accuracy": round(share, 4), "ends": dict(self.ends), "seconds": round(self.seconds, 1)}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.tools", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="BFCL_v4_*.json and possible_answer_*.json")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--choice", default="required", choices=("required", "auto"))
    parser.add_argument("--cases", type=int, help="of each category, at most")
    parser.add_argument("--categories", nargs="+", default=list(CATEGORIES), choices=tuple(CATEGORIES))
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    with progress_bar() as progress:
        model = pull(options.model, progress=progress)
    scores = asyncio.run(_run(options, model))
    _show(scores)
    if options.json:
        told = {
            "command": " ".join(("python -m bench.tools", *(sys.argv[1:] if argv is None else argv))),
            "choice": options.choice,
            **{name: score.as_json() for name, score in scores.items()},
        }
        options.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


async def _run(options: argparse.Namespace, model: Path) -> dict[str, Score]:
    log = Path(tempfile.mkstemp(suffix=".log")[1])
    running = await servers.start(servers.stoa(model, ["--embedding-model", "none"]), log)
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            return {name: await _category(options, running.url, name, progress) for name in options.categories}
    finally:
        running.stop()
        log.unlink()


async def _category(options: argparse.Namespace, url: str, name: str, progress: Progress) -> Score:
    score, cases = Score(), read(options.folder, name)[: options.cases]
    task, begun = progress.add_task(name, total=len(cases)), time.perf_counter()
    waiting = list(reversed(cases))
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:

        async def work() -> None:
            while waiting:
                case = waiting.pop()
                _judge(score, case, *await _ask(client, case, options.choice, many=name == "parallel"))
                progress.advance(task)

        await asyncio.gather(*(work() for _ in range(CLIENTS)))
    score.seconds = time.perf_counter() - begun
    return score


async def _ask(client: httpx.AsyncClient, case: Case, choice: str, *, many: bool) -> tuple[list[tuple[str, str]], str]:
    """Name and arguments of each call, and why the answer ended."""
    body = {
        "model": "m",
        "messages": case.messages,
        "tools": case.tools,
        "tool_choice": choice,
        "parallel_tool_calls": many,
        "temperature": 0,
        "max_completion_tokens": ROOM,
    }
    answer = await client.post("/v1/chat/completions", json=body)
    if answer.is_error:
        return [], f"{answer.status_code}: {answer.json()['error']['message']}"
    said = answer.json()["choices"][0]
    calls = said["message"].get("tool_calls") or ()
    return [(call["function"]["name"], call["function"]["arguments"]) for call in calls], said["finish_reason"]


def _judge(score: Score, case: Case, calls: Sequence[tuple[str, str]], end: str) -> None:
    score.cases += 1
    score.calls += len(calls)
    score.silent += not calls
    score.ends[end] += 1
    problems = [problem for call in calls if (problem := valid(call, case.tools))]
    score.valid += len(calls) - len(problems)
    score.wrong += [f"{case.id}: {problem}" for problem in problems]
    score.right += right(calls, case.expected)


def _show(scores: dict[str, Score]) -> None:
    table = Table("category", "cases", "calls", "valid", "right", "no call", "s")
    for name, score in scores.items():
        share = f"{score.valid} ({score.valid / max(score.calls, 1):.1%})"
        right = f"{score.right} ({score.right / max(score.cases, 1):.1%})"
        table.add_row(name, str(score.cases), str(score.calls), share, right, str(score.silent), f"{score.seconds:.0f}")
    Console().print(table)
    for name, score in scores.items():
        for line in (*score.wrong[:20], *(f"{count} answers ended with: {end}" for end, count in score.ends.items())):
            print(f"{name}: {line}")


if __name__ == "__main__":
    main()
