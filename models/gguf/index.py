"""Where the tensors of a GGUF file lie: tensors.json, so that nobody parses the file's own header again, which takes seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from gguf.gguf_reader import ReaderTensor


def tensor_index(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The content of tensors.json (models/checkpoint.py's `Entry`) for one GGUF file, which the prepared directory
    calls model.gguf, or for all pieces of one, which keep their names there."""
    if len(paths) == 1:
        return [_index_entry(tensor) for tensor in GGUFReader(paths[0]).tensors]
    return [_index_entry(tensor) | {"file": path.name} for path in paths for tensor in GGUFReader(path).tensors]


def _index_entry(tensor: ReaderTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "type": tensor.tensor_type.name,
        "shape": [int(n) for n in reversed(tensor.shape)],
        "offset": int(tensor.data_offset),
        "nbytes": int(tensor.n_bytes),
    }
