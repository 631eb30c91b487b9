"""What a handler knows of its HTTP request: the caller, the path parameters, and the runtime that serves it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from retrieval.api import NotFound, ResourceKind
from retrieval.store.api import Store
from server.archive.api import Archive
from server.core.errors import from_knowledge_error
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.runtime import Runtime, expect_archive, expect_database, expect_knowledge_base

ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,128}")
CHUNK_ID_PATTERN = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    runtime: Runtime
    owner: str  # hex SHA-256 of the caller's key; "" where the server has none
    path_params: Mapping[str, str]
    request_id: str = ""

    def with_model(self, model: str | None) -> "RequestContext":
        """Where it is one of several: that chat model answers."""
        return replace(self, runtime=self.runtime.choose(model))

    @property
    def knowledge_base(self) -> KnowledgeBase:
        """Raises ApiError 400 without one; it names the setting."""
        return expect_knowledge_base(self.runtime)

    @property
    def store(self) -> Store:
        return self.knowledge_base.store

    @property
    def database(self) -> Store:
        """Where files are. Raises ApiError 400 without a database."""
        return expect_database(self.runtime)

    @property
    def archive(self) -> Archive:
        """Raises ApiError 400 without a database."""
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
    def batch_job_id(self) -> str:
        return self._id("batch_id", "batch")

    @property
    def upload_id(self) -> str:
        return self._id("upload_id", "upload")

    @property
    def chunk_id(self) -> int:
        value = self.path_params["chunk_id"]
        if not CHUNK_ID_PATTERN.fullmatch(value):
            raise from_knowledge_error(NotFound("chunk", value))
        return int(value)

    def _id(self, name: str, what: ResourceKind) -> str:
        """Raises ApiError 404 for what cannot be an id."""
        value = self.path_params[name]
        if not ID_PATTERN.fullmatch(value):
            raise from_knowledge_error(NotFound(what, value))
        return value
