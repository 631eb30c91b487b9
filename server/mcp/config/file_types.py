"""The shapes of the operator's file of MCP servers: what is not named here is refused."""

import re
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator
from pydantic.alias_generators import to_camel

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2
CONSENT, MACHINE = "authorization_code", "client_credentials"  # RFC 6749, 4.1 and 4.4


Seconds = Annotated[float, Field(gt=0, le=3600)]
Bytes = Annotated[int, Field(ge=1024, le=2**24)]


class ToolLimits(BaseModel):
    """What is left out is as the server has it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)

    timeout_seconds: Seconds | None = None
    max_output_bytes: Bytes | None = None


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)

    timeout_seconds: Seconds = 30.0
    max_output_bytes: Bytes = 32 * 1024
    tool_limits: dict[str, ToolLimits] = {}
    trusted: bool = False
    allow: list[str] = []
    tools: list[str] | None = None
    disabled: bool = False


class StdioEntry(Entry):
    type: Literal["stdio"] = "stdio"
    command: Annotated[str, Field(min_length=1)]
    args: list[str] = []
    env: dict[str, str] = {}
    cwd: str | None = None


class ConsentEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)

    grant: Literal["authorization_code"] = "authorization_code"
    client_id: str | None = None
    client_secret: str | None = None
    metadata_url: str | None = None
    redirect_port: Annotated[int, Field(ge=1, le=65535)] = 33418
    hosts: list[str] = []


class CredentialsEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)

    grant: Literal["client_credentials"]
    client_id: str
    client_secret: str
    issuer: str
    scope: str | None = None
    hosts: list[str] = []


def _grant(given: Any) -> str:
    """The default is what people have: a browser."""
    return MACHINE if isinstance(given, dict) and cast("dict[str, Any]", given).get("grant") == MACHINE else CONSENT


class HttpEntry(Entry):
    type: Literal["http", "streamable-http", "streamableHttp"] = "http"
    url: Annotated[str, Field(pattern=r"^https?://[^\s#]+$")]
    headers: dict[str, str] = {}
    oauth: Annotated[Annotated[ConsentEntry, Tag(CONSENT)] | Annotated[CredentialsEntry, Tag(MACHINE)], Discriminator(_grant)] | None = None

    @field_validator("url")
    @classmethod
    def _whole(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            whole = bool(parts.hostname) and parts.port != 0
        except ValueError:  # of a port or an IPv6 address
            whole = False
        if not whole:
            raise ValueError("this is no URL of a server")
        return url

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not TOKEN.fullmatch(name) or not value.isprintable():
                raise ValueError(f"{name!r} is no header that can be sent")
        return headers
