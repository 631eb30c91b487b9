"""A checkpoint whose matrices are packed, as a mapping of plain names to weights."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from models.quant import Weight, WeightsError

FLOATS = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Parts:
    """What one packed matrix consists of, by the suffix behind `stem`."""

    stem: str
    tensors: Mapping[str, Tensor]

    def __contains__(self, part: str) -> bool:
        return part in self.tensors

    def need(self, part: str, dtypes: tuple[torch.dtype, ...], *shape: int) -> Tensor:
        """The part, which must have one of `dtypes` and this shape, -1 standing for any length. Raises WeightsError."""
        if part not in self.tensors:
            raise WeightsError(f"the checkpoint has no tensor {self.stem}{part}, which {plain(self.stem)} is unpacked with")
        tensor = self.tensors[part]
        if tensor.dtype not in dtypes or not _fits(tensor.shape, shape) or not tensor.numel():
            kinds, lengths = " or ".join(map(_kind, dtypes)), ", ".join("any" if n < 0 else str(n) for n in shape)
            raise self.wrong(part, f"must be {kinds} [{lengths}], but is {_kind(tensor.dtype)} {list(tensor.shape)}")
        return tensor

    def find(self, part: str, dtypes: tuple[torch.dtype, ...], *shape: int) -> Tensor | None:
        """The same of a part that may be absent."""
        return self.need(part, dtypes, *shape) if part in self.tensors else None

    def wrong(self, part: str, why: str) -> WeightsError:
        return WeightsError(f"{self.stem}{part} {why}")


class Format(Protocol):
    @property
    def mains(self) -> tuple[str, ...]:
        """Suffixes of the tensor that stands for a matrix: behind a dot of its name, or behind all of it if it begins with _."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """Suffixes of what may lie beside it."""
        ...

    def weight(self, parts: Parts) -> Weight:
        """Raises WeightsError, which names the tensor, where parts are missing or do not fit together."""
        ...


class Unpacked(Mapping[str, Weight]):
    """Names as they would be unpacked. A matrix that is not packed stays as it is."""

    form: Literal["safetensors"] = "safetensors"

    def __init__(self, tensors: Mapping[str, Weight], packing: Format) -> None:
        self._tensors, self._format = tensors, packing
        names = {name for name in tensors if not _OF_A_CACHE.fullmatch(name)}
        stems = {name.removesuffix(main) for main in packing.mains for name in names if name.endswith(_dotted(main))}
        self._packed = {plain(stem): (stem, self._parts(stem, names)) for stem in stems}
        self._plain = names - {name for _, parts in self._packed.values() for name in parts.values()}

    def _parts(self, stem: str, names: set[str]) -> dict[str, str]:
        """The stored names of a matrix's parts."""
        return {part: stem + part for part in (*self._format.mains, *self._format.parts) if stem + part in names}

    def __getitem__(self, name: str) -> Weight:
        if name in self._plain:
            return self._tensors[name]
        stem, stored = self._packed[name]
        parts = {part: self._tensors[name] for part, name in stored.items()}
        return self._format.weight(Parts(stem, {part: value for part, value in parts.items() if isinstance(value, Tensor)}))

    def __iter__(self) -> Iterator[str]:
        yield from self._plain
        yield from self._packed

    def __len__(self) -> int:
        return len(self._plain) + len(self._packed)


# how an 8-bit cache of keys and values would be scaled, which ours is not
_OF_A_CACHE = re.compile(r"(.*\.)?[qkv]_(scale|zero_point)")


def _dotted(suffix: str) -> str:
    return suffix if suffix.startswith("_") else f".{suffix}"


def plain(stem: str) -> str:
    return f"{stem}weight" if stem.endswith(".") else stem


def _fits(shape: torch.Size, wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(w in (-1, n) for n, w in zip(shape, wanted, strict=True))


def _kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
