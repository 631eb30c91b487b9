"""The same tokens as the tokenizer gives for the whole text, whatever has been seen before."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from server.text import encode_cache
from server.text.encode_cache import EncodeCache

WORDS = ["the quick brown fox jumps over the lazy dog " * 3, "one two three. four\n\nfive", "é à ü ß"]


def byte_level() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        WORDS, trainers.BpeTrainer(vocab_size=400, special_tokens=["<A>", "<B>"], initial_alphabet=alphabet, show_progress=False)
    )
    return made


def with_prefix() -> Tokenizer:
    """As SentencePiece models have it: only the beginning of the whole text gets a space."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")  # type: ignore[assignment]
    made.train_from_iterator(WORDS, trainers.BpeTrainer(vocab_size=300, special_tokens=["<A>"], show_progress=False))
    return made


def greedy_marks() -> Tokenizer:
    made = byte_level()
    made.add_special_tokens([AddedToken("<C>", lstrip=True, rstrip=True, special=True)])
    return made


def spaced_out() -> Tokenizer:
    made = byte_level()
    made.normalizer = normalizers.Strip()  # type: ignore[assignment]
    return made


ALIASES = ("<A>", "<B>", "<C>", "<never>")
text = st.lists(st.sampled_from([*ALIASES[:3], " ", "\n", "the quick brown fox " * 5, "é", "x" * 70, "one two"]), max_size=12).map("".join)


@pytest.mark.parametrize("make", [byte_level, with_prefix, greedy_marks, spaced_out])
def test_exactly_the_tokenizers_tokens(make: object) -> None:
    tokenizer: Tokenizer = make()  # type: ignore[operator]
    encoder = EncodeCache(tokenizer, ALIASES)

    @settings(max_examples=150, deadline=None)
    @given(text)
    def same(given_text: str) -> None:
        expected = tuple(tokenizer.encode(given_text, add_special_tokens=False).ids)
        assert encoder.encode(given_text) == expected == encoder.encode(given_text)

    same()


def test_what_was_seen_is_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, seen = EncodeCache(byte_level(), ALIASES), list[str]()
    whole = encoder._encode_uncached
    monkeypatch.setattr(encoder, "_encode_uncached", lambda text: seen.append(text) or whole(text))
    history = "<A>" + "the quick brown fox " * 10 + "<B>"
    encoder.encode(history)
    encoder.encode(history + "one two three. " * 10)
    assert seen == ["the quick brown fox " * 10, "one two three. " * 10]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode_cache, "MAX_CACHED_BYTES", 1000)
    encoder = EncodeCache(byte_level(), ALIASES)
    threads = [threading.Thread(target=lambda n=n: [encoder.encode(f"{n} {i} " + "x" * 90) for i in range(50)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    segments = encoder._segments
    assert segments._bytes == sum(encode_cache._size(text, tokens) for (_, text), tokens in segments._tokens.items()) <= 1000
    assert segments._tokens


def test_a_huge_segment_drops_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode_cache, "MAX_SEGMENT_BYTES", 2000)
    encoder, kept = EncodeCache(byte_level(), ALIASES), "the quick brown fox " * 10
    encoder.encode(kept)
    encoder.encode("x y " * 1000)
    assert [text for _, text in encoder._segments._tokens] == [kept]


def test_owners_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one owner has sent, another encodes anew; a second time each finds its own."""
    encoder, seen = EncodeCache(byte_level(), ALIASES), list[str]()
    whole = EncodeCache._encode_uncached
    monkeypatch.setattr(EncodeCache, "_encode_uncached", lambda self, text: seen.append(text) or whole(self, text))
    for owner, encoded in [("a", 1), ("b", 2), ("a", 2), ("b", 2), ("", 3)]:
        encoder.for_owner(owner).encode("the quick brown fox " * 10)
        assert len(seen) == encoded
