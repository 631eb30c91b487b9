"""The description of an endpoint. Routes and openapi.json are both made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from server.http.fields import Error

Run = Callable[[Scope, Receive, Send], Awaitable[None]]
StreamType = Literal["text/event-stream", "application/x-ndjson"]


@dataclass(frozen=True, kw_only=True)
class Form:
    """A multipart request body: one file and some text fields; `more`: further files, which may be absent. `or_json`: the same may come as
    JSON of this shape."""

    fields: type[BaseModel]
    file: str = "file"
    more: tuple[str, ...] = ()
    or_json: type[BaseModel] | None = None


@dataclass(frozen=True, kw_only=True)
class Bytes:
    """A response that is a file."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    method: str
    path: str
    summary: str
    run: Run
    body: type[BaseModel] | Form | None = None
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | Bytes | None = None  # None: plain text
    errors: tuple[int, ...] = ()  # HTTP status codes
    error: type[BaseModel] = Error  # the body of an error response
    streams: StreamType | None = None
    plain: bool = False  # it also answers in plain text, where it is asked to
    open: bool = False  # needs no key
    parameters: dict[str, str] = field(default_factory=dict[str, str])  # in the path: name -> description

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self.path
        await self.run(scope, receive, send)
