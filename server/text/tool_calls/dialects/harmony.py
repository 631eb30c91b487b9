"""Channels, each message with a header: gpt-oss. What is said in "analysis" are thoughts, what is sent "to=functions.NAME" is a
call, all else is answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.core.messages import Tool
from server.text.detokenize import overlap
from server.text.reasoning import ReasoningSplit
from server.text.tool_calls.api import CallConstraint, CallParser
from server.text.tool_calls.dialects.base import JSON_ENDS
from server.text.tool_calls.grammar.lark import GrammarBuilder, TokenLookup, allowed_tools, arguments_rule
from server.text.tool_calls.parsing.json_values import value
from server.text.tool_calls.parsing.scanner import NotACall, Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import CallEmitter, Syntax, TurnParser

START, CHANNEL, MESSAGE, CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
END, CALL, RETURN = "<|end|>", "<|call|>", "<|return|>"
MARKERS = (START, CHANNEL, MESSAGE, CONSTRAIN, END)
RECIPIENT = "to=functions."
LONGEST = 256  # characters of a header


class ChannelParser:
    """Tells thoughts from all else; implements Thoughts. A call goes on to the dialect's reader with its header."""

    def __init__(self) -> None:
        self._scan = Scanner()
        self._said = ReasoningSplit()
        self._steps = self._turn()
        self.in_reasoning = False

    def push(self, text: str) -> ReasoningSplit:
        self._scan.push(text, self._scan.at)
        return self._on()

    def flush(self) -> ReasoningSplit:
        self._scan.ended = True
        return self._on()

    def _on(self) -> ReasoningSplit:
        self._said = said = ReasoningSplit()
        next(self._steps, None)
        return said

    def _turn(self) -> Steps[None]:
        while (yield from self._scan.peek()):
            header = yield from self._header()
            channel, called = header.partition(CHANNEL)[2].strip(), RECIPIENT in header
            self.in_reasoning = channel.startswith("analysis") and not called
            if called:
                self._said.answer += f"{CHANNEL}{header.replace(CHANNEL, ' ')}{MESSAGE}"
            yield from self._body()
            if called:
                self._said.answer += CALL
            self.in_reasoning = False

    def _header(self) -> Steps[str]:
        """Of the next message; "" where there is none, and text begins at once."""
        yield from self._scan.take(START)
        yield from self._scan.take("assistant")
        rest = yield from self._scan.peek(len(RECIPIENT) + 1)
        if not (rest.startswith(CHANNEL[: len(rest)]) or rest.lstrip().startswith(RECIPIENT[: len(rest.lstrip())])):
            return ""
        header = ""
        while not (yield from self._scan.take(MESSAGE)):
            if not (char := (yield from self._scan.peek())) or len(header) > LONGEST:
                return ""  # nothing but a header: it says nothing
            header += char
            self._scan.at += 1
        return header

    def _body(self) -> Steps[None]:
        """Up to where the message ends."""
        scan, ends = self._scan, (END, CALL, RETURN)
        while True:
            rest = scan.text[scan.at :]
            found = min(((at, end) for end in ends if (at := rest.find(end)) >= 0), default=None)
            sure = found[0] if found else len(rest) - (0 if scan.ended else max(overlap(rest, end) for end in ends))
            self._say(rest[:sure])
            scan.at += sure + (len(found[1]) if found else 0)
            if found or scan.ended:
                return
            yield

    def _say(self, text: str) -> None:
        if self.in_reasoning:
            self._said.reasoning += text
        else:
            self._said.answer += text


def _read(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    yield from scan.expect(CHANNEL)
    header = yield from scan.while_in(lambda char: char != "<", LONGEST)
    if (yield from scan.take(CONSTRAIN)):
        yield from scan.while_in(str.isalnum, LONGEST)
    yield from scan.white()
    yield from scan.expect(MESSAGE)
    name = header.partition(RECIPIENT)[2].split(" ")[0]
    yield from scan.white()
    if (yield from scan.peek()) != "{":
        raise NotACall
    voice.begin(name)
    yield from value(scan, voice.arguments)
    voice.done()
    yield from scan.white()
    yield from scan.take(CALL)


@dataclass(frozen=True, slots=True)
class Harmony:
    """Implements Dialect."""

    name: str = "harmony"
    markers: tuple[str, ...] = ()  # its tokens are shown for the sake of its thoughts
    closing_strings: tuple[str, ...] = JSON_ENDS
    reasoning_field: str = "thinking"

    def grammar(self, constraint: CallConstraint, special_token_id: TokenLookup) -> str:
        """Thoughts; then the answer, or calls, before which it may say something."""
        rules = GrammarBuilder(MARKERS, special_token_id)
        tools = allowed_tools(constraint)
        call = rules.rule(" | ".join(_body(tool, rules) for tool in tools))
        again = f"({rules.text(f'{END}{START}assistant{CHANNEL}')} {call})*" if constraint.parallel else ""
        final = f"{rules.text(f'final{MESSAGE}')} {rules.terminal('/(?s:.*)/')}"
        next_ = rules.text(f"{START}assistant{CHANNEL}")
        analysis = f"({rules.text(f'analysis{MESSAGE}')} {rules.until(END)} {next_})*"
        ending = f"({call} {again} | {final})" if constraint.tool_choice == "auto" else f"{call} {again}"
        return rules.source(f"{rules.text(CHANNEL)} {analysis} {ending}")

    def parser(self, tools: Sequence[Tool]) -> CallParser:
        return TurnParser(Syntax(read=_read, openers=(CHANNEL,)), tools)


def _body(tool: Tool, rules: GrammarBuilder) -> str:
    header = f"commentary {RECIPIENT}{tool.name} {CONSTRAIN}json{MESSAGE}"
    return f"{rules.text(header)} {arguments_rule(tool, rules)}"


HARMONY = Harmony()
