"""Collects what a dialect's parser has recognised of a turn: text of the answer, and tool calls in chunks."""

import re
from collections.abc import Sequence

from server.core.messages import Tool
from server.text.tool_calls.api import CallChunk, ParsedOutput
from server.text.tool_calls.parsing.scanner import NotACall, Scanner

MAX_NAME_LENGTH = 128
NAME = re.compile(rf"[\w.:/-]{{1,{MAX_NAME_LENGTH}}}")


class CallEmitter:
    """`committed`: the scanner position up to which everything has been emitted; text before it is not read again."""

    def __init__(self, scanner: Scanner, tools: Sequence[Tool]) -> None:
        self._scanner = scanner
        self.tools = {tool.name: tool for tool in tools}
        self.parsed = ParsedOutput()
        self.committed = 0
        self.call_count = 0  # calls begun
        self.in_call = False
        self._whitespace = ""  # trailing; part of the answer only if more answer follows
        self._no_arguments = True  # so far, in the open call

    def text(self, text: str) -> None:
        """Adds to the answer."""
        if core := text.strip():
            start = text.index(core)
            self.parsed.text += self._whitespace + text[: start + len(core)]
            self._whitespace = text[start + len(core) :]
        else:
            self._whitespace += text

    def begin(self, name: str) -> None:
        """Begins a call. Raises NotACall if `name` cannot be a tool's name."""
        if not NAME.fullmatch(name):
            raise NotACall
        self._whitespace, self._no_arguments, self.in_call = "", True, True
        self._add(CallChunk(index=self.call_count, name=name))
        self.call_count += 1

    def arguments(self, text: str) -> None:
        """Adds JSON text to the arguments of the open call."""
        if not text:
            return
        self._no_arguments = False
        self._add(CallChunk(index=self.call_count - 1, arguments=text))

    def done(self) -> None:
        """The open call is complete; without arguments it gets {}."""
        self.arguments("{}" if self._no_arguments else "")
        self.close()

    def close(self) -> None:
        """Ends the open call as it is, perhaps with incomplete arguments."""
        self.in_call = False
        self._add(CallChunk(index=self.call_count - 1, done=True))

    def discard_rest(self) -> None:
        """Drops all text that has not been emitted."""
        self._whitespace, self._scanner.pos = "", len(self._scanner.text)
        self.committed = self._scanner.pos

    def end_turn(self) -> None:
        """The turn is over: trailing white space counts as answer only in a turn without calls."""
        if not self.call_count:
            self.parsed.text += self._whitespace
        self._whitespace = ""

    def _add(self, chunk: CallChunk) -> None:
        self.committed = self._scanner.pos
        if self.parsed.calls and (last := self.parsed.calls[-1]).index == chunk.index:
            last.arguments += chunk.arguments
            last.done = chunk.done
        else:
            self.parsed.calls.append(chunk)
