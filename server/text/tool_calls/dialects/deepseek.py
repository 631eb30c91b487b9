"""<｜tool▁calls▁begin｜> and what follows: DeepSeek V3 (and R1), whose arguments stand in a block of Markdown, and V3.1."""

from dataclasses import replace

from server.core.messages import Tool
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.lark import CallLayout, GrammarBuilder, arguments_rule
from server.text.tool_calls.parsing.json_values import value
from server.text.tool_calls.parsing.scanner import NotACall, Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import CallEmitter, Syntax

BEGIN, END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL, SEP, DONE = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
BLOCK, BLOCKED = "\n```json\n", "\n```"


def _read(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    yield from scan.expect(BEGIN)
    yield from scan.white()
    yield from _call(scan, voice)
    yield from scan.white()
    while (yield from scan.take(CALL)):
        yield from _named(scan, voice)
        yield from scan.white()
    yield from scan.take(END)


def _call(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    yield from scan.expect(CALL)
    yield from _named(scan, voice)


def _named(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    name = yield from scan.while_in(lambda char: char not in "<{\n", 128)
    yield from scan.expect(SEP)
    yield from scan.white()
    if name.strip() == "function" and (yield from scan.peek()) != "{":
        name = yield from scan.while_in(lambda char: char not in "\n{`", 128)
    yield from scan.white()
    blocked = yield from scan.take("```json")
    yield from scan.white()
    if (yield from scan.peek()) != "{":
        raise NotACall
    voice.begin(name.strip())
    yield from value(scan, voice.arguments)
    voice.done()
    yield from scan.white()
    if blocked and (yield from scan.take("```")):
        yield from scan.white()
    yield from scan.take(DONE)


def _blocked(tool: Tool, rules: GrammarBuilder) -> str:
    begin, end = f"{CALL}function{SEP}{tool.name}{BLOCK}", f"{BLOCKED}{DONE}"
    return f"{rules.text(begin)} {arguments_rule(tool, rules)} {rules.text(end)}"


def _bare(tool: Tool, rules: GrammarBuilder) -> str:
    return f"{rules.text(CALL + tool.name + SEP)} {arguments_rule(tool, rules)} {rules.text(DONE)}"


DEEPSEEK = ToolCallFormat(
    name="deepseek",
    markers=(BEGIN, END, CALL, SEP, DONE),
    syntax=Syntax(read=_read, openers=(BEGIN,)),
    layout=CallLayout(trigger=BEGIN, separator="\n", close=END),
    call_rule=_blocked,
)
BARE = replace(DEEPSEEK, name="deepseek-3.1", layout=CallLayout(trigger=BEGIN, separator="", close=END), call_rule=_bare)
