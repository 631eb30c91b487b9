"""Converts tokens to text while they arrive. Incomplete characters and possible beginnings of a stop string are held back."""

import codecs
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SPACE = "\u2581"  # how SentencePiece writes a space (Kudo & Richardson 2018, arXiv 1808.06226)


class UnknownDecoder(ValueError):
    """tokenizer.json has a decoder that is not implemented here."""


def byte_decoder(decoder: Any) -> Callable[[str], bytes]:
    """A function from a vocabulary entry to its bytes, by tokenizer.json's `decoder`. It keeps a leading space, as generated text
    continues a prompt. Raises UnknownDecoder."""
    kinds = _kinds(decoder)
    if "ByteLevel" in kinds:
        alphabet = _byte_alphabet()
        return lambda token: _byte_level(token, alphabet)
    if "ByteFallback" in kinds or "Metaspace" in kinds:
        return _sentencepiece
    raise UnknownDecoder(f"tokenizer.json: cannot generate with decoder {sorted(kinds) or None}; known: ByteLevel, ByteFallback, Metaspace")


def writes_spaces(decoder: Any) -> bool:
    """Whether the first word of a text has a space before it, which is none of the text's."""
    return "ByteLevel" not in _kinds(decoder)


def _kinds(decoder: Any) -> set[str]:
    if decoder is None:
        return set()
    return {decoder["type"]}.union(*(_kinds(part) for part in decoder.get("decoders", ())))


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's spelling of bytes as printable characters (Radford et al. 2019): printable Latin-1 as itself, the rest above."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in set(plain)]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(others)}


def _byte_level(token: str, alphabet: dict[str, int]) -> bytes:
    try:
        return bytes(alphabet[c] for c in token)
    except KeyError:  # added tokens are not written in the alphabet
        return token.encode()


def _sentencepiece(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes((int(token[3:5], 16),))
    return token.replace(SPACE, " ").encode()


class Detokenizer:
    """Converts one sequence's tokens to text. `push` returns complete characters, `flush` the rest."""

    def __init__(self, token_bytes: Mapping[int, bytes], *, skip_space: bool = False) -> None:
        """`skip_space`: the text begins here, and a space before its first word is none."""
        self._token_bytes = token_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._skip_space = skip_space

    def push(self, token: int) -> str:
        text = self._utf8.decode(self._token_bytes[token])
        if self._skip_space and text:
            self._skip_space = False
            return text.removeprefix(" ")
        return text

    def flush(self) -> str:
        return self._utf8.decode(b"", final=True)


class StopStrings:
    """Truncates text before the first stop string to be completed. What may become one is held back."""

    def __init__(self, stops: Sequence[str], included: Sequence[str] = ()) -> None:
        """`included`: those of `stops` that the text is truncated behind."""
        self._stops = tuple(stops)
        self._included = frozenset(included)
        self._held: str = ""
        self.matched: str | None = None  # the stop string found

    @property
    def stopped(self) -> bool:
        return self.matched is not None

    def push(self, text: str) -> str:
        """The text that is certain not to belong to a stop string; "" once `stopped`."""
        if self.stopped or not self._stops:
            return "" if self.stopped else text
        text = self._held + text
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        first = min(found, default=None)
        self.matched = first[2] if first else None
        keep = first[1] if first else len(text) - max(overlap(text, stop) for stop in self._stops)
        self._held = "" if found else text[keep:]
        if first and first[2] in self._included:
            keep = first[0]
        return text[:keep]

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held


def overlap(text: str, word: str) -> int:
    """Length of the longest suffix of `text` that is a proper prefix of `word`."""
    return next((n for n in range(min(len(word) - 1, len(text)), 0, -1) if text.endswith(word[:n])), 0)
