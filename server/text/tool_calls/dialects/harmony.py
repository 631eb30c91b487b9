"""gpt-oss (Harmony): messages with headers that name a channel. "analysis" is reasoning, a message "to=functions.NAME" is a call,
everything else is answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.core.messages import Tool
from server.text.detokenize import overlap
from server.text.reasoning import ReasoningSplit
from server.text.tool_calls.api import CallConstraint, CallParser
from server.text.tool_calls.grammar.lark import GrammarBuilder, TokenLookup, allowed_tools, arguments_rule
from server.text.tool_calls.parsing.call_emitter import CallEmitter
from server.text.tool_calls.parsing.json_calls import named_call
from server.text.tool_calls.parsing.scanner import Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import Syntax, TurnParser

START, CHANNEL, MESSAGE, CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
END, CALL, RETURN = "<|end|>", "<|call|>", "<|return|>"
MARKERS = (START, CHANNEL, MESSAGE, CONSTRAIN, END)
RECIPIENT = "to=functions."
MAX_HEADER_LENGTH = 256  # characters


class ChannelParser:
    """Splits reasoning from the rest; implements ReasoningParser. Calls stay in the answer, with a normalized header, for the
    dialect's call parser."""

    def __init__(self) -> None:
        self._scanner = Scanner()
        self._split = ReasoningSplit()
        self._steps = self._turn()
        self.in_reasoning = False

    def push(self, text: str) -> ReasoningSplit:
        self._scanner.push(text, self._scanner.pos)
        return self._advance()

    def flush(self) -> ReasoningSplit:
        self._scanner.ended = True
        return self._advance()

    def _advance(self) -> ReasoningSplit:
        self._split = split = ReasoningSplit()
        next(self._steps, None)
        return split

    def _turn(self) -> Steps[None]:
        while (yield from self._scanner.peek()):
            header = yield from self._header()
            channel, is_call = header.partition(CHANNEL)[2].strip(), RECIPIENT in header
            self.in_reasoning = channel.startswith("analysis") and not is_call
            if is_call:
                self._split.answer += f"{CHANNEL}{header.replace(CHANNEL, ' ')}{MESSAGE}"
            yield from self._body()
            if is_call:
                self._split.answer += CALL
            self.in_reasoning = False

    def _header(self) -> Steps[str]:
        """The header of the next message; "" if there is none and text begins at once."""
        yield from self._scanner.take(START)
        yield from self._scanner.take("assistant")
        rest = yield from self._scanner.peek(len(RECIPIENT) + 1)
        if not (rest.startswith(CHANNEL[: len(rest)]) or rest.lstrip().startswith(RECIPIENT[: len(rest.lstrip())])):
            return ""
        header = ""
        while not (yield from self._scanner.take(MESSAGE)):
            if not (char := (yield from self._scanner.peek())) or len(header) > MAX_HEADER_LENGTH:
                return ""  # an incomplete or overlong header is dropped
            header += char
            self._scanner.pos += 1
        return header

    def _body(self) -> Steps[None]:
        """Emits the text of a message up to its end token."""
        scanner, ends = self._scanner, (END, CALL, RETURN)
        while True:
            rest = scanner.text[scanner.pos :]
            found = min(((at, end) for end in ends if (at := rest.find(end)) >= 0), default=None)
            certain = found[0] if found else len(rest) - (0 if scanner.ended else max(overlap(rest, end) for end in ends))
            self._emit(rest[:certain])
            scanner.pos += certain + (len(found[1]) if found else 0)
            if found or scanner.ended:
                return
            yield

    def _emit(self, text: str) -> None:
        if self.in_reasoning:
            self._split.reasoning += text
        else:
            self._split.answer += text


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
    closing_strings: tuple[str, ...] = ()
    reasoning_field: str = "thinking"

    def grammar(self, constraint: CallConstraint, special_token_id: TokenLookup) -> str:
        """Reasoning, then either the final answer or calls."""
        builder = GrammarBuilder(MARKERS, special_token_id)
        tools = allowed_tools(constraint)
        call = builder.rule(" | ".join(_call_rule(tool, builder) for tool in tools))
        more_calls = f"({builder.text(f'{END}{START}assistant{CHANNEL}')} {call})*" if constraint.parallel else ""
        final = f"{builder.text(f'final{MESSAGE}')} {builder.terminal('/(?s:.*)/')}"
        next_message = builder.text(f"{START}assistant{CHANNEL}")
        analysis = f"({builder.text(f'analysis{MESSAGE}')} {builder.until(END)} {next_message})*"
        ending = f"({call} {more_calls} | {final})" if constraint.tool_choice == "auto" else f"{call} {more_calls}"
        return builder.source(f"{builder.text(CHANNEL)} {analysis} {ending}")

    def parser(self, tools: Sequence[Tool]) -> CallParser:
        return TurnParser(Syntax(read=_read, openers=(CHANNEL,)), tools)


def _call_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    header = f"commentary {RECIPIENT}{tool.name} {CONSTRAIN}json{MESSAGE}"
    return f"{grammar.text(header)} {arguments_rule(tool, grammar)}"


HARMONY = Harmony()
