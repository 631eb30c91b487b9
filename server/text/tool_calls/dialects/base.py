"""A dialect as a value: what it is called, how it is read, how it is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from server.core.messages import Tool
from server.text.tool_calls.api import CallConstraint, CallParser
from server.text.tool_calls.grammar.lark import CallLayout, CallRule, GrammarBuilder, TokenLookup, turn_grammar
from server.text.tool_calls.parsing.turn_parser import Syntax, TurnParser

JSON_ENDS = ('"', "}", "]", ")", ",")  # the end of a string comes first: within one the others are text


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFormat:
    """Implements Dialect."""

    name: str
    markers: tuple[str, ...]
    syntax: Syntax
    layout: CallLayout
    call_rule: CallRule
    start_pattern: Callable[[str], str] | None = None  # see lark.turn
    closing_strings: tuple[str, ...] = JSON_ENDS
    reasoning_field: str = "reasoning_content"
    single_call: bool = False  # one call in a turn, whatever may be

    def grammar(self, constraint: CallConstraint, special_token_id: TokenLookup) -> str:
        constraint = replace(constraint, parallel=constraint.parallel and not self.single_call)
        return turn_grammar(
            self.layout,
            self.call_rule,
            self.start_pattern,
            constraint,
            GrammarBuilder((*self.markers, "<think>", "</think>"), special_token_id),
        )

    def parser(self, tools: Sequence[Tool]) -> CallParser:
        return TurnParser(self.syntax, tools)
