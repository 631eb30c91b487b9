"""What `stoa pull` makes of a folder of CTranslate2's: a config.json that writes its model out (models/families/stoa.py), and a
generation_config.json with what its own config.json says of answers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.ctranslate2.file import BINARY, CTranslate2
from models.families import stoa
from models.families.ctranslate2 import decoder, whisper
from models.hf import Config, ConfigError

_LONGEST = 10_000_000  # tokenizers without a limit say 10 ** 30


def config_of(directory: Path) -> dict[str, Any]:
    """Raises ConfigError for a model that is neither a decoder of text nor Whisper, and for what is not supported of one."""
    file = CTranslate2(directory / BINARY)
    tied = file.same("decoder/projection/weight", "decoder/embeddings/weight")
    match file.spec:
        case "TransformerDecoderSpec":
            return _decoder(directory, file, tied)
        case "WhisperSpec":
            arch = whisper.arch(file.settings, file.shapes, tied=tied)
            return stoa.config_of(arch) | _numbers(_tokens(directory, arch.vocab), _ROLES)
        case other:
            raise ConfigError(f"{directory / BINARY}: {other} is not supported, only TransformerDecoderSpec and WhisperSpec")


def generation_config_of(directory: Path) -> dict[str, Any]:
    """What Whisper's config.json says of answers, in transformers' words; nothing for other models."""
    stated = _json(directory / "config.json")
    return {theirs: stated[ours] for ours, theirs in _OF_ANSWERS.items() if ours in stated}


_ROLES = {"bos_token_id": "<|endoftext|>", "eos_token_id": "<|endoftext|>", "decoder_start_token_id": "<|startoftranscript|>"}
_OF_ANSWERS = {"suppress_ids": "suppress_tokens", "suppress_ids_begin": "begin_suppress_tokens", "alignment_heads": "alignment_heads"}


def _decoder(directory: Path, file: CTranslate2, tied: bool) -> dict[str, Any]:
    stated = _json(directory / "config.json")
    config = Config(stated, f"{directory / 'config.json'}")
    arch = decoder.arch(file.settings, file.shapes, config, tied=tied, context=_context(directory))
    named = {f"{role}_token_id": stated.get(f"{role}_token") for role in ("bos", "eos")}
    return stoa.config_of(arch) | _numbers(_tokens(directory, arch.vocab), named)


def _context(directory: Path) -> int | None:
    stated = _json(directory / "tokenizer_config.json").get("model_max_length")
    return int(stated) if isinstance(stated, (int, float)) and 1 < stated <= _LONGEST else None


def _tokens(directory: Path, vocab: int) -> list[str]:
    """Older folders have a line for each."""
    file = directory / "vocabulary.txt"
    if file.exists():
        tokens = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    else:
        file = directory / "vocabulary.json"
        tokens = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    if len(tokens) != vocab:
        raise ConfigError(f"{file} must have the model's {vocab} tokens, but has {len(tokens)}")
    return tokens


def _numbers(tokens: Sequence[str], named: Mapping[str, str | None]) -> dict[str, int]:
    return {key: tokens.index(token) for key, token in named.items() if token in tokens}


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
