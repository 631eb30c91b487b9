"""A dialect described by values: how its calls are parsed and which grammar constrains them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from server.core.messages import Tool
from server.text.tool_calls.api import CallConstraint, CallParser
from server.text.tool_calls.grammar.builder import GrammarBuilder, TokenLookup
from server.text.tool_calls.grammar.lark import CallLayout, CallRule, turn_grammar
from server.text.tool_calls.parsing.turn_parser import Syntax, TurnParser


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFormat:
    """Implements Dialect."""

    name: str
    markers: tuple[str, ...]
    syntax: Syntax
    layout: CallLayout
    call_rule: CallRule
    start_pattern: Callable[[str], str] | None = None  # see lark.turn_grammar
    closing_strings: tuple[str, ...] = ()
    single_call: bool = False  # never more than one call in a turn

    @property
    def call_marks(self) -> tuple[str, ...]:
        return self.syntax.openers

    def grammar(self, constraint: CallConstraint, special_token_id: TokenLookup) -> str:
        constraint = replace(constraint, parallel=constraint.parallel and not self.single_call)
        thought_marks = constraint.thoughts.format.marks if constraint.thoughts else ()
        builder = GrammarBuilder((*self.markers, *thought_marks), special_token_id)
        return turn_grammar(self.layout, self.call_rule, self.start_pattern, constraint, builder)

    def parser(self, tools: Sequence[Tool]) -> CallParser:
        return TurnParser(self.syntax, tools)
