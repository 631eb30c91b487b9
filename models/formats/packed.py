"""A checkpoint whose matrices are packed, as a mapping of plain names to weights."""

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

from torch import Tensor

from models.quant import Weight

Parts = Mapping[str, Tensor]  # by their suffix: what one packed matrix consists of


class Format(Protocol):
    @property
    def main(self) -> str:
        """Suffix of the tensor that stands for the matrix: behind a dot of its name, or behind all of it if it begins with _."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """Suffixes of what may lie beside it."""
        ...

    def weight(self, parts: Parts) -> Weight: ...


class Unpacked(Mapping[str, Weight]):
    """Names as they would be unpacked. A matrix that is not packed stays as it is."""

    form: Literal["safetensors"] = "safetensors"

    def __init__(self, tensors: Mapping[str, Weight], packing: Format) -> None:
        self._tensors, self._format = tensors, packing
        names = set(tensors)
        found = {name.removesuffix(packing.main): name for name in names if name.endswith(_dotted(packing.main))}
        self._packed = {plain(stem): self._parts(stem, names) for stem in found}
        inside = {name for parts in self._packed.values() for name in parts.values()}
        self._plain = names - inside

    def _parts(self, stem: str, names: set[str]) -> dict[str, str]:
        """The stored names of a matrix's parts."""
        return {part: stem + part for part in (self._format.main, *self._format.parts) if stem + part in names}

    def __getitem__(self, name: str) -> Weight:
        if name in self._plain:
            return self._tensors[name]
        parts = {part: self._tensors[stored] for part, stored in self._packed[name].items()}
        return self._format.weight({part: value for part, value in parts.items() if isinstance(value, Tensor)})

    def __iter__(self) -> Iterator[str]:
        yield from self._plain
        yield from self._packed

    def __len__(self) -> int:
        return len(self._plain) + len(self._packed)


def _dotted(suffix: str) -> str:
    return suffix if suffix.startswith("_") else f".{suffix}"


def plain(stem: str) -> str:
    return f"{stem}weight" if stem.endswith(".") else stem
