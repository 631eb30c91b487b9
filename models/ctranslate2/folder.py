"""What `stoa pull` makes of a folder of CTranslate2's: a config.json that writes its decoder out (models/families/stoa.py)."""

import json
from pathlib import Path
from typing import Any

from models.ctranslate2.file import BINARY, CTranslate2
from models.families import ctranslate2, stoa
from models.hf import Config, ConfigError

_LONGEST = 10_000_000  # tokenizers without a limit say 10 ** 30


def config_of(directory: Path) -> dict[str, Any]:
    """Raises ConfigError for a model that is no decoder of text alone, and for what is not supported of one."""
    file = CTranslate2(directory / BINARY)
    if file.spec != "TransformerDecoderSpec":
        raise ConfigError(f"{directory / BINARY}: {file.spec} is not supported, only TransformerDecoderSpec")
    stated = _json(directory / "config.json")
    config = Config(stated, f"{directory / 'config.json'}")
    tied = file.same("decoder/projection/weight", "decoder/embeddings/weight")
    arch = ctranslate2.arch(file.settings, file.shapes, config, tied=tied, context=_context(directory))
    return stoa.config_of(arch) | _ends(directory, stated, arch.vocab)


def _context(directory: Path) -> int | None:
    stated = _json(directory / "tokenizer_config.json").get("model_max_length")
    return int(stated) if isinstance(stated, (int, float)) and 1 < stated <= _LONGEST else None


def _ends(directory: Path, config: dict[str, Any], vocab: int) -> dict[str, int]:
    """Numbers of the tokens that config.json names."""
    file = directory / "vocabulary.json"
    tokens = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    if len(tokens) != vocab:
        raise ConfigError(f"{file} must have the model's {vocab} tokens, but has {len(tokens)}")
    named = {f"{role}_token_id": config.get(f"{role}_token") for role in ("bos", "eos")}
    return {key: tokens.index(token) for key, token in named.items() if token in tokens}


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
