"""A dialect as a value: what it is called, how it is read, how it is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from server.core.messages import Tool
from server.text.tool_calls.api import CallConstraint, CallParser
from server.text.tool_calls.grammar.lark import Body, Control, Frame, Rules, turn
from server.text.tool_calls.parsing.turn_parser import Syntax, TurnParser

JSON_ENDS = ('"', "}", "]", ")", ",")  # the end of a string comes first: within one the others are text


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFormat:
    """Implements Dialect."""

    name: str
    markers: tuple[str, ...]
    syntax: Syntax
    frame: Frame
    body: Body
    first: Callable[[str], str] | None = None  # see lark.turn
    closing_marks: tuple[str, ...] = JSON_ENDS
    reasoning_field: str = "reasoning_content"
    single: bool = False  # one call in a turn, whatever may be

    def grammar(self, calling: CallConstraint, control: Control) -> str:
        calling = replace(calling, parallel=calling.parallel and not self.single)
        return turn(self.frame, self.body, self.first, calling, Rules((*self.markers, "<think>", "</think>"), control))

    def parser(self, tools: Sequence[Tool]) -> CallParser:
        return TurnParser(self.syntax, tools)
