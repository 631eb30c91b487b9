"""`stoa search`: finds passages in vector stores, and prints them with the matching words highlighted."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.text import Text

from engine.api import EngineError
from retrieval.api import Filter, Hit, KnowledgeError, NotFound, Search
from retrieval.citations.places import place_of
from retrieval.search.highlight import matches
from retrieval.store.api import Store
from retrieval.threads import in_thread
from server.api.common.search import filter_types as wire
from server.api.common.search.citations import source_url
from server.api.common.search.filters import clamped_score, to_filter
from server.cli.errors import print_error
from server.cli.knowledge_base import OPERATOR, expect_not_blank, open_for_command
from server.core.errors import ApiError
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.settings import Settings
from server.weights.cache import PullError


@dataclass(frozen=True)
class SearchCommand:
    question: str
    stores: tuple[str, ...]  # names or ids
    limit: int
    threshold: float
    filter: str | None  # JSON, as the API takes it
    as_json: bool


def run_search(command: SearchCommand, settings: Settings) -> int:
    """Returns the exit status: 0 also when nothing was found."""
    try:
        expect_not_blank("QUESTION", command.question)
        filter = parse_filter(command.filter)
        hits = asyncio.run(_search(open_for_command(settings), command, filter))
    except (KnowledgeError, PullError, EngineError, ValueError) as error:
        print_error(error)
        return 1
    print(json.dumps([_to_json(hit) for hit in hits])) if command.as_json else _print_hits(hits, command.question)
    return 0


def parse_filter(json_text: str | None) -> Filter | None:
    """Raises ValueError, which names --filter."""
    if json_text is None:
        return None
    try:
        return to_filter(TypeAdapter[wire.Filter](wire.Filter).validate_json(json_text), "--filter")
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"--filter: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ApiError as error:
        raise ValueError(error.message) from error


async def _search(knowledge: KnowledgeBase, command: SearchCommand, filter: Filter | None) -> Sequence[Hit]:
    try:
        stores = tuple([await in_thread(_store_id, knowledge.store, name) for name in command.stores])
        search = Search(queries=(command.question,), stores=stores, limit=command.limit, filter=filter, threshold=command.threshold)
        return (await knowledge.retriever.search(search)).hits
    finally:
        await knowledge.close()


def _store_id(store: Store, name: str) -> str:
    """`name`: a name or an id. Raises NotFound."""
    try:
        return store.store_named(OPERATOR, name).id
    except NotFound:
        return store.store(OPERATOR, name).id


def _to_json(hit: Hit) -> dict[str, Any]:
    return {"score": clamped_score(hit), **asdict(hit.chunk), "attributes": hit.attributes, "url": source_url(hit.chunk)}


def _print_hits(hits: Sequence[Hit], question: str) -> None:
    console = Console(highlight=False)
    for number, hit in enumerate(hits, 1):
        console.print(_title(number, hit))
        console.print(_passage(hit.chunk.text, question), soft_wrap=not console.is_terminal)
        console.print()
    if not hits:
        console.print("nothing was found")


def _title(number: int, hit: Hit) -> Text:
    place = f", {found}" if (found := place_of(hit.chunk)) else ""
    title = Text.assemble((f"{number}. ", "dim"), (hit.chunk.filename, "bold cyan"), place, (f"  {clamped_score(hit):.3f}", "green"))
    return title.append("  " + " › ".join(hit.chunk.headings), "dim") if hit.chunk.headings else title


def _passage(text: str, question: str) -> Text:
    passage = Text(text)
    for start, end in matches(text, question):
        passage.stylize("bold yellow", start, end)
    return passage
