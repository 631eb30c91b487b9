"""The JSON schema of the operator's MCP configuration file, as pydantic models. Unknown keys are errors."""

import re
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator
from pydantic.alias_generators import to_camel

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2
AUTHORIZATION_CODE, CLIENT_CREDENTIALS = "authorization_code", "client_credentials"  # RFC 6749, 4.1 and 4.4

Seconds = Annotated[float, Field(gt=0, le=3600)]
Bytes = Annotated[int, Field(ge=1024, le=2**24)]


class ToolLimitsEntry(BaseModel):
    """Limits of one tool; None: as for the server."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)

    timeout_seconds: Seconds | None = None
    max_output_bytes: Bytes | None = None


class ServerEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)

    timeout_seconds: Seconds = 30.0
    max_output_bytes: Bytes = 32 * 1024
    tool_limits: dict[str, ToolLimitsEntry] = {}
    trusted: bool = False
    allow: list[str] = []
    tools: list[str] | None = None
    exclude: list[str] = []
    disabled: bool = False


class StdioEntry(ServerEntry):
    type: Literal["stdio"] = "stdio"
    command: Annotated[str, Field(min_length=1)]
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None


class AuthorizationCodeEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)

    grant: Literal["authorization_code"] = "authorization_code"
    client_id: str | None = None
    client_secret: str | None = None
    metadata_url: str | None = None
    redirect_port: Annotated[int, Field(ge=1, le=65535)] = 33418
    hosts: list[str] = []


class ClientCredentialsEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)

    grant: Literal["client_credentials"]
    client_id: str
    client_secret: str
    issuer: str
    scope: str | None = None
    hosts: list[str] = []


def _grant(entry: Any) -> str:
    """The discriminator of the two kinds of `oauth`; the default is the authorization code grant."""
    is_machine = isinstance(entry, dict) and cast("dict[str, Any]", entry).get("grant") == CLIENT_CREDENTIALS
    return CLIENT_CREDENTIALS if is_machine else AUTHORIZATION_CODE


OAuthEntry = Annotated[
    Annotated[AuthorizationCodeEntry, Tag(AUTHORIZATION_CODE)] | Annotated[ClientCredentialsEntry, Tag(CLIENT_CREDENTIALS)],
    Discriminator(_grant),
]


class HttpEntry(ServerEntry):
    type: Literal["http", "sse"] = "http"
    url: Annotated[str, Field(pattern=r"^https?://[^\s#]+$")]
    headers: dict[str, str] = {}
    oauth: OAuthEntry | None = None

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            valid = bool(parts.hostname) and parts.port != 0
        except ValueError:  # an invalid port or IPv6 address
            valid = False
        if not valid:
            raise ValueError("this is no URL of a server")
        return url

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not HEADER_NAME.fullmatch(name) or not value.isprintable():
                raise ValueError(f"{name!r} is no header that can be sent")
        return headers
