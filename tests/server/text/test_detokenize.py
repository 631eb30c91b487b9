"""However text is cut into tokens and deltas, the same text comes out."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.text.detokenize import Detokenizer, StopStrings, UnknownDecoder, byte_decoder, overlap
from tests.server.fakes import text as fake_tokenizer

TEXT = fake_tokenizer("qwen")


def split_at(text: str, at: list[int]) -> list[str]:
    places = sorted({min(i, len(text)) for i in at} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(places)]


@given(st.text())
def test_characters_made_of_several_tokens_come_whole(text: str) -> None:
    detokenizer = Detokenizer(TEXT.token_bytes)
    pieces = [detokenizer.push(token) for token in TEXT.encode(text)]
    assert "".join(pieces) + detokenizer.flush() == text
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text


def test_what_is_no_character_is_told_at_the_end() -> None:
    detokenizer = Detokenizer({0: b"\xf0\x9f", 1: b"a"})
    assert (detokenizer.push(0), detokenizer.flush()) == ("", "\ufffd")
    assert detokenizer.push(1) == "a"


@given(
    text=st.text("abc", max_size=12), stops=st.lists(st.text("abc", min_size=1, max_size=3), max_size=3), at=st.lists(st.integers(0, 12))
)
def test_stop_strings_do_not_depend_on_how_text_arrives(text: str, stops: list[str], at: list[int]) -> None:
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    stopping = StopStrings(stops)
    shown = "".join(map(stopping.push, split_at(text, at)))
    assert stopping.matched == (text[slice(*reversed(min(ends)))] if ends else None)
    assert shown + ("" if stopping.stopped else stopping.flush()) == (text[: min(ends)[1]] if ends else text)


def test_overlap() -> None:
    assert [overlap("xab", "abc"), overlap("xabc", "abc"), overlap("aa", "aab"), overlap("", "a"), overlap("x", "a")] == [2, 0, 2, 0, 0]


@pytest.mark.parametrize("decoder", [None, {"type": "WordPiece"}, {"type": "Sequence", "decoders": [{"type": "CTC"}]}])
def test_decoders_that_nobody_described_are_refused(decoder: Any) -> None:
    with pytest.raises(UnknownDecoder):
        byte_decoder(decoder)


def test_bytes_of_tokens() -> None:
    sentencepiece = byte_decoder({"type": "Sequence", "decoders": [{"type": "Replace"}, {"type": "ByteFallback"}]})
    assert [sentencepiece("▁a▁"), sentencepiece("<0xE2>"), sentencepiece("é")] == [b" a ", b"\xe2", "é".encode()]
    byte_level = byte_decoder({"type": "ByteLevel"})
    assert [byte_level("Ġa"), byte_level("Ã©"), byte_level("<|im end|>")] == [b" a", "é".encode(), b"<|im end|>"]
