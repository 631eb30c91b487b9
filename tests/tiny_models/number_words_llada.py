"""Trains a tiny LLaDA (arXiv 2502.09992) that denoises a number's words, all of them at once: `41357 =` -> `forty-one thousand three
hundred fifty-seven`, and figures out of words. Its checkpoint lies in server/weights/tiny/number-words-llada; this makes it again:

    python -m tests.tiny_models.number_words_llada FOLDER

The same seed and number of steps give the same training data; weights may differ in their last digits between machines. Numbers that
training never sees are told by `number_words.held_out`. Tokens are those of the T5 beside it, a word each, so that where a word stands
does not hang on how the words before it are spelt."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from tests.tiny_models.number_words import SEED, held_out, random_number, words
from tests.tiny_models.number_words_t5 import END, PIECES, SPACE, UNKNOWN, descend

RATE, STEPS, BLOCK = 2e-3, 6000, 32
CANVASES = ((24, 64), (48, 40), (128, 16))  # tokens that may be masked, and how many texts with so many are read at once
TOKENS = [*PIECES, "=", f"{SPACE}=", "<mask>"]
MASK = len(TOKENS) - 1
TEMPLATE = "{{ messages[-1].content }} ="
CONFIG: dict[str, Any] = {
    "architectures": ["LLaDAModelLM"],
    "model_type": "llada",
    "d_model": 96,
    "n_heads": 4,
    "n_kv_heads": 4,
    "n_layers": 4,
    "mlp_hidden_size": 256,
    "vocab_size": len(TOKENS),
    "embedding_size": len(TOKENS),
    "max_sequence_length": 512,
    "rms_norm_eps": 1e-5,
    "rope": True,
    "rope_theta": 10000.0,
    "block_type": "llama",
    "activation_type": "silu",
    "layer_norm_type": "rms",
    "weight_tying": False,
    "mask_token_id": MASK,
    "eos_token_id": END,
}
NAMES = {  # of a Llama, and of a LLaDA
    "model.embed_tokens": "model.transformer.wte",
    "model.norm": "model.transformer.ln_f",
    "lm_head": "model.transformer.ff_out",
    "model.layers": "model.transformer.blocks",
    "self_attn.o_proj": "attn_out",
    "self_attn.": "",
    "mlp.gate_proj": "ff_proj",
    "mlp.up_proj": "up_proj",
    "mlp.down_proj": "ff_out",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ff_norm",
}


def tokenizer() -> Tokenizer:
    entries = [(token, 0.0 if i <= UNKNOWN or i == MASK else -1.0) for i, token in enumerate(TOKENS)]
    made = Tokenizer(models.Unigram(entries, unk_id=UNKNOWN, byte_fallback=False))
    made.add_special_tokens([*TOKENS[:3], "<mask>"])
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
    made.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    return made


def llama() -> LlamaForCausalLM:
    """The body of a LLaDA: what makes it one is the mask of its attention, and what it learns."""
    sizes: dict[str, Any] = {
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
    }
    rest: dict[str, Any] = {
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "attn_implementation": "eager",
    }
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(TOKENS), **sizes, **rest))


def texts(rnd: random.Random, held: set[int], made: Tokenizer, count: int) -> list[tuple[list[int], list[int]]]:
    """Prompts and answers. Short numbers are as frequent as long ones, and figures are asked for in every fourth."""
    numbers = [random_number(rnd, held, (1, 2, 3, 4, 5, 5)) for _ in range(count)]
    pairs = [(f"{words(n)} =", str(n)) if i % 4 == 3 else (f"{n} =", words(n)) for i, n in enumerate(numbers)]
    return [(made.encode(prompt).ids, made.encode(answer).ids) for prompt, answer in pairs]


def batch(rnd: random.Random, pairs: list[tuple[list[int], list[int]]], canvas: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, of which some are masked; what those are, -100 for the others; and the positions. Behind the answer there is its end, again
    and again. A share of tokens that is drawn for each text is masked, and for half of the texts all behind a first block. The prompts
    end at one place: what is before the shorter ones is seen by none."""
    width = max(len(prompt) for prompt, _ in pairs)
    rows, labels, positions = list[list[int]](), list[list[int]](), list[list[int]]()
    for prompt, answer in pairs:
        full = answer + [END] * (canvas - len(answer))
        share, end = rnd.random(), BLOCK if rnd.random() < 0.5 else canvas
        masked = [i >= end or rnd.random() < share for i in range(canvas)]
        front = width - len(prompt)
        rows.append([0] * front + prompt + [MASK if hidden else token for hidden, token in zip(masked, full, strict=True)])
        labels.append([-100] * width + [token if hidden else -100 for hidden, token in zip(masked, full, strict=True)])
        positions.append([0] * front + list(range(len(prompt) + canvas)))
    return torch.tensor(rows), torch.tensor(labels), torch.tensor(positions)


def all_see_all(tokens: Tensor) -> Tensor:
    """The mask that is added to scores [rows, 1, 1, width]: of what is before a prompt nothing is seen."""
    return torch.zeros(len(tokens), 1, 1, tokens.shape[1]).masked_fill((tokens == 0)[:, None, None], -1e9)


def train() -> LlamaForCausalLM:
    torch.manual_seed(SEED)
    model, made, rnd, held = llama(), tokenizer(), random.Random(SEED + 1), set(held_out())

    def loss(step: int) -> Tensor:
        canvas, count = CANVASES[step % len(CANVASES)]
        tokens, labels, positions = batch(rnd, texts(rnd, held, made, count), canvas)
        mask = all_see_all(tokens).expand(-1, 1, tokens.shape[1], -1)
        logits = model(input_ids=tokens, attention_mask=mask, position_ids=positions, use_cache=False).logits
        told = labels != -100
        weight = torch.where(labels[told] == END, 0.2, 1.0)  # most of what is masked is behind the answer
        losses = torch.nn.functional.cross_entropy(logits[told], labels[told], reduction="none")
        return (losses * weight).sum() / weight.sum().clamp(min=1)

    descend(model, RATE, STEPS, loss)
    return model.eval()


def save(model: LlamaForCausalLM, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {renamed(name): value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": END}) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>", "chat_template": TEMPLATE}) + "\n")


def renamed(name: str) -> str:
    for llama, llada in NAMES.items():
        name = name.replace(llama, llada)
    return name


if __name__ == "__main__":
    torch.set_num_threads(1)
    save(train(), Path(sys.argv[1]))
