"""Numbers without end: a small model may write digits for ever where a schema sets no bounds. A number gets as many digits as a 64-bit
integer has, and an exponent that a double can have, unless the grammar asks for more."""

import re

import numpy as np
from llguidance import LLTokenizer
from numpy.typing import NDArray

MAX_DIGITS = 19  # before the decimal point, and after it
MAX_EXPONENT_DIGITS = 2
TAIL = 64  # bytes
NUMBER = re.compile(rb'(?<![\w".])-?([0-9]+)(?:(\.)([0-9]*))?(?:([eE])[+-]?([0-9]*))?\Z')
WITHIN_NUMBERS = frozenset(b"0123456789.eE+-")
CONTINUING = (b"\x80", b"\x90", b"\xa0")  # of these bytes, one may come next in every character that is incomplete (RFC 3629)
LETTERS = ("k", "q", "z")  # where all of them may come, whatever is written is text


class DigitTokens:
    """Of one tokenizer: the bytes of tokens, with how many digits each begins, and those of CONTINUING."""

    def __init__(self, tokenizer: LLTokenizer) -> None:
        self.bytes = [tokenizer.decode_bytes([token]) for token in range(tokenizer.vocab_size)]
        self.leading_Y = np.array([len(text) - len(text.lstrip(b"0123456789")) for text in self.bytes], np.int32)
        self.most = int(self.leading_Y.max())
        self.continuing = [self.bytes.index(byte) for byte in CONTINUING if byte in self.bytes]
        self.letters = [token for letter in LETTERS for token in tokenizer.tokenize_str(letter)]


class DigitLimit:
    """For one answer."""

    __slots__ = ("_tail", "_tokens")

    def __init__(self, tokens: DigitTokens) -> None:
        self._tokens, self._tail = tokens, b""

    def accept(self, token: int) -> None:
        self._tail = (self._tail + self._tokens.bytes[token])[-TAIL:]

    def restrict(self, allowed_Y: NDArray[np.bool_]) -> None:
        """Forbids, in place, tokens with more digits than are left, where others are allowed."""
        left = self._left()
        if left is None or left >= self._tokens.most or allowed_Y[self._tokens.letters].all():
            return
        rest_Y = allowed_Y.copy()
        rest_Y[: len(self._tokens.leading_Y)] &= self._tokens.leading_Y <= left
        if rest_Y.any():
            allowed_Y[:] = rest_Y

    def _left(self) -> int | None:
        """Digits that the number in the making may still get; None outside of numbers."""
        if not self._tail or self._tail[-1] not in WITHIN_NUMBERS or (number := NUMBER.search(self._tail)) is None:
            return None
        whole, point, fraction, exponent, power = number.groups()
        if exponent is not None:
            return MAX_EXPONENT_DIGITS - len(power)
        return MAX_DIGITS - len(whole if point is None else fraction)
