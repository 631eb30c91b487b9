"""An answer that goes in circles: small models, asked to keep to a few passages, say the last sentence until the context is full, or
count their marks, [1] [2] [3], on and on."""

import re

END = re.compile(r"[.!?:;]\s|\n")
TIMES = 3
LONGEST = 4  # sentences of a circle
LEAST = 20  # characters of one: lists repeat short things with reason
ROW = re.compile(r"\[[\d\[\],;.\s*-]*\Z")  # marks, and nothing else since the first of them
FEW = 8  # marks in a row that nobody minds
LISTED = 4  # numbers in brackets for each mark: [1, 2, 3] may be an array


class RepetitionDetector:
    """Reads an answer as it comes, out of so many `passages`."""

    def __init__(self, passages: int) -> None:
        self._most = max(FEW, passages)
        self._sentences: list[str] = []
        self._open = ""
        self._row = ""

    def push(self, text: str) -> bool:
        """Whether the same sentences have now been said three times in a row, or more marks than there are passages."""
        counting = self._counting(text)
        return self._repeating(text) or counting

    def _repeating(self, text: str) -> bool:
        self._open += text
        closed = False
        while match := END.search(self._open):
            sentence, self._open = self._open[: match.end()].strip(), self._open[match.end() :]
            if sentence:
                self._sentences = [*self._sentences[1 - TIMES * LONGEST :], sentence]
                closed = closed or any(self._circles(length) for length in range(1, LONGEST + 1))
        return closed

    def _counting(self, text: str) -> bool:
        row = ROW.search(self._row + text)
        self._row = row[0] if row else ""
        return self._row.count("[") > self._most or len(re.findall(r"\d+", self._row)) > LISTED * self._most

    def _circles(self, length: int) -> bool:
        last = self._sentences[-length * TIMES :]
        once = last[:length]
        return len(last) == length * TIMES and last == once * TIMES and sum(map(len, once)) >= LEAST
