"""A turn's grammar in llguidance's Lark syntax (its docs/syntax.md)."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.core.messages import NamedTools, Tool
from server.text import reasoning
from server.text.tool_calls.api import CallConstraint, UnusableSchema
from server.text.tool_calls.grammar.normalize_schema import normalize_schema
from server.text.tool_calls.grammar.relax_schema import json_directive, relax_schema, rule_error

TokenLookup = Callable[[str], int | None]


@dataclass
class GrammarBuilder:
    """A grammar that is being written."""

    markers: Sequence[str]
    special_token_id: TokenLookup
    lines: list[str] = field(default_factory=list[str])

    def text(self, text: str) -> str:
        """`text` as it is written: markers that are tokens as such."""
        ids = {marker: token for marker in self.markers if (token := self.special_token_id(marker)) is not None}
        parts = re.split("(" + "|".join(map(re.escape, sorted(ids, key=len, reverse=True))) + ")", text) if ids else [text]
        return " ".join(f"<[{ids[part]}]>" if part in ids else literal(part) for part in parts if part)

    def rule(self, body: str, options: str = "") -> str:
        """Its name."""
        name = f"r{len(self.lines)}"
        self.lines.append(f"{name}{options}: {body}")
        return name

    def terminal(self, body: str) -> str:
        name = f"T{len(self.lines)}"
        self.lines.append(f"{name}: {body}")
        return name

    def until(self, text: str) -> str:
        """Anything up to and with the first `text`, which is no more than a marker where it is a token."""
        anything = self.terminal("/(?s:.*)/")
        if (token := self.special_token_id(text)) is not None:
            return self.rule(f"{anything} <[{token}]>")
        return self.rule(f"{anything} {literal(text)}", "[lazy]")

    def source(self, start: str) -> str:
        return "\n".join(["%llguidance {}", f"start: {start}", *self.lines]) + "\n"


@dataclass(frozen=True, slots=True)
class CallLayout:
    """How the calls of a turn stand together."""

    trigger: str  # where it stands, calls begin; "": only where the turn begins
    open: str = ""  # between the trigger and the first call
    separator: str = "\n"  # between two calls
    close: str = ""  # behind the last


CallRule = Callable[[Tool, GrammarBuilder], str]  # the right side of a rule for a whole call


def turn_grammar(
    layout: CallLayout, call_rule: CallRule, start_pattern: Callable[[str], str] | None, constraint: CallConstraint, grammar: GrammarBuilder
) -> str:
    """The whole turn. `first`: without a trigger, a regular expression of how a call of that tool begins."""
    tools = allowed_tools(constraint)
    call = grammar.rule(" | ".join(call_rule(tool, grammar) for tool in tools))
    more = f"({grammar.text(layout.separator)} {call})*" if constraint.parallel else ""
    calls = grammar.rule(f"{grammar.text(layout.open)} {call} {more} {grammar.text(layout.close)}")
    begun = f"{grammar.text(layout.trigger)} {calls}"
    if constraint.tool_choice != "auto":
        return grammar.source(f"{reasoning_rule(constraint, grammar)} {begun}")
    if layout.trigger:
        free = f"{grammar.terminal('/(?s:.*)/')} | {grammar.until(layout.trigger)} {calls}"
    else:
        starts = "|".join(start_pattern(tool.name) for tool in tools) if start_pattern else ""
        other = grammar.terminal(rf"/(?s:.*)/ & ~/(?s:\s*({starts}).*)/")
        free = f"{other} | {begun}"
    return grammar.source(f"{reasoning_rule(constraint, grammar)} ({free})")


def allowed_tools(constraint: CallConstraint) -> Sequence[Tool]:
    match constraint.tool_choice:
        case NamedTools(names=names):
            return [tool for tool in constraint.tools if tool.name in names]
        case _:
            return constraint.tools


def reasoning_rule(constraint: CallConstraint, grammar: GrammarBuilder) -> str:
    """What may, or must, come before anything else."""
    if not (constraint.in_reasoning or constraint.has_reasoning):
        return ""
    gap = grammar.terminal(r"/\s{1,4}/")
    ended = f"{grammar.until(reasoning.CLOSE)} {gap}?"
    return ended if constraint.in_reasoning else f"({grammar.text(reasoning.OPEN)} {ended})?"


def arguments_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    """A rule for a tool's arguments as a JSON object. Raises UnusableSchema."""
    return grammar.rule(schema_rule(tool, {**tool.parameters, "type": _object_type(tool)}))


def _object_type(tool: Tool) -> str:
    """A tool takes an object, whatever else its parameters would let it take. Raises UnusableSchema."""
    kinds = tool.parameters.get("type", "object")
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
        raise UnusableSchema(tool.name, f"its arguments are of type {json.dumps(kinds)}, but a call has an object")
    return "object"


def literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def check_rule(tool: Tool, body: str) -> None:
    """The right side of a rule. Raises UnusableSchema."""
    if error := rule_error(body):
        raise UnusableSchema(tool.name, _short_reason(error))


def check_tool(tool: Tool) -> None:
    """Raises UnusableSchema for parameters that no dialect could enforce."""
    arguments_rule(tool, GrammarBuilder((), lambda _: None))


def schema_rule(tool: Tool, schema: Mapping[str, Any]) -> str:
    """`schema` within a rule; of a tool that is not strict, as far as it can be enforced. Raises UnusableSchema."""
    given = normalize_schema(schema)
    text = json_directive(given if tool.strict else relax_schema(given), lenient=not tool.strict)
    check_rule(tool, text)
    return text


def _short_reason(error: str) -> str:
    """Without where it stands in a grammar that nobody has seen."""
    lines = [line.strip() for line in (error.partition(": failed to compile JSON schema: ")[2] or error).splitlines()]
    details = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return " ".join([lines[0], *details[:1]])
