"""One request: who asks, for what, and what is there to answer it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from retrieval.api import NotFound, ResourceKind
from retrieval.store.api import Store
from server.archive.api import Archive
from server.core.errors import from_knowledge
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.runtime import Runtime, expect_archive, expect_knowledge_base

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
CHUNK = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    runtime: Runtime
    owner: str  # hex SHA-256 of the caller's key; "" where the server has none
    path_params: Mapping[str, str]
    request_id: str = ""  # its id

    @property
    def knowledge_base(self) -> KnowledgeBase:
        """Raises ApiError 400 that names the setting."""
        return expect_knowledge_base(self.runtime)

    @property
    def store(self) -> Store:
        return self.knowledge_base.store

    @property
    def archive(self) -> Archive:
        """Raises ApiError 400 where nothing is kept."""
        return expect_archive(self.runtime)

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
        given = self.path_params["chunk_id"]
        if not CHUNK.fullmatch(given):
            raise from_knowledge(NotFound("chunk", given))
        return int(given)

    def _id(self, name: str, what: ResourceKind) -> str:
        """What cannot be an id need not be looked up."""
        given = self.path_params[name]
        if not ID.fullmatch(given):
            raise from_knowledge(NotFound(what, given))
        return given
