"""A cache for tokenization: a conversation comes back with every turn, and only its end is new. The tokenizer encodes the segments
between control tokens independently, so the tokens of each segment can be cached."""

import re
import sys
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from copy import copy
from itertools import islice
from threading import Lock

from tokenizers import Tokenizer

PROBES = ("x", " x", "x ", "\n", "\n\nx y", "x\n", ".", "é ")
CHECKED_TOKENS = 8  # control tokens tested by `_splits_exactly`
LONG = 2048  # characters; a shorter text is encoded in less than a millisecond, and faster alone than as a batch
MIN_CACHED = 64  # characters; looking up a shorter segment is not faster than encoding it
MAX_CACHED_BYTES = 32 << 20  # of all cached segments with their tokens
MAX_SEGMENT_BYTES = MAX_CACHED_BYTES // 8  # a longer one would drop too many others


def encode(tokenizer: Tokenizer, text: str, *, add_special: bool) -> tuple[int, ...]:
    """Long texts are encoded without the GIL, which `Tokenizer.encode` holds all the time and `encode_batch_fast` does not."""
    if len(text) < LONG:
        return tuple(tokenizer.encode(text, add_special_tokens=add_special).ids)
    return tuple(tokenizer.encode_batch_fast([text], add_special_tokens=add_special)[0].ids)


class Segments:
    """Encoded segments; least recently used ones are dropped. Thread-safe."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[tuple[str, str], array[int]] = OrderedDict()  # (owner, text) -> its tokens
        self._bytes, self._lock = 0, Lock()

    def get(self, owner: str, text: str) -> tuple[int, ...] | None:
        with self._lock:
            if (found := self._tokens.get((owner, text))) is not None:
                self._tokens.move_to_end((owner, text))
        return None if found is None else tuple(found)

    def put(self, owner: str, text: str, tokens: Sequence[int]) -> None:
        packed = array("I", tokens)
        if (size := _size(text, packed)) > MAX_SEGMENT_BYTES:
            return
        with self._lock:
            if (owner, text) not in self._tokens:
                self._bytes += size
            self._tokens[owner, text] = packed
            while self._bytes > MAX_CACHED_BYTES:
                (_, dropped), its_tokens = self._tokens.popitem(last=False)
                self._bytes -= _size(dropped, its_tokens)


class EncodeCache:
    """Encodes exactly as the tokenizer does. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, aliases: Iterable[str]) -> None:
        """`aliases`: the control tokens, under their names in the tokenizer."""
        self._tokenizer = tokenizer
        self._ids = {alias: number for alias in aliases if (number := tokenizer.token_to_id(alias)) is not None}
        self._control_pattern = re.compile(f"({'|'.join(map(re.escape, self._ids))})") if self._ids and self._splits_exactly() else None
        self._segments, self._owner = Segments(), ""

    def for_owner(self, owner: str) -> "EncodeCache":
        """With what was cached for `owner` alone: the time that encoding takes tells nobody what others have sent."""
        own = copy(self)
        own._owner = owner
        return own

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
        if (found := self._segments.get(self._owner, text)) is not None:
            return found
        tokens = self._encode_uncached(text)
        self._segments.put(self._owner, text, tokens)
        return tokens

    def _encode_uncached(self, text: str) -> tuple[int, ...]:
        return encode(self._tokenizer, text, add_special=False)

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


def _size(text: str, tokens: "array[int]") -> int:
    """Bytes of both in memory."""
    return sys.getsizeof(text) + tokens.itemsize * len(tokens)
