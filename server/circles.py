"""An answer that goes in circles: small models, asked to keep to a few passages, say the last sentence until the context is full."""

import re

END = re.compile(r"[.!?:;]\s|\n")
TIMES = 3
LONGEST = 4  # sentences of a circle
LEAST = 20  # characters of one: lists repeat short things with reason


class Circles:
    """Reads an answer as it comes."""

    def __init__(self) -> None:
        self._sentences: list[str] = []
        self._open = ""

    def push(self, text: str) -> bool:
        """Whether the same sentences have now been said three times in a row."""
        self._open += text
        closed = False
        while match := END.search(self._open):
            sentence, self._open = self._open[: match.end()].strip(), self._open[match.end() :]
            if sentence:
                self._sentences = [*self._sentences[1 - TIMES * LONGEST :], sentence]
                closed = closed or any(self._circles(length) for length in range(1, LONGEST + 1))
        return closed

    def _circles(self, length: int) -> bool:
        last = self._sentences[-length * TIMES :]
        once = last[:length]
        return len(last) == length * TIMES and last == once * TIMES and sum(map(len, once)) >= LEAST
