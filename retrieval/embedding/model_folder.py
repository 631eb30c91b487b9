"""Reads what a model folder says about text: maximum length, prompts, and the model's name and revision."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["query", "document"]

# in the order in which sentence-transformers looks for them
PROMPT_NAMES: Mapping[Kind, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}

# models whose folders lack the prompts they were trained with (Wang et al. 2022, arXiv 2212.03533)
E5_NAMES = re.compile(r"(^|[-/])(multilingual-)?e5-(small|base|large)(-v2)?(-unsupervised)?$")
E5_PROMPTS: Mapping[Kind, str] = {"query": "query: ", "document": "passage: "}

PLACEHOLDER_NAMES = ("", ".", "tmp", "model", "output")  # names left by training scripts

BLOCK_SIZE, SAMPLED_BLOCKS = 64 * 1024, 64  # bytes, blocks per weights file: too large to be hashed whole at every start


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """`max_tokens`: of a text with prompt and special tokens; None: limited by the model alone."""

    name: str
    transformer_path: Path  # contains config.json and tokenizer.json
    max_tokens: int | None
    lowercase: bool  # lower-case texts before tokenizing
    prompts: dict[Kind, str]
    configured_name: str = ""  # name in the operator's settings

    def tokenizer(self) -> str:
        """Content of tokenizer.json. Raises ValueError if there is none."""
        path = self.transformer_path / "tokenizer.json"
        if not path.exists():
            raise ValueError(f"{self.name} has no tokenizer.json; save its tokenizer in the fast format (transformers' AutoTokenizer does)")
        return path.read_text(encoding="utf-8")


def read_folder(directory: Path) -> ModelFolder:
    """Reads a folder in Hugging Face or sentence-transformers layout."""
    transformer_path = directory / _transformer_path(directory)
    sentence = _first(sorted(transformer_path.glob("sentence_*_config.json")))
    name = _name(directory, _json(transformer_path / "config.json"))
    return ModelFolder(
        name=name,
        transformer_path=transformer_path,
        max_tokens=sentence.get("max_seq_length") or _max_length(_json(transformer_path / "tokenizer_config.json")),
        lowercase=bool(sentence.get("do_lower_case")),
        prompts=_prompts(_json(directory / "config_sentence_transformers.json"), (name, directory.resolve().name)),
    )


def revision(transformer_path: Path) -> str:
    """Identifies weights and tokenizer: shortened SHA-256 of size and sampled blocks of each file. Training changes every block of the
    weights; hashing all of a large model would take seconds."""
    digest = hashlib.sha256()
    for pattern in ("tokenizer.json", "*.safetensors", "*.gguf", "pytorch_model*.bin"):
        for path in sorted(transformer_path.glob(pattern)):
            for part in _samples(path):
                digest.update(part)
    return digest.hexdigest()[:16]


def _samples(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        yield f"{path.name} {size}\n".encode()
        for at in sorted({max(0, size - BLOCK_SIZE) * i // (SAMPLED_BLOCKS - 1) for i in range(SAMPLED_BLOCKS)}):
            file.seek(at)
            yield file.read(BLOCK_SIZE)


def _transformer_path(directory: Path) -> str:
    modules = directory / "modules.json"
    return json.loads(modules.read_text())[0]["path"] if modules.exists() else ""


def _name(directory: Path, config: dict[str, Any]) -> str:
    """The published name if the folder has it: the directory name says little about the model, and may change."""
    parts = directory.resolve().parts[-3:]
    if len(parts) == 3 and parts[0].startswith("models--") and parts[1] == "snapshots":  # cache of the Hugging Face hub
        return parts[0].removeprefix("models--").replace("--", "/")
    published = str(config.get("_name_or_path") or "").rstrip("/").rpartition("/")[2]
    return directory.resolve().name if published in PLACEHOLDER_NAMES else published


def _max_length(tokenizer: dict[str, Any]) -> int | None:
    length = tokenizer.get("model_max_length")
    return int(length) if length and length < 1e9 else None  # transformers writes 1e30 for "no limit"


def _prompts(config: dict[str, Any], names: tuple[str, ...]) -> dict[Kind, str]:
    """The prompt put before a query or document; "" for none."""
    given: dict[str, str] = {key: text for key, text in (config.get("prompts") or {}).items() if text}
    if not given and any(map(E5_NAMES.search, names)):
        return dict(E5_PROMPTS)
    default = given.get(config.get("default_prompt_name") or "", "")
    return {kind: next((given[key] for key in names if key in given), default) for kind, names in PROMPT_NAMES.items()}


def _first(paths: list[Path]) -> dict[str, Any]:
    return _json(paths[0]) if paths else {}


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
