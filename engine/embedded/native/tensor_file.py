"""A file of named tensors that is mapped, not read: a JSON header, then every tensor at a multiple of 64 bytes, with its CRC-32.

    8 bytes magic · 8 bytes length of what follows up to the padding · 4 bytes CRC-32 of the header · header · padding · tensors

safetensors would align a tensor by its numbers' size alone, and says nothing of damage."""

import json
import mmap
import os
import secrets
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

MAGIC = b"STOAPCK1"
ALIGN = 64
DTYPES = {str(dtype): dtype for dtype in (torch.uint8, torch.int8, torch.int32, torch.bfloat16, torch.float16, torch.float32)}


class DamagedFile(ValueError):
    """The file is not what was written."""


@dataclass(frozen=True)
class _Entry:
    dtype: str
    shape: list[int]
    offset: int  # from the first tensor's place
    size: int  # bytes
    crc: int


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """`facts`: what JSON can hold. The file is there as a whole or not at all. Raises OSError."""
    entries, offset = dict[str, _Entry](), 0
    for name, tensor in tensors.items():
        view = _bytes_of(tensor)
        entries[name] = _Entry(str(tensor.dtype), list(tensor.shape), offset, view.nbytes, zlib.crc32(view))
        offset += _up(view.nbytes)
    header = json.dumps({"facts": facts, "tensors": {name: asdict(entry) for name, entry in entries.items()}}).encode()
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")  # containers that share a folder have the same process ids
    try:
        with part.open("wb") as file:
            _write_aligned(file, MAGIC + (4 + len(header)).to_bytes(8, "little") + zlib.crc32(header).to_bytes(4, "little") + header)
            for tensor in tensors.values():
                _write_aligned(file, _bytes_of(tensor))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def facts_of(path: Path) -> dict[str, Any]:
    """Without the tensors. Raises OSError, DamagedFile."""
    with path.open("rb") as file:
        begin = file.read(16)
        length = min(int.from_bytes(begin[8:], "little"), os.fstat(file.fileno()).st_size)  # a damaged one may be any number
        return _header(path, begin, file.read(length))["facts"]


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, which nobody may write to, and the facts. Raises OSError, and DamagedFile where a byte is not what was written."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise DamagedFile(f"{path} is empty")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # torch wants writable memory
    end = 16 + int.from_bytes(mapped[8:16], "little")
    header = _header(path, mapped[:16], mapped[16:end])
    entries = {name: _Entry(**entry) for name, entry in header["tensors"].items()}
    start, view = _up(end), memoryview(mapped)
    _verify(path, [view[start + e.offset : start + e.offset + e.size] for e in entries.values()], list(entries.values()))
    return {name: _tensor(mapped, start, entry) for name, entry in entries.items()}, header["facts"]


def _header(path: Path, begin: bytes, text: bytes) -> dict[str, Any]:
    """Its own CRC-32 stands before it."""
    if begin[:8] != MAGIC or zlib.crc32(text[4:]).to_bytes(4, "little") != text[:4]:
        raise DamagedFile(f"{path} is damaged")
    return json.loads(text[4:])


def _verify(path: Path, parts: list[memoryview], entries: list[_Entry]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # zlib lets go of the interpreter; it also brings the pages in
        for part, crc, entry in zip(parts, pool.map(zlib.crc32, parts), entries, strict=True):
            if part.nbytes != entry.size or crc != entry.crc:
                raise DamagedFile(f"{path} is damaged")


def _tensor(mapped: mmap.mmap, start: int, entry: _Entry) -> Tensor:
    if entry.size == 0:
        return torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
    count = entry.size // DTYPES[entry.dtype].itemsize
    return torch.frombuffer(mapped, dtype=DTYPES[entry.dtype], count=count, offset=start + entry.offset).view(entry.shape)


def _bytes_of(tensor: Tensor) -> memoryview:
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().data


def _write_aligned(file: BinaryIO, part: bytes | memoryview) -> None:
    file.write(part)
    file.write(b"\0" * (_up(len(part)) - len(part)))


def _up(size: int) -> int:
    return -(-size // ALIGN) * ALIGN
