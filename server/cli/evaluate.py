"""`stoa eval`: measures retrieval and answers on a dataset of documents, queries and relevance judgements."""

import asyncio
import json
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
from retrieval.evaluate import Answer, EvaluationDataset, InvalidDataset, Query
from server.api.chat_completions.endpoint import generate, prepare
from server.api.chat_completions.types import ChatRequest
from server.api.common.types import FileCitation
from server.app import load_runtime
from server.cli.errors import print_error
from server.core.errors import ApiError
from server.core.timing import NoTimings
from server.runtime.knowledge_base import KnowledgeBase, open_knowledge_base
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.weights.cache import PullError
from server.weights.progress import progress_bar

Report = dict[str, Any]
MAX_ANSWER_TOKENS = 128
MODES: tuple[evaluate.RankingMode, ...] = ("dense", "lexical", "fused")


@dataclass(frozen=True)
class EvaluateCommand:
    folder: Path
    questions: int  # how many of the queries with known answers the chat model answers, evenly spread; 0: none
    as_json: bool


def run_evaluation(command: EvaluateCommand, settings: Settings) -> int:
    """Returns the exit status. The vector store is in a temporary folder, deleted afterwards."""
    try:
        dataset = evaluate.read_dataset(command.folder)
        with tempfile.TemporaryDirectory() as folder:
            temporary = settings.model_copy(update={"database_url": f"{folder}/stoa.db"})
            report = asyncio.run(_report(dataset, evaluate.sample_queries(dataset.queries, command.questions), temporary))
    except (ValueError, PullError, KnowledgeError, ApiError) as error:
        print_error(error)
        return 1
    print(json.dumps(report)) if command.as_json else _print_report(report, dataset)
    return 0


async def _report(dataset: EvaluationDataset, questions: Sequence[Query], settings: Settings) -> Report:
    """`questions`: to be answered by the chat model, which is loaded only if there are any."""
    runtime = await asyncio.to_thread(load_runtime, settings) if questions else None
    knowledge = runtime.knowledge_base if runtime else await asyncio.to_thread(_open, settings)
    if knowledge is None:
        raise InvalidDataset("embedding_model is none: there is nothing to evaluate")
    try:
        with _progress() as progress:
            store_id = await evaluate.fill(knowledge.store, knowledge.embedder, dataset.corpus, progress)
            report: Report = {mode: await _measure(knowledge, dataset, store_id, mode, progress) for mode in MODES}
            reranks = knowledge.reranker is not None
            report["reranked"] = await _measure(knowledge, dataset, store_id, "reranked", progress) if reranks else None
            if runtime:
                report["answers"] = evaluate.score_answers(await _answer_all(runtime, store_id, questions, progress), dataset)
            return report
    finally:
        if runtime:
            await runtime.close_engines()
        await knowledge.close()


def _open(settings: Settings) -> KnowledgeBase | None:
    with progress_bar() as progress:
        return open_knowledge_base(settings, progress)


async def _answer_all(runtime: Runtime, store_id: str, questions: Sequence[Query], progress: evaluate.Progress) -> list[Answer]:
    """As for a client's chat completion request with file_search, at temperature 0."""
    answers: list[Answer] = []
    for query in questions:
        progress("answering", len(answers), len(questions))
        answers.append(await _answer(runtime, store_id, query))
    progress("answering", len(questions), len(questions))
    return answers


async def _answer(runtime: Runtime, store_id: str, query: Query) -> Answer:
    request = {
        "model": runtime.names[0],
        "messages": [{"role": "user", "content": query.text}],
        "tools": [{"type": "file_search", "vector_store_ids": [store_id]}],
        "temperature": 0,
        "max_completion_tokens": MAX_ANSWER_TOKENS,
    }
    response = await generate(await prepare(runtime, ChatRequest.model_validate(request)), NoTimings())
    message = response.choices[0].message
    cited = tuple(citation.filename for citation in message.annotations if isinstance(citation, FileCitation))
    return Answer(query=query, text=message.content or "", cited=cited)


async def _measure(
    knowledge: KnowledgeBase, dataset: EvaluationDataset, store_id: str, mode: evaluate.RankingMode, progress: evaluate.Progress
) -> dict[str, float]:
    ranked = await evaluate.rank(knowledge.retriever, store_id, dataset.queries, mode, progress)
    return evaluate.score(ranked, dataset).to_dict()


@contextmanager
def _progress() -> Generator[evaluate.Progress]:
    """Progress bars on standard error, one per kind of work; shows nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done)

        yield show


def _print_report(report: Report, dataset: EvaluationDataset) -> None:
    modes = {mode: scores for mode, scores in report.items() if scores and mode != "answers"}
    table = Table(title=f"{len(dataset.corpus):,} documents, {len(dataset.queries):,} questions")
    table.add_column("")
    for name in next(iter(modes.values())):
        table.add_column(name, justify="right")
    for mode, scores in modes.items():
        table.add_row(mode, *(f"{value:.3f}" for value in scores.values()))
    Console().print(table)
    if answers := report.get("answers"):
        scores = ", ".join(
            f"{name.replace('_', ' ')} {answers[name]:.0%}" for name in ("hit_rate", "citation_precision", "citation_recall")
        )
        Console().print(f"{answers['questions']} questions answered: {scores}")
