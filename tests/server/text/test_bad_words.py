"""Words as tokens, wherever they stand."""

import pytest

from server.text.grammars.bad_words import bad_word_tokens
from tests.server.fakes import text


@pytest.mark.parametrize("world", ["chatml", "mistral"])
def test_at_the_beginning_and_after_a_space(world: str) -> None:
    tokenizer = text(world)
    found = bad_word_tokens(tokenizer, ["capital", " capital"])
    assert [tokenizer.decode(tokens).strip() for tokens in found] == ["capital"] * len(found)
    assert len(set(found)) == len(found)
    assert tokenizer.encode("capital") in found
    assert tokenizer.encode(" capital") in found


def test_no_word() -> None:
    with pytest.raises(ValueError, match="is no word"):
        bad_word_tokens(text(), ["good", "  "])
