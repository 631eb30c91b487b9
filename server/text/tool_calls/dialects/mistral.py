"""[TOOL_CALLS][{"name": ..., "arguments": {...}}] and, since 2025, [TOOL_CALLS]name[ARGS]{...}: Mistral."""

import json
from dataclasses import replace

from server.core.messages import Tool
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.lark import CallLayout, GrammarBuilder, arguments_rule
from server.text.tool_calls.parsing import json_calls
from server.text.tool_calls.parsing.json_values import value
from server.text.tool_calls.parsing.scanner import NotACall, Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import CallEmitter, Syntax

CALLS, ARGS, ID = "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"


def _read(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    yield from scan.expect(CALLS)
    yield from scan.white()
    if (yield from scan.take("[")):
        yield from _list(scan, voice)
    else:
        yield from _named(scan, voice)


def _list(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    yield from scan.white()
    yield from json_calls.call(scan, voice)
    yield from scan.white()
    while (yield from scan.take(",")):
        yield from scan.white()
        yield from json_calls.call(scan, voice)
        yield from scan.white()
    yield from scan.take("]")


def _named(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    name = yield from scan.while_in(lambda char: char not in "[{ \n", 128)
    if (yield from scan.take(ID)):
        yield from scan.while_in(str.isalnum, 64)
    yield from scan.take(ARGS)
    yield from scan.white()
    if (yield from scan.peek()) != "{":
        raise NotACall
    voice.begin(name)
    yield from value(scan, voice.arguments)
    voice.done()


def _listed(tool: Tool, rules: GrammarBuilder) -> str:
    begin = f'{{"name": {json.dumps(tool.name)}, "arguments": '
    return f"{rules.text(begin)} {arguments_rule(tool, rules)} {rules.text('}')}"


def _argued(tool: Tool, rules: GrammarBuilder) -> str:
    return f"{rules.text(tool.name + ARGS)} {arguments_rule(tool, rules)}"


MISTRAL = ToolCallFormat(
    name="mistral",
    markers=(CALLS,),
    syntax=Syntax(read=_read, openers=(CALLS,)),
    layout=CallLayout(trigger=CALLS, open="[", separator=", ", close="]"),
    call_rule=_listed,
)
SPACED = replace(MISTRAL, layout=replace(MISTRAL.layout, open=" ["))
ARGUED = replace(
    MISTRAL, name="mistral-args", markers=(CALLS, ARGS, ID), layout=CallLayout(trigger=CALLS, separator=CALLS), call_rule=_argued
)
