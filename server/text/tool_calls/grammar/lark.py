"""A turn's grammar in llguidance's Lark syntax (its docs/syntax.md)."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.core.messages import NamedTools, Tool
from server.text import reasoning
from server.text.tool_calls.api import CallConstraint, UnusableSchema
from server.text.tool_calls.grammar.normalize_schema import narrowed
from server.text.tool_calls.grammar.relax_schema import relaxed, rule, wrong

Control = Callable[[str], int | None]


@dataclass
class Rules:
    """A grammar that is being written."""

    markers: Sequence[str]
    control: Control
    lines: list[str] = field(default_factory=list[str])

    def spelled(self, text: str) -> str:
        """`text` as it is written: markers that are tokens as such."""
        ids = {marker: token for marker in self.markers if (token := self.control(marker)) is not None}
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
        if (token := self.control(text)) is not None:
            return self.rule(f"{anything} <[{token}]>")
        return self.rule(f"{anything} {literal(text)}", "[lazy]")

    def source(self, start: str) -> str:
        return "\n".join(["%llguidance {}", f"start: {start}", *self.lines]) + "\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """How the calls of a turn stand together."""

    trigger: str  # where it stands, calls begin; "": only where the turn begins
    open: str = ""  # between the trigger and the first call
    again: str = "\n"  # between two calls
    close: str = ""  # behind the last


Body = Callable[[Tool, Rules], str]  # the right side of a rule for a whole call


def turn(frame: Frame, body: Body, first: Callable[[str], str] | None, calling: CallConstraint, rules: Rules) -> str:
    """The whole turn. `first`: without a trigger, a regular expression of how a call of that tool begins."""
    tools = chosen(calling)
    call = rules.rule(" | ".join(body(tool, rules) for tool in tools))
    more = f"({rules.spelled(frame.again)} {call})*" if calling.parallel else ""
    calls = rules.rule(f"{rules.spelled(frame.open)} {call} {more} {rules.spelled(frame.close)}")
    begun = f"{rules.spelled(frame.trigger)} {calls}"
    if calling.tool_choice != "auto":
        return rules.source(f"{thoughts(calling, rules)} {begun}")
    if frame.trigger:
        free = f"{rules.terminal('/(?s:.*)/')} | {rules.until(frame.trigger)} {calls}"
    else:
        starts = "|".join(first(tool.name) for tool in tools) if first else ""
        other = rules.terminal(rf"/(?s:.*)/ & ~/(?s:\s*({starts}).*)/")
        free = f"{other} | {begun}"
    return rules.source(f"{thoughts(calling, rules)} ({free})")


def chosen(calling: CallConstraint) -> Sequence[Tool]:
    match calling.tool_choice:
        case NamedTools(names=names):
            return [tool for tool in calling.tools if tool.name in names]
        case _:
            return calling.tools


def thoughts(calling: CallConstraint, rules: Rules) -> str:
    """What may, or must, come before anything else."""
    if not (calling.in_reasoning or calling.has_reasoning):
        return ""
    gap = rules.terminal(r"/\s{1,4}/")
    ended = f"{rules.until(reasoning.CLOSE)} {gap}?"
    return ended if calling.in_reasoning else f"({rules.spelled(reasoning.OPEN)} {ended})?"


def arguments(tool: Tool, rules: Rules) -> str:
    """A rule for a tool's arguments as a JSON object. Raises UnusableSchema."""
    return rules.rule(json_rule(tool, {**tool.parameters, "type": _object(tool)}))


def _object(tool: Tool) -> str:
    """A tool takes an object, whatever else its parameters would let it take. Raises UnusableSchema."""
    kinds = tool.parameters.get("type", "object")
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
        raise UnusableSchema(tool.name, f"its arguments are of type {json.dumps(kinds)}, but a call has an object")
    return "object"


def literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def usable(tool: Tool, body: str) -> None:
    """The right side of a rule. Raises UnusableSchema."""
    if error := wrong(body):
        raise UnusableSchema(tool.name, _reason(error))


def expect(tool: Tool) -> None:
    """Raises UnusableSchema for parameters that no dialect could enforce."""
    arguments(tool, Rules((), lambda _: None))


def json_rule(tool: Tool, schema: Mapping[str, Any]) -> str:
    """`schema` within a rule; of a tool that is not strict, as far as it can be enforced. Raises UnusableSchema."""
    given = narrowed(schema)
    text = rule(given if tool.strict else relaxed(given), lenient=not tool.strict)
    usable(tool, text)
    return text


def _reason(error: str) -> str:
    """Without where it stands in a grammar that nobody has seen."""
    lines = [line.strip() for line in (error.partition(": failed to compile JSON schema: ")[2] or error).splitlines()]
    details = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return " ".join([lines[0], *details[:1]])
