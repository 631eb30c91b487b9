"""Builds the grammar of a turn in llguidance's Lark syntax (its docs/syntax.md)."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.core.messages import NamedTools, Tool
from server.text.tool_calls.api import CallConstraint, UnusableSchema
from server.text.tool_calls.grammar.builder import GrammarBuilder
from server.text.tool_calls.grammar.json_rule import json_rule, rule_error
from server.text.tool_calls.grammar.prepare_schema import prepare_schema
from server.text.tool_calls.grammar.relax_schema import drop_unsatisfiable, relax_schema
from server.text.tool_calls.grammar.schema import SchemaError, combining_keyword


@dataclass(frozen=True, slots=True)
class CallLayout:
    """What is written before, between and after the calls of a turn."""

    trigger: str  # calls begin wherever it occurs; "": only at the beginning of the turn
    open: str = ""  # between the trigger and the first call
    separator: str = "\n"  # between two calls
    close: str = ""  # after the last call


CallRule = Callable[[Tool, GrammarBuilder], str]  # the body of a rule for one whole call


def turn_grammar(
    layout: CallLayout, call_rule: CallRule, start_pattern: Callable[[str], str] | None, constraint: CallConstraint, grammar: GrammarBuilder
) -> str:
    """The grammar of a whole turn. `start_pattern`: for a layout without a trigger, a regular expression for the beginning of a call of
    the named tool, which free text must not match."""
    tools = allowed_tools(constraint)
    call = grammar.rule(" | ".join(call_rule(tool, grammar) for tool in tools))
    more = f"({grammar.text(layout.separator)} {call})*" if constraint.parallel else ""
    calls = grammar.rule(f"{grammar.text(layout.open)} {call} {more} {grammar.text(layout.close)}")
    triggered = f"{grammar.text(layout.trigger)} {calls}"
    within = grammar.rule(triggered) if grammar.special_token_id(layout.trigger) is not None else ""
    if constraint.tool_choice != "auto":
        return grammar.source(behind_thoughts(constraint, grammar, triggered, within))
    if layout.trigger:
        body = f"{grammar.terminal('/(?s:.*)/')} | {grammar.until(layout.trigger)} {calls}"
    else:
        starts = "|".join(start_pattern(tool.name) for tool in tools) if start_pattern else ""
        free_text = grammar.terminal(rf"/(?s:.*)/ & ~/(?s:\s*({starts}).*)/")
        body = f"{free_text} | {triggered}"
    return grammar.source(behind_thoughts(constraint, grammar, body, within))


def allowed_tools(constraint: CallConstraint) -> Sequence[Tool]:
    match constraint.tool_choice:
        case NamedTools(names=names):
            return [tool for tool in constraint.tools if tool.name in names]
        case _:
            return constraint.tools


def behind_thoughts(constraint: CallConstraint, grammar: GrammarBuilder, body: str, calls: str = "") -> str:
    """The body of the start rule: `body` behind the thoughts of a model that thinks first. `calls`: the name of a rule for calls that
    begin with a token, with which thoughts may end, too."""
    if constraint.thoughts is None:
        return body
    rules = constraint.thoughts.format.rules(constraint.thoughts.place, grammar, calls)
    return f"{rules.thoughts} ({body})" + (f" | {rules.within}" if rules.within else "")


def json_call_rule(tool: Tool, grammar: GrammarBuilder, arguments_key: str, *, before: str = "", after: str = "") -> str:
    """The body of a rule for a call written as {"name": ..., ARGUMENTS_KEY: {...}}, with text before and after it."""
    begin = f'{before}{{"name": {json.dumps(tool.name)}, "{arguments_key}": '
    return f"{grammar.text(begin)} {arguments_rule(tool, grammar)} {grammar.text('}' + after)}"


def arguments_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    """Adds a rule for a tool's arguments as a JSON object and returns its name. Raises UnusableSchema."""
    return grammar.rule(schema_rule(tool, {**tool.parameters, "type": _object_type(tool)}))


def _object_type(tool: Tool) -> str:
    """Returns "object", even if the parameters allow other types too. Raises UnusableSchema if they do not allow an object."""
    types = tool.parameters.get("type", "object")
    if "object" not in (types if isinstance(types, list) else [types]):
        raise UnusableSchema(tool.name, f"its arguments are of type {json.dumps(types)}, but a call has an object")
    return "object"


def schema_rule(tool: Tool, schema: Mapping[str, Any]) -> str:
    """The body of a rule for JSON that fits `schema`; for a tool that is not strict, as far as it can be enforced. Raises
    UnusableSchema."""
    try:
        prepared = prepare_schema(schema, lenient=not tool.strict, close=True)
    except SchemaError as error:
        raise UnusableSchema(tool.name, str(error)) from error
    body = json_rule(prepared if tool.strict else drop_unsatisfiable(relax_schema(prepared)), lenient=not tool.strict)
    check_rule(tool, body)
    return body


def check_rule(tool: Tool, body: str) -> None:
    """Raises UnusableSchema if llguidance does not accept `body`, the body of a rule."""
    if error := rule_error(body):
        raise UnusableSchema(tool.name, _short_reason(error))


def check_tool(tool: Tool) -> None:
    """Raises UnusableSchema for parameters that no dialect could enforce."""
    arguments_rule(tool, GrammarBuilder((), lambda _: None))


def check_separate_arguments(tool: Tool) -> None:
    """For dialects that write each argument separately: raises UnusableSchema if a strict tool constrains them in combination."""
    if tool.strict and (keyword := combining_keyword(tool)):
        raise UnusableSchema(tool.name, f"this model writes arguments one by one; {keyword} has no place there")


def _short_reason(error: str) -> str:
    """llguidance's error without positions in the generated grammar, which mean nothing to the client."""
    lines = [line.strip() for line in (error.partition(": failed to compile JSON schema: ")[2] or error).splitlines()]
    details = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return " ".join([lines[0], *details[:1]])
