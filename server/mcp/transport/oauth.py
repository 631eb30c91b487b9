"""OAuth for MCP servers over HTTP: the SDK's flow (RFC 9728, 8414, 7636, 8707, 9207, client ID metadata documents, step-up),
with tokens that outlive the process."""

import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthMetadata, OAuthToken
from pydantic import AnyUrl, BaseModel, ValidationError

from server.core.atomic_file import replace
from server.mcp.config.config import AuthorizationCode, ClientCredentials
from server.weights.cache import default_database

Authorize = Callable[[str], Awaitable[str]]
"""Shows the URL to somebody, and returns the URL that the browser was sent back to."""


async def nobody(url: str) -> str:
    """The Authorize of a server that runs by itself."""
    raise OAuthFlowError("somebody has to agree in a browser first: stoa mcp login NAME")


def provider(url: str, oauth: AuthorizationCode | ClientCredentials, authorize: Authorize, folder: Path | None) -> OAuthClientProvider:
    """`folder`: of the tokens (None: in the data directory)."""
    kept = Kept((folder or default_database().parent / "mcp-tokens") / f"{_identity(url, oauth)}.json")
    made = _machine(url, oauth, kept) if isinstance(oauth, ClientCredentials) else _consent(url, oauth, kept, authorize)
    made.context.oauth_metadata = kept.record.metadata  # else a refresh after a restart would go to the MCP server itself
    kept.metadata = lambda: made.context.oauth_metadata
    return made


def _identity(url: str, oauth: AuthorizationCode | ClientCredentials) -> str:
    """Two entries of the same URL may be two clients, who must not act for each other."""
    machine = [oauth.issuer, oauth.scope] if isinstance(oauth, ClientCredentials) else [oauth.metadata_url, oauth.redirect_port]
    whole = json.dumps([url, type(oauth).__name__, oauth.client_id, *machine])
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


def _machine(url: str, oauth: ClientCredentials, kept: "Kept") -> OAuthClientProvider:
    return ClientCredentialsOAuthProvider(url, kept, oauth.client_id, oauth.client_secret, scope=oauth.scope, issuer=oauth.issuer)


def _consent(url: str, oauth: AuthorizationCode, kept: "Kept", authorize: Authorize) -> OAuthClientProvider:
    came_back: list[str] = []
    redirect = AnyUrl(f"http://127.0.0.1:{oauth.redirect_port}/callback")

    async def ask(at: str) -> None:
        _expect_openable(at, oauth)
        came_back.append(await authorize(at))

    async def answer() -> AuthorizationCodeResult:
        return _answer(came_back.pop())

    if oauth.client_id is not None:
        kept.given = _registered(oauth, redirect)
    metadata = OAuthClientMetadata(client_name="stoa", redirect_uris=[redirect])
    return OAuthClientProvider(url, metadata, kept, ask, answer, client_metadata_url=oauth.metadata_url)


def _registered(oauth: AuthorizationCode, redirect: AnyUrl) -> OAuthClientInformationFull:
    method = "client_secret_basic" if oauth.client_secret else "none"
    return OAuthClientInformationFull(
        client_id=oauth.client_id or "", client_secret=oauth.client_secret, redirect_uris=[redirect], token_endpoint_auth_method=method
    )


def _expect_openable(at: str, oauth: AuthorizationCode) -> None:
    """A browser does more with a URL than fetch it: only web pages are opened (CVE-2025-6514)."""
    parts = urlsplit(at)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in oauth.hosts):
        raise OAuthFlowError(f"the authorization endpoint must be https, not {parts.scheme}://{parts.hostname}")


def _answer(url: str) -> AuthorizationCodeResult:
    fields = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
    if "code" not in fields:
        raise OAuthFlowError(f"the authorization was not given: {fields.get('error', 'no code came back')}")
    return AuthorizationCodeResult(code=fields["code"], state=fields.get("state"), iss=fields.get("iss"))


class Record(BaseModel):
    """What is kept of one server: a file that only its owner can read."""

    tokens: OAuthToken | None = None
    expires: float | None = None  # Unix time
    client: OAuthClientInformationFull | None = None
    metadata: OAuthMetadata | None = None


class Kept:
    """Implements the SDK's TokenStorage."""

    def __init__(self, path: Path) -> None:
        self.path, self.record = path, _read(path)
        self.given: OAuthClientInformationFull | None = None  # by the operator: never written
        self.metadata: Callable[[], OAuthMetadata | None] = lambda: self.record.metadata

    async def get_tokens(self) -> OAuthToken | None:
        """The SDK forgets over a restart when a token expires: one that has is given back empty, which makes it refresh."""
        tokens, expires = self.record.tokens, self.record.expires
        if tokens is None or expires is None or time.time() < expires:
            return tokens
        return tokens.model_copy(update={"access_token": ""})

    async def set_tokens(self, tokens: OAuthToken) -> None:
        expires = time.time() + tokens.expires_in if tokens.expires_in is not None else None
        self._write(tokens=tokens, expires=expires, metadata=self.metadata())

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.given or self.record.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._write(client=client_info)

    def _write(self, **changes: object) -> None:
        self.record = self.record.model_copy(update=changes)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(self.path, self.record.model_dump_json(exclude_none=True).encode())


def _read(path: Path) -> Record:
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):  # not there, or of another version: then somebody agrees again
        return Record()
