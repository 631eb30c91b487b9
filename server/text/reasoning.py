"""Splits the output of models that write <think> reasoning </think> answer, while it arrives."""

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
    """Splits a model's reasoning from its answer. `push` returns what is certain, `flush` the rest."""

    @property
    def in_reasoning(self) -> bool: ...

    def push(self, text: str) -> ReasoningSplit: ...

    def flush(self) -> ReasoningSplit: ...


def opens_reasoning(prompt: str) -> bool:
    """Whether a rendered prompt ends with an open reasoning tag."""
    return prompt.rstrip().endswith(OPEN)


def split_reasoning(text: str) -> ReasoningSplit:
    """Reasoning and answer of a whole assistant message."""
    parser = ThinkTagParser(in_reasoning=False)
    first, rest = parser.push(text), parser.flush()
    return ReasoningSplit(first.reasoning + rest.reasoning, first.answer + rest.answer)


class ThinkTagParser:
    """Implements ReasoningParser. White space next to the tags is dropped."""

    def __init__(self, *, in_reasoning: bool) -> None:
        self._state: Literal["before", "reasoning", "between", "answer"] = "reasoning" if in_reasoning else "before"
        self._held = ""
        self._started = False  # some reasoning has been returned

    @property
    def in_reasoning(self) -> bool:
        return self._state == "reasoning"

    def push(self, text: str) -> ReasoningSplit:
        split, rest = ReasoningSplit(), self._held + text
        self._held = ""
        if self._state == "before":
            rest = self._read_open_tag(rest)
        if self._state == "reasoning":
            split.reasoning, rest = self._read_reasoning(rest)
        if self._state == "between" and (rest := rest.lstrip()):
            self._state = "answer"
        if self._state == "answer":
            split.answer = rest
        return split

    def flush(self) -> ReasoningSplit:
        held, self._held = self._held, ""
        return ReasoningSplit(reasoning=held.rstrip()) if self._state == "reasoning" else ReasoningSplit(answer=held)

    def _read_open_tag(self, text: str) -> str:
        start = text.lstrip()
        if start.startswith(OPEN):
            self._state = "reasoning"
            return start[len(OPEN) :]
        if OPEN.startswith(start):
            self._held = text
            return ""
        self._state = "answer"
        return text

    def _read_reasoning(self, text: str) -> tuple[str, str]:
        text = text if self._started else text.lstrip()
        inner, closed, rest = text.partition(CLOSE)
        if closed:
            self._state = "between"
            return inner.rstrip(), rest
        certain = len(text) - overlap(text, CLOSE)
        certain = len(text[:certain].rstrip())  # white space may precede the closing tag
        self._held = text[certain:]
        self._started = self._started or certain > 0
        return text[:certain], ""
