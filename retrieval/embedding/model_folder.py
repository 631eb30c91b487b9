"""What a model's folder tells the text side: how long a text may be, which prompts belong before it, and who the model is."""

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

# families whose folders do not name the prompts that they were trained with (Wang et al. 2022, arXiv 2212.03533)
E5_NAMES = re.compile(r"(^|[-/])(multilingual-)?e5-(small|base|large)(-v2)?(-unsupervised)?$")
E5_PROMPTS: Mapping[Kind, str] = {"query": "query: ", "document": "passage: "}

PLACEHOLDER_NAMES = ("", ".", "tmp", "model", "output")  # what training left behind as a name

BLOCK_SIZE, SAMPLED_BLOCKS = 64 * 1024, 64  # of a weights file that is too large to be read whole at every start


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """`most_tokens`: of a text with prompt and special tokens; None where only the model itself limits it."""

    name: str
    transformer_path: Path  # where config.json and tokenizer.json lie
    max_tokens: int | None
    lowercase: bool  # texts are to be lower-cased before they are tokenized
    prompts: dict[Kind, str]
    configured_name: str = ""  # in the operator's settings

    def tokenizer(self) -> str:
        """Raises ValueError where there is none that works without the library it was made with."""
        path = self.transformer_path / "tokenizer.json"
        if not path.exists():
            raise ValueError(f"{self.name} has no tokenizer.json; save its tokenizer in the fast format (transformers' AutoTokenizer does)")
        return path.read_text(encoding="utf-8")


def read_folder(directory: Path) -> ModelFolder:
    """Of Hugging Face's or sentence-transformers' layout."""
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
    """Tells weights and tokenizers apart: SHA-256, shortened, of the tokenizer, and of size, beginning and blocks from all
    over each weights file. Any training changes every block; reading them all would take a large model seconds."""
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
    """As published where the folder tells; where it happens to lie says little about what it is, and may change."""
    parts = directory.resolve().parts[-3:]
    if len(parts) == 3 and parts[0].startswith("models--") and parts[1] == "snapshots":  # the hub's cache
        return parts[0].removeprefix("models--").replace("--", "/")
    published = str(config.get("_name_or_path") or "").rstrip("/").rpartition("/")[2]
    return directory.resolve().name if published in PLACEHOLDER_NAMES else published


def _max_length(tokenizer: dict[str, Any]) -> int | None:
    length = tokenizer.get("model_max_length")
    return int(length) if length and length < 1e9 else None  # transformers writes 1e30 for "no limit"


def _prompts(config: dict[str, Any], names: tuple[str, ...]) -> dict[Kind, str]:
    """What belongs before a text that is a query, or a document; "" for nothing."""
    given: dict[str, str] = {key: text for key, text in (config.get("prompts") or {}).items() if text}
    if not given and any(map(E5_NAMES.search, names)):
        return dict(E5_PROMPTS)
    default = given.get(config.get("default_prompt_name") or "", "")
    return {kind: next((given[key] for key in names if key in given), default) for kind, names in PROMPT_NAMES.items()}


def _first(paths: list[Path]) -> dict[str, Any]:
    return _json(paths[0]) if paths else {}


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
