"""The messages and tools of a conversation, the same for every API. server/text/render.py turns them into what a chat template
takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call. `parameters`: JSON Schema of an object. `strict`: the schema is enforced completely or the
    request refused; otherwise what a grammar cannot enforce is left to whoever runs the tool."""

    name: str  # [A-Za-z0-9_-]{1,64}, unique among a turn's tools
    description: str
    parameters: Mapping[str, Any]
    strict: bool = False
    field: str = "tools"  # of the request that holds it: "tools.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    id: str
    name: str
    arguments: str  # the JSON text of an object, or whatever the model wrote


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    text: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    text: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assistant:
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """Output of a tool call. Untrusted, whoever sent it."""

    call_id: str
    name: str  # of the tool
    text: str


Message = System | User | Assistant | ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTools:
    """One of these tools must be called."""

    names: tuple[str, ...]


ToolChoice = Literal["auto", "none", "required"] | NamedTools

PromptEnd = Literal["answer", "nothing", "continued"]  # the model writes a new message, whatever comes, or more of the last message
