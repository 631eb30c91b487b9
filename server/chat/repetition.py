"""An answer that goes in circles: small models, asked to keep to a few passages, say the last sentence until the context is full, or
count their marks, [1] [2] [3], on and on."""

import re

SENTENCE_END = re.compile(r"[.!?:;]\s|\n")
REPEATS = 3
MAX_CYCLE = 4  # sentences of a circle
MIN_CYCLE_CHARACTERS = 20  # characters of one: lists repeat short things with reason
MARK_RUN = re.compile(r"\[[\d\[\],;.\s*-]*\Z")  # marks, and nothing else since the first of them
MIN_MARK_RUN = 8  # marks in a row that nobody minds
NUMBERS_PER_MARK = 4  # numbers in brackets for each mark: [1, 2, 3] may be an array


class RepetitionDetector:
    """Reads an answer as it comes, out of so many `passages`."""

    def __init__(self, passages: int) -> None:
        self._most = max(MIN_MARK_RUN, passages)
        self._sentences: list[str] = []
        self._open = ""
        self._row = ""

    def push(self, text: str) -> bool:
        """Whether the same sentences have now been said three times in a row, or more marks than there are passages."""
        counting = self._counts_marks(text)
        return self._repeats_sentences(text) or counting

    def _repeats_sentences(self, text: str) -> bool:
        self._open += text
        closed = False
        while match := SENTENCE_END.search(self._open):
            sentence, self._open = self._open[: match.end()].strip(), self._open[match.end() :]
            if sentence:
                self._sentences = [*self._sentences[1 - REPEATS * MAX_CYCLE :], sentence]
                closed = closed or any(self._is_cycle(length) for length in range(1, MAX_CYCLE + 1))
        return closed

    def _counts_marks(self, text: str) -> bool:
        row = MARK_RUN.search(self._row + text)
        self._row = row[0] if row else ""
        return self._row.count("[") > self._most or len(re.findall(r"\d+", self._row)) > NUMBERS_PER_MARK * self._most

    def _is_cycle(self, length: int) -> bool:
        last = self._sentences[-length * REPEATS :]
        once = last[:length]
        return len(last) == length * REPEATS and last == once * REPEATS and sum(map(len, once)) >= MIN_CYCLE_CHARACTERS
