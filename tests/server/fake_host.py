"""A tool host without servers: its tools are functions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.core.tool_host import HostedTool, ServerStatus, ServerUnavailable, ToolFault, ToolOutcome, UnknownServer

Act = Callable[[Mapping[str, Any]], Awaitable[str]]
WORD = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"], "additionalProperties": False}


def tool(name: str, *, read_only: bool = True, **options: Any) -> HostedTool:
    given = {"description": f"what {name} does", "input_schema": WORD, "title": name, **options}
    return HostedTool(name=name, read_only=read_only, destructive=not read_only, **given)


async def shout(arguments: Mapping[str, Any]) -> str:
    return arguments["word"].upper()


@dataclass
class FakeHost:
    """`servers`: label -> tools. Every tool shouts unless `acts` says otherwise; "down" cannot be reached."""

    servers: dict[str, tuple[HostedTool, ...]]
    acts: dict[str, Act] = field(default_factory=dict[str, Act])
    calls: list[tuple[str, str, dict[str, Any], str]] = field(default_factory=list[tuple[str, str, dict[str, Any], str]])
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    running: int = 0
    most: int = 0  # at the same time
    cancelled: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.servers)

    async def start(self) -> None: ...

    async def tools(self, label: str) -> tuple[HostedTool, ...]:
        if label == "down":
            raise ServerUnavailable("down cannot be reached")
        return self.servers[label]

    async def call(self, label: str, name: str, arguments: Mapping[str, Any], *, owner: str) -> ToolOutcome:
        if label not in self.servers:
            raise UnknownServer(label)
        self.calls.append((label, name, dict(arguments), owner))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0.005)
            return ToolOutcome(text=await self.acts.get(name, shout)(arguments), seconds=0.005)
        except ValueError as error:
            return ToolOutcome(text=str(error), fault=ToolFault(kind="execution", message=str(error)))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    def status(self) -> list[ServerStatus]:
        left = self.left_out
        return [ServerStatus(label=of, kind="builtin", state="ready", tools=tools, left_out=left) for of, tools in self.servers.items()]

    async def close(self) -> None: ...
