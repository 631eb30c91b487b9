"""Trains a tiny T5 that translates figures into words and back: `in words: 41357` -> `forty-one thousand three hundred fifty-seven`,
`in figures: twenty` -> `20`. Its checkpoint lies in server/weights/tiny/number-words-t5; this makes it again:

    python -m tests.tiny_models.number_words_t5 FOLDER

The same seed and number of steps give the same training data; weights may differ in their last digits between machines. Numbers that
training never sees are told by `number_words.held_out`. Its tokenizer is built as T5's own is: the pieces of a unigram model, a space
written as `▁` before what follows it, and `</s>` behind the input. Each digit is a piece, and so is each word."""

import math
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from tests.tiny_models.number_words import ONES, SEED, TENS, held_out, random_number, words

ROWS, RATE, STEPS = 96, 2e-3, 5000
PAD, END, UNKNOWN = 0, 1, 2
SPACE = "▁"
_TOLD = [*ONES, *TENS[2:], "hundred", "thousand", "in", "words", "figures"]
PIECES = ["<pad>", "</s>", "<unk>", SPACE, "-", ":", *"0123456789", *(SPACE + word for word in _TOLD), *ONES[1:10]]
IN_WORDS, IN_FIGURES = "in words:", "in figures:"


def tokenizer() -> Tokenizer:
    """As that of a T5. All pieces are equally likely, so that a text is cut into as few as can be."""
    entries = [(piece, 0.0 if i <= UNKNOWN else -1.0) for i, piece in enumerate(PIECES)]
    made = Tokenizer(models.Unigram(entries, unk_id=UNKNOWN, byte_fallback=False))
    made.add_special_tokens(PIECES[:3])
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", END)])
    made.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return made


def t5() -> T5ForConditionalGeneration:
    sizes: dict[str, Any] = {"d_model": 96, "d_kv": 32, "num_heads": 3, "d_ff": 192, "num_layers": 2, "num_decoder_layers": 2}
    tokens: dict[str, Any] = {"pad_token_id": PAD, "eos_token_id": END, "decoder_start_token_id": PAD}
    return T5ForConditionalGeneration(T5Config(vocab_size=len(PIECES), feed_forward_proj="gated-gelu", dropout_rate=0.0, **sizes, **tokens))


def batch(rnd: random.Random, held: set[int], made: Tokenizer) -> tuple[Tensor, Tensor]:
    """Inputs and answers, the latter with -100 where there are none. Short numbers are as frequent as long ones."""
    numbers = [random_number(rnd, held, (1, 2, 3, 4, 5, 5)) for _ in range(ROWS)]
    pairs = [*((f"{IN_WORDS} {n}", words(n)) for n in numbers[::2]), *((f"{IN_FIGURES} {words(n)}", str(n)) for n in numbers[1::2])]
    inputs, answers = zip(*pairs, strict=True)
    return rows([made.encode(text).ids for text in inputs], PAD), rows([made.encode(text).ids for text in answers], -100)


def rows(tokens: Sequence[list[int]], filler: int) -> Tensor:
    width = max(map(len, tokens))
    return torch.tensor([row + [filler] * (width - len(row)) for row in tokens])


def train() -> T5ForConditionalGeneration:
    torch.manual_seed(SEED)
    model, made, rnd, held = t5(), tokenizer(), random.Random(SEED + 1), set(held_out())

    def loss(_: int) -> Tensor:
        inputs, labels = batch(rnd, held, made)
        return model(input_ids=inputs, attention_mask=(inputs != PAD).long(), labels=labels).loss

    descend(model, RATE, STEPS, loss)
    return model.eval()


def descend(model: torch.nn.Module, rate: float, steps: int, loss: Callable[[int], Tensor]) -> None:
    """`loss`: of the step with that number. The rate rises for a hundred steps, then falls along a cosine."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 100) * (0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.02)
        found = loss(step)
        optimizer.zero_grad()
        found.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step} of {steps}: loss {found.item():.4f}", flush=True)


def save(model: T5ForConditionalGeneration, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save(train(), Path(sys.argv[1]))
