"""Trains tiny models to spell numbers: `41357=` -> `forty-one thousand three hundred fifty-seven`. Their checkpoints lie in
server/weights/tiny/number-words-*; this makes one again:

    python -m tests.tiny_models.number_words mixtral|mamba2|lfm2 FOLDER

The same seed and number of steps give the same training data; weights may differ in their last digits between machines.
Numbers that training never sees are told by `held_out`."""

import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor
from transformers import (
    Lfm2Config,
    Lfm2ForCausalLM,
    Mamba2Config,
    Mamba2ForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
)

SEED, ROWS, RATE = 0, 48, 3e-3
STEPS = {"mixtral": 1500, "mamba2": 1500, "lfm2": 2000}
POLISH = {"mixtral": 0, "mamba2": 200, "lfm2": 300}  # further steps, at a tenth of the rate, in which single digits are as frequent
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


def mixtral() -> PreTrainedModel:
    sizes = {"hidden_size": 96, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
    experts = {"num_local_experts": 6, "num_experts_per_tok": 2, "router_aux_loss_coef": 0.02, "output_router_logits": True}
    return MixtralForCausalLM(_config(MixtralConfig, **sizes, **experts, max_position_embeddings=128, sliding_window=None))


def mamba2() -> PreTrainedModel:
    """Nothing of the digits is left behind but a state."""
    heads = {"num_heads": 6, "head_dim": 32, "n_groups": 2, "state_size": 32, "expand": 2}
    return Mamba2ForCausalLM(_config(Mamba2Config, hidden_size=96, num_hidden_layers=3, **heads, chunk_size=32, tie_word_embeddings=True))


def lfm2() -> PreTrainedModel:
    sizes = {
        "hidden_size": 96,
        "intermediate_size": 192,
        "block_auto_adjust_ff_dim": False,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    layers = {"num_hidden_layers": 3, "layer_types": ["conv", "full_attention", "conv"], "conv_L_cache": 3}
    return Lfm2ForCausalLM(_config(Lfm2Config, **sizes, **layers, max_position_embeddings=128))


MODELS = {"mixtral": mixtral, "mamba2": mamba2, "lfm2": lfm2}


def _config(kind: Any, **values: Any) -> Any:
    return kind(vocab_size=len(ALPHABET), pad_token_id=PAD, bos_token_id=BEGIN, eos_token_id=END, **values)


def batch(rnd: random.Random, held: set[int], digits: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Tokens, and labels that ask for the words alone. Short numbers are as frequent as long ones: those below 10 to the power of each
    of `digits`."""
    rows = [[BEGIN, *encode(f"{n}={words(n)}"), END] for n in (random_number(rnd, held, digits) for _ in range(ROWS))]
    width = max(map(len, rows))
    tokens = torch.tensor([row + [PAD] * (width - len(row)) for row in rows])
    labels = tokens.masked_fill(tokens == PAD, -100)
    for label, row in zip(labels, rows, strict=True):
        label[: row.index(NUMBER["="]) + 1] = -100
    return tokens, labels


def random_number(rnd: random.Random, held: set[int], digits: Sequence[int]) -> int:
    size = 10 ** rnd.choice(digits)
    while (n := rnd.randrange(size)) in held:
        pass
    return n


def train(name: str) -> PreTrainedModel:
    torch.manual_seed(SEED)
    model = MODELS[name]()
    learn(model, STEPS[name], RATE, (2, 3, 4, 5), SEED + 1)
    learn(model, POLISH[name], RATE / 10, (1, 2, 3, 4, 5), SEED + 2)
    return model.eval()


def learn(model: PreTrainedModel, steps: int, rate: float, digits: Sequence[int], seed: int) -> None:
    rnd, held = random.Random(seed), set(held_out())
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 30) * (0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.02)
        tokens, labels = batch(rnd, held, digits)
        loss = model(input_ids=tokens, attention_mask=(tokens != PAD).long(), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.4f}", flush=True)


def tokenizer() -> Tokenizer:
    """A token for each character, behind <s>."""
    made = Tokenizer(models.WordLevel(NUMBER, unk_token="<pad>"))
    made.add_special_tokens(ALPHABET[:3])
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    made.post_processor = processors.TemplateProcessing(single=f"{ALPHABET[BEGIN]} $A", special_tokens=[(ALPHABET[BEGIN], BEGIN)])
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return made


def save(model: PreTrainedModel, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "generation_config.json").unlink(missing_ok=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save(train(sys.argv[1]), Path(sys.argv[2]))
