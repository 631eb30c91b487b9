"""Qwen 3 Coder: <tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>, each part on its own line. Strings
are written as they are, all other values as JSON."""

import json
import re
from typing import Any, cast

from server.core.messages import Tool
from server.text.detokenize import overlap
from server.text.tool_calls.api import UnusableSchema
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.builder import GrammarBuilder, literal
from server.text.tool_calls.grammar.lark import CallLayout, check_rule, check_separate_arguments, schema_rule
from server.text.tool_calls.grammar.schema import (
    ALL_TYPES,
    NULLABLE_STRING,
    STRING_ONLY,
    Parameter,
    Schema,
    allowed_types,
    as_dict,
    definitions,
    has_known_parameters,
    parameters,
    resolve,
    string_items,
    type_of,
)
from server.text.tool_calls.parsing import python_values
from server.text.tool_calls.parsing.call_emitter import MAX_NAME_LENGTH, CallEmitter
from server.text.tool_calls.parsing.keyword_arguments import KeywordArguments, escape_json
from server.text.tool_calls.parsing.scanner import Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import Syntax

OPEN, CLOSE = "<tool_call>", "</tool_call>"
FUNCTION, FUNCTION_END = "<function=", "</function>"
PARAMETER, PARAMETER_END = "<parameter=", "</parameter>"
VALUE_END = f"\n{PARAMETER_END}\n"
ESCAPES_AND_CLASSES, GROUPS, SLASH = re.compile(r"\\.|\[[^\]]*\]"), re.compile(r"\([^()]*\)"), re.compile(r"\\/")  # of a regular expression


def _read(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    yield from scanner.take(OPEN)
    yield from scanner.whitespace()
    yield from _function(scanner, emitter)
    yield from scanner.whitespace()
    while (yield from scanner.peek(len(FUNCTION))) == FUNCTION:
        yield from _function(scanner, emitter)
        yield from scanner.whitespace()
    yield from scanner.take(CLOSE)


def _function(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    yield from scanner.expect(FUNCTION)
    name = yield from _tag_name(scanner)
    emitter.begin(name)
    tool, arguments = emitter.tools.get(name), KeywordArguments(emitter)
    yield from scanner.whitespace()
    while (yield from scanner.take(PARAMETER)):
        key = yield from _tag_name(scanner)
        arguments.key(key)
        yield from _value(scanner, emitter, _parameter_types(tool, key))
        yield from scanner.expect(PARAMETER_END)
        yield from scanner.whitespace()
    yield from scanner.expect(FUNCTION_END)
    arguments.end()


def _tag_name(scanner: Scanner) -> Steps[str]:
    name = yield from scanner.take_while(lambda char: char not in ">\n", MAX_NAME_LENGTH)
    yield from scanner.expect(">")
    return name.strip()


def _parameter_types(tool: Tool | None, key: str) -> frozenset[str]:
    found = [p for p in parameters(tool) if p.name == key] if tool else []
    return allowed_types(found[0].schema, tool.parameters) if tool and found else ALL_TYPES


def _value(scanner: Scanner, emitter: CallEmitter, allowed: frozenset[str]) -> Steps[None]:
    """A string is emitted while it arrives; any other value once it is complete."""
    yield from scanner.take("\n")
    if allowed != STRING_ONLY:
        yield from _whole_value(scanner, emitter, allowed)
        return
    emitter.arguments('"')
    while True:
        rest = scanner.text[scanner.pos :]
        end = rest.find(PARAMETER_END)
        certain = end if end >= 0 else len(rest) - max(overlap(rest, PARAMETER_END), overlap(rest, f"\n{PARAMETER_END}"))
        scanner.pos += certain
        text = rest[:certain].removesuffix("\n") if end >= 0 else rest[:certain]
        emitter.arguments(escape_json(text) + ('"' if end >= 0 else ""))
        if end >= 0:
            return
        yield from scanner.wait_for_more()


def _whole_value(scanner: Scanner, emitter: CallEmitter, allowed: frozenset[str]) -> Steps[None]:
    while (end := scanner.text.find(PARAMETER_END, scanner.pos)) < 0:
        yield from scanner.wait_for_more()
    text, scanner.pos = scanner.text[scanner.pos : end].removesuffix("\n"), end
    emitter.arguments(_to_json(text, allowed))


def _to_json(text: str, allowed: frozenset[str]) -> str:
    """`text` read as a literal, if that has one of the `allowed` types; else `text` as a JSON string."""
    value = python_values.parse_literal(text.strip())
    try:
        fits = value is not None and type_of(json.loads(value)) in allowed
    except (ValueError, RecursionError):
        fits = False
    return value if value is not None and fits else f'"{escape_json(text)}"'


def _call_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    check_separate_arguments(tool)
    known = has_known_parameters(tool)
    rules = [_parameter_rule(tool, parameter, grammar) for parameter in parameters(tool)] if known else [_any_parameters(tool, grammar)]
    begin, end = f"\n{FUNCTION}{tool.name}>\n", f"{FUNCTION_END}\n{CLOSE}"
    return f"{grammar.text(begin)} {' '.join(rules)} {grammar.text(end)}"


def _any_parameters(tool: Tool, grammar: GrammarBuilder) -> str:
    """For a tool whose parameters are not known."""
    name = grammar.terminal(r"/[A-Za-z_][A-Za-z0-9_-]{0,63}/")
    return grammar.rule(f"({literal(PARAMETER)} {name} {literal('>' + chr(10))} {_string_rule(tool, {}, grammar)})*")


def _parameter_rule(tool: Tool, parameter: Parameter, grammar: GrammarBuilder) -> str:
    if not parameter.name or set(parameter.name) & set("<>\n"):
        if not (tool.strict or parameter.required):
            return ""
        raise UnusableSchema(tool.name, f"this model cannot write the parameter {parameter.name!r}")
    begin = literal(f"{PARAMETER}{parameter.name}>\n")
    rule = f"{begin} {_value_rule(tool, parameter.schema, grammar)}"
    return grammar.rule(rule) + ("" if parameter.required else "?")


def _value_rule(tool: Tool, schema: Schema, grammar: GrammarBuilder) -> str:
    """The value and the closing tag."""
    resolved, allowed = resolve(schema, tool.parameters), allowed_types(schema, tool.parameters)
    values: Any = [resolved["const"]] if "const" in resolved else resolved.get("enum")
    if allowed == STRING_ONLY and isinstance(values, list) and len(strings := string_items(values)) == len(cast("list[Any]", values)):
        return _enum_rule(tool, strings)
    if allowed == STRING_ONLY:
        return _string_rule(tool, resolved, grammar)
    if allowed == NULLABLE_STRING and _is_unconstrained(resolved):
        return _string_rule(tool, {}, grammar)
    return f"{grammar.rule(schema_rule(tool, {**schema, **definitions(tool.parameters)}))} {literal(VALUE_END)}"


def _enum_rule(tool: Tool, values: list[str]) -> str:
    writable = [value for value in values if PARAMETER_END not in value]
    if not writable or (tool.strict and writable != values):
        raise UnusableSchema(tool.name, f"this model cannot write a text with {PARAMETER_END}")
    return "(" + " | ".join(literal(value + VALUE_END) for value in writable) + ")"


def _is_unconstrained(schema: Schema) -> bool:
    """Whether it says no more than that the value is a string or null."""
    known = {"anyOf", "oneOf", "type", "title", "description", "default", "examples", "format"}
    parts: Any = schema.get("anyOf") or schema.get("oneOf") or []
    return schema.keys() <= known and isinstance(parts, list) and all(_is_unconstrained(as_dict(part)) for part in cast("list[Any]", parts))


def _string_rule(tool: Tool, schema: Schema, grammar: GrammarBuilder) -> str:
    """An unquoted string within the schema's length and pattern, and the closing tag."""
    return grammar.rule(grammar.terminal(f"{grammar.terminal(_string_terminal(tool, schema))} {literal(VALUE_END)}"), "[lazy]")


def _string_terminal(tool: Tool, schema: Schema) -> str:
    """For a tool that is not strict only the length, if the rest cannot be enforced, and nothing if no length fits."""
    lengths = {name: schema[name] for name in ("minLength", "maxLength") if name in schema}
    for kept in (schema, lengths):
        try:
            return _exact_string_terminal(tool, kept)
        except UnusableSchema:
            if tool.strict:
                raise
    return _exact_string_terminal(tool, {})


def _exact_string_terminal(tool: Tool, schema: Schema) -> str:
    if unknown := sorted({"anyOf", "oneOf", "allOf", "not"} & schema.keys()):
        raise UnusableSchema(tool.name, f"this model writes texts as they are; {unknown[0]} has no place there")
    min_length, max_length = schema.get("minLength", 0), schema.get("maxLength", "")
    length = f".{{{min_length},{max_length}}}" if min_length or max_length != "" else ".*"
    body = rf"/(?s:{length})/ & ~/(?s:.*<\/parameter>.*)/"
    if isinstance(pattern := schema.get("pattern"), str):
        body += f" & /{_anchored_pattern(tool, pattern)}/"
    check_rule(tool, f"T\nT: {body}")
    return body


def _anchored_pattern(tool: Tool, pattern: str) -> str:
    """A pattern for the whole string: JSON Schema's may match anywhere in it, Lark's must match all of it."""
    begins, ends = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    inner = pattern[begins : len(pattern) - ends]
    bare = GROUPS.sub("", ESCAPES_AND_CLASSES.sub("", inner))
    if "^" in bare or "$" in bare or ("|" in bare and (begins or ends)):
        raise UnusableSchema(tool.name, f"the pattern {pattern!r} cannot be enforced: ^ and $ may only enclose all of it")
    head, tail = "" if begins else "(?s:.*)", "" if ends else "(?s:.*)"
    return f"{head}({SLASH.sub('/', inner)}){tail}".replace("/", "\\/")


QWEN3_CODER = ToolCallFormat(
    name="qwen3-coder",
    markers=(OPEN, CLOSE),
    syntax=Syntax(read=_read, openers=(OPEN, FUNCTION)),
    layout=CallLayout(trigger=OPEN, separator=f"\n{OPEN}"),
    call_rule=_call_rule,
    closing_strings=(VALUE_END,),
)
