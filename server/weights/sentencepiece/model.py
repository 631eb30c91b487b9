"""Reads SentencePiece's files (https://github.com/google/sentencepiece, src/sentencepiece_model.proto): as much of the protocol buffer as
a tokenizer needs."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Value = int | bytes
UNIGRAM, BPE = 1, 2
NORMAL, UNKNOWN, USER_DEFINED, BYTE = 1, 2, 4, 6  # types of pieces


class NoModel(ValueError):
    """The file holds no such model."""


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    score: float = 0.0
    kind: int = NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePieceModel:
    pieces: tuple[Piece, ...]
    kind: int = UNIGRAM
    byte_fallback: bool = False
    charsmap: bytes = b""  # of its normalizer, compiled; b"": none
    dummy_prefix: bool = True  # a text begins with a space
    trims: bool = True  # spaces at the ends, and further ones between words, are dropped

    @property
    def unknown(self) -> int:
        """Number of the piece for what is in no other."""
        return next((i for i, piece in enumerate(self.pieces) if piece.kind == UNKNOWN), 0)


def read_model(file: Path) -> SentencePieceModel:
    """Raises NoModel."""
    try:
        fields = list(_fields(file.read_bytes()))
        pieces = tuple(_piece(value) for number, value in fields if number == 1 and isinstance(value, bytes))
        trainer, normalizer = (_last(fields, number) for number in (2, 3))
        charsmap = normalizer.get(2, b"")
        model = SentencePieceModel(
            pieces=pieces,
            kind=int(trainer.get(3, UNIGRAM)),
            byte_fallback=bool(trainer.get(35, 0)),
            charsmap=charsmap if isinstance(charsmap, bytes) else b"",
            dummy_prefix=bool(normalizer.get(3, 1)),
            trims=bool(normalizer.get(4, 1)),
        )
    except (IndexError, ValueError, struct.error) as error:
        raise NoModel(f"{file} holds no model of SentencePiece") from error
    if not pieces or model.kind not in (UNIGRAM, BPE):
        raise NoModel(f"{file}: only unigram and BPE models of SentencePiece can be read")
    return model


def _piece(data: bytes) -> Piece:
    values = dict(_fields(data))
    text, score = values.get(1, b""), values.get(2, b"\0\0\0\0")
    if not isinstance(text, bytes) or not isinstance(score, bytes):
        raise ValueError("a piece is no text with a score")
    return Piece(text.decode(), struct.unpack("<f", score)[0], int(values.get(3, NORMAL)))


def _last(fields: list[tuple[int, Value]], number: int) -> dict[int, Value]:
    found = [value for field, value in fields if field == number and isinstance(value, bytes)]
    return dict(_fields(found[-1])) if found else {}


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Numbers and values; those of four and eight bytes as bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError("no protocol buffer")
        if at + length > len(data):
            raise ValueError("cut short")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
