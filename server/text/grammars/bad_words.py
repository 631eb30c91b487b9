"""Words that must not be generated, as sequences of tokens (engine/api/sampling.py: Sampling.bad_words)."""

from collections.abc import Sequence

from server.text.tokenizer import ChatTokenizer


def bad_word_tokens(tokenizer: ChatTokenizer, words: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Each word as it is tokenized at the beginning of a text and after a space, as in vLLM. Raises ValueError for a word without
    letters."""
    if blank := [word for word in words if not word.strip()]:
        raise ValueError(f"{blank[0]!r} is no word")
    texts = [text for word in words for text in (word.lstrip(), f" {word.lstrip()}")]
    return tuple(dict.fromkeys(tokens for text in texts if (tokens := tokenizer.encode(text))))
