"""An endpoint as a value: where it is, what it takes, what it answers. Routes and openapi.json are both made from these."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    method: str
    path: str
    summary: str
    run: Callable[[Scope, Receive, Send], Awaitable[None]]
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None  # None: text
    errors: tuple[int, ...] = ()
    streams: bool = False
    open: bool = False  # needs no key
    parameters: dict[str, str] = field(default_factory=dict[str, str])  # of the path: name -> description

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self.path
        await self.run(scope, receive, send)
