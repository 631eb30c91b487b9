"""One sequence's tokens as thoughts and answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from server.text.detokenize import Detokenizer
from server.text.reasoning.api import TOKEN, Place, ReasoningParser, plain

T = TypeVar("T")
REPLACEMENT = "\ufffd"


@dataclass(slots=True)
class Read(Generic[T]):
    """What a token has made certain. `notes`: those of the answer's tokens, with the characters of the answer before each."""

    raw: str = ""
    reasoning: str = ""
    answer: str = ""
    notes: list[tuple[T, int]] = field(default_factory=list[tuple[T, int]])


class TokenReader(Generic[T]):
    """Reads a sequence of a model that does not think. Each token may come with a note."""

    thoughts = 0  # tokens of them

    def __init__(self, token_bytes: Mapping[int, bytes], *, skip_space: bool = False) -> None:
        """`skip_space`: see Detokenizer."""
        self._detokenizer = Detokenizer(token_bytes, skip_space=skip_space)
        self._characters = 0

    def push(self, token: int, note: T | None = None) -> Read[T]:
        text, before = self._detokenizer.push(token), self._characters
        self._characters += len(text)
        return Read(text, "", text, [] if note is None else [(note, before)])

    def flush(self) -> Read[T]:
        text = self._detokenizer.flush()
        return Read(text, "", text)


class ThoughtReader(Generic[T]):
    """Reads a sequence of a model that thinks. Tokens that may be a part of a mark wait until that is certain; those of marks belong
    neither to the thoughts nor to the answer."""

    def __init__(self, parser: ReasoningParser, token_bytes: Mapping[int, bytes], marks: Mapping[int, str]) -> None:
        """`marks`: of the parser's marks those that are tokens."""
        self._parser, self._marks, self._detokenizer = parser, marks, Detokenizer(token_bytes)
        self._waiting: list[tuple[T | None, int]] = []  # notes and lengths of tokens that may be a part of a mark
        self._characters = 0  # of the answer
        self.thoughts = 0

    @property
    def place(self) -> Place:
        return self._parser.place

    @property
    def thinking(self) -> bool:
        """Whether the next token, if it is no mark, is a thought."""
        return self._parser.place == "thoughts"

    @property
    def count(self) -> int:
        """Tokens of thoughts, with those that may be a part of the closing mark."""
        return self.thoughts + (len(self._waiting) if self.thinking else 0)

    def accept(self, token: int) -> None:
        self.push(token)

    def push(self, token: int, note: T | None = None) -> Read[T]:
        text, marks_read = self._text(token), self._parser.marks_read
        split = self._parser.push(text)
        read = Read[T](plain(text), plain(split.reasoning), plain(split.answer))
        if self._parser.marks_read > marks_read:
            self._waiting.clear()
            if not (self._parser.place == "answer" and read.answer):
                return self._counted(read)
        self._waiting.append((note, len(read.raw)))
        if not self._parser.undecided:
            self._sort_waiting(read)
        return self._counted(read)

    def flush(self) -> Read[T]:
        text = self._detokenizer.flush()
        first, rest = self._parser.push(text), self._parser.flush()
        read = Read[T](text, plain(first.reasoning + rest.reasoning), plain(first.answer + rest.answer))
        if self.thinking or read.answer:
            self._sort_waiting(read)
        self._waiting.clear()
        return self._counted(read)

    def _text(self, token: int) -> str:
        text = self._detokenizer.push(token)
        if mark := self._marks.get(token):
            return text.removesuffix(mark) + TOKEN + mark
        return text.replace(TOKEN, REPLACEMENT) if TOKEN in text else text

    def _sort_waiting(self, read: Read[T]) -> None:
        """What waits is no part of a mark."""
        if self._parser.place == "thoughts":
            self.thoughts += len(self._waiting)
        elif self._parser.place == "answer" or read.answer:
            at = self._characters
            for note, length in self._waiting:
                if note is not None:
                    read.notes.append((note, at))
                at += length
        self._waiting.clear()

    def _counted(self, read: Read[T]) -> Read[T]:
        self._characters += len(read.answer)
        return read
