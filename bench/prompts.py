"""Prompts of an exact length in tokens, of which no two begin alike: a server's prefix cache must not help by accident."""

import random
from pathlib import Path

from tokenizers import Tokenizer

# fmt: off
WORDS = [
    "river", "stone", "window", "garden", "market", "bridge", "winter", "letter", "engine", "forest", "signal", "harbor", "copper",
    "meadow", "village", "planet", "mirror", "thunder", "basket", "candle", "desert", "island", "ladder", "museum", "needle", "orange",
    "pepper", "rabbit", "saddle", "temple", "umbrella", "valley", "walnut", "yellow", "anchor", "button", "castle", "dragon", "feather",
    "guitar", "hammer", "insect", "jacket", "kitchen", "lemon", "magnet", "napkin", "ocean", "pillow",
]
# fmt: on


class Prompts:
    def __init__(self, model: Path, seed: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self._random = random.Random(seed)

    def make(self, tokens: int, prefix: str = "") -> str:
        """`prefix` and random words behind it, `tokens` tokens in all as the model counts them."""
        text = prefix or self._random.choice(WORDS).capitalize()
        # words of one token when a space stands before them: grow by one until the length is right
        while (short := tokens - self._count(text)) > 0:
            words = self._random.choices(WORDS, k=max(1, short // 2))
            text = " ".join([text, *words])
        ids = self._tokenizer.encode(text).ids[:tokens]
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text))
