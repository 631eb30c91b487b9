"""The knowledge base as visible to one caller: stores, documents, passages. Independent of MCP except for ToolError."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from mcp.server.mcpserver.exceptions import ToolError

from mcp_servers.common import cursor_position, next_cursor
from mcp_servers.library.shapes import Document, Documents, Found, FoundPassage, Passage, StoreInfo, Stores, Value
from retrieval.api import Chunk, Combine, Compare, Filter, Hit, KnowledgeError, NotFound, Retriever, Search
from retrieval.records import Member, PageRequest, VectorStore
from retrieval.store.api import Store
from retrieval.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")
OWNER: ContextVar[str] = ContextVar("owner")  # of the current request
SEARCH_SECONDS = 30.0
STORES = 100  # maximum listed per caller
READ = 20_000  # maximum characters per answer
WHOLE = 1_000_000  # maximum characters of a document read as a resource


class Base(Protocol):
    """Interface implemented by server.runtime.knowledge_base.Knowledge. First access to a property may be slow."""

    @property
    def store(self) -> Store: ...
    @property
    def retriever(self) -> Retriever: ...
    @property
    def default_store(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Part of a document: a passage with its neighbours, or a span of characters."""

    passage: int | None
    neighbours: int
    start: int | None
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    query: str
    stores: Sequence[str]
    limit: int
    attributes: Mapping[str, Value | list[Value]]


SEARCH_STEPS = 2
Tell = Callable[[int, str], Awaitable[None]]  # progress callback: steps done, message


class Library:
    def __init__(self, base: Base) -> None:
        self.base = base

    async def search(self, wanted: Wanted, tell: Tell) -> Found:
        await tell(0, "opening the stores")  # the first call loads the models, which takes seconds
        ids = await self._asked(self._searched, wanted.stores)
        await tell(1, f"stores to search: {len(ids)}")
        question = Search(queries=(wanted.query,), stores=tuple(ids), limit=wanted.limit, filter=to_filter(wanted.attributes))
        hits = await self._hits(question) if ids else ()
        await tell(SEARCH_STEPS, f"passages found: {len(hits)}")
        return Found(passages=[_found(hit) for hit in hits])

    async def read(self, store: str, file_id: str, place: Place) -> Passage:
        if (place.passage is None) == (place.start is None):
            raise ToolError("give either passage or start")
        return await self._asked(self._read, store, file_id, place)

    async def documents(self, store: str, limit: int, cursor: str | None) -> Documents:
        return await self._asked(self._documents, store, limit, cursor)

    async def stores(self) -> Stores:
        return await self._asked(self._stores)

    async def text(self, store_id: str, file_id: str) -> str:
        """The text of a document. Raises ToolError, also if it is longer than WHOLE."""
        text = await self._asked(lambda: self.base.store.text_of(OWNER.get(), self.find(store_id).id, file_id))
        if len(text) > WHOLE:
            raise ToolError(f"the document has {len(text)} characters: read it in parts, with the tool read_passage")
        return text

    async def _asked(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `call` in a thread; turns KnowledgeError into ToolError."""
        try:
            return await in_thread(call, *args, **kwargs)
        except KnowledgeError as error:
            raise ToolError(str(error)) from error

    async def _hits(self, search: Search) -> Sequence[Hit]:
        try:
            async with asyncio.timeout(SEARCH_SECONDS):
                retriever = await in_thread(lambda: self.base.retriever)
                return (await retriever.search(search)).hits
        except TimeoutError:
            raise ToolError(f"the search took longer than {SEARCH_SECONDS:g} seconds") from None
        except KnowledgeError as error:
            raise ToolError(str(error)) from error

    def find(self, name: str) -> VectorStore:
        """The store by name or id. Raises NotFound, and ToolError if it has expired, since an empty result would be misleading."""
        try:
            found = self.base.store.store_named(OWNER.get(), name)
        except NotFound:
            found = self.base.store.store(OWNER.get(), name)
        if found.expires_at is not None and found.expires_at <= time.time():
            raise ToolError(f"the store {name!r} has expired")
        return found

    def all(self) -> list[VectorStore]:
        """Unexpired stores that the caller may read, oldest first."""
        page = self.base.store.stores(OWNER.get(), PageRequest(limit=STORES, order="asc"))
        return [store for store in page.items if store.expires_at is None or store.expires_at > time.time()]

    def _searched(self, names: Sequence[str]) -> list[str]:
        named = list(names) or ([self.base.default_store] if self.base.default_store else [])
        found = [self.find(name).id for name in named] if named else [store.id for store in self.all()]
        for store_id in found:
            self.base.store.touch(store_id)
        return list(dict.fromkeys(found))

    def _read(self, name: str, file_id: str, place: Place) -> Passage:
        store, owner = self.find(name), OWNER.get()
        member = self.base.store.member(owner, store.id, file_id)
        text = self.base.store.text_of(owner, store.id, file_id)
        start, end = self._span(store.id, file_id, place)
        cut = text[start : min(end, start + READ)]
        return Passage(
            store=store.id,
            file_id=file_id,
            filename=member.filename,
            text=cut,
            start=start,
            end=start + len(cut),
            total=len(text),
            uri=uri(store.id, file_id),
        )

    def _span(self, store_id: str, file_id: str, place: Place) -> tuple[int, int]:
        if place.start is not None:
            return place.start, place.start + place.length
        assert place.passage is not None
        chunks = self.base.store.chunks_of(OWNER.get(), store_id, file_id)
        if place.passage >= len(chunks):
            raise ToolError(f"passage: this document has {len(chunks)}, counted from 0")
        near = chunks[max(0, place.passage - place.neighbours) : place.passage + place.neighbours + 1]
        return near[0].start, max(chunk.end for chunk in near)

    def _documents(self, name: str, limit: int, cursor: str | None) -> Documents:
        store = self.find(name)
        question = ["documents", store.id, limit]
        after = cursor_position(question, cursor, (str,))[0] if cursor is not None else None
        page = self.base.store.members(OWNER.get(), store.id, PageRequest(limit=limit, order="asc", after=after))
        following = next_cursor(question, [page.items[-1].file_id]) if page.more else None
        return Documents(store=store.id, documents=[document(member) for member in page.items], next_cursor=following)

    def _stores(self) -> Stores:
        page = self.base.store.stores(OWNER.get(), PageRequest(limit=STORES, order="asc"))
        return Stores(stores=[_store(store) for store in page.items], truncated=page.more)


def to_filter(attributes: Mapping[str, Value | list[Value]]) -> Filter | None:
    compared: list[Filter] = [
        Compare(op="in", key=key, value=tuple(value)) if isinstance(value, list) else Compare(op="eq", key=key, value=value)
        for key, value in attributes.items()
    ]
    return Combine(op="and", filters=tuple(compared)) if compared else None


def uri(store_id: str, file_id: str) -> str:
    return f"knowledge://{store_id}/{file_id}"


def document(member: Member) -> Document:
    return Document(
        file_id=member.file_id,
        filename=member.filename,
        state=member.state,
        bytes=member.usage_bytes,
        attributes=dict(member.attributes),
        uri=uri(member.store_id, member.file_id),
    )


def _store(store: VectorStore) -> StoreInfo:
    return StoreInfo(id=store.id, name=store.name, description=store.description, documents=store.counts.completed)


def _found(hit: Hit) -> FoundPassage:
    chunk: Chunk = hit.chunk
    return FoundPassage(
        store=chunk.store_id,
        file_id=chunk.file_id,
        filename=chunk.filename,
        passage=chunk.ordinal,
        score=round(min(1.0, max(0.0, hit.score)), 4),
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        page=chunk.page,
        start_seconds=chunk.start_seconds,
        end_seconds=chunk.end_seconds,
        picture=chunk.picture,
        headings=list(chunk.headings),
        attributes=dict(hit.attributes),
        uri=uri(chunk.store_id, chunk.file_id),
    )
