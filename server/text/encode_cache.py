"""Tokenizing what has mostly been tokenized before: a conversation comes back with every turn, and only its end is new. Control
tokens part a prompt into segments that the tokenizer encodes each for itself, so what it made of one can be remembered."""

import re
from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from threading import Lock

from tokenizers import Tokenizer

PROBES = ("x", " x", "x ", "\n", "\n\nx y", "x\n", ".", "é ")
SAMPLE = 8  # control tokens
LEAST = 64  # characters; to look a shorter segment up is no faster than to encode it
MOST = 1 << 22  # characters that are remembered in all


class EncodeCache:
    """Encodes exactly as the tokenizer does. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, aliases: Iterable[str]) -> None:
        """`aliases`: control tokens as the tokenizer spells them."""
        self._tokenizer = tokenizer
        self._ids = {alias: number for alias in aliases if (number := tokenizer.token_to_id(alias)) is not None}
        self._edges = re.compile(f"({'|'.join(map(re.escape, self._ids))})") if self._ids and self._exact() else None
        self._known: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._size, self._lock = 0, Lock()

    def encode(self, armed: str) -> tuple[int, ...]:
        if self._edges is None:
            return self._whole(armed)
        tokens: list[int] = []
        for i, part in enumerate(self._edges.split(armed)):
            tokens += (self._ids[part],) if i % 2 else self._segment(part)
        return tuple(tokens)

    def _segment(self, text: str) -> tuple[int, ...]:
        if len(text) < LEAST:
            return self._whole(text) if text else ()
        with self._lock:
            if (found := self._known.get(text)) is not None:
                self._known.move_to_end(text)
                return found
        made = self._whole(text)
        self._remember(text, made)
        return made

    def _remember(self, text: str, made: tuple[int, ...]) -> None:
        with self._lock:
            if text not in self._known:
                self._size += len(text)
            self._known[text] = made
            while self._size > MOST:
                gone, _ = self._known.popitem(last=False)
                self._size -= len(gone)

    def _whole(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _exact(self) -> bool:
        """Some tokenizers treat the beginning of a text in their own way, or let a control token swallow the space beside it."""
        added = self._tokenizer.get_added_tokens_decoder()
        if any(added[number].lstrip or added[number].rstrip or added[number].single_word for number in self._ids.values()):
            return False
        return all(
            self._whole(before + alias + after) == (*self._whole(before), number, *self._whole(after))
            for alias, number in islice(self._ids.items(), SAMPLE)  # they are all alike, and some models have thousands
            for before, after in zip(PROBES, reversed(PROBES), strict=True)
        )
