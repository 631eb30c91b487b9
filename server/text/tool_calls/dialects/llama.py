"""Llama 3: {"name": ..., "parameters": {...}} and nothing else in the turn; several calls are separated by "; "."""

from server.core.messages import Tool
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.builder import GrammarBuilder
from server.text.tool_calls.grammar.lark import CallLayout, json_call_rule
from server.text.tool_calls.parsing import json_calls
from server.text.tool_calls.parsing.call_emitter import CallEmitter
from server.text.tool_calls.parsing.scanner import Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import Syntax

TAG = "<|python_tag|>"


def _read(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    """Without the tag only a call of one of the tools is a call: any other object may be an answer in JSON."""
    tagged = yield from scanner.take(TAG)
    yield from scanner.whitespace()
    yield from json_calls.calls(scanner, emitter, ";", known_only=not tagged)


def _call_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    return json_call_rule(tool, grammar, "parameters")


def _start_pattern(name: str) -> str:
    return rf'\{{\s*"name"\s*:\s*"{name}"'


LLAMA = ToolCallFormat(
    name="json",
    markers=(TAG,),
    syntax=Syntax(read=_read, openers=(TAG,), first=("{",)),
    layout=CallLayout(trigger="", separator="; "),
    call_rule=_call_rule,
    start_pattern=_start_pattern,
)
