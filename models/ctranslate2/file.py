"""CTranslate2's model.bin (binary versions 4 to 6): a list of named variables, those of rank 0 being the model's settings, and a list of
aliases. Integers of 8 bits have a scale for each row, integers of 16 bits one for all, in NAME_scale: w = q / scale."""

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from models.formats.bits import grouped
from models.quant import Weight, WeightsError

BINARY = "model.bin"
_VERSIONS = range(4, 7)
_DTYPES = (torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Variable:
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int  # bytes from the start of the file


class CTranslate2(Mapping[str, Weight]):
    """`spec`: what kind of model it is, "TransformerDecoderSpec", "WhisperSpec", ... `settings`: the variables that are one number.
    The mapping has all others, also under their aliases, scales and the 1 that some norms lack (Gemma's) worked in. Raises
    WeightsError, which names the variable, where the file is cut, inconsistent or of a version that is not known."""

    form: Literal["ctranslate2"] = "ctranslate2"

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
        reader = _Reader(self._map, file)
        self.spec = reader.header()
        variables = dict(reader.variables())
        self._stored = {name: name for name in variables} | dict(reader.aliases(variables))
        reader.end()
        self._variables = variables
        self.settings = {n: self._tensor(n).item() for n, v in variables.items() if not v.shape and not self._is_scale(n)}

    def __getitem__(self, name: str) -> Weight:
        stored = self._stored[name]
        tensor = self._tensor(stored)
        if tensor.dtype in (torch.int8, torch.int16):
            return self._scaled(stored, tensor)
        less = self.settings.get(f"{name.rpartition('/')[0]}/layer_norm_use_residual", 0)
        return tensor.float() + 1 if less and name.endswith("/gamma") else tensor

    def __iter__(self) -> Iterator[str]:
        return (name for name, stored in self._stored.items() if self._variables[stored].shape and not self._is_scale(name))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the mapping's tensors."""
        return {name: self._variables[self._stored[name]].shape for name in self}

    def same(self, name: str, other: str) -> bool:
        """Whether both names stand for one tensor."""
        return name in self._stored and self._stored[name] == self._stored.get(other)

    def _is_scale(self, name: str) -> bool:
        return name.endswith("_scale") and name.removesuffix("_scale") in self._variables

    def _tensor(self, name: str) -> Tensor:
        v = self._variables[name]
        size = prod(v.shape)
        data = torch.frombuffer(self._map, dtype=torch.uint8, count=size * v.dtype.itemsize, offset=v.offset) if size else torch.empty(0)
        return data.clone().view(v.dtype).view(v.shape)  # a variable need not be aligned

    def _scaled(self, name: str, q: Tensor) -> Weight:
        rows = () if q.dtype == torch.int16 else q.shape[:1]
        scale = self._variables.get(f"{name}_scale")
        if scale is None or scale.dtype != torch.float32 or scale.shape != rows:
            found = "is missing" if scale is None else f"is {scale.dtype} {list(scale.shape)}"
            raise WeightsError(f"{name}_scale must be float32 {list(rows)}, but {found}")
        step = 1 / self._tensor(f"{name}_scale")
        if q.dtype == torch.int16 or q.dim() != 2:
            return q.float() * step.reshape(-1, *(1,) * (q.dim() - 1))
        return grouped((q.int() + 128).to(torch.uint8), step[:, None], torch.full((q.shape[0], 1), 128), 8)


class _Reader:
    """From one field of the file to the next."""

    def __init__(self, content: mmap.mmap, file: Path) -> None:
        self._content, self._file, self._at, self._within = content, file, 0, "the header"

    def header(self) -> str:
        version = self._number("I")
        if version not in _VERSIONS:
            raise WeightsError(f"{self._file}: binary version {version} is not supported, only {_VERSIONS[0]} to {_VERSIONS[-1]}")
        spec = self._text()
        self._number("I")  # its revision: what changed with one is another name or setting
        return spec

    def variables(self) -> Iterator[tuple[str, Variable]]:
        for _ in range(self._number("I")):
            name = self._text()
            self._within = name
            shape = tuple(self._number("I") for _ in range(self._number("B")))
            kind, size = self._number("B"), self._number("I")
            if kind >= len(_DTYPES) or size != prod(shape) * _DTYPES[kind].itemsize:
                raise WeightsError(f"{self._file}: {name} has {size} bytes, which is no {list(shape)} of type {kind}")
            yield name, Variable(_DTYPES[kind], shape, self._skip(size))

    def aliases(self, variables: Mapping[str, Variable]) -> Iterator[tuple[str, str]]:
        self._within = "the aliases"
        for _ in range(self._number("I")):
            alias, name = self._text(), self._text()
            if name not in variables:
                raise WeightsError(f"{self._file}: {alias} is an alias of {name}, which there is not")
            yield alias, name

    def end(self) -> None:
        if self._at != len(self._content):
            raise WeightsError(f"{self._file} has {len(self._content) - self._at} bytes behind its aliases")

    def _number(self, kind: str) -> int:
        at = self._skip(struct.calcsize(f"<{kind}"))
        return struct.unpack_from(f"<{kind}", self._content, at)[0]

    def _text(self) -> str:
        """Its length counts a zero at its end."""
        size = self._number("H")
        at = self._skip(size)
        return self._content[at : at + max(size - 1, 0)].decode("utf-8", "replace")

    def _skip(self, size: int) -> int:
        """Where it began."""
        at, self._at = self._at, self._at + size
        if self._at > len(self._content):
            raise WeightsError(f"{self._file} ends within {self._within}")
        return at
