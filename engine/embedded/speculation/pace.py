"""How many tokens are guessed at once for one answer: more while guesses come true, none for a while after some that did not. On the CPU
three guesses make a step of one sequence nearly twice as long, and fifteen four to five times (bench/speculation.py)."""

FIRST, MOST = 3, 15  # tokens
SHORT, PATIENCE = 8, 128  # tokens without a guess after one that failed: at first, and at most
WORTH = 2  # right guesses that pay for those beside them


class Pace:
    """For one answer."""

    __slots__ = ("_length", "_pause", "_wait")

    def __init__(self) -> None:
        self._length = FIRST
        self._pause = self._wait = 0

    @property
    def length(self) -> int:
        """Tokens to guess now; 0: none."""
        return 0 if self._wait else self._length

    def passed(self) -> None:
        """A token has come without a guess."""
        self._wait = max(0, self._wait - 1)

    def told(self, drafted: int, right: int) -> None:
        """How a guess went. One that came true in full is followed by one twice as long; one that failed at once, by none for twice as
        many tokens as after the one before that did."""
        full = right == drafted
        self._length = min(MOST, max(self._length, 2 * drafted)) if full else max(FIRST, min(MOST, right + 1))
        if full or right >= WORTH:
            self._pause = 0
        elif not right:
            self._wait = self._pause = min(PATIENCE, 2 * self._pause or SHORT)
