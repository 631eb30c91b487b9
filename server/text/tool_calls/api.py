"""What the rest of the server knows of a tool-call dialect. server/text/tool_calls/detect.py finds the one of a checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from server.core.messages import Tool, ToolChoice
from server.text.reasoning.api import Thoughts


@dataclass(slots=True)
class CallChunk:
    """An addition to the `index`-th call of a turn. The first chunk of a call has its name, the last one `done`. All `arguments` of a
    call together are the JSON text of an object ("{}" if the model wrote none). Chunks are final."""

    index: int
    name: str | None = None
    arguments: str = ""
    done: bool = False


@dataclass(slots=True)
class ParsedOutput:
    """What could be parsed for certain since the last time. If both are set, `text` came first."""

    text: str = ""
    calls: list[CallChunk] = field(default_factory=list[CallChunk])


class CallParser(Protocol):
    """Parses one turn. `push` and `flush` raise nothing, whatever the text: what is not a call is answer."""

    def push(self, text: str) -> ParsedOutput: ...

    def flush(self, *, truncated: bool = False) -> ParsedOutput:
        """The text has ended. A call that had begun is closed (`done`) as it is; its arguments may then be incomplete. `truncated`: the
        text ends at the token limit; a possible beginning of a call at its end is then dropped."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConstraint:
    """What a turn's grammar must allow."""

    tools: Sequence[Tool]
    tool_choice: ToolChoice  # not "none"
    parallel: bool  # more than one call in a turn
    thoughts: Thoughts | None = None  # None: the model does not think


class Dialect(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def markers(self) -> tuple[str, ...]:
        """Tokens that enclose calls; the detokenizer must not hide them."""
        ...

    @property
    def call_marks(self) -> tuple[str, ...]:
        """Strings with which calls begin anywhere."""
        ...

    @property
    def closing_strings(self) -> tuple[str, ...]:
        """Strings that end the text of an argument where a quotation mark does not (engine/api/grammars.py, Closing)."""
        ...

    def grammar(self, constraint: CallConstraint, special_token_id: Callable[[str], int | None]) -> str:
        """The whole turn in llguidance's Lark syntax: free text and, where a call begins, its name and its arguments by the tool's
        schema. `special_token_id`: the id of a special token; None for a string that is ordinary text. Raises UnusableSchema."""
        ...

    def parser(self, tools: Sequence[Tool]) -> CallParser: ...


class UnusableSchema(ValueError):
    """The parameters of `tool` (its name) cannot be enforced; the message says why and does not repeat the name."""

    def __init__(self, tool: str, message: str) -> None:
        super().__init__(message)
        self.tool = tool
