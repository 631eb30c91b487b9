"""A scanner over text that is still arriving. Parsers are generators: each `yield` waits for more text, so their result does not
depend on how the text was split."""

from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
Emit = Callable[[str], None]
WHITESPACE = " \t\r\n"


class NotACall(Exception):
    """The text at the scanner's position is no tool call in this dialect."""


class Scanner:
    def __init__(self) -> None:
        self.text = ""
        self.pos = 0
        self.ended = False
        self.hit_end = False  # a parser looked for something past the end of the text

    def push(self, text: str, start: int) -> None:
        """Appends `text` and drops what is before `start`; positions are relative to it from now on."""
        self.text = self.text[start:] + text
        self.pos -= start

    def peek(self, count: int = 1) -> Steps[str]:
        """The next `count` characters; fewer where the text ends."""
        while len(self.text) - self.pos < count and not self.ended:
            yield
        self.hit_end = self.hit_end or len(self.text) - self.pos < count
        return self.text[self.pos : self.pos + count]

    def wait_for_more(self) -> Steps[None]:
        """Waits for more text. Raises NotACall if the text has ended."""
        if self.ended:
            self.hit_end = True
            raise NotACall
        yield

    def take(self, word: str) -> Steps[bool]:
        """Consumes `word` if it comes next; returns whether it did."""
        while not self.ended and len(have := self.text[self.pos : self.pos + len(word)]) < len(word) and word.startswith(have):
            yield
        found = self.text.startswith(word, self.pos)
        self.hit_end = self.hit_end or (not found and word.startswith(self.text[self.pos :]))
        self.pos += len(word) if found else 0
        return found

    def expect(self, word: str) -> Steps[None]:
        """Consumes `word`. Raises NotACall if something else comes next."""
        if not (yield from self.take(word)):
            raise NotACall

    def whitespace(self) -> Steps[str]:
        """Consumes and returns the white space that comes next."""
        return (yield from self.take_while(WHITESPACE.__contains__))

    def take_while(self, allowed: Callable[[str], bool], limit: int | None = None) -> Steps[str]:
        """Consumes and returns the next characters that are `allowed`. Raises NotACall if there are more than `limit`."""
        read = ""  # not a start position: `push` shifts positions
        while (char := (yield from self.peek())) and allowed(char):
            self.pos += 1
            read += char
            if limit is not None and len(read) > limit:
                raise NotACall
        return read
