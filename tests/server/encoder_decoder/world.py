"""Tiny random encoder-decoders in folders as their makers publish them, tokenizers made by transformers and all, and what transformers
answers with them."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    BartTokenizer,
    GenerationConfig,
    MBart50Tokenizer,
    MBartTokenizer,
    NllbTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Tokenizer,
)

from engine.embedded.engine import EmbeddedEngine
from engine.embedded.load import LoadOptions, load_model
from server.text.tokenizer import load_tokenizer
from tests.engine.test_encoder_decoder import LIMITED
from tests.models.encoder_decoder_world import make
from tests.models.test_encoder_decoders import tiny
from tests.server.fakes import ask, ready
from tests.server.worlds import CORPUS

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
COUNT = 10  # tokens of an answer


@dataclass(frozen=True)
class World:
    """A checkpoint, and transformers' idea of it."""

    folder: Path
    tokenizer: Any
    model: Any

    def read(self, text: str) -> list[int]:
        return self.tokenizer(text).input_ids

    @torch.no_grad()
    def answer(self, text: str, **options: Any) -> tuple[list[int], str]:
        """Its tokens without the first, which it begins with, up to the end; and its text."""
        given = {"use_cache": False, **options}  # transformers 5.24 makes as many caches as the encoder has layers
        found = self.model.generate(**self.tokenizer(text, return_tensors="pt"), **given)[0].tolist()[1:]
        end = self.model.generation_config.eos_token_id
        found = found[: found.index(end) + 1] if end in found else found
        return found, self.tokenizer.decode(found, skip_special_tokens=True)


def save(folder: Path, family: str, tokenizer: PreTrainedTokenizerBase, generation: dict[str, Any], **config: Any) -> World:
    """`generation`: of generation_config.json, besides what config.json has."""
    model = make(tiny(family, vocab_size=len(tokenizer), **config))
    theirs = cast(Any, model)
    theirs.generation_config = GenerationConfig(
        **{"decoder_start_token_id": theirs.config.decoder_start_token_id, "eos_token_id": theirs.config.eos_token_id}
        | {"pad_token_id": theirs.config.pad_token_id, "forced_eos_token_id": None, **generation}
    )
    cast(PreTrainedModel, model).save_pretrained(folder)
    tokenizer.save_pretrained(str(folder))
    return World(folder, tokenizer, theirs)


def unigram(first: list[str]) -> list[tuple[str, float]]:
    """Pieces and scores, behind special ones."""
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=120, special_tokens=first, unk_token="<unk>", show_progress=False))
    return [(piece, score) for piece, score in json.loads(made.to_str())["model"]["vocab"]]


def bpe(first: list[str], *, spaces: bool) -> dict[str, Any]:
    """Vocabulary and merges. `spaces`: as SentencePiece writes them; else bytes."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Metaspace() if spaces else pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = [] if spaces else pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=first, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(CORPUS, trainer)
    model = json.loads(made.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def t5(folder: Path, **generation: Any) -> World:
    tokenizer = T5Tokenizer(vocab=unigram(["<pad>", "</s>", "<unk>"]), extra_ids=10)
    tasks = {
        f"translation_en_to_{code}": {"prefix": f"translate English to {name}: "} for code, name in (("de", "German"), ("fr", "French"))
    }
    return save(folder, "t5", tokenizer, generation, task_specific_params=tasks)


def bart(folder: Path, **generation: Any) -> World:
    tokenizer = BartTokenizer(**bpe([*SPECIAL, "<mask>"], spaces=False))
    return save(folder, "bart", tokenizer, {"forced_bos_token_id": 0, **generation})


def nllb(folder: Path, **generation: Any) -> World:
    return save(folder, "m2m_100", NllbTokenizer(**bpe(SPECIAL, spaces=True)), generation)


def mbart(folder: Path, **generation: Any) -> World:
    """The first generation: answers begin with their language."""
    tokenizer = MBartTokenizer(vocab=[*unigram(SPECIAL), *((code, 0.0) for code in ("de_DE", "en_XX", "fr_XX", "ro_RO")), ("<mask>", 0.0)])
    start = cast(int, tokenizer.convert_tokens_to_ids("ro_RO"))
    return save(folder, "mbart", tokenizer, generation, decoder_start_token_id=start)


def mbart50(folder: Path, **generation: Any) -> World:
    return save(folder, "mbart", MBart50Tokenizer(vocab=unigram(SPECIAL)), generation)


@contextmanager
def serving(folder: Path) -> Iterator["Client"]:
    engine = EmbeddedEngine(load_model(folder, LoadOptions(kv_memory=1 << 22, dtype=torch.float32, limits=LIMITED, threads=1)))
    try:
        yield Client(ready(cast(Any, engine), load_tokenizer(folder))[0])
    finally:
        asyncio.run(engine.close())


@dataclass(frozen=True)
class Client:
    app: Any

    def complete(self, prompt: str, status: int = 200, **fields: Any) -> dict[str, Any]:
        """The choice, or the error."""
        body = {"model": "tiny", "prompt": prompt, "max_tokens": COUNT, "return_token_ids": True, **fields}
        return self._post("/v1/completions", status, body)

    def chat(self, text: str, status: int = 200, **fields: Any) -> dict[str, Any]:
        body = {"model": "tiny", "messages": [{"role": "user", "content": text}], "max_tokens": COUNT, "return_token_ids": True, **fields}
        return self._post("/v1/chat/completions", status, body)

    def _post(self, path: str, status: int, body: dict[str, Any]) -> dict[str, Any]:
        answer = ask(self.app, "POST", path, json=body)
        assert answer.status_code == status, answer.text
        found = answer.json()
        return found["choices"][0] | {"read": found.get("prompt_token_ids")} if status == 200 else found["error"]
