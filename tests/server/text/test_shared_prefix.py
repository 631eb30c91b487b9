"""What every prompt begins with, and what the operator shares by name."""

import pytest

from server.text.shared_prefix import shared_prefixes
from tests.server.fakes import text

PROMPT = "What is the capital of France? The capital of France is Paris."


@pytest.mark.parametrize("world", ["chatml", "mistral", "llama3", "unigram"])
def test_texts_are_found(world: str) -> None:
    tokenizer = text(world)
    found = [tokenizer.decode(tokens) for tokens in shared_prefixes(tokenizer, [PROMPT])]
    assert any(PROMPT[:-6] in prefix for prefix in found)


def test_prompts_begin_with_it() -> None:
    tokenizer = text("chatml")
    (own,) = shared_prefixes(tokenizer, [])
    assert tokenizer.decode(own) == "<|im_start|>system\nBe good.<|im_end|>\n<|im_start|>user\n"
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": "Hello"}]
    tokens = tokenizer.encode_chat(messages).tokens
    longest = max((p for p in shared_prefixes(tokenizer, [PROMPT]) if tokens[: len(p)] == p), key=len)
    assert tokenizer.decode(longest).endswith(f"{PROMPT}<|im_end|>\n<|im_start|>user\n")
