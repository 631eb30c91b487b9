"""A prepared model directory as a mapping from tensor names to weights, read one at a time through memory maps."""

import json
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from torch import Tensor

from models.ctranslate2.file import BINARY, CTranslate2
from models.formats import unpacked
from models.formats.packed import Unpacked
from models.gguf.blocks import decode
from models.quant import Weight, WeightsError


class Safetensors(Mapping[str, Weight]):
    """One file, or the shards that model.safetensors.index.json names. Always dense."""

    form: Literal["safetensors"] = "safetensors"

    def __init__(self, paths: list[Path]) -> None:
        files = [safe_open(path, framework="pt") for path in paths]
        self._files = {name: file for file in files for name in file.keys()}  # noqa: SIM118, not a dict

    def __getitem__(self, name: str) -> Tensor:
        return self._files[name].get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


@dataclass(frozen=True)
class Entry:
    """One tensor of a GGUF file, as tensors.json lists it."""

    name: str
    type: str  # GGUF's name of the number format
    shape: tuple[int, ...]  # torch's order, [O, I]
    offset: int  # bytes from the start of the file
    nbytes: int
    file: str = "model.gguf"


class Gguf(Mapping[str, Weight]):
    """Weights of a GGUF file, found through an index made beforehand: its own header takes seconds to parse."""

    form: Literal["gguf"] = "gguf"

    def __init__(self, directory: Path, entries: list[Entry]) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._maps = {name: _map(directory / name) for name in {entry.file for entry in entries}}

    def __getitem__(self, name: str) -> Weight:
        entry = self._entries[name]
        data = torch.frombuffer(self._maps[entry.file], dtype=torch.uint8, count=entry.nbytes, offset=entry.offset)
        return decode(entry.type, data, entry.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


Checkpoint = Safetensors | Gguf | CTranslate2 | Unpacked


def open_checkpoint(directory: Path) -> Checkpoint:
    """Raises WeightsError when the directory holds no weights or not all that its index names, and ConfigError when they are
    packed in a way that is not supported."""
    if (directory / "tensors.json").exists():
        return Gguf(directory, [_entry(item) for item in json.loads((directory / "tensors.json").read_text())])
    paths = _shards(directory)
    if not paths and (directory / BINARY).exists():
        return CTranslate2(directory / BINARY)
    missing = [path.name for path in paths if not path.exists()]
    if missing or not paths:
        raise WeightsError(f"{directory} has no {', '.join(missing) or 'model.safetensors and no tensors.json'}")
    tensors, quantization = Safetensors(paths), _quantization(directory)
    return unpacked(tensors, quantization) if quantization else tensors


def _quantization(directory: Path) -> dict[str, Any]:
    """How config.json says that the weights are packed; older files of GPTQ say it beside."""
    for name, key in (("config.json", "quantization_config"), ("quantize_config.json", None)):
        file = directory / name
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        text = found.get("text_config") or {}  # of a model that also reads images
        if quantization := (found.get(key) or text.get(key) if key else found and {"quant_method": "gptq"} | found):
            return quantization
    return {}


def _shards(directory: Path) -> list[Path]:
    index = directory / "model.safetensors.index.json"
    if not index.exists():
        return sorted(directory.glob("model*.safetensors"))
    return [directory / Path(name).name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]


def _entry(item: dict[str, Any]) -> Entry:
    return Entry(**{**item, "shape": tuple(item["shape"])})


def _map(path: Path) -> mmap.mmap:
    """Copy on write: torch wants writable memory, and nobody may change the file."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
