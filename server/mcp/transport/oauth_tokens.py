"""Stores OAuth tokens in files, so that they outlive the process."""

import time
from collections.abc import Callable
from pathlib import Path

from mcp.shared.auth import OAuthClientInformationFull, OAuthMetadata, OAuthToken
from pydantic import BaseModel, ValidationError

from server.core.atomic_file import replace_file


class StoredTokens(BaseModel):
    """The content of the file of one server, which only the file's owner can read."""

    tokens: OAuthToken | None = None
    expires: float | None = None  # Unix time
    client: OAuthClientInformationFull | None = None
    metadata: OAuthMetadata | None = None


class FileTokenStorage:
    """Implements the SDK's TokenStorage."""

    def __init__(self, path: Path) -> None:
        self.path, self.stored = path, _read(path)
        self.configured_client: OAuthClientInformationFull | None = None  # from the operator's configuration: never written
        self.metadata: Callable[[], OAuthMetadata | None] = lambda: self.stored.metadata

    async def get_tokens(self) -> OAuthToken | None:
        """Expired tokens are returned with an empty access token, which makes the SDK refresh them: it does not know after a
        restart when a token expires."""
        tokens, expires = self.stored.tokens, self.stored.expires
        if tokens is None or expires is None or time.time() < expires:
            return tokens
        return tokens.model_copy(update={"access_token": ""})

    async def set_tokens(self, tokens: OAuthToken) -> None:
        expires = time.time() + tokens.expires_in if tokens.expires_in is not None else None
        self._write(tokens=tokens, expires=expires, metadata=self.metadata())

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.configured_client or self.stored.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._write(client=client_info)

    def _write(self, **changes: object) -> None:
        self.stored = self.stored.model_copy(update=changes)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self.path, self.stored.model_dump_json(exclude_none=True).encode())


def _read(path: Path) -> StoredTokens:
    try:
        return StoredTokens.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):  # missing, or written by another version: the user has to agree again
        return StoredTokens()
