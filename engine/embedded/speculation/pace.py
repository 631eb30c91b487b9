"""How many tokens are guessed at once for one answer: more while guesses come true, none for a while after some that did not."""

FIRST, MOST = 4, 15  # tokens
PATIENCE = 64  # tokens without a guess, at most


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

    def passed(self, tokens: int) -> None:
        """So many tokens have come without a guess."""
        self._wait = max(0, self._wait - tokens)

    def told(self, drafted: int, accepted: int) -> None:
        """How a guess went. One that came true in full is followed by one twice as long; one that failed at once, by none for twice as
        many tokens as after the one before that did."""
        if accepted == drafted:
            self._length = min(MOST, max(self._length, 2 * drafted))
        else:
            self._length = max(2, min(MOST, accepted + 2))
        if accepted:
            self._pause = 0
        else:
            self._wait = self._pause = min(PATIENCE, 2 * self._pause or 4)
