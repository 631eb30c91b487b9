"""DeepSeek V3 and R1: <｜tool▁calls▁begin｜> and calls whose arguments are in a Markdown code block; V3.1: the same without the block."""

from dataclasses import replace

from server.core.messages import Tool
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.builder import GrammarBuilder
from server.text.tool_calls.grammar.lark import CallLayout, arguments_rule
from server.text.tool_calls.parsing.call_emitter import MAX_NAME_LENGTH, CallEmitter
from server.text.tool_calls.parsing.json_calls import named_call
from server.text.tool_calls.parsing.scanner import Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import Syntax

BEGIN, END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL, SEP, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
BLOCK, BLOCK_END = "\n```json\n", "\n```"


def _read(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    yield from scanner.expect(BEGIN)
    yield from scanner.whitespace()
    yield from scanner.expect(CALL)
    yield from _call(scanner, emitter)
    yield from scanner.whitespace()
    while (yield from scanner.take(CALL)):
        yield from _call(scanner, emitter)
        yield from scanner.whitespace()
    yield from scanner.take(END)


def _call(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    """One call after its opening token: NAME SEP {...}, or "function" SEP NAME and a code block."""
    name = yield from scanner.take_while(lambda char: char not in "<{\n", MAX_NAME_LENGTH)
    yield from scanner.expect(SEP)
    yield from scanner.whitespace()
    if name.strip() == "function" and (yield from scanner.peek()) != "{":
        name = yield from scanner.take_while(lambda char: char not in "\n{`", MAX_NAME_LENGTH)
    yield from scanner.whitespace()
    in_block = yield from scanner.take("```json")
    yield from scanner.whitespace()
    yield from named_call(scanner, emitter, name.strip())
    yield from scanner.whitespace()
    if in_block and (yield from scanner.take("```")):
        yield from scanner.whitespace()
    yield from scanner.take(CALL_END)


def _block_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    begin, end = f"{CALL}function{SEP}{tool.name}{BLOCK}", f"{BLOCK_END}{CALL_END}"
    return f"{grammar.text(begin)} {arguments_rule(tool, grammar)} {grammar.text(end)}"


def _plain_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    return f"{grammar.text(CALL + tool.name + SEP)} {arguments_rule(tool, grammar)} {grammar.text(CALL_END)}"


DEEPSEEK = ToolCallFormat(
    name="deepseek",
    markers=(BEGIN, END, CALL, SEP, CALL_END),
    syntax=Syntax(read=_read, openers=(BEGIN,)),
    layout=CallLayout(trigger=BEGIN, separator="\n", close=END),
    call_rule=_block_rule,
)
DEEPSEEK_V31 = replace(DEEPSEEK, name="deepseek-3.1", layout=CallLayout(trigger=BEGIN, separator="", close=END), call_rule=_plain_rule)
