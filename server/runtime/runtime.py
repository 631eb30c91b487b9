"""A model that answers: its names, the engine that runs it, the text it speaks."""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property

from engine.api import Engine
from retrieval.store.api import Store
from server.archive.api import Archive
from server.core.errors import bad_request, model_not_found
from server.core.request import ToolLimits
from server.core.tool_host import ToolHost
from server.runtime.knowledge_base import KnowledgeBase
from server.text.grammar_cache import GrammarCache
from server.text.tokenizer import ChatTokenizer


@dataclass(frozen=True)
class Runtime:
    names: tuple[str, ...]  # the first is its own, the others are accepted too
    engine: Engine
    tokenizer: ChatTokenizer
    created: int  # Unix time
    knowledge_base: KnowledgeBase | None = None  # None: chat only
    archive: Archive | None = None  # None: nothing can be stored
    tool_host: ToolHost | None = None  # None: no MCP servers
    database: Store | None = None  # in which knowledge base and archive lie; None: neither is there
    tool_limits: ToolLimits = field(default_factory=ToolLimits)  # of a request's tool loop, at most

    @cached_property
    def grammar_cache(self) -> GrammarCache:
        return GrammarCache(self.tokenizer)

    async def close(self) -> None:
        """Whoever still waits for an answer gets an error. The database comes last: the others use it."""
        if self.tool_host is not None:
            await self.tool_host.close()
        await self.engine.close()
        if self.knowledge_base is not None:
            await self.knowledge_base.close()
        elif self.database is not None:
            await asyncio.to_thread(self.database.close)

    def expect_model(self, model: str | None) -> None:
        """Raises ApiError 404 unless `model` is this one."""
        if model is not None and model not in self.names:
            raise model_not_found(model, self.names)


def expect_knowledge_base(runtime: Runtime) -> KnowledgeBase:
    if runtime.knowledge_base is None:
        message = "this server has no knowledge base and no embedding model: start it with --embedding-model NAME (STOA_EMBEDDING_MODEL)"
        raise bad_request(None, message, "no_embedding_model")
    return runtime.knowledge_base


def expect_archive(runtime: Runtime) -> Archive:
    if runtime.archive is None:
        raise bad_request(None, "this server has no database and keeps nothing", "nothing_stored")
    return runtime.archive
