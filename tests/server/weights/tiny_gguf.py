"""GGUF files small enough for a test, with real tokenizers that were trained on the spot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

TEXT = [
    "the quick brown fox jumps over the lazy dog and the dog does not care about 123 foxes",
    "It's what they'd say: we've seen 2024, 1999 and 12345 things; haven't you?",
    "def f(x):\n    return x + 1\n\nprint(f(41))\t# prints 42\n",
    "Ünïcödé wörds, 你好世界, привет мир, مرحبا and emoji 🎉🎊 too",
] * 20
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
THINK = "<think>"
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


def byte_level(pre_tokenizer: Any, normalizer: Any = None) -> Tokenizer:
    """What a published tokenizer.json of a byte-level model looks like."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=500, special_tokens=list(CONTROL), initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_tokens([THINK])
    return tokenizer


def described(tokenizer: Tokenizer, pre: str) -> dict[str, Any]:
    """The metadata that a converter would write for a byte-level `tokenizer`."""
    import json

    vocab = tokenizer.get_vocab()
    tokens = sorted(vocab, key=vocab.__getitem__)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3 if token in CONTROL else 4 if token == THINK else 1 for token in tokens],
        "tokenizer.ggml.merges": [" ".join(merge) for merge in merges],
        "tokenizer.ggml.bos_token_id": vocab["<|im_start|>"],
        "tokenizer.ggml.eos_token_id": vocab["<|im_end|>"],
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def llama_metadata(vocab: int) -> dict[str, Any]:
    return {
        "llama.block_count": 1,
        "llama.context_length": 64,
        "llama.embedding_length": 32,
        "llama.feed_forward_length": 32,
        "llama.attention.head_count": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.vocab_size": vocab,
    }


def write(path: Path, metadata: Mapping[str, Any], seed: int = 0, split: int = 0) -> Path:
    """One llama layer with random weights, and `metadata` beside it; in pieces of `split` tensors if that is not 0."""
    writer = GGUFWriter(path, "llama", split_max_tensors=split)
    for name, value in (llama_metadata(len(metadata["tokenizer.ggml.tokens"])) | dict(metadata)).items():
        _add(writer, name, value)
    for name, tensor in weights(len(metadata["tokenizer.ggml.tokens"]), seed).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: GGUFWriter, name: str, value: Any) -> None:
    match value:
        case bool():
            writer.add_bool(name, value)
        case int():
            writer.add_uint32(name, value)
        case float():
            writer.add_float32(name, value)
        case str():
            writer.add_string(name, value)
        case _:
            writer.add_array(name, value)


def weights(vocab: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    block = {"attn_q": (32, 32), "attn_k": (32, 32), "attn_v": (32, 32), "attn_output": (32, 32)}
    block |= {"ffn_gate": (32, 32), "ffn_up": (32, 32), "ffn_down": (32, 32), "attn_norm": (32,), "ffn_norm": (32,)}
    shapes = {"token_embd": (vocab, 32), "output_norm": (32,)} | {f"blk.0.{name}": shape for name, shape in block.items()}
    return {f"{name}.weight": random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
