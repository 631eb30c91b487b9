"""A span for each call of a server tool. The MCP SDK's own span of the request is its child, and goes along in `_meta`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import Tracer

from server.core.tool_host import HostedTool, ServerStatus, ToolHost, ToolOutcome
from server.runtime.tracing import names
from server.runtime.tracing.spans import fail, span_around


@dataclass(frozen=True, slots=True)
class TracedToolHost:
    """Implements server.core.tool_host.ToolHost. `content`: arguments and outputs are shown."""

    host: ToolHost
    tracer: Tracer
    content: bool

    @property
    def labels(self) -> tuple[str, ...]:
        return self.host.labels

    async def start(self) -> None:
        await self.host.start()

    async def tools(self, label: str) -> tuple[HostedTool, ...]:
        return await self.host.tools(label)

    async def call(self, label: str, name: str, arguments: Mapping[str, Any], *, owner: str) -> ToolOutcome:
        known = {names.OPERATION: "execute_tool", names.TOOL_NAME: name, names.MCP_SERVER: label}
        with span_around(self.tracer, f"execute_tool {name}", known) as span:
            if self.content:
                span.set_attribute(names.TOOL_ARGUMENTS, json.dumps(arguments, ensure_ascii=False, default=str))
            outcome = await self.host.call(label, name, arguments, owner=owner)
            if self.content:
                span.set_attribute(names.TOOL_RESULT, outcome.text)
            if outcome.fault is not None:
                fail(span, outcome.fault.kind)
            return outcome

    def status(self) -> list[ServerStatus]:
        return self.host.status()

    async def close(self) -> None:
        await self.host.close()
