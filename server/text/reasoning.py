"""Models that think before they answer write <think> thoughts </think> answer. This tells the two apart while text arrives."""

from dataclasses import dataclass
from typing import Literal, Protocol

from server.text.detokenize import overlap

OPEN, CLOSE = "<think>", "</think>"
MARKERS = (OPEN, CLOSE)


@dataclass(slots=True)
class ReasoningSplit:
    reasoning: str = ""
    answer: str = ""


class ReasoningParser(Protocol):
    """Tells what a model thinks from what it says."""

    @property
    def in_reasoning(self) -> bool: ...

    def push(self, text: str) -> ReasoningSplit: ...

    def flush(self) -> ReasoningSplit: ...


def opens_reasoning(prompt: str) -> bool:
    """Whether a rendered prompt ends within the thoughts."""
    return prompt.rstrip().endswith(OPEN)


def split_reasoning(text: str) -> ReasoningSplit:
    """Thoughts and answer of a whole assistant message."""
    reader = ThinkTagParser(in_reasoning=False)
    first, rest = reader.push(text), reader.flush()
    return ReasoningSplit(first.reasoning + rest.reasoning, first.answer + rest.answer)


class ThinkTagParser:
    """Implements Thoughts. `push` returns what is certain, `flush` the rest. White space next to the markers belongs to nobody."""

    def __init__(self, *, in_reasoning: bool) -> None:
        self._state: Literal["before", "thinking", "between", "answer"] = "thinking" if in_reasoning else "before"
        self._held = ""
        self._started = False  # a thought has been shown

    @property
    def in_reasoning(self) -> bool:
        return self._state == "thinking"

    def push(self, text: str) -> ReasoningSplit:
        said, rest = ReasoningSplit(), self._held + text
        self._held = ""
        if self._state == "before":
            rest = self._read_open_tag(rest)
        if self._state == "thinking":
            said.reasoning, rest = self._read_reasoning(rest)
        if self._state == "between" and (rest := rest.lstrip()):
            self._state = "answer"
        if self._state == "answer":
            said.answer = rest
        return said

    def flush(self) -> ReasoningSplit:
        held, self._held = self._held, ""
        return ReasoningSplit(reasoning=held.rstrip()) if self._state == "thinking" else ReasoningSplit(answer=held)

    def _read_open_tag(self, text: str) -> str:
        start = text.lstrip()
        if start.startswith(OPEN):
            self._state = "thinking"
            return start[len(OPEN) :]
        if OPEN.startswith(start):
            self._held = text
            return ""
        self._state = "answer"
        return text

    def _read_reasoning(self, text: str) -> tuple[str, str]:
        text = text if self._started else text.lstrip()
        thought, closed, rest = text.partition(CLOSE)
        if closed:
            self._state = "between"
            return thought.rstrip(), rest
        sure = len(text) - overlap(text, CLOSE)
        sure = len(text[:sure].rstrip())  # white space may turn out to stand before the end marker
        self._held = text[sure:]
        self._started = self._started or sure > 0
        return text[:sure], ""
