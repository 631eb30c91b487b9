"""`stoa search`: a question in, passages with the words that match out."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.text import Text

from engine.api import EngineError
from retrieval.api import Filter, Hit, KnowledgeError, NotFound, Search
from retrieval.search.highlight import matches
from retrieval.store.api import Store
from retrieval.threads import in_thread
from server.api.common import filter_types as wire
from server.api.common.filters import shown_score, to_filter
from server.cli.ingest import OPERATOR, expect_words, opened
from server.core.errors import ApiError
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.settings import Settings
from server.weights.cache import PullError, bar


@dataclass(frozen=True)
class Question:
    text: str
    stores: tuple[str, ...]  # names or ids
    limit: int
    threshold: float
    filter: str | None  # JSON, as the API takes it
    as_json: bool


def run(question: Question, settings: Settings) -> int:
    """Returns the exit status, also 0 when nothing was found."""
    try:
        expect_words("QUESTION", question.text)
        filter = parse_filter(question.filter)
        with bar() as pulling:
            knowledge = opened(settings, pulling)
        hits = asyncio.run(_search(knowledge, question, filter))
    except (KnowledgeError, PullError, EngineError, ValueError) as error:
        print(f"stoa: {error}", file=sys.stderr)
        return 1
    print(json.dumps([_as_json(hit) for hit in hits])) if question.as_json else _show(hits, question.text)
    return 0


def parse_filter(given: str | None) -> Filter | None:
    """Raises ValueError."""
    if given is None:
        return None
    try:
        return to_filter(TypeAdapter[wire.Filter](wire.Filter).validate_json(given), "--filter")
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"--filter: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ApiError as error:
        raise ValueError(error.message) from error


async def _search(knowledge: KnowledgeBase, question: Question, filter: Filter | None) -> Sequence[Hit]:
    try:
        stores = tuple([await in_thread(_store_id, knowledge.store, name) for name in question.stores])
        search = Search(queries=(question.text,), stores=stores, limit=question.limit, filter=filter, threshold=question.threshold)
        return (await knowledge.retriever.search(search)).hits
    finally:
        await knowledge.close()


def _store_id(store: Store, name: str) -> str:
    try:
        return store.store_named(OPERATOR, name).id
    except NotFound:
        return store.store(OPERATOR, name).id


def _as_json(hit: Hit) -> dict[str, Any]:
    return {"score": shown_score(hit), **asdict(hit.chunk), "attributes": hit.attributes}


def _show(hits: Sequence[Hit], question: str) -> None:
    console = Console(highlight=False)
    for number, hit in enumerate(hits, 1):
        console.print(_title(number, hit))
        console.print(_passage(hit.chunk.text, question), soft_wrap=not console.is_terminal)
        console.print()
    if not hits:
        console.print("nothing was found")


def _title(number: int, hit: Hit) -> Text:
    page = "" if hit.chunk.page is None else f", page {hit.chunk.page}"
    title = Text.assemble((f"{number}. ", "dim"), (hit.chunk.filename, "bold cyan"), page, (f"  {shown_score(hit):.3f}", "green"))
    return title.append("  " + " › ".join(hit.chunk.headings), "dim") if hit.chunk.headings else title


def _passage(text: str, question: str) -> Text:
    passage = Text(text)
    for start, end in matches(text, question):
        passage.stylize("bold yellow", start, end)
    return passage
