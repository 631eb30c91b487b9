"""A model that answers: its names, the engine that runs it, the text it speaks."""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property

from engine.api import Engine
from retrieval.store.api import Store
from server.archive.api import Archive
from server.core.errors import bad, model_not_found
from server.core.request import Limits
from server.core.tool_host import ToolHost
from server.runtime.knowledge_base import Knowledge
from server.text.grammar_cache import Grammars
from server.text.tokenizer import Text


@dataclass(frozen=True)
class Served:
    names: tuple[str, ...]  # the first is its own, the others are accepted too
    engine: Engine
    text: Text
    created: int  # Unix time
    knowledge: Knowledge | None = None  # None: chat only
    archive: Archive | None = None  # None: nothing can be stored
    host: ToolHost | None = None  # None: no MCP servers
    database: Store | None = None  # in which knowledge base and archive lie; None: neither is there
    limits: Limits = field(default_factory=Limits)  # of a request's tool loop, at most

    @cached_property
    def grammars(self) -> Grammars:
        return Grammars(self.text)

    async def close(self) -> None:
        """Whoever still waits for an answer gets an error. The database comes last: the others use it."""
        if self.host is not None:
            await self.host.close()
        await self.engine.close()
        if self.knowledge is not None:
            await self.knowledge.close()
        elif self.database is not None:
            await asyncio.to_thread(self.database.close)

    def expect(self, model: str | None) -> None:
        """Raises ApiError 404 unless `model` is this one."""
        if model is not None and model not in self.names:
            raise model_not_found(model, self.names)


def expect_knowledge(served: Served) -> Knowledge:
    if served.knowledge is None:
        message = "this server has no knowledge base and no embedding model: start it with --embedding-model NAME (STOA_EMBEDDING_MODEL)"
        raise bad(None, message, "no_embedding_model")
    return served.knowledge


def expect_archive(served: Served) -> Archive:
    if served.archive is None:
        raise bad(None, "this server has no database and keeps nothing", "nothing_stored")
    return served.archive
