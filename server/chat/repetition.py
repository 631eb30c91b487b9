"""Detecting repetition: small models that are told to keep to a few passages repeat the last sentence until the context is full, or
count citation marks, [1] [2] [3], without end."""

import re

SENTENCE_END = re.compile(r"[.!?:;]\s|\n")
REPEATS = 3
MAX_CYCLE = 4  # sentences
MIN_CYCLE_CHARACTERS = 20  # shorter repetitions are common in lists
MARK_RUN = re.compile(r"\[[\d\[\],;.\s*-]*\Z")  # citation marks with nothing else between them
MIN_MARK_RUN = 8  # marks in a row that are always allowed
NUMBERS_PER_MARK = 4  # [1, 2, 3] may be an array


class RepetitionDetector:
    """Watches an answer that is grounded in so many `passages`, as it arrives."""

    def __init__(self, passages: int) -> None:
        self._max_marks = max(MIN_MARK_RUN, passages)
        self._sentences: list[str] = []
        self._unfinished = ""
        self._marks = ""

    def push(self, text: str) -> bool:
        """Whether the same sentences now stand three times in a row, or more marks in a row than there are passages."""
        too_many_marks = self._counts_marks(text)
        return self._repeats_sentences(text) or too_many_marks

    def _repeats_sentences(self, text: str) -> bool:
        self._unfinished += text
        closed = False
        while match := SENTENCE_END.search(self._unfinished):
            sentence, self._unfinished = self._unfinished[: match.end()].strip(), self._unfinished[match.end() :]
            if sentence:
                self._sentences = [*self._sentences[1 - REPEATS * MAX_CYCLE :], sentence]
                closed = closed or any(self._is_cycle(length) for length in range(1, MAX_CYCLE + 1))
        return closed

    def _counts_marks(self, text: str) -> bool:
        run = MARK_RUN.search(self._marks + text)
        self._marks = run[0] if run else ""
        return self._marks.count("[") > self._max_marks or len(re.findall(r"\d+", self._marks)) > NUMBERS_PER_MARK * self._max_marks

    def _is_cycle(self, length: int) -> bool:
        last = self._sentences[-length * REPEATS :]
        cycle = last[:length]
        return len(last) == length * REPEATS and last == cycle * REPEATS and sum(map(len, cycle)) >= MIN_CYCLE_CHARACTERS
