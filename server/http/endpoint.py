"""An endpoint as a value: where it is, what it takes, what it answers. Routes and openapi.json are both made from these."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from server.http.fields import Error


@dataclass(frozen=True, kw_only=True)
class Form:
    """A multipart body: a file and, beside it, text fields."""

    fields: type[BaseModel]
    file: str = "file"


@dataclass(frozen=True, kw_only=True)
class Bytes:
    """An answer that is a file."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    method: str
    path: str
    summary: str
    run: Callable[[Scope, Receive, Send], Awaitable[None]]
    body: type[BaseModel] | Form | None = None
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | Bytes | None = None  # None: text
    errors: tuple[int, ...] = ()
    error: type[BaseModel] = Error  # what they look like
    streams: bool = False
    open: bool = False  # needs no key
    parameters: dict[str, str] = field(default_factory=dict[str, str])  # of the path: name -> description

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self.path
        await self.run(scope, receive, send)
