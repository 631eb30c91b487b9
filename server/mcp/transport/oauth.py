"""OAuth for MCP servers over HTTP: configures the SDK's flow (RFC 9728, 8414, 7636, 8707, 9207, client ID metadata documents,
step-up authorization) with tokens stored in files."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl

from server.mcp.config.server_spec import AuthorizationCode, ClientCredentials
from server.mcp.transport.oauth_tokens import FileTokenStorage
from server.weights.paths import default_database

Authorize = Callable[[str], Awaitable[str]]
"""Shows the authorization URL to the user, and returns the URL that the browser was redirected to."""


async def refuse_authorization(url: str) -> str:
    """The Authorize of a server process, which has no user to ask."""
    raise OAuthFlowError("somebody has to agree in a browser first: stoa mcp login NAME")


def oauth_provider(
    url: str, oauth: AuthorizationCode | ClientCredentials, authorize: Authorize, token_folder: Path | None
) -> OAuthClientProvider:
    """`token_folder` None: mcp-tokens in the data directory."""
    storage = FileTokenStorage((token_folder or default_database().parent / "mcp-tokens") / f"{_client_digest(url, oauth)}.json")
    if isinstance(oauth, ClientCredentials):
        provider = _client_credentials(url, oauth, storage)
    else:
        provider = _authorization_code(url, oauth, storage, authorize)
    provider.context.oauth_metadata = storage.stored.metadata  # else a refresh after a restart would go to the MCP server itself
    storage.metadata = lambda: provider.context.oauth_metadata
    return provider


def _client_digest(url: str, oauth: AuthorizationCode | ClientCredentials) -> str:
    """Hex digest for the file name: entries with the same URL but other settings are other clients, and share no tokens."""
    machine = [oauth.issuer, oauth.scope] if isinstance(oauth, ClientCredentials) else [oauth.metadata_url, oauth.redirect_port]
    identity = json.dumps([url, type(oauth).__name__, oauth.client_id, *machine])
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _client_credentials(url: str, oauth: ClientCredentials, storage: FileTokenStorage) -> OAuthClientProvider:
    return ClientCredentialsOAuthProvider(url, storage, oauth.client_id, oauth.client_secret, scope=oauth.scope, issuer=oauth.issuer)


def _authorization_code(url: str, oauth: AuthorizationCode, storage: FileTokenStorage, authorize: Authorize) -> OAuthClientProvider:
    redirects: list[str] = []
    redirect_uri = AnyUrl(f"http://127.0.0.1:{oauth.redirect_port}/callback")

    async def on_redirect(authorization_url: str) -> None:
        _expect_web_page(authorization_url, oauth)
        redirects.append(await authorize(authorization_url))

    async def on_callback() -> AuthorizationCodeResult:
        return _parse_redirect(redirects.pop())

    if oauth.client_id is not None:
        storage.configured_client = _configured_client(oauth, redirect_uri)
    metadata = OAuthClientMetadata(client_name="stoa", redirect_uris=[redirect_uri])
    return OAuthClientProvider(url, metadata, storage, on_redirect, on_callback, client_metadata_url=oauth.metadata_url)


def _configured_client(oauth: AuthorizationCode, redirect_uri: AnyUrl) -> OAuthClientInformationFull:
    method = "client_secret_basic" if oauth.client_secret else "none"
    return OAuthClientInformationFull(
        client_id=oauth.client_id or "", client_secret=oauth.client_secret, redirect_uris=[redirect_uri], token_endpoint_auth_method=method
    )


def _expect_web_page(url: str, oauth: AuthorizationCode) -> None:
    """Raises OAuthFlowError for schemes other than https (http for configured hosts): opening others can run programs
    (CVE-2025-6514)."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in oauth.hosts):
        raise OAuthFlowError(f"the authorization endpoint must be https, not {parts.scheme}://{parts.hostname}")


def _parse_redirect(url: str) -> AuthorizationCodeResult:
    fields = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
    if "code" not in fields:
        raise OAuthFlowError(f"the authorization was not given: {fields.get('error', 'no code came back')}")
    return AuthorizationCodeResult(code=fields["code"], state=fields.get("state"), iss=fields.get("iss"))
