"""Encodes texts as token ids with the special tokens of the tokenizer, truncated to length.

A text never yields a special token: "[SEP]" in a document is five characters."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Encoding, Tokenizer

from engine.api import Sentence

PROBE_TEXT = "a"  # encoded to find the special tokens around it


CHARACTERS_PER_TOKEN = 16  # more than most texts have; a text with longer tokens is encoded again, with more of it
SPARE_TOKENS = 32  # behind those that are needed: where a text is cut its last tokens may be others


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """`parts`: special tokens before, between and after the texts; `segments`: segment ids of parts and texts in turn."""

    parts: tuple[tuple[int, ...], ...]
    segments: tuple[int, ...]  # of part, text, part, text ... part

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))

    def wrap(self, *texts: Sequence[int]) -> Sentence:
        pieces = [part for pair in zip(self.parts, (*texts, ()), strict=True) for part in pair]
        tokens = tuple(token for part in pieces for token in part)
        segments = tuple(kind for part, kind in zip(pieces, self.segments, strict=False) for _ in part)
        return Sentence(tokens=tokens, segments=segments if any(segments) else ())


class TextEncoder:
    """Thread-safe. `definition`: content of tokenizer.json. `lowercase`: lower-case texts first, as some models require."""

    def __init__(self, definition: str, *, lowercase: bool = False) -> None:
        tokenizer: Any = Tokenizer.from_str(definition)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.encode_special_tokens = True  # special tokens in texts are plain text
        self._tokenizer, self._lower = tokenizer, lowercase
        self._special_ids, self._unknown = _special_ids(tokenizer)
        self._single, self._pair = _special_tokens_around(tokenizer, PROBE_TEXT), _special_tokens_around(tokenizer, PROBE_TEXT, PROBE_TEXT)

    @property
    def overhead(self) -> int:
        """Number of special tokens added to a single text."""
        return self._single.size

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """As a batch: that does not hold the GIL."""
        return self._tokenizer.encode_batch([text], add_special_tokens=False)[0].offsets

    def fluency(self, text: str) -> float:
        """Letters, marks and digits per token; an unknown token counts like one for each of its characters. 0 for a text without any."""
        encoding = self._tokenizer.encode(text.lower() if self._lower else text, add_special_tokens=False)
        letters = tokens = 0
        for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if held := sum(unicodedata.category(character)[0] in "LMN" for character in text[start:end]):
                letters, tokens = letters + held, tokens + (held if token == self._unknown else 1)
        return letters / tokens if tokens else 0.0

    def count(self, text: str) -> int:
        """Number of tokens of `text`, special tokens not counted."""
        return len(self._ids([text])[0])

    def single(self, texts: Sequence[str], limit: int) -> list[Sentence]:
        """Each text truncated to at most `limit` tokens, special ones included."""
        room = limit - self._single.size
        return [self._single.wrap(ids) for ids in self._first_ids(texts, room)]

    def pairs(self, first: str, others: Sequence[str], limit: int) -> list[Sentence]:
        """`first` paired with each of the others, which are truncated to fit into `limit` tokens; `first` gets at most half of the room."""
        room = limit - self._pair.size
        head = self._first_ids([first], room // 2)[0]
        return [self._pair.wrap(head, ids) for ids in self._first_ids(others, room - len(head))]

    def _first_ids(self, texts: Sequence[str], room: int) -> list[list[int]]:
        """At most `room` tokens of each text. Of a long text only as much is encoded as that takes."""
        given, share = list(texts), CHARACTERS_PER_TOKEN * (room + SPARE_TOKENS)
        found = self._ids([_beginning(text, share) for text in given])
        while short := [i for i, text in enumerate(given) if len(text) > share and len(found[i]) < room + SPARE_TOKENS]:
            share *= 4
            for i, ids in zip(short, self._ids([_beginning(given[i], share) for i in short]), strict=True):
                found[i] = ids
        return [ids[:room] for ids in found]

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        given = [text.lower() for text in texts] if self._lower else list(texts)
        found: list[Encoding] = self._tokenizer.encode_batch_fast(given, add_special_tokens=False)
        return [self._without_special_tokens(encoding.ids) for encoding in found]

    def _without_special_tokens(self, ids: list[int]) -> list[int]:
        """Replaces or drops special tokens that a vocabulary also holds as ordinary words, which a text may contain."""
        if self._special_ids.isdisjoint(ids):
            return ids
        return [
            self._unknown if token in self._special_ids else token for token in ids if token not in self._special_ids or self._unknown >= 0
        ]


def _beginning(text: str, characters: int) -> str:
    """Cut at white space where there is some near the end: words are encoded independently of one another."""
    if len(text) <= characters:
        return text
    return text[: max(text.rfind(" ", characters // 2, characters), text.rfind("\n", characters // 2, characters)) + 1 or characters]


def _special_ids(tokenizer: Any) -> tuple[frozenset[int], int]:
    """Ids of special tokens that no text may yield, and the id of the unknown token, which replaces them (-1: none)."""
    added: dict[int, Any] = tokenizer.get_added_tokens_decoder()
    by_name = {token.content: id for id, token in added.items() if token.special}
    unknown = getattr(tokenizer.model, "unk_token", None)
    candidates = [unknown] if unknown else ["<unk>", "[UNK]"]
    id = next((by_name[name] for name in candidates if name in by_name), -1)
    return frozenset(by_name.values()) - {id}, id


def _special_tokens_around(tokenizer: Any, *texts: str) -> SpecialTokens:
    """Found by encoding probe texts, each of which must be one run of ordinary tokens."""
    encoding = tokenizer.encode(*texts)
    sizes = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
    parts, segments, at = [list[int]()], [0], 0
    while at < len(encoding.ids):
        if encoding.special_tokens_mask[at] or len(parts) > len(sizes):
            parts[-1].append(encoding.ids[at])
            segments[-1] = encoding.type_ids[at]
            at += 1
        else:
            segments += [encoding.type_ids[at], encoding.type_ids[at]]
            at += sizes[len(parts) - 1]
            parts.append([])
    return SpecialTokens(tuple(map(tuple, parts)), tuple(segments))
