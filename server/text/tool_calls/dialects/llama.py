"""{"name": ..., "parameters": {...}} and nothing else in the turn: Llama 3. Several calls stand behind each other, with "; "."""

import json

from server.core.messages import Tool
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.lark import CallLayout, GrammarBuilder, arguments_rule
from server.text.tool_calls.parsing import json_calls
from server.text.tool_calls.parsing.scanner import Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import CallEmitter, Syntax

TAG = "<|python_tag|>"


def _read(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    """Without the tag only what is spelled like a call of one of the tools is one: anything may be a JSON answer."""
    known = not (yield from scan.take(TAG))
    yield from scan.white()
    yield from json_calls.call(scan, voice, known=known)
    while (yield from _goes_on(scan)):
        yield from json_calls.call(scan, voice, known=known)


def _goes_on(scan: Scanner) -> Steps[bool]:
    yield from scan.white()
    if (yield from scan.take(";")):
        yield from scan.white()
    return (yield from scan.peek()) == "{"


def _body(tool: Tool, rules: GrammarBuilder) -> str:
    begin = f'{{"name": {json.dumps(tool.name)}, "parameters": '
    return f"{rules.text(begin)} {arguments_rule(tool, rules)} {rules.text('}')}"


def _first(name: str) -> str:
    return rf'\{{\s*"name"\s*:\s*"{name}"'


LLAMA = ToolCallFormat(
    name="json",
    markers=(TAG,),
    syntax=Syntax(read=_read, openers=(TAG,), first=("{",)),
    layout=CallLayout(trigger="", separator="; "),
    call_rule=_body,
    start_pattern=_first,
)
