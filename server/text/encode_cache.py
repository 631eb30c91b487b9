"""A cache for tokenization: a conversation comes back with every turn, and only its end is new. The tokenizer encodes the segments
between control tokens independently, so the tokens of each segment can be cached."""

import re
from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from threading import Lock

from tokenizers import Tokenizer

PROBES = ("x", " x", "x ", "\n", "\n\nx y", "x\n", ".", "é ")
CHECKED_TOKENS = 8  # control tokens tested by `_splits_exactly`
MIN_CACHED = 64  # characters; looking up a shorter segment is not faster than encoding it
MAX_CACHED = 1 << 22  # characters in all cached segments


class EncodeCache:
    """Encodes exactly as the tokenizer does. Least recently used segments are dropped. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, aliases: Iterable[str]) -> None:
        """`aliases`: the control tokens, under their names in the tokenizer."""
        self._tokenizer = tokenizer
        self._ids = {alias: number for alias in aliases if (number := tokenizer.token_to_id(alias)) is not None}
        self._control_pattern = re.compile(f"({'|'.join(map(re.escape, self._ids))})") if self._ids and self._splits_exactly() else None
        self._cache: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._size, self._lock = 0, Lock()

    def encode(self, text: str) -> tuple[int, ...]:
        if self._control_pattern is None:
            return self._encode_uncached(text)
        tokens: list[int] = []
        for i, part in enumerate(self._control_pattern.split(text)):
            tokens += (self._ids[part],) if i % 2 else self._encode_segment(part)
        return tuple(tokens)

    def _encode_segment(self, text: str) -> tuple[int, ...]:
        if len(text) < MIN_CACHED:
            return self._encode_uncached(text) if text else ()
        with self._lock:
            if (found := self._cache.get(text)) is not None:
                self._cache.move_to_end(text)
                return found
        tokens = self._encode_uncached(text)
        self._store(text, tokens)
        return tokens

    def _store(self, text: str, tokens: tuple[int, ...]) -> None:
        with self._lock:
            if text not in self._cache:
                self._size += len(text)
            self._cache[text] = tokens
            while self._size > MAX_CACHED:
                dropped, _ = self._cache.popitem(last=False)
                self._size -= len(dropped)

    def _encode_uncached(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _splits_exactly(self) -> bool:
        """Whether segments may be encoded separately. Some tokenizers treat the beginning of a text differently, or let a control token
        absorb adjacent white space."""
        added = self._tokenizer.get_added_tokens_decoder()
        if any(added[number].lstrip or added[number].rstrip or added[number].single_word for number in self._ids.values()):
            return False
        return all(
            self._encode_uncached(before + alias + after) == (*self._encode_uncached(before), number, *self._encode_uncached(after))
            for alias, number in islice(self._ids.items(), CHECKED_TOKENS)  # a sample: some models have thousands
            for before, after in zip(PROBES, reversed(PROBES), strict=True)
        )
