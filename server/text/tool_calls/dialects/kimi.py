"""Kimi K2: a section of calls, each with an id that has the name: functions.NAME:INDEX."""

from server.core.messages import Tool
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.builder import GrammarBuilder
from server.text.tool_calls.grammar.lark import CallLayout, arguments_rule
from server.text.tool_calls.parsing.call_emitter import MAX_NAME_LENGTH, CallEmitter
from server.text.tool_calls.parsing.json_calls import named_call
from server.text.tool_calls.parsing.scanner import Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import Syntax

BEGIN, END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL, ARGUMENTS, CALL_END = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
FUNCTIONS = "functions."


def _read(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    yield from scanner.expect(BEGIN)
    yield from scanner.whitespace()
    yield from scanner.expect(CALL)
    yield from _call(scanner, emitter)
    while (yield from scanner.take(CALL)):
        yield from _call(scanner, emitter)
    yield from scanner.take(END)


def _call(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    """One call after its opening token, and the white space behind it."""
    id = yield from scanner.take_while(lambda char: char not in "<{\n", MAX_NAME_LENGTH + len(FUNCTIONS))
    yield from scanner.expect(ARGUMENTS)
    yield from scanner.whitespace()
    yield from named_call(scanner, emitter, id.strip().removeprefix(FUNCTIONS).split(":")[0])
    yield from scanner.whitespace()
    yield from scanner.take(CALL_END)
    yield from scanner.whitespace()


def _call_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    index = grammar.terminal("/[0-9]{1,3}/")
    begin = f"{grammar.text(f'{CALL}{FUNCTIONS}{tool.name}:')} {index}"
    return f"{begin} {grammar.text(ARGUMENTS)} {arguments_rule(tool, grammar)} {grammar.text(CALL_END)}"


KIMI = ToolCallFormat(
    name="kimi",
    markers=(BEGIN, END, CALL, ARGUMENTS, CALL_END),
    syntax=Syntax(read=_read, openers=(BEGIN,)),
    layout=CallLayout(trigger=BEGIN, separator="", close=END),
    call_rule=_call_rule,
)
