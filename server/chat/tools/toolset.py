"""The tools of one request, by the names that the model uses."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from server.core.messages import NamedTools, Tool, ToolChoice
from server.core.request import ApprovalPolicy, McpToolset
from server.core.tool_host import HostedTool

MAX_NAME = 64  # characters
MAX_DESCRIPTION = 1024  # characters of a server tool's description in the prompt
DIGEST = re.compile(r"_[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class ToolOwner:
    """Who runs a tool, and its name there."""

    server_label: str | None  # None: the client
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOffer:
    """The tools of a turn. `choice` "none": they are not even in the prompt."""

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = "none"
    owners: Mapping[str, ToolOwner] = field(default_factory=dict[str, ToolOwner])

    @property
    def callable(self) -> bool:
        return bool(self.tools) and self.choice != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTool:
    """A tool of one of the operator's MCP servers. `server_description`: for the model, on the first tool of each server only."""

    server_label: str
    definition: HostedTool
    policy: ApprovalPolicy
    server_description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolset:
    """`server_tools`: by the name that the model uses (`model_name`)."""

    client_tools: tuple[Tool, ...] = ()
    server_tools: Mapping[str, ServerTool] = field(default_factory=dict[str, ServerTool])

    @property
    def tools(self) -> tuple[Tool, ...]:
        return (*self.client_tools, *(_model_tool(name, tool) for name, tool in self.server_tools.items()))

    def owners(self) -> dict[str, ToolOwner]:
        owners = {tool.name: ToolOwner(None, tool.name) for tool in self.client_tools}
        return owners | {name: ToolOwner(tool.server_label, tool.definition.name) for name, tool in self.server_tools.items()}

    def with_server(self, requested: McpToolset, tools: Sequence[HostedTool]) -> "Toolset":
        """With these `tools` of an MCP server."""
        label, policy = requested.server_label, requested.approval_policy
        new = {
            model_name(label, tool.name): ServerTool(
                server_label=label, definition=tool, policy=policy, server_description="" if i else requested.description
            )
            for i, tool in enumerate(tools)
        }
        return Toolset(client_tools=self.client_tools, server_tools={**self.server_tools, **new})

    def offer(self, requested: ToolChoice) -> ToolOffer:
        return ToolOffer(tools=self.tools, choice=self.resolve_choice(requested), owners=self.owners()) if self.tools else ToolOffer()

    def resolve_choice(self, requested: ToolChoice) -> ToolChoice:
        """The choice with `any_tool_of` a server expanded to the names of its tools, and without unknown names."""
        if not isinstance(requested, NamedTools):
            return requested
        known = [tool.name for tool in self.tools]
        servers = {any_tool_of(tool.server_label) for tool in self.server_tools.values()} & set(requested.names)
        from_servers = [name for name, tool in self.server_tools.items() if any_tool_of(tool.server_label) in servers]
        return NamedTools(names=tuple(name for name in known if name in requested.names or name in from_servers))


def model_name(label: str, name: str) -> str:
    """The name of a server's tool for the model: [A-Za-z0-9_-]{1,64}, unique."""
    joined = f"{label}__{name}"
    unambiguous = "__" not in f"{label}_" and not DIGEST.search(name)  # it can be split in one way only
    if unambiguous and re.fullmatch(r"[A-Za-z0-9_-]+", joined) and len(joined) <= MAX_NAME:
        return joined
    digest = hashlib.sha256(f"{label}\0{name}".encode()).hexdigest()[:8]
    return re.sub(r"[^A-Za-z0-9_-]", "_", joined)[: MAX_NAME - 9] + "_" + digest


def any_tool_of(label: str) -> str:
    """In NamedTools: any tool of this server."""
    return f"{label}__*"


def _model_tool(name: str, tool: ServerTool) -> Tool:
    description = tool.definition.description[:MAX_DESCRIPTION]
    prefix = f"[{any_tool_of(tool.server_label)}: {tool.server_description}] " if tool.server_description else ""
    return Tool(name=name, description=prefix + description, parameters=tool.definition.input_schema)
