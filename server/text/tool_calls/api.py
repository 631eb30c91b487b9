"""How models write tool calls. A dialect is a value; server/text/tool_calls/detect.py finds a checkpoint's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from server.core.messages import Tool, ToolChoice


@dataclass(slots=True)
class CallPiece:
    """What was added to the `index`-th call of a turn. The first piece of a call has its name, the last one `done`. All
    `arguments` of a call together are the JSON text of an object ("{}" where the model wrote none), and each piece is certain: it
    is never taken back."""

    index: int
    name: str | None = None
    arguments: str = ""
    done: bool = False


@dataclass(slots=True)
class Heard:
    """What can be said for certain of the text so far. Where both are there, `answer` came first."""

    answer: str = ""
    calls: list[CallPiece] = field(default_factory=list[CallPiece])


class CallReader(Protocol):
    """Reads one turn. Whatever the text, `push` and `flush` raise nothing: what is no call is answer."""

    def push(self, text: str) -> Heard: ...

    def flush(self, *, cut: bool = False) -> Heard:
        """The text has ended. A call that had begun is closed as it stands (`done`); its arguments may then be cut off. `cut`: it ends
        because there were no more tokens, and where it may be about to open a call it is no answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """What a turn's grammar must allow."""

    tools: Sequence[Tool]
    choice: ToolChoice  # not "none"
    parallel: bool  # more than one call in a turn
    thinking: bool = False  # the prompt ends within the model's thoughts
    thinks: bool = False  # the model may think first


class Dialect(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def markers(self) -> tuple[str, ...]:
        """Tokens that it is written with, and that the detokenizer must therefore show."""
        ...

    @property
    def thought(self) -> str:
        """What templates call the thoughts of a message."""
        ...

    @property
    def closing(self) -> tuple[str, ...]:
        """What brings a call to its end wherever its grammar allows it, the best first (engine/api.py, Closing)."""
        ...

    def grammar(self, calling: Calling, control: Callable[[str], int | None]) -> str:
        """The whole turn in llguidance's Lark syntax: free text and, where a call begins, its name and arguments by the tool's
        schema. `control`: id of the special token that is spelled so; None: it is text like any other. Raises UnusableSchema."""
        ...

    def reader(self, tools: Sequence[Tool]) -> CallReader: ...


class UnusableSchema(ValueError):
    """`tool` is the name; the message says why its parameters cannot be enforced, without naming it again."""

    def __init__(self, tool: str, message: str) -> None:
        super().__init__(message)
        self.tool = tool
