"""Splits a model's turn into answer and tool calls, for all dialects; they differ in their `Syntax`.

White space before a call is dropped. So is a call that the end of the text cuts off before its name, and, in a turn that was truncated
at its token limit, the beginning of an opener. What turns out not to be a call is part of the answer, character for character."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.core.messages import Tool
from server.text.detokenize import overlap
from server.text.tool_calls.api import ParsedOutput
from server.text.tool_calls.parsing.call_emitter import CallEmitter
from server.text.tool_calls.parsing.scanner import NotACall, Scanner, Steps


@dataclass(frozen=True, slots=True)
class Syntax:
    """`read` is called with the scanner at an opener. It emits the calls there, or raises NotACall; what it has emitted by then stays."""

    read: Callable[[Scanner, CallEmitter], Steps[None]]
    openers: tuple[str, ...] = ()  # open a call anywhere
    first: tuple[str, ...] = ()  # characters that open a call only at the beginning of the turn


class TurnParser:
    """Implements CallParser."""

    def __init__(self, syntax: Syntax, tools: Sequence[Tool]) -> None:
        self._syntax, self._scanner = syntax, Scanner()
        self._emitter = CallEmitter(self._scanner, tools)
        self._truncated = False
        self._steps = self._turn()

    def push(self, text: str) -> ParsedOutput:
        self._scanner.push(text, self._emitter.committed)
        self._emitter.committed = 0
        return self._advance()

    def flush(self, *, truncated: bool = False) -> ParsedOutput:
        self._scanner.ended, self._truncated = True, truncated
        return self._advance()

    def _advance(self) -> ParsedOutput:
        self._emitter.parsed = parsed = ParsedOutput()
        next(self._steps, None)
        return parsed

    def _turn(self) -> Steps[None]:
        opener = yield from self._opener_at_start()
        while opener or (opener := (yield from self._answer())):
            yield from self._call(opener)
            opener = ""
        self._emitter.end_turn()

    def _opener_at_start(self) -> Steps[str]:
        """The character that opens a call at the beginning of the turn; "" if there is none."""
        yield from self._scanner.whitespace()
        self._emit_text(0)
        char = yield from self._scanner.peek()
        return char if char and char in self._syntax.first else ""

    def _answer(self) -> Steps[str]:
        """Emits the answer up to the next opener and returns the opener; "" at the end of the turn."""
        scanner, openers = self._scanner, self._syntax.openers
        while True:
            rest = scanner.text[scanner.pos :]
            found = min(((at, -len(o), o) for o in openers if (at := rest.find(o)) >= 0), default=None)
            if found:
                self._emit_text(found[0])
                return found[2]
            partial = max((overlap(rest, o) for o in openers), default=0)  # length of what may become an opener
            self._emit_text(len(rest) - (0 if scanner.ended and not self._truncated else partial))
            if scanner.ended:
                if self._truncated and partial:
                    self._emitter.discard_rest()
                return ""
            yield

    def _call(self, opener: str) -> Steps[None]:
        scanner, emitter = self._scanner, self._emitter
        calls_before, scanner.hit_end = emitter.call_count, False
        try:
            yield from self._syntax.read(scanner, emitter)
            emitter.committed = scanner.pos
        except NotACall:
            if emitter.in_call and scanner.hit_end:
                emitter.committed = len(scanner.text)  # cut off within the call: the unfinished rest is dropped
            scanner.pos = emitter.committed
            if emitter.in_call:
                emitter.close()
            if emitter.call_count == calls_before and scanner.hit_end and opener in self._syntax.openers:
                emitter.discard_rest()  # cut off before the call's name
            elif emitter.call_count == calls_before:
                self._emit_text(len(opener))

    def _emit_text(self, count: int) -> None:
        """Emits as answer what has been read but not emitted, and the next `count` characters."""
        scanner, emitter = self._scanner, self._emitter
        scanner.pos += count
        emitter.text(scanner.text[emitter.committed : scanner.pos])
        emitter.committed = scanner.pos
