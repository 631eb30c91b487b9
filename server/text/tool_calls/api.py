"""How models write tool calls. A dialect is a value; server/text/tool_calls/detect.py finds a checkpoint's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from server.core.messages import Tool, ToolChoice


@dataclass(slots=True)
class CallChunk:
    """What was added to the `index`-th call of a turn. The first piece of a call has its name, the last one `done`. All
    `arguments` of a call together are the JSON text of an object ("{}" where the model wrote none), and each piece is certain: it
    is never taken back."""

    index: int
    name: str | None = None
    arguments: str = ""
    done: bool = False


@dataclass(slots=True)
class ParsedOutput:
    """What can be said for certain of the text so far. Where both are there, `answer` came first."""

    text: str = ""
    calls: list[CallChunk] = field(default_factory=list[CallChunk])


class CallParser(Protocol):
    """Reads one turn. Whatever the text, `push` and `flush` raise nothing: what is no call is answer."""

    def push(self, text: str) -> ParsedOutput: ...

    def flush(self, *, truncated: bool = False) -> ParsedOutput:
        """The text has ended. A call that had begun is closed as it stands (`done`); its arguments may then be cut off. `cut`: it ends
        because there were no more tokens, and where it may be about to open a call it is no answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConstraint:
    """What a turn's grammar must allow."""

    tools: Sequence[Tool]
    tool_choice: ToolChoice  # not "none"
    parallel: bool  # more than one call in a turn
    in_reasoning: bool = False  # the prompt ends within the model's thoughts
    has_reasoning: bool = False  # the model may think first


class Dialect(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def markers(self) -> tuple[str, ...]:
        """Tokens that it is written with, and that the detokenizer must therefore show."""
        ...

    @property
    def reasoning_field(self) -> str:
        """What templates call the thoughts of a message."""
        ...

    @property
    def closing_strings(self) -> tuple[str, ...]:
        """What brings a call to its end wherever its grammar allows it, the best first (engine/api.py, Closing)."""
        ...

    def grammar(self, constraint: CallConstraint, special_token_id: Callable[[str], int | None]) -> str:
        """The whole turn in llguidance's Lark syntax: free text and, where a call begins, its name and arguments by the tool's
        schema. `control`: id of the special token that is spelled so; None: it is text like any other. Raises UnusableSchema."""
        ...

    def parser(self, tools: Sequence[Tool]) -> CallParser: ...


class UnusableSchema(ValueError):
    """`tool` is the name; the message says why its parameters cannot be enforced, without naming it again."""

    def __init__(self, tool: str, message: str) -> None:
        super().__init__(message)
        self.tool = tool
