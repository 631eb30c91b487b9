"""`stoa eval`: a folder of documents, questions and judgements in; how well they are found, and answered, out."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from retrieval import evaluate
from retrieval.api import KnowledgeError
from retrieval.evaluate import Answer, BadSet, EvaluationSet, Query
from server.api.chat_completions.endpoint import prepare, whole
from server.api.chat_completions.types import ChatRequest
from server.api.common.types import FileCitation
from server.app import load
from server.core.errors import ApiError
from server.core.timing import NoTimings
from server.runtime.knowledge_base import KnowledgeBase, open_knowledge_base
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.weights.cache import PullError, bar

Report = dict[str, Any]
ANSWER = 128  # tokens
SIDES: tuple[evaluate.Side, ...] = ("dense", "lexical", "fused")


@dataclass(frozen=True)
class Wish:
    folder: Path
    questions: int  # of those with known answers, so many are answered by the chat model, evenly spread; 0: none
    as_json: bool


def run(wish: Wish, settings: Settings) -> int:
    """Returns the exit status. Nothing is left behind: the store lies in a temporary folder."""
    try:
        found = evaluate.read_set(wish.folder)
        with tempfile.TemporaryDirectory() as folder:
            private = settings.model_copy(update={"database_url": f"{folder}/stoa.db"})
            report = asyncio.run(_report(found, evaluate.spread(found.queries, wish.questions), private))
    except (ValueError, PullError, KnowledgeError, ApiError) as error:
        print(f"stoa: {error.message if isinstance(error, ApiError) else error}", file=sys.stderr)
        return 1
    print(json.dumps(report)) if wish.as_json else _show(report, found)
    return 0


async def _report(found: EvaluationSet, questions: Sequence[Query], settings: Settings) -> Report:
    """`questions`: those that the chat model is to answer; without any it is not loaded."""
    runtime = await asyncio.to_thread(load, settings) if questions else None
    knowledge = runtime.knowledge_base if runtime else await asyncio.to_thread(_open, settings)
    if knowledge is None:
        raise BadSet("embedding_model is none: there is nothing to evaluate")
    try:
        with _progress() as progress:
            store_id = await evaluate.fill(knowledge.store, knowledge.embedder, found.corpus, progress)
            report: Report = {side: await _measured(knowledge, found, store_id, side, progress) for side in SIDES}
            reranks = knowledge.reranker is not None
            report["reranked"] = await _measured(knowledge, found, store_id, "reranked", progress) if reranks else None
            if runtime:
                report["answers"] = evaluate.judge(await _answered(runtime, store_id, questions, progress), found)
            return report
    finally:
        if runtime:
            await runtime.engine.close()
        await knowledge.close()


def _open(settings: Settings) -> KnowledgeBase | None:
    with bar() as progress:
        return open_knowledge_base(settings, progress)


async def _answered(runtime: Runtime, store_id: str, questions: Sequence[Query], progress: evaluate.Progress) -> list[Answer]:
    """By the chat model, through the same way as a client's question, greedily."""
    answers: list[Answer] = []
    for query in questions:
        progress("answering", len(answers), len(questions))
        answers.append(await _answer(runtime, store_id, query))
    progress("answering", len(questions), len(questions))
    return answers


async def _answer(runtime: Runtime, store_id: str, query: Query) -> Answer:
    asked = {
        "model": runtime.names[0],
        "messages": [{"role": "user", "content": query.text}],
        "tools": [{"type": "file_search", "vector_store_ids": [store_id]}],
        "temperature": 0,
        "max_completion_tokens": ANSWER,
    }
    response = await whole(await prepare(runtime, ChatRequest.model_validate(asked)), NoTimings())
    message = response.choices[0].message
    cited = tuple(citation.filename for citation in message.annotations if isinstance(citation, FileCitation))
    return Answer(query=query, text=message.content or "", cited=cited)


async def _measured(
    knowledge: KnowledgeBase, found: EvaluationSet, store_id: str, side: evaluate.Side, progress: evaluate.Progress
) -> dict[str, float]:
    ranked = await evaluate.rank(knowledge.retriever, store_id, found.queries, side, progress)
    return evaluate.score(ranked, found).named()


@contextmanager
def _progress() -> Generator[evaluate.Progress]:
    """Bars on standard error, one per kind of work; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done)

        yield show


def _show(report: Report, found: EvaluationSet) -> None:
    sides = {side: measured for side, measured in report.items() if measured and side != "answers"}
    table = Table(title=f"{len(found.corpus):,} documents, {len(found.queries):,} questions")
    table.add_column("")
    for name in next(iter(sides.values())):
        table.add_column(name, justify="right")
    for side, measured in sides.items():
        table.add_row(side, *(f"{value:.3f}" for value in measured.values()))
    Console().print(table)
    if answers := report.get("answers"):
        told = ", ".join(f"{name.replace('_', ' ')} {answers[name]:.0%}" for name in ("hit_rate", "citation_precision", "citation_recall"))
        Console().print(f"{answers['questions']} questions answered: {told}")
