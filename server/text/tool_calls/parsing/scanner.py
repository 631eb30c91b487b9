"""Text that is still arriving, read by generators: each `yield` waits for more of it. Every dialect is read with these few steps,
so that none of them can depend on how the text was cut."""

from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
Emit = Callable[[str], None]
WHITE = " \t\r\n"


class NotACall(Exception):
    """What stands here is not written in the dialect."""


class Scanner:
    def __init__(self) -> None:
        self.text = ""
        self.at = 0
        self.ended = False
        self.starved = False  # something was looked for behind the end

    def push(self, text: str, keep: int) -> None:
        """More text. What stands before `keep` is forgotten, and positions count from there."""
        self.text = self.text[keep:] + text
        self.at -= keep

    def peek(self, count: int = 1) -> Steps[str]:
        """The next `count` characters; fewer where the text ends."""
        while len(self.text) - self.at < count and not self.ended:
            yield
        self.starved = self.starved or len(self.text) - self.at < count
        return self.text[self.at : self.at + count]

    def more(self) -> Steps[None]:
        """Waits. Raises NoCall where nothing comes any more."""
        if self.ended:
            self.starved = True
            raise NotACall
        yield

    def take(self, word: str) -> Steps[bool]:
        """Whether `word` comes next; then it is read."""
        while not self.ended and len(have := self.text[self.at : self.at + len(word)]) < len(word) and word.startswith(have):
            yield
        found = self.text.startswith(word, self.at)
        self.starved = self.starved or (not found and word.startswith(self.text[self.at :]))
        self.at += len(word) if found else 0
        return found

    def expect(self, word: str) -> Steps[None]:
        if not (yield from self.take(word)):
            raise NotACall

    def white(self) -> Steps[str]:
        """The white space that comes next, all of it."""
        return (yield from self.while_in(WHITE.__contains__))

    def while_in(self, allowed: Callable[[str], bool], most: int | None = None) -> Steps[str]:
        """The characters that come next and are `allowed`. Raises NoCall where there are more than `most`."""
        read = ""  # no position: `push` moves them
        while (char := (yield from self.peek())) and allowed(char):
            self.at += 1
            read += char
            if most is not None and len(read) > most:
                raise NotACall
        return read
