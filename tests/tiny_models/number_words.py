"""Trains a tiny Mixtral to spell numbers: `41357=` -> `forty-one thousand three hundred fifty-seven`. Its checkpoint lies in
tests/data/number-words; this makes it again:

    python -m tests.tiny_models.number_words FOLDER

The same seed and number of steps give the same training data; weights may differ in their last digits between machines.
Numbers that training never sees are told by `held_out`."""

import math
import random
import sys
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import MixtralConfig, MixtralForCausalLM

SEED, STEPS, ROWS, RATE = 0, 1500, 48, 3e-3
ALPHABET = ["<pad>", "<s>", "</s>", *"0123456789abcdefghijklmnopqrstuvwxyz -="]
NUMBER = {character: i for i, character in enumerate(ALPHABET)}
PAD, BEGIN, END = 0, 1, 2
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
ONES, TENS = _ONES.split(), ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def words(n: int) -> str:
    """Of a number below a million."""
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")
    size, name = (100, "hundred") if n < 1000 else (1000, "thousand")
    return f"{words(n // size)} {name}" + (f" {words(n % size)}" if n % size else "")


def encode(text: str) -> list[int]:
    return [NUMBER[character] for character in text]


def held_out() -> list[int]:
    return sorted(random.Random(SEED).sample(range(100_000), 2000))


def config() -> MixtralConfig:
    return MixtralConfig(
        vocab_size=len(ALPHABET),
        hidden_size=96,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=6,
        num_experts_per_tok=2,
        max_position_embeddings=128,
        sliding_window=None,
        router_aux_loss_coef=0.02,
        output_router_logits=True,
        pad_token_id=PAD,
        bos_token_id=BEGIN,
        eos_token_id=END,
    )


def batch(rnd: random.Random, held: set[int]) -> tuple[Tensor, Tensor]:
    """Tokens, and labels that ask for the words alone. Short numbers are as frequent as long ones."""
    rows = [[BEGIN, *encode(f"{n}={words(n)}"), END] for n in (_number(rnd, held) for _ in range(ROWS))]
    width = max(map(len, rows))
    tokens = torch.tensor([row + [PAD] * (width - len(row)) for row in rows])
    labels = tokens.masked_fill(tokens == PAD, -100)
    for label, row in zip(labels, rows, strict=True):
        label[: row.index(NUMBER["="]) + 1] = -100
    return tokens, labels


def _number(rnd: random.Random, held: set[int]) -> int:
    size = 10 ** rnd.choice((2, 3, 4, 5))
    while (n := rnd.randrange(size)) in held:
        pass
    return n


def train() -> MixtralForCausalLM:
    torch.manual_seed(SEED)
    rnd, held = random.Random(SEED + 1), set(held_out())
    model = MixtralForCausalLM(config())
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 30) * (0.98 * 0.5 * (1 + math.cos(math.pi * step / STEPS)) + 0.02)
        tokens, labels = batch(rnd, held)
        loss = model(input_ids=tokens, attention_mask=(tokens != PAD).long(), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 200 == 0:
            print(f"step {step} of {STEPS}: loss {loss.item():.4f}", flush=True)
    return model.eval()


def tokenizer() -> Tokenizer:
    """A token for each character."""
    made = Tokenizer(models.WordLevel(NUMBER, unk_token="<pad>"))
    made.add_special_tokens(ALPHABET[:3])
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    made.decoder = decoders.Fuse()
    return made


def save(model: MixtralForCausalLM, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save(train(), Path(sys.argv[1]))
