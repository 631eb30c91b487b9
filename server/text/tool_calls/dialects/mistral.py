"""Mistral: [TOOL_CALLS][{"name": ..., "arguments": {...}}] or, since 2025, [TOOL_CALLS]name[ARGS]{...}."""

from dataclasses import replace

from server.core.messages import Tool
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.builder import GrammarBuilder
from server.text.tool_calls.grammar.lark import CallLayout, arguments_rule, json_call_rule
from server.text.tool_calls.parsing import json_calls
from server.text.tool_calls.parsing.call_emitter import MAX_NAME_LENGTH, CallEmitter
from server.text.tool_calls.parsing.scanner import Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import Syntax

CALLS, ARGS, ID = "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"
MAX_ID_LENGTH = 64


def _read(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    yield from scanner.expect(CALLS)
    yield from scanner.whitespace()
    if (yield from scanner.take("[")):
        yield from _list(scanner, emitter)
    else:
        yield from _named_call(scanner, emitter)


def _list(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    yield from scanner.whitespace()
    yield from json_calls.call(scanner, emitter)
    yield from scanner.whitespace()
    while (yield from scanner.take(",")):
        yield from scanner.whitespace()
        yield from json_calls.call(scanner, emitter)
        yield from scanner.whitespace()
    yield from scanner.take("]")


def _named_call(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    name = yield from scanner.take_while(lambda char: char not in "[{ \n", MAX_NAME_LENGTH)
    if (yield from scanner.take(ID)):
        yield from scanner.take_while(str.isalnum, MAX_ID_LENGTH)
    yield from scanner.take(ARGS)
    yield from scanner.whitespace()
    yield from json_calls.named_call(scanner, emitter, name)


def _object_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    return json_call_rule(tool, grammar, "arguments")


def _named_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    return f"{grammar.text(tool.name + ARGS)} {arguments_rule(tool, grammar)}"


MISTRAL = ToolCallFormat(
    name="mistral",
    markers=(CALLS,),
    syntax=Syntax(read=_read, openers=(CALLS,)),
    layout=CallLayout(trigger=CALLS, open="[", separator=", ", close="]"),
    call_rule=_object_rule,
)
MISTRAL_SPACED = replace(MISTRAL, layout=replace(MISTRAL.layout, open=" ["))
MISTRAL_ARGS = replace(
    MISTRAL,
    name="mistral-args",
    markers=(CALLS, ARGS, ID),
    layout=CallLayout(trigger=CALLS, separator=CALLS),
    call_rule=_named_rule,
)
