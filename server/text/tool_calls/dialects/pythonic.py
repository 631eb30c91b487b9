"""[name(key=value, ...), ...], as Python writes it: Llama 4 and LFM2, which set the list between tokens."""

from dataclasses import replace

from server.core.messages import Tool
from server.text.tool_calls.api import UnusableSchema
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.lark import CallLayout, GrammarBuilder, literal, schema_rule
from server.text.tool_calls.grammar.schema import (
    BOOLEAN_ONLY,
    Parameter,
    allowed_types,
    combining_keyword,
    definitions,
    has_known_parameters,
    parameters,
)
from server.text.tool_calls.parsing import python_values
from server.text.tool_calls.parsing.keyword_arguments import Parts
from server.text.tool_calls.parsing.scanner import NotACall, Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import NAME, CallEmitter, Syntax

MARKS = (("<|python_start|>", "<|python_end|>"), ("<|tool_call_start|>", "<|tool_call_end|>"))


def _read(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    """Without a mark before it only a list of calls of the tools is one: anything may be a list."""
    end = ""
    for begin, closing in MARKS:
        if (yield from scan.take(begin)):
            end = closing
    yield from scan.white()
    yield from scan.expect("[")
    while True:
        yield from scan.white()
        yield from _call(scan, voice, known=not end)
        yield from scan.white()
        if not (yield from scan.take(",")):
            break
    yield from scan.expect("]")
    if end:
        yield from scan.white()
        yield from scan.take(end)


def _call(scan: Scanner, voice: CallEmitter, *, known: bool) -> Steps[None]:
    name = yield from scan.while_in(lambda char: NAME.fullmatch(char) is not None, 128)
    yield from scan.white()
    yield from scan.expect("(")
    if known and name not in voice.known:
        raise NotACall
    voice.begin(name)
    parts, tool = Parts(voice), voice.known.get(name)
    yield from scan.white()
    while not (yield from scan.take(")")):
        parts.key((yield from _key(scan, parts, tool)))
        yield from scan.white()
        yield from python_values.value(scan, voice.arguments)
        yield from scan.white()
        if not (yield from scan.take(",")):
            yield from scan.expect(")")
            break
        yield from scan.white()
    parts.end()


def _key(scan: Scanner, parts: Parts, tool: Tool | None) -> Steps[str]:
    """Up to its value. One that is not named is named by its place."""
    char = yield from scan.peek()
    if char and char in "'\"[{" and tool is not None:
        names = [parameter.name for parameter in parameters(tool)]
        key = names[len(parts.names)] if len(parts.names) < len(names) else ""
    else:
        key = yield from scan.while_in(lambda char: char.isalnum() or char in "_-", 128)
        yield from scan.white()
        yield from scan.expect("=")
    if not key:
        raise NotACall
    return key


def _body(tool: Tool, rules: GrammarBuilder) -> str:
    """name(, its arguments in order, those that need not be there left out at will, )."""
    if tool.strict and (unknown := combining_keyword(tool)):
        raise UnusableSchema(tool.name, f"this model writes arguments one by one; {unknown} has no place there")
    if not has_known_parameters(tool):
        return f"{literal(f'{tool.name}(')} {_any(tool, rules)} {literal(')')}"
    wanted = [p for p in parameters(tool) if p.name.isidentifier() or p.required or tool.strict]  # of the others some cannot be written
    found = [(parameter, rules.rule(_argument(tool, parameter, rules))) for parameter in wanted]
    begins: list[str] = []
    for at, (parameter, rule) in enumerate(found):
        begins.append(" ".join([rule, *(_more(p, r) for p, r in found[at + 1 :])]))
        if parameter.required:
            break
    else:
        begins.append("")
    inner = f"({' | '.join(b for b in begins if b)}){'' if all(begins) else '?'}" if any(begins) else ""
    return f"{literal(f'{tool.name}(')} {inner} {literal(')')}"


def _any(tool: Tool, rules: GrammarBuilder) -> str:
    """Parameters of which nothing is known."""
    name = rules.terminal(r"/[A-Za-z_][A-Za-z0-9_]{0,63}/")
    given = rules.rule(f"{name} {literal('=')} {rules.rule(schema_rule(tool, {}))}")
    return rules.rule(f"({given} ({literal(', ')} {given})*)?")


def _more(parameter: Parameter, rule: str) -> str:
    return f"{literal(', ')} {rule}" if parameter.required else f"({literal(', ')} {rule})?"


def _argument(tool: Tool, parameter: Parameter, rules: GrammarBuilder) -> str:
    if not parameter.name.isidentifier():
        raise UnusableSchema(tool.name, f"this model cannot write the parameter {parameter.name!r}: it is no name in Python")
    begin, schema = literal(f"{parameter.name}="), parameter.schema
    if allowed_types(schema, tool.parameters) == BOOLEAN_ONLY and not {"const", "enum"} & schema.keys():
        return f"{begin} ({literal('True')} | {literal('False')})"
    return f"{begin} {rules.rule(schema_rule(tool, {**schema, **definitions(tool.parameters)}))}"


def _first(name: str) -> str:
    return rf"\[\s*{name}\s*\("


PYTHONIC = ToolCallFormat(
    name="pythonic",
    markers=MARKS[0],
    syntax=Syntax(read=_read, openers=tuple(begin for begin, _ in MARKS), first=("[",)),
    layout=CallLayout(trigger="", open="[", separator=", ", close="]"),
    call_rule=_body,
    start_pattern=_first,
)
LFM = replace(
    PYTHONIC,
    name="lfm2",
    markers=MARKS[1],
    layout=CallLayout(trigger=MARKS[1][0], open="[", separator=", ", close=f"]{MARKS[1][1]}"),
    start_pattern=None,
)
