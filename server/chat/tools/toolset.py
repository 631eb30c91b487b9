"""The tools of one request, under the names by which the model knows them."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import UnknownType, relevance
from referencing import Registry
from referencing.exceptions import Unresolvable

from server.core.messages import Json, NamedTools, Tool, ToolChoice
from server.core.request import ApprovalPolicy, McpToolset
from server.core.tool_host import HostedTool
from server.text.tool_calls.grammar.schema import rebuilt

MAX_NAME = 64  # characters of a name
MAX_DESCRIPTION = 1024  # characters of a server tool's description that the model reads
DIGEST = re.compile(r"_[0-9a-f]{8}$")
PATTERN_DEPENDENT = ("patternProperties", "additionalProperties", "unevaluatedProperties")  # the last two mean what the first leaves over


@dataclass(frozen=True, slots=True)
class ToolOwner:
    """Who runs a tool, and what it is called there."""

    server_label: str | None  # None: the client
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOffer:
    """What the model may call in a turn. `choice` "none": it reads of no tools."""

    tools: tuple[Tool, ...] = ()
    choice: ToolChoice = "none"
    owners: Mapping[str, ToolOwner] = field(default_factory=dict[str, ToolOwner])

    @property
    def callable(self) -> bool:
        return bool(self.tools) and self.choice != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTool:
    """A tool of one of the operator's MCP servers, and which of its calls wait for an approval. `about`: what the model is told of
    the server, at the first of its tools; once is enough."""

    server_label: str
    tool: HostedTool
    policy: ApprovalPolicy
    server_description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolset:
    client_tools: tuple[Tool, ...] = ()
    server_tools: Mapping[str, ServerTool] = field(default_factory=dict[str, ServerTool])  # by the name that the model knows

    @property
    def tools(self) -> tuple[Tool, ...]:
        return (*self.client_tools, *(_shown(name, hosted) for name, hosted in self.server_tools.items()))

    def owners(self) -> dict[str, ToolOwner]:
        mine = {tool.name: ToolOwner(None, tool.name) for tool in self.client_tools}
        return mine | {name: ToolOwner(hosted.server_label, hosted.tool.name) for name, hosted in self.server_tools.items()}

    def with_server(self, asked: McpToolset, tools: Sequence[HostedTool]) -> "Toolset":
        """`tools`: those of the server's that the request wants."""
        hosted = [
            ServerTool(
                server_label=asked.server_label, tool=tool, policy=asked.approval_policy, server_description="" if at else asked.description
            )
            for at, tool in enumerate(tools)
        ]
        new = {model_name(asked.server_label, one.tool.name): one for one in hosted}
        return Toolset(client_tools=self.client_tools, server_tools={**self.server_tools, **new})

    def offer(self, asked: ToolChoice) -> ToolOffer:
        return ToolOffer(tools=self.tools, choice=self.resolve_choice(asked), owners=self.owners()) if self.tools else ToolOffer()

    def resolve_choice(self, asked: ToolChoice) -> ToolChoice:
        """With whole servers (`all_of`) as the names of their tools, and without names that there are not."""
        if not isinstance(asked, NamedTools):
            return asked
        known = [tool.name for tool in self.tools]
        servers = {any_tool_of(hosted.server_label) for hosted in self.server_tools.values()} & set(asked.names)
        ours = [name for name, hosted in self.server_tools.items() if any_tool_of(hosted.server_label) in servers]
        return NamedTools(names=tuple(name for name in known if name in asked.names or name in ours))


def model_name(label: str, name: str) -> str:
    """What the model calls a server's tool: [A-Za-z0-9_-]{1,64}. Two tools never have one name."""
    plain = f"{label}__{name}"
    sure = "__" not in f"{label}_" and not DIGEST.search(name)  # there is one way to take it apart
    if sure and re.fullmatch(r"[A-Za-z0-9_-]+", plain) and len(plain) <= MAX_NAME:
        return plain
    digest = hashlib.sha256(f"{label}\0{name}".encode()).hexdigest()[:8]
    return re.sub(r"[^A-Za-z0-9_-]", "_", plain)[: MAX_NAME - 9] + "_" + digest


def any_tool_of(label: str) -> str:
    """In a Named choice: any tool of this server's."""
    return f"{label}__*"


def parse_arguments(text: str, schema: Mapping[str, Any]) -> Json | str:
    """The arguments of a call, or what is wrong with them, in words for the model."""
    try:
        arguments = json.loads(text or "{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return f"the arguments are not valid JSON: {error}"
    if not isinstance(arguments, dict):
        return "the arguments must be a JSON object"
    given: Json = arguments  # pyright: ignore[reportUnknownVariableType] (JSON has no other keys than strings)
    return schema_error(given, schema) or given


def schema_error(given: Json, schema: Mapping[str, Any]) -> str | None:
    """What does not fit the schema, shortly. A schema that cannot be used lets everything through: its server checks for itself."""
    validator = Draft202012Validator(rebuilt(schema, _checkable), registry=Registry[Any]())
    try:
        errors: list[ValidationError] = list(validator.iter_errors(given))  # pyright: ignore[reportUnknownMemberType, reportArgumentType]
    except (UnknownType, Unresolvable, RecursionError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
        return None
    if not errors:
        return None
    error = max(errors, key=relevance)
    where = ".".join(map(str, error.absolute_path))
    return f"{where or 'arguments'}: {error.message[:300]}"


def _checkable(schema: Json) -> Json:
    """Without regular expressions, which come from the server and might take for ever."""
    dropped = {"pattern", *(PATTERN_DEPENDENT if "patternProperties" in schema else ())}
    return {key: value for key, value in schema.items() if key not in dropped}


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _shown(name: str, hosted: ServerTool) -> Tool:
    described = hosted.tool.description[:MAX_DESCRIPTION]
    about = f"[{any_tool_of(hosted.server_label)}: {hosted.server_description}] " if hosted.server_description else ""
    return Tool(name=name, description=about + described, parameters=hosted.tool.input_schema)
