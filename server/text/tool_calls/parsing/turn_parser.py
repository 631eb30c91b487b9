"""One turn of a model, told apart into answer and calls. All dialects are read here; they differ in what may open a call
(`Syntax`) and in how one is read.

White space before a call belongs to nobody, and neither does what begins a call whose name the end of the text has cut off, or what
opens one, where the tokens have run out before it was all there. What turns out to be no call is answer, down to the last character."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.core.messages import Tool
from server.text.detokenize import overlap
from server.text.tool_calls.api import CallChunk, ParsedOutput
from server.text.tool_calls.parsing.scanner import NotACall, Scanner, Steps

NAME = re.compile(r"[\w.:/-]{1,128}")


class CallEmitter:
    """Says what has been read. `commit`: what stands before it has been told and is not read again."""

    def __init__(self, scan: Scanner, tools: Sequence[Tool]) -> None:
        self._scan = scan
        self.known = {tool.name: tool for tool in tools}
        self.parsed = ParsedOutput()
        self.commit = 0
        self.calls = 0  # begun
        self.open = False  # a call
        self._white = ""  # that nobody owns yet
        self._empty = True  # the open call has no arguments yet

    def text(self, text: str) -> None:
        """Answer."""
        if core := text.strip():
            start = text.index(core)
            self.parsed.text += self._white + text[: start + len(core)]
            self._white = text[start + len(core) :]
        else:
            self._white += text

    def begin(self, name: str) -> None:
        """A call. Raises NoCall for what cannot be a name."""
        if not NAME.fullmatch(name):
            raise NotACall
        self._white, self._empty, self.open = "", True, True
        self._add(CallChunk(index=self.calls, name=name))
        self.calls += 1

    def arguments(self, text: str) -> None:
        if not text:
            return
        self._empty = False
        self._add(CallChunk(index=self.calls - 1, arguments=text))

    def done(self) -> None:
        """The call is complete."""
        self.arguments("{}" if self._empty else "")
        self.close()

    def close(self) -> None:
        """The call ends as it stands."""
        self.open = False
        self._add(CallChunk(index=self.calls - 1, done=True))

    def drop(self) -> None:
        """All the rest is nobody's."""
        self._white, self._scan.at = "", len(self._scan.text)
        self.commit = self._scan.at

    def end(self) -> None:
        """The turn is over."""
        if not self.calls:
            self.parsed.text += self._white
        self._white = ""

    def _add(self, piece: CallChunk) -> None:
        self.commit = self._scan.at
        if self.parsed.calls and (last := self.parsed.calls[-1]).index == piece.index:
            last.arguments += piece.arguments
            last.done = piece.done
        else:
            self.parsed.calls.append(piece)


@dataclass(frozen=True, slots=True)
class Syntax:
    """`read` begins at an opener. It tells the calls that stand there, and what it has told no more; or raises NoCall."""

    read: Callable[[Scanner, CallEmitter], Steps[None]]
    openers: tuple[str, ...] = ()  # anywhere
    first: tuple[str, ...] = ()  # characters that open a call where the turn begins


class TurnParser:
    """Implements CallReader."""

    def __init__(self, syntax: Syntax, tools: Sequence[Tool]) -> None:
        self._syntax, self._scan = syntax, Scanner()
        self._voice = CallEmitter(self._scan, tools)
        self._truncated = False
        self._steps = self._turn()

    def push(self, text: str) -> ParsedOutput:
        self._scan.push(text, self._voice.commit)
        self._voice.commit = 0
        return self._on()

    def flush(self, *, truncated: bool = False) -> ParsedOutput:
        self._scan.ended, self._truncated = True, truncated
        return self._on()

    def _on(self) -> ParsedOutput:
        self._voice.parsed = heard = ParsedOutput()
        next(self._steps, None)
        return heard

    def _turn(self) -> Steps[None]:
        found = yield from self._opening()
        while found or (found := (yield from self._free())):
            yield from self._call(found)
            found = ""
        self._voice.end()

    def _opening(self) -> Steps[str]:
        """What opens a call where the turn begins."""
        yield from self._scan.white()
        self._tell(0)
        char = yield from self._scan.peek()
        return char if char and char in self._syntax.first else ""

    def _free(self) -> Steps[str]:
        """Answer up to an opener, which is returned; "": the turn has ended."""
        scan, openers = self._scan, self._syntax.openers
        while True:
            rest = scan.text[scan.at :]
            found = min(((at, -len(o), o) for o in openers if (at := rest.find(o)) >= 0), default=None)
            if found:
                self._tell(found[0])
                return found[2]
            opening = max((overlap(rest, o) for o in openers), default=0)
            self._tell(len(rest) - (0 if scan.ended and not self._truncated else opening))
            if scan.ended:
                if self._truncated and opening:
                    self._voice.drop()
                return ""
            yield

    def _call(self, opener: str) -> Steps[None]:
        scan, voice = self._scan, self._voice
        begun, scan.starved = voice.calls, False
        try:
            yield from self._syntax.read(scan, voice)
            voice.commit = scan.at
        except NotACall:
            if voice.open and scan.starved:
                voice.commit = len(scan.text)  # the call is cut off, and so is what begins behind its last piece
            scan.at = voice.commit
            if voice.open:
                voice.close()
            if voice.calls == begun and scan.starved and opener in self._syntax.openers:
                voice.drop()  # of a call that the end has cut off before its name
            elif voice.calls == begun:
                self._tell(len(opener))

    def _tell(self, count: int) -> None:
        """So many characters from here on are answer, and so is what has been read but not told."""
        scan, voice = self._scan, self._voice
        scan.at += count
        voice.text(scan.text[voice.commit : scan.at])
        voice.commit = scan.at
