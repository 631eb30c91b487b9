"""One request: who asks, for what, and what is there to answer it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from retrieval.api import NotFound, What
from retrieval.store.api import Store
from server.archive.api import Archive
from server.core.errors import from_knowledge
from server.runtime.knowledge_base import Knowledge
from server.runtime.runtime import Served, expect_archive, expect_knowledge

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
CHUNK = re.compile(r"[0-9]{1,15}")


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
