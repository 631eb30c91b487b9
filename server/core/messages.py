"""What has been said so far, as every API means it: chat completions, responses and messages all come down to these values.
Only server/text/render.py turns them into what a chat template knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call. `parameters`: the JSON Schema of an object. `strict`: it is enforced as a whole or refused;
    else what no grammar can enforce is left to whoever runs the tool."""

    name: str  # [A-Za-z0-9_-]{1,64}, unique among a turn's tools
    description: str
    parameters: Mapping[str, Any]
    strict: bool = False
    field: str = "tools"  # where the request has it: "tools.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    id: str
    name: str
    arguments: str  # the JSON text of an object


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
    """What a call brought. Untrusted, whoever sent it."""

    call_id: str  # id
    name: str  # of the tool
    text: str


Message = System | User | Assistant | ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTools:
    """One of these tools must be called."""

    names: tuple[str, ...]


ToolChoice = Literal["auto", "none", "required"] | NamedTools
