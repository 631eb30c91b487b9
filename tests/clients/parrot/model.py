"""The parrot: says the last message again, and makes the tool calls that are written in it. It costs next to nothing, reads bytes, and
takes prompts of any length, so that whole conversations of agents can be had without a model that understands them."""

import gzip
import json
from pathlib import Path

from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.clients.parrot.weights import BITS, config, state

SPECIAL = ("<|endoftext|>", "<|end|>", "<|start|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|call|>")
PROSE = Path(__file__).parents[2] / "data" / "cranfield" / "corpus.jsonl.gz"
CONTEXT = 262_144  # bytes; agents send 80,000 and leave room for an answer of 32,000 tokens


def parrot(folder: Path) -> Path:
    """The model's folder, as checkpoints are published."""
    folder.mkdir(parents=True)
    words = _tokenizer()
    end = words.get_vocab()["<|end|>"]
    words.save(str(folder / "tokenizer.json"))
    save_file(state(words.get_vocab_size()), folder / "model.safetensors", metadata={"format": "pt"})
    _write(folder / "config.json", config(words.get_vocab_size(), end, CONTEXT))
    _write(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "clean_up_tokenization_spaces": False},
    )
    _write(folder / "generation_config.json", {"eos_token_id": end})
    (folder / "chat_template.jinja").write_text((Path(__file__).parent / "template.jinja").read_text())
    return folder


def _tokenizer() -> Tokenizer:
    """As many tokens as there are codes."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    size = 2**BITS - len(SPECIAL)
    words.train_from_iterator(
        [gzip.decompress(PROSE.read_bytes()).decode()], trainers.BpeTrainer(vocab_size=size, initial_alphabet=letters, show_progress=False)
    )
    words.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    return words


def _write(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=1))
