"""gpt-oss (Harmony): a message "to=functions.NAME" is a call. Its thoughts: server/text/reasoning/harmony.py."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.core.messages import Tool
from server.text.reasoning.harmony import (
    CALL,
    CHANNEL,
    CONSTRAIN,
    END,
    HARMONY_CHANNELS,
    MARKERS,
    MAX_HEADER_LENGTH,
    MESSAGE,
    RECIPIENT,
    START,
)
from server.text.tool_calls.api import CallConstraint, CallParser
from server.text.tool_calls.grammar.builder import GrammarBuilder, TokenLookup
from server.text.tool_calls.grammar.lark import allowed_tools, arguments_rule
from server.text.tool_calls.parsing.call_emitter import CallEmitter
from server.text.tool_calls.parsing.json_calls import named_call
from server.text.tool_calls.parsing.scanner import Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import Syntax, TurnParser


def _read(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    yield from scanner.expect(CHANNEL)
    header = yield from scanner.take_while(lambda char: char != "<", MAX_HEADER_LENGTH)
    if (yield from scanner.take(CONSTRAIN)):
        yield from scanner.take_while(str.isalnum, MAX_HEADER_LENGTH)
    yield from scanner.whitespace()
    yield from scanner.expect(MESSAGE)
    name = header.partition(RECIPIENT)[2].split(" ")[0]
    yield from scanner.whitespace()
    yield from named_call(scanner, emitter, name)
    yield from scanner.whitespace()
    yield from scanner.take(CALL)


@dataclass(frozen=True, slots=True)
class Harmony:
    """Implements Dialect."""

    name: str = "harmony"
    markers: tuple[str, ...] = ()  # ChannelParser consumes MARKERS before the calls are parsed
    call_marks: tuple[str, ...] = ()
    closing_strings: tuple[str, ...] = ()

    def grammar(self, constraint: CallConstraint, special_token_id: TokenLookup) -> str:
        """Reasoning, then either the final answer or calls."""
        builder = GrammarBuilder(MARKERS, special_token_id)
        tools = allowed_tools(constraint)
        call = builder.rule(" | ".join(_call_rule(tool, builder) for tool in tools))
        more_calls = f"({builder.text(f'{END}{START}assistant{CHANNEL}')} {call})*" if constraint.parallel else ""
        rules = HARMONY_CHANNELS.rules("before", builder)
        final = f"{rules.opening} {builder.terminal('/(?s:.*)/')}"
        ending = f"({call} {more_calls} | {final})" if constraint.tool_choice == "auto" else f"{call} {more_calls}"
        return builder.source(f"{rules.thoughts} {ending}")

    def parser(self, tools: Sequence[Tool]) -> CallParser:
        return TurnParser(Syntax(read=_read, openers=(CHANNEL,)), tools)


def _call_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    header = f"commentary {RECIPIENT}{tool.name} {CONSTRAIN}json{MESSAGE}"
    return f"{grammar.text(header)} {arguments_rule(tool, grammar)}"


HARMONY = Harmony()
