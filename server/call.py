"""One request: who asks, for what, and what is there to answer it."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

from engine.api import EngineError
from retrieval.api import KnowledgeError, NotFound, What
from retrieval.records import Listing
from retrieval.store.api import Store
from server.archive.api import Archive
from server.errors import ApiError, Blame, bad, from_engine, from_knowledge
from server.knowledge import Knowledge
from server.openai.lists import ListQuery
from server.served import Served

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
CHUNK = re.compile(r"[0-9]{1,15}")

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    served: Served
    owner: str  # hex SHA-256 of the caller's key; "" where the server has none
    path: Mapping[str, str]
    request: str = ""  # its id

    @property
    def knowledge(self) -> Knowledge:
        """Raises ApiError 400 that names the setting."""
        return expect_knowledge(self.served)

    @property
    def store(self) -> Store:
        return self.knowledge.store

    @property
    def archive(self) -> Archive:
        """Raises ApiError 400 where nothing is kept."""
        return expect_archive(self.served)

    @property
    def conversation_id(self) -> str:
        return self._id("conversation_id", "conversation")

    @property
    def item_id(self) -> str:
        return self._id("item_id", "item")

    @property
    def completion_id(self) -> str:
        return self._id("completion_id", "chat completion")

    @property
    def file_id(self) -> str:
        return self._id("file_id", "file")

    @property
    def store_id(self) -> str:
        return self._id("vector_store_id", "vector store")

    @property
    def batch_id(self) -> str:
        return self._id("batch_id", "file batch")

    @property
    def chunk_id(self) -> int:
        given = self.path["chunk_id"]
        if not CHUNK.fullmatch(given):
            raise from_knowledge(NotFound("chunk", given))
        return int(given)

    def _id(self, name: str, what: What) -> str:
        """What cannot be an id need not be looked up."""
        given = self.path[name]
        if not ID.fullmatch(given):
            raise from_knowledge(NotFound(what, given))
        return given


def expect_knowledge(served: Served) -> Knowledge:
    if served.knowledge is None:
        message = "this server has no knowledge base and no embedding model: start it with --embedding-model NAME (STOA_EMBEDDING_MODEL)"
        raise bad(None, message, "no_embedding_model")
    return served.knowledge


def expect_archive(served: Served) -> Archive:
    if served.archive is None:
        raise bad(None, "this server has no database and keeps nothing", "nothing_stored")
    return served.archive


def listing(query: ListQuery) -> Listing:
    return Listing(limit=query.limit, order=query.order, after=query.after, before=query.before)


def ends(ids: Sequence[str]) -> tuple[str, str]:
    """first_id and last_id of a list; "" of an empty one."""
    return (ids[0], ids[-1]) if ids else ("", "")


async def asked(answer: Awaitable[T], field: str = "query") -> T:
    """What the models and the retriever refuse becomes an ApiError; `field` holds the text that they read."""
    try:
        return await answer
    except KnowledgeError as error:
        raise from_knowledge(error) from error
    except EngineError as error:
        raise from_engine(error, Blame(prompt=field, grammar=field)) from error


async def threaded(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A method of the store, in a thread; what it raises becomes an ApiError."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except KnowledgeError as error:
        raise from_knowledge(error) from error


@contextmanager
def naming(field: str) -> Generator[None]:
    """Whoever names a file that there is not learns that it was in `field`."""
    try:
        yield
    except ApiError as error:
        raise replace(error, param=field) if error.code == "file_not_found" else error from error
