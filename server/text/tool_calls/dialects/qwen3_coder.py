"""<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>, each part on a line of its own: Qwen 3 Coder.
Texts stand as they are, all else as JSON."""

import json
import re
from typing import Any, cast

from server.core.messages import Tool
from server.text.detokenize import overlap
from server.text.tool_calls.api import UnusableSchema
from server.text.tool_calls.dialects.base import JSON_ENDS, ToolCallFormat
from server.text.tool_calls.grammar.lark import CallLayout, GrammarBuilder, check_rule, literal, schema_rule
from server.text.tool_calls.grammar.schema import (
    ALL_TYPES,
    NULLABLE_STRING,
    STRING_ONLY,
    Parameter,
    Schema,
    allowed_types,
    as_dict,
    combining_keyword,
    definitions,
    has_known_parameters,
    parameters,
    resolve,
    string_items,
    type_of,
)
from server.text.tool_calls.parsing import python_values
from server.text.tool_calls.parsing.keyword_arguments import Parts, escaped
from server.text.tool_calls.parsing.scanner import Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import CallEmitter, Syntax

OPEN, CLOSE = "<tool_call>", "</tool_call>"
FUNCTION, FUNCTION_END = "<function=", "</function>"
PARAMETER, PARAMETER_END = "<parameter=", "</parameter>"
END = f"\n{PARAMETER_END}\n"
CLASSES, GROUPS, SLASH = re.compile(r"\\.|\[[^\]]*\]"), re.compile(r"\([^()]*\)"), re.compile(r"\\/")


def _read(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    yield from scan.take(OPEN)
    yield from scan.white()
    yield from _function(scan, voice)
    yield from scan.white()
    while (yield from scan.peek(len(FUNCTION))) == FUNCTION:
        yield from _function(scan, voice)
        yield from scan.white()
    yield from scan.take(CLOSE)


def _function(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    yield from scan.expect(FUNCTION)
    name = yield from _until_closed(scan)
    voice.begin(name)
    tool, parts = voice.known.get(name), Parts(voice)
    yield from scan.white()
    while (yield from scan.take(PARAMETER)):
        key = yield from _until_closed(scan)
        parts.key(key)
        yield from _value(scan, voice, _kinds(tool, key))
        yield from scan.expect(PARAMETER_END)
        yield from scan.white()
    yield from scan.expect(FUNCTION_END)
    parts.end()


def _until_closed(scan: Scanner) -> Steps[str]:
    name = yield from scan.while_in(lambda char: char not in ">\n", 128)
    yield from scan.expect(">")
    return name.strip()


def _kinds(tool: Tool | None, key: str) -> frozenset[str]:
    found = [p for p in parameters(tool) if p.name == key] if tool else []
    return allowed_types(found[0].schema, tool.parameters) if tool and found else ALL_TYPES


def _value(scan: Scanner, voice: CallEmitter, allowed: frozenset[str]) -> Steps[None]:
    """Text is told as it comes; for all else its end must be known."""
    yield from scan.take("\n")
    if allowed != STRING_ONLY:
        yield from _whole(scan, voice, allowed)
        return
    voice.arguments('"')
    while True:
        rest = scan.text[scan.at :]
        end = rest.find(PARAMETER_END)
        sure = end if end >= 0 else len(rest) - max(overlap(rest, PARAMETER_END), overlap(rest, f"\n{PARAMETER_END}"))
        scan.at += sure
        told = rest[:sure].removesuffix("\n") if end >= 0 else rest[:sure]
        voice.arguments(escaped(told) + ('"' if end >= 0 else ""))
        if end >= 0:
            return
        yield from scan.more()


def _whole(scan: Scanner, voice: CallEmitter, allowed: frozenset[str]) -> Steps[None]:
    while (end := scan.text.find(PARAMETER_END, scan.at)) < 0:
        yield from scan.more()
    text, scan.at = scan.text[scan.at : end].removesuffix("\n"), end
    voice.arguments(_meant(text, allowed))


def _meant(text: str, allowed: frozenset[str]) -> str:
    """As JSON: the value of a type that is allowed, if it can be read as one; else the text."""
    found = python_values.read(text.strip())
    try:
        fits = found is not None and type_of(json.loads(found)) in allowed
    except (ValueError, RecursionError):
        fits = False
    return found if found is not None and fits else f'"{escaped(text)}"'


def _body(tool: Tool, rules: GrammarBuilder) -> str:
    if tool.strict and (unknown := combining_keyword(tool)):
        raise UnusableSchema(tool.name, f"this model writes arguments one by one; {unknown} has no place there")
    given = [_parameter(tool, parameter, rules) for parameter in parameters(tool)] if has_known_parameters(tool) else [_any(tool, rules)]
    begin, end = f"\n{FUNCTION}{tool.name}>\n", f"{FUNCTION_END}\n{CLOSE}"
    return f"{rules.text(begin)} {' '.join(given)} {rules.text(end)}"


def _any(tool: Tool, rules: GrammarBuilder) -> str:
    """Parameters of which nothing is known."""
    name = rules.terminal(r"/[A-Za-z_][A-Za-z0-9_-]{0,63}/")
    return rules.rule(f"({literal(PARAMETER)} {name} {literal('>' + chr(10))} {_text(tool, {}, rules)})*")


def _parameter(tool: Tool, parameter: Parameter, rules: GrammarBuilder) -> str:
    if not parameter.name or set(parameter.name) & set("<>\n"):
        if not (tool.strict or parameter.required):
            return ""
        raise UnusableSchema(tool.name, f"this model cannot write the parameter {parameter.name!r}")
    begin = literal(f"{PARAMETER}{parameter.name}>\n")
    rule = f"{begin} {_written(tool, parameter.schema, rules)}"
    return rules.rule(rule) + ("" if parameter.required else "?")


def _written(tool: Tool, schema: Schema, rules: GrammarBuilder) -> str:
    """The value, and how it ends."""
    found, allowed = resolve(schema, tool.parameters), allowed_types(schema, tool.parameters)
    values: Any = [found["const"]] if "const" in found else found.get("enum")
    if allowed == STRING_ONLY and isinstance(values, list) and len(named := string_items(values)) == len(cast("list[Any]", values)):
        return _one_of(tool, named)
    if allowed == STRING_ONLY:
        return _text(tool, found, rules)
    if allowed == NULLABLE_STRING and _plain(found):
        return _text(tool, {}, rules)
    return f"{rules.rule(schema_rule(tool, {**schema, **definitions(tool.parameters)}))} {literal(END)}"


def _one_of(tool: Tool, values: list[str]) -> str:
    possible = [value for value in values if PARAMETER_END not in value]
    if not possible or (tool.strict and possible != values):
        raise UnusableSchema(tool.name, f"this model cannot write a text with {PARAMETER_END}")
    return "(" + " | ".join(literal(value + END) for value in possible) + ")"


def _plain(schema: Schema) -> bool:
    """Any text, or null."""
    told = {"anyOf", "oneOf", "type", "title", "description", "default", "examples", "format"}
    parts: Any = schema.get("anyOf") or schema.get("oneOf") or []
    return schema.keys() <= told and isinstance(parts, list) and all(_plain(as_dict(part)) for part in cast("list[Any]", parts))


def _text(tool: Tool, schema: Schema, rules: GrammarBuilder) -> str:
    """As it is, as long as the schema says and as it says it looks like."""
    return rules.rule(rules.terminal(f"{rules.terminal(_looks(tool, schema))} {literal(END)}"), "[lazy]")


def _looks(tool: Tool, schema: Schema) -> str:
    """Of a tool that is not strict perhaps nothing but how long it is."""
    try:
        return _exactly(tool, schema)
    except UnusableSchema:
        if tool.strict:
            raise
        return _exactly(tool, {name: schema[name] for name in ("minLength", "maxLength") if name in schema})


def _exactly(tool: Tool, schema: Schema) -> str:
    if unknown := sorted({"anyOf", "oneOf", "allOf", "not"} & schema.keys()):
        raise UnusableSchema(tool.name, f"this model writes texts as they are; {unknown[0]} has no place there")
    least, most = schema.get("minLength", 0), schema.get("maxLength", "")
    length = f".{{{least},{most}}}" if least or most != "" else ".*"
    body = rf"/(?s:{length})/ & ~/(?s:.*<\/parameter>.*)/"
    if isinstance(pattern := schema.get("pattern"), str):
        body += f" & /{_whole_pattern(tool, pattern)}/"
    check_rule(tool, f"T\nT: {body}")
    return body


def _whole_pattern(tool: Tool, pattern: str) -> str:
    """For all of a text: a pattern of a schema may stand anywhere in it."""
    begins, ends = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    inner = pattern[begins : len(pattern) - ends]
    bare = GROUPS.sub("", CLASSES.sub("", inner))
    if "^" in bare or "$" in bare or ("|" in bare and (begins or ends)):
        raise UnusableSchema(tool.name, f"the pattern {pattern!r} cannot be enforced: ^ and $ may only enclose all of it")
    head, tail = "" if begins else "(?s:.*)", "" if ends else "(?s:.*)"
    return f"{head}({SLASH.sub('/', inner)}){tail}".replace("/", "\\/")


CODER = ToolCallFormat(
    name="qwen3-coder",
    markers=(OPEN, CLOSE),
    syntax=Syntax(read=_read, openers=(OPEN, FUNCTION)),
    layout=CallLayout(trigger=OPEN, separator=f"\n{OPEN}"),
    call_rule=_body,
    closing_strings=(END, *JSON_ENDS),
)
